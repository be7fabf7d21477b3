"""What `helm test` runs: the API answers, reaches the cluster, and refuses what is not signed."""

import os
import sys
import urllib.error
import urllib.request

EXPECTED = (
    ("GET", "/healthz", 200, "the API answers"),
    ("GET", "/readyz", 200, "it reaches the cluster, and the CustomResourceDefinition is there"),
    ("POST", "/split", 401, "a request without a signature is refused"),
)


def status_of(method: str, url: str) -> int:
    """Return the status of one request without a signature."""
    body = b"{}" if method == "POST" else None
    request = urllib.request.Request(url, data=body, method=method)
    try:
        with urllib.request.urlopen(request, timeout=10) as response:
            return response.status
    except urllib.error.HTTPError as error:
        return error.code


failed = False
for method, path, expected, meaning in EXPECTED:
    try:
        status = status_of(method, os.environ["ADDRESS"] + path)
    except OSError as error:
        status = error
    failed |= status != expected
    print("ok  " if status == expected else "FAIL", method, path, status, "-", meaning, flush=True)
sys.exit(failed)
