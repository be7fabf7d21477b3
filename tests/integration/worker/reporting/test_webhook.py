"""What the worker reports of its own delivery of `completed`."""

import pytest
from tests.support.web import answer
from tests.support.worker import Worker

from splitjob.result import EXIT_DONE


@pytest.mark.parametrize(
    ("status", "headers", "gone", "wait"),
    [(410, {}, True, None), (503, {"Retry-After": "7200"}, False, 7200)],
    ids=["gone", "retry-after"],
)
def test_what_a_receiver_asks_for_is_reported(
    worker: Worker, song: bytes, status: int, headers: dict[str, str], gone: bool, wait: int | None
) -> None:
    """Acceptance 61: the operator must know it, or it would send again at once."""
    worker.web.serve("/hooks", answer(status, **headers))
    source = worker.source(worker.web.give("/song.wav", song))
    run = worker.run({"source": source, "stems": ["vocals"]})
    assert run.status == EXIT_DONE, run.log
    report = run.report
    assert report is not None
    assert not report.webhook_delivered
    assert (report.webhook_gone, report.webhook_retry_after) == (gone, wait)
    assert len([what for what, _, _ in worker.web.requests if what == "POST /hooks"]) == 1
