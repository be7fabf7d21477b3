"""An installation whose service account tokens are replaced while it is looked at."""

import base64
import json
from dataclasses import dataclass
from typing import Any

from tests.containers.world import World

TOKEN_SECONDS = 600  # Kubernetes gives none for a shorter time
TOKEN_FOLDER = "/var/run/secrets/kubernetes.io/serviceaccount"
READ_TOKEN = f"print(open('{TOKEN_FOLDER}/token').read())"


@dataclass
class Rotating:
    """An installation whose tokens live as short as Kubernetes allows.

    Attributes:
        world: a caller and the receiver of it.
        pods: of API and operator, by component, as they were at the start.
        expires: when their first tokens end, seconds since the epoch.
    """

    world: World
    pods: dict[str, str]
    expires: float

    def restarts(self) -> list[int]:
        """Return how often the containers of these pods were started again."""
        found = []
        for pod in self.pods.values():
            status = self.world.cluster.objects.get("pod", pod, namespace=self.world.namespace)[
                "status"
            ]
            found.append(int(status["containerStatuses"][0]["restartCount"]))
        return found


def short_tokens() -> dict[str, Any]:
    """Return chart values that give API and operator tokens of ten minutes."""
    token = {"serviceAccountToken": {"path": "token", "expirationSeconds": TOKEN_SECONDS}}
    authority = {
        "configMap": {
            "name": "kube-root-ca.crt",
            "items": [{"key": "ca.crt", "path": "ca.crt"}],
        }
    }
    namespace = {
        "downwardAPI": {
            "items": [{"path": "namespace", "fieldRef": {"fieldPath": "metadata.namespace"}}]
        }
    }
    more = {
        "extraVolumes": [
            {"name": "short-token", "projected": {"sources": [token, authority, namespace]}}
        ],
        "extraVolumeMounts": [{"name": "short-token", "mountPath": TOKEN_FOLDER, "readOnly": True}],
    }
    return {"api": {**more, "replicas": 1}, "operator": more}


def expiry(token: str) -> float:
    """Return when a token ends, in seconds since the epoch."""
    payload = token.split(".")[1]
    decoded = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    return float(decoded["exp"])
