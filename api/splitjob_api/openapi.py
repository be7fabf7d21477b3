"""The description of the API: what FastAPI cannot know of it by itself."""

from collections.abc import Collection
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from splitjob.request import SplitRequest
from splitjob_api.curl_samples import sample
from splitjob_api.error_catalogue import (
    BEFORE_EVERY_ROUTE,
    BEFORE_ROUTES_WITH_NAMES,
    BEFORE_ROUTES_WITH_TOKEN,
    BEFORE_SIGNED_ROUTES,
    codes_of,
    documented,
)
from splitjob_api.file_request import FileRequest
from splitjob_api.job_retry import RetryRequest
from splitjob_api.problems import Problem
from splitjob_api.webhook_schema import CourtesyEvent, FinalEvent, webhooks

DESCRIPTION = """\
Stem separation on Kubernetes: `POST /split` takes a song's URL and answers with a job; a webhook
tells when its stems are in the bucket.

**Signatures.** Every request carries `X-Timestamp` (Unix time, ten digits) and
`X-Signature: sha256=<hex>`, where hex = HMAC-SHA256(token, payload + "|" + timestamp). The payload
is the raw body, byte for byte; a request without a body signs `METHOD path?query`. With
`API_URL` and `DEMUCSSVC_TOKEN` set (of several tokens, the first signs):

```sh
body='{"versionId":"song-1","audioUrl":"https://example.com/song.wav","aiModel":"demo",\
"webhook":"https://api.track-tree.com/webhooks/demucs"}'
now=$(date +%s)
hex=$(printf '%s|%s' "$body" "$now" |
  openssl dgst -sha256 -hmac "${DEMUCSSVC_TOKEN%%,*}" | sed 's/.*= *//')
curl "$API_URL/split" --data-raw "$body" -H "X-Timestamp: $now" -H "X-Signature: sha256=$hex"

now=$(date +%s)
hex=$(printf 'GET /models|%s' "$now" |
  openssl dgst -sha256 -hmac "${DEMUCSSVC_TOKEN%%,*}" | sed 's/.*= *//')
curl "$API_URL/models" -H "X-Timestamp: $now" -H "X-Signature: sha256=$hex"
```

**Kubernetes tokens.** Where the installation takes them, `Authorization: Bearer TOKEN` stands in a
signature's place, with what `kubectl create token NAME --audience track-tree-audio` prints; RBAC on
SplitJobs says what its user may do.

**Errors** are `application/problem+json` (RFC 9457) with a stable `code`.
"""

_EXAMPLES = {
    "short": {
        "summary": "All stems as wav",
        "value": {
            "versionId": "song-1",
            "audioUrl": "https://example.com/song.wav",
            "aiModel": "demo",
            "webhook": "https://api.track-tree.com/webhooks/demucs",
        },
    },
    "karaoke": {
        "summary": "Voice and the rest, as mp3",
        "value": {
            "versionId": "song-1",
            "audioUrl": "https://example.com/song.wav",
            "aiModel": "demo",
            "webhook": "https://api.track-tree.com/webhooks/demucs",
            "stems": ["vocals"],
            "remainder": True,
            "format": "mp3",
            "bitrateKbps": 256,
        },
    },
    "exact": {
        "summary": "Stems that sum to the song to the last bit, what is left over by itself",
        "value": {
            "versionId": "song-1",
            "audioUrl": "https://example.com/song.wav",
            "aiModel": "demo",
            "webhook": "https://api.track-tree.com/webhooks/demucs",
            "format": "flac",
            "bitDepth": 24,
            "clipMode": "exact",
            "residualTo": "residual",
        },
    },
}

SPLIT_BODY: dict[str, Any] = {
    "required": True,
    "content": {
        "application/json": {
            "schema": {"$ref": "#/components/schemas/SplitRequest"},
            "examples": _EXAMPLES,
        }
    },
}

RETRY_BODY: dict[str, Any] = {
    "required": False,
    "description": "Only where the URLs of the request are given anew.",
    "content": {
        "application/json": {
            "schema": {"$ref": "#/components/schemas/RetryRequest"},
            "examples": {
                "fresh": {
                    "summary": "The audio's address, presigned anew",
                    "value": {"audioUrl": "https://example.com/song.wav?X-Amz-Signature=..."},
                }
            },
        }
    },
}

