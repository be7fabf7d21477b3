"""A call with curl for each operation of the API, to be pasted into a shell."""

import json
from typing import Any

_VARIABLES = {"{job_id}": "$JOB", "{stem}": "vocals"}
_SIGN = """now=$(date +%s)
hex=$(printf '%s|%s' "{payload}" "$now" |
  openssl dgst -sha256 -hmac "${{DEMUCSSVC_TOKEN%%,*}}" | sed 's/.*= *//')
"""


def sample(operation: dict[str, Any], method: str, path: str) -> str:
    """Return shell commands that make a call; they read $API_URL, $DEMUCSSVC_TOKEN and $JOB.

    Args:
        operation: as OpenAPI has it, with its security.
        method: in lower case.
        path: with its parameters in braces.
    """
    for parameter, value in _VARIABLES.items():
        path = path.replace(parameter, value)
    body = _body(operation)
    more = "" if body is None else " --data-raw \"$body\" -H 'Content-Type: application/json'"
    verb = "" if method == "get" or (method == "post" and body) else f" -X {method.upper()}"
    verb += " --no-buffer" if _is_stream(operation) else ""
    call = f'curl{verb} "$API_URL{path}"{more}'
    if not operation["security"]:
        return call
    payload = f"{method.upper()} {path}" if body is None else "$body"
    given = "" if body is None else f"body='{body}'\n"
    proof = '-H "X-Timestamp: $now" -H "X-Signature: sha256=$hex"'
    return f"{given}{_SIGN.format(payload=payload)}{call} {proof}"


def _is_stream(operation: dict[str, Any]) -> bool:
    return "text/event-stream" in operation["responses"].get("200", {}).get("content", {})


def _body(operation: dict[str, Any]) -> str | None:
    content = operation.get("requestBody", {}).get("content", {}).get("application/json", {})
    examples = [one["value"] for one in content.get("examples", {}).values()]
    if "example" in content:
        examples.append(content["example"])
    return json.dumps(examples[0], separators=(",", ":")) if examples else None
