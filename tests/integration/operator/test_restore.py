"""A backup is restored without status and with new uids: what was finished is known again."""

import json
import secrets
from typing import Any

from tests.support.operator_harness import Site
from tests.support.waiting import eventually


def ask(place: Site, script: str, **arguments: Any) -> str:
    """Create a SplitJob as the API does, with a submission id."""
    return place.ask(script, submissionId=secrets.token_hex(16), **arguments)


def export(place: Site, name: str) -> dict[str, Any]:
    """Return a SplitJob as a tool keeps it that saves what was wanted and nothing else."""
    found = place.job(name)
    kept = {field: found["metadata"].get(field) for field in ("name", "labels", "annotations")}
    return {
        "apiVersion": found["apiVersion"],
        "kind": found["kind"],
        "metadata": {field: value for field, value in kept.items() if value},
        "spec": found["spec"],
    }


def said(body: dict[str, Any]) -> dict[str, Any]:
    """Return an event without how long the last attempt of a failed job ran, which is not kept."""
    return {field: value for field, value in body.items() if field != "processingTimeMs"}


def settled(place: Site, name: str) -> bool:
    """Whether a job has ended, was told of, and has left nothing but its SplitJob."""
    notified = place.condition(name, "Notified")["status"] == "True"
    return notified and not place.jobs(name) and not place.pods(name)


def test_what_was_finished_is_not_run_again_and_keeps_its_event(here: Site) -> None:
    """Acceptance 72."""
    operator = here.start()
    phases = {
        ask(here, "complete"): "Completed",
        ask(here, "fail audio_too_short"): "Failed",
        (running := ask(here, "sleep 60")): "Canceled",
        (waiting := ask(here, "complete", spec={"suspend": True})): "Canceled",
    }
    eventually(lambda: here.status(waiting)["phase"] == "Suspended")
    here.change(waiting, canceled=True)
    here.running(running)
    here.change(running, canceled=True)
    before = {name: here.told(name) for name in phases}
    eventually(lambda: all(settled(here, name) for name in phases))
    operator.stop()
    backup = [export(here, name) for name in phases]
    uids = {name: here.job(name)["metadata"]["uid"] for name in phases}
    here.kubectl("delete", "splitjobs", "--all")
    here.kubectl(
        "create", "-f", "-", text=json.dumps({"apiVersion": "v1", "kind": "List", "items": backup})
    )
    assert all(here.job(name)["metadata"]["uid"] != uid for name, uid in uids.items())

    here.start()
    for name, phase in phases.items():
        status = here.ended(name)
        assert (status["phase"], status.get("attempts", [])) == (phase, [])
        again = eventually(lambda name=name: here.receiver.of(name)[1])  # type: ignore[misc]
        first = before[name]
        assert again.headers["webhook-id"] == first.headers["webhook-id"]
        assert said(again.body) == said(first.body)
        assert here.jobs(name) == []
