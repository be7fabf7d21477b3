"""Two operators, of which one leads: killed, frozen, blocked or stopped, the other one goes on.

The Lease is as long as it is shipped where a time is measured, and short where none is.
"""

import signal
import sys
import time
from pathlib import Path
from typing import Any

from tests.support import blockable_operator, plain_http
from tests.support.operator_harness import Operator, Site
from tests.support.waiting import eventually, patience

BLOCKABLE = Path(blockable_operator.__file__)
LEASE = "track-tree-audio-operator"
AT_MOST = 20.0  # seconds from the leader's end to the next write


def start_two(place: Site, **settings: str) -> tuple[Operator, Operator]:
    """Start two replicas; return the one that leads and the one that stands by."""
    first = place.launch(POD_NAME="first", **settings)
    second = place.launch(POD_NAME="second", **settings)
    for operator in (first, second):
        eventually(operator.ready)
    eventually(lambda: leads(first) + leads(second) == 1)
    return (first, second) if leads(first) else (second, first)


def leads(operator: Operator) -> bool:
    said: bool = plain_http.get(f"{operator.url}/healthz").json()["leads"]
    return said


def lease(place: Site) -> dict[str, Any]:
    spec: dict[str, Any] = place.get("lease", LEASE)["spec"]
    return spec


def each_was_told_once(place: Site, names: list[str]) -> None:
    """See that each is completed at the first attempt, and has one event that was delivered."""
    for name in names:
        place.told(name)
        eventually(lambda name=name: place.condition(name, "Notified")["status"] == "True")  # type: ignore[misc]
        status = place.status(name)
        assert (status["phase"], len(status["attempts"])) == ("Completed", 1)
        heard = place.receiver.of(name)
        assert len({one.headers["webhook-id"] for one in heard}) == 1
        assert len({one.raw for one in heard}) == 1
    eventually(lambda: all(place.status(name)["counted"] for name in names))
    data = place.get("configmap", "track-tree-audio-totals")["data"]
    assert int(data["completed"]) == len(names)


def test_the_leader_is_killed_under_load(here: Site) -> None:
    """Acceptance 71: at most 20 s to the next write, and one event for each job."""
    leader, standby = start_two(here)
    names = [here.ask("sleep 1; complete") for _ in range(4)]
    here.running(names[0])
    leader.kill()
    killed = time.monotonic()
    names.append(here.ask("complete"))
    eventually(lambda: here.status(names[-1])["conditions"], AT_MOST)
    took = time.monotonic() - killed
    assert took < patience(AT_MOST)
    assert leads(standby)
    each_was_told_once(here, names)
    assert lease(here)["leaseTransitions"] == 1


def test_a_leader_that_was_frozen_changes_nothing_when_it_goes_on(here: Site) -> None:
    """Acceptance 71: it stands by from then on, and takes over again when the other one goes."""
    leader, other = start_two(here, LEASE_SECONDS="3")
    names = [here.ask(f"sleep {n % 3}; complete") for n in range(8)]
    here.running(names[0])
    leader.process.send_signal(signal.SIGSTOP)
    eventually(lambda: leads(other))
    names.append(here.ask("complete"))
    each_was_told_once(here, names)

    leader.process.send_signal(signal.SIGCONT)
    eventually(lambda: "Standing by" in leader.log.read_text())
    assert not leads(leader)
    names.append(here.ask("complete"))
    each_was_told_once(here, names)
    assert not here.names("jobs")

    other.kill()
    eventually(lambda: leads(leader))
    names.append(here.ask("complete"))
    each_was_told_once(here, names)


def test_a_leader_whose_event_loop_is_blocked_is_replaced(here: Site) -> None:
    """Acceptance 71: its thread that renews the Lease goes on, and is not to keep the other out."""
    command = [sys.executable, str(BLOCKABLE), *here.arguments()]
    leader = here.launch(command, POD_NAME="first", LEASE_SECONDS="3")
    eventually(lambda: leads(leader))
    other = here.launch(POD_NAME="second", LEASE_SECONDS="3")
    eventually(other.ready)
    names = [here.ask("sleep 2; complete")]
    here.running(names[0])
    leader.process.send_signal(signal.SIGUSR1)
    names.append(here.ask("complete"))
    eventually(lambda: leads(other))
    each_was_told_once(here, names)
    assert "The event loop does not answer" in leader.log.read_text()

    leader.process.send_signal(signal.SIGUSR2)
    eventually(lambda: "Standing by" in leader.log.read_text())
    assert not leads(leader)
    names.append(here.ask("complete"))
    each_was_told_once(here, names)


def test_a_leader_that_stops_lets_the_other_one_lead_at_once(here: Site) -> None:
    """Acceptance 71: without waiting for the Lease to run out."""
    leader, standby = start_two(here)
    name = here.ask("sleep 2; complete")
    here.running(name)
    leader.process.terminate()
    stopped = time.monotonic()
    eventually(lambda: leads(standby))
    took = time.monotonic() - stopped
    leader.process.wait(patience(20))
    assert took < patience(3)
    each_was_told_once(here, [name])
