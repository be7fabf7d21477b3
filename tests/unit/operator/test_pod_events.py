"""What others say of pods: one listing does for all that no node takes."""

from typing import Any, cast

from splitjob_operator.core.lookups import PodEvent
from splitjob_operator.core.ports import KubernetesPort
from splitjob_operator.runtime.pod_events import SHARED_SECONDS, PodEvents

Json = dict[str, Any]


def event(pod: str, version: int, message: str) -> Json:
    """One of an autoscaler."""
    return {
        "metadata": {"resourceVersion": str(version)},
        "involvedObject": {"kind": "Pod", "name": pod},
        "reason": "NotTriggerScaleUp",
        "message": message,
        "source": {"component": "cluster-autoscaler"},
    }


class Cluster:
    """It counts its listings."""

    def __init__(self, *events: Json) -> None:
        self.events = list(events)
        self.listings = 0

    def autoscaler_events(self) -> list[Json]:
        self.listings += 1
        return self.events


def test_what_autoscalers_say_is_listed_once_for_all_who_wait_and_again_after_a_while() -> None:
    cluster, now = (
        Cluster(event("a", 9, "later"), event("b", 7, "b"), event("a", 8, "first")),
        [0.0],
    )
    events = PodEvents(cast("KubernetesPort", cluster), lambda: now[0])
    said = PodEvent("NotTriggerScaleUp", "first", source="cluster-autoscaler")
    assert events.of_autoscalers("a")[0] == said
    assert [one.message for one in events.of_autoscalers("a")] == ["first", "later"]
    assert [one.message for one in events.of_autoscalers("b")] == ["b"]
    assert events.of_autoscalers("c") == ()
    assert cluster.listings == 1
    cluster.events = [event("c", 10, "c")]
    now[0] += SHARED_SECONDS
    assert [one.message for one in events.of_autoscalers("c")] == ["c"]
    assert cluster.listings == 2
