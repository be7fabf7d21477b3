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
    BEFORE_SIGNED_ROUTES,
    codes_of,
    documented,
)
from splitjob_api.problems import Problem
from splitjob_api.webhook_schema import CourtesyEvent, FinalEvent, webhooks

DESCRIPTION = """\
Stem separation on Kubernetes: `POST /split` takes a song's URL and answers with a job; a webhook
tells when its stems are in the bucket.

**Signatures.** Every request carries `X-Timestamp` (Unix time, ten digits) and
`X-Signature: sha256=<hex>`, where hex = HMAC-SHA256(token, payload + "|" + timestamp). The payload
is the raw body, byte for byte; a request without a body signs `METHOD path?query`. With `$TOKEN`
and `$API` set:

```sh
body='{"versionId":"song-1","audioUrl":"https://example.com/song.wav","aiModel":"demo",\
"webhook":"https://api.track-tree.com/webhooks/demucs"}'
now=$(date +%s)
hex=$(printf '%s|%s' "$body" "$now" | openssl dgst -sha256 -hmac "$TOKEN" | sed 's/.*= *//')
curl "$API/split" --data-raw "$body" -H "X-Timestamp: $now" -H "X-Signature: sha256=$hex"

now=$(date +%s)
hex=$(printf 'GET /models|%s' "$now" | openssl dgst -sha256 -hmac "$TOKEN" | sed 's/.*= *//')
curl "$API/models" -H "X-Timestamp: $now" -H "X-Signature: sha256=$hex"
```

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

_SIGNED: list[dict[str, list[str]]] = [{"signature": [], "timestamp": []}]
_SCHEMES = {
    "signature": {"type": "apiKey", "in": "header", "name": "X-Signature"},
    "timestamp": {"type": "apiKey", "in": "header", "name": "X-Timestamp"},
}
# What FastAPI adds by itself; our own 422 is a problem like every other error.
_FRAMEWORK_DESCRIPTION = "Successful Response"
_FRAMEWORK_SCHEMAS = ("HTTPValidationError", "ValidationError")


def describe(app: FastAPI, open_paths: Collection[str]) -> dict[str, Any]:
    """Return the OpenAPI document of an app, made once.

    Args:
        app: with all its routes.
        open_paths: need no signature.
    """
    if app.openapi_schema is None:
        document = get_openapi(
            title=app.title, version=app.version, description=DESCRIPTION, routes=app.routes
        )
        document["webhooks"] = webhooks()
        components = document.setdefault("components", {})
        components["securitySchemes"] = _SCHEMES
        _complete_schemas(components.setdefault("schemas", {}))
        for path, operations in document["paths"].items():
            for method, operation in operations.items():
                _complete(operation, method, path, is_open=path in open_paths)
        app.openapi_schema = document
    return app.openapi_schema


def _complete(operation: dict[str, Any], method: str, path: str, *, is_open: bool) -> None:
    """Add what all operations have: who may call, what the middleware refuses, a sample."""
    operation["security"] = [] if is_open else _SIGNED
    operation["x-codeSamples"] = [{"lang": "sh", "source": sample(operation, method, path)}]
    responses = operation["responses"]
    if "HTTPValidationError" in str(responses.get("422")):
        del responses["422"]
    for status, response in responses.items():
        if response["description"] == _FRAMEWORK_DESCRIPTION:
            response["description"] = HTTPStatus(int(status)).phrase
    before = BEFORE_EVERY_ROUTE if is_open else (*BEFORE_EVERY_ROUTE, *BEFORE_SIGNED_ROUTES)
    errors = documented(*codes_of(responses), *before)
    responses.update({str(status): response for status, response in errors.items()})


def _complete_schemas(schemas: dict[str, Any]) -> None:
    for model in (SplitRequest, Problem, FinalEvent, CourtesyEvent):
        schema = model.model_json_schema(ref_template="#/components/schemas/{model}")
        schemas.update(schema.pop("$defs", {}))
        schemas[model.__name__] = schema
    for name in _FRAMEWORK_SCHEMAS:
        schemas.pop(name, None)
