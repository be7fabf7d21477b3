"""Watches that bring nothing, or not all: what the resync finds, and when the process ends."""

import signal
import sys

from tests.support.compaction import compact
from tests.support.operator_harness import Site
from tests.support.waiting import eventually, patience

DEAF = """
import asyncio
from splitjob_operator.runtime.app import App
from splitjob_operator.core.settings import Settings

async def main():
    await App(Settings()).start()
    await asyncio.Event().wait()

asyncio.run(main())
"""  # the whole operator but for kopf: no watch brings it anything


def test_watches_that_bring_nothing(here: Site) -> None:
    """Acceptance 53: each change costs at most one resync."""
    here.start([sys.executable, "-c", DEAF], MISSED_WATCH_SECONDS="1000", RESYNC_SECONDS="1")
    name = here.ask("complete")
    assert here.told(name).body["status"] == "completed"


def test_a_silent_watch_ends_the_process(here: Site) -> None:
    """Acceptance 53: to be started afresh, it must end."""
    operator = here.start(
        [sys.executable, "-c", DEAF], MISSED_WATCH_SECONDS="2", RESYNC_SECONDS="1"
    )
    here.ask("sleep 60", spec={"suspend": True})
    assert operator.process.wait(patience(20)) != 0


FORGETFUL = """
from kopf.cli import main
from splitjob_operator.adapters.kubernetes import KubernetesAdapter
from splitjob_operator.core.observed import KubeJob, KubePod

tell_all = KubernetesAdapter.changes

def changes(adapter, kind, version, seconds):
    for event, raw in tell_all(adapter, kind, version, seconds):
        over = kind != "SplitJob" and (
            KubeJob.of(raw).finished if kind == "Job" else KubePod.of(raw).stopped
        )
        yield "BOOKMARK" if over else event, raw

KubernetesAdapter.changes = changes
main()
"""  # the watches go on behind the end of each Job and pod, as after an API server's restart


def test_an_end_that_no_watch_tells_is_found_by_the_resync(here: Site) -> None:
    """Acceptance 53: else the job would run for ever, and keep its place in the queue."""
    here.start([sys.executable, "-c", FORGETFUL, *here.arguments()], RESYNC_SECONDS="1")
    name = here.ask("sleep 2; complete")
    assert here.told(name).body["status"] == "completed"


def test_changes_that_the_api_server_no_longer_knows(here: Site) -> None:
    """Acceptance 53: etcd was compacted, and the API server started afresh: it answers 410."""
    operator = here.start(LOG_LEVEL="DEBUG", RESYNC_SECONDS="600")
    name, deleted = here.ask("sleep 4; complete"), here.ask("sleep 60")
    here.running(name)
    here.running(deleted)
    operator.process.send_signal(signal.SIGSTOP)
    later = here.ask("complete")
    here.delete("splitjob", deleted)
    eventually(lambda: here.pods(name)[0]["status"]["phase"] == "Succeeded")
    here.cluster.kill("kube-apiserver")
    compact(here.cluster)
    here.cluster.start("kube-apiserver")
    operator.process.send_signal(signal.SIGCONT)
    for one in (name, later):
        assert here.told(one, 60).body["status"] == "completed"
    assert here.receiver.of(deleted) == []
    assert "no longer knows" in operator.log.read_text(), "else it was no 410 that it met"
    assert operator.process.poll() is None, "the process itself went on"


BACKLOG = """
from kopf.cli import main
from splitjob_operator.runtime.controller import Controller

Controller.on_splitjob_event = Controller.on_child_event = lambda *_, **__: None
main()
"""  # the watches bring everything, and nobody comes to deal with it


def test_a_backlog_is_no_silent_watch(here: Site) -> None:
    """Acceptance 53: else a burst of SplitJobs would end the process, and each next one."""
    command = [sys.executable, "-c", BACKLOG, *here.arguments()]
    operator = here.start(command, MISSED_WATCH_SECONDS="2", RESYNC_SECONDS="1")
    name = here.ask("sleep 6; complete")  # for longer than a watch may be silent
    assert here.told(name).body["status"] == "completed"
    assert operator.process.poll() is None