UPLOAD_BODY: dict[str, Any] = {
    "required": True,
    "content": {
        "application/json": {
            "schema": {"$ref": "#/components/schemas/FileRequest"},
            "example": {"filename": "song.wav", "size": 31752044},
        }
    },
}

Security = list[dict[str, list[str]]]
_SIGNED: Security = [{"signature": [], "timestamp": []}]
_WITH_TOKEN: Security = [*_SIGNED, {"kubernetesToken": []}]
_SCHEMES = {
    "signature": {"type": "apiKey", "in": "header", "name": "X-Signature"},
    "timestamp": {"type": "apiKey", "in": "header", "name": "X-Timestamp"},
}
_TOKEN_SCHEME = {
    "kubernetesToken": {
        "type": "http",
        "scheme": "bearer",
        "description": "A Kubernetes token in a signature's place; RBAC on SplitJobs says what its "
        "user may do: get and list read, create submits and retries, patch cancels and redelivers.",
    }
}
# What FastAPI adds by itself; our own 422 is a problem like every other error.
_FRAMEWORK_DESCRIPTION = "Successful Response"
_FRAMEWORK_SCHEMAS = ("HTTPValidationError", "ValidationError")


def describe(
    app: FastAPI,
    open_paths: Collection[str],
    *,
    root_path: str = "",
    kubernetes_tokens: bool = False,
) -> dict[str, Any]:
    """Return the OpenAPI document of an app, made once.

    Args:
        app: with all its routes.
        open_paths: need no signature.
        root_path: the prefix that a gateway in front strips from paths.
        kubernetes_tokens: whether these are taken in a signature's place.
    """
    if app.openapi_schema is None:
        document = get_openapi(
            title=app.title, version=app.version, description=DESCRIPTION, routes=app.routes
        )
        document["webhooks"] = webhooks()
        if root_path:
            document["servers"] = [{"url": root_path}]
        components = document.setdefault("components", {})
        components["securitySchemes"] = {**_SCHEMES, **(_TOKEN_SCHEME if kubernetes_tokens else {})}
        ways_in = _WITH_TOKEN if kubernetes_tokens else _SIGNED
        _complete_schemas(components.setdefault("schemas", {}))
        for path, operations in document["paths"].items():
            for method, operation in operations.items():
                _complete(operation, method, path, ways_in=[] if path in open_paths else ways_in)
        app.openapi_schema = document
    return app.openapi_schema


def _complete(operation: dict[str, Any], method: str, path: str, *, ways_in: Security) -> None:
    """Add what all operations have: who may call, what the middleware refuses, a sample."""
    operation["security"] = ways_in
    operation["x-codeSamples"] = [{"lang": "sh", "source": sample(operation, method, path)}]
    responses = operation["responses"]
    if "HTTPValidationError" in str(responses.get("422")):
        del responses["422"]
    for status, response in responses.items():
        if response["description"] == _FRAMEWORK_DESCRIPTION:
            response["description"] = HTTPStatus(int(status)).phrase
    signed = BEFORE_SIGNED_ROUTES if ways_in else ()
    by_token = BEFORE_ROUTES_WITH_TOKEN if ways_in is _WITH_TOKEN else ()
    named = BEFORE_ROUTES_WITH_NAMES if "{" in path else ()
    errors = documented(*codes_of(responses), *BEFORE_EVERY_ROUTE, *named, *signed, *by_token)
    responses.update({str(status): response for status, response in errors.items()})


def _complete_schemas(schemas: dict[str, Any]) -> None:
    for model in (SplitRequest, RetryRequest, FileRequest, Problem, FinalEvent, CourtesyEvent):
        schema = model.model_json_schema(ref_template="#/components/schemas/{model}")
        schemas.update(schema.pop("$defs", {}))
        schemas[model.__name__] = schema
    for name in _FRAMEWORK_SCHEMAS:
        schemas.pop(name, None)
