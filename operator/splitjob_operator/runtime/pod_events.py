"""What others say of pods in Events: of one, and what autoscalers say of all that wait for a node.

Whatever it selects by, the API server goes through all Events of the namespace for each listing:
where thousands of pods find no node, one listing has to do for all of them.
"""

import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import Any

from splitjob_operator.core.lookups import PodEvent
from splitjob_operator.core.ports import KubernetesPort

__all__ = ["PodEvents", "in_order"]

Json = dict[str, Any]
SHARED_SECONDS = 10.0


class PodEvents:
    """The Events about pods. May be used from any thread.

    Args:
        kubernetes: where they are.
        monotonic: seconds, for the age of what is shared.
    """

    def __init__(
        self, kubernetes: KubernetesPort, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._kubernetes = kubernetes
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._shared: dict[str, tuple[PodEvent, ...]] = {}
        self._shared_until = float("-inf")

    def about(self, pod_name: str) -> tuple[PodEvent, ...]:
        """Return the Events about a pod, the latest last.

        Raises:
            KubernetesError: they could not be listed.
        """
        return tuple(map(PodEvent.of, in_order(self._kubernetes.events("Pod", pod_name))))

    def of_autoscalers(self, pod_name: str) -> tuple[PodEvent, ...]:
        """Return what autoscalers say of a pod, as it was some seconds ago; see `about`."""
        with self._lock:
            now = self._monotonic()
            if now >= self._shared_until:
                self._shared = _by_pod(self._kubernetes.autoscaler_events())
                self._shared_until = now + SHARED_SECONDS
            return self._shared.get(pod_name, ())


def in_order(events: Iterable[Json]) -> list[Json]:
    """Return Events by when they were written, the latest last."""
    return sorted(events, key=_written)


def _by_pod(events: Iterable[Json]) -> dict[str, tuple[PodEvent, ...]]:
    found: defaultdict[str, list[PodEvent]] = defaultdict(list)
    for raw in in_order(events):
        found[raw["involvedObject"]["name"]].append(PodEvent.of(raw))
    return {pod: tuple(said) for pod, said in found.items()}


def _written(event: Json) -> int:
    """Return what grows with each write; the times of events are whole seconds, or not there."""
    version = str(event["metadata"].get("resourceVersion", ""))
    return int(version) if version.isdecimal() else 0
