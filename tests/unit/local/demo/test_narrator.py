"""The demo's account of itself, check by check."""

import io
import time

from splitjob_local.demo.narrator import Narrator


def test_the_narrator_counts_the_checks_that_do_not_hold() -> None:
    out = io.StringIO()
    narrator = Narrator(1, out)
    with narrator.step("Do it", "Because."):
        assert narrator.check(True, "this holds")
        time.sleep(0.01)
    assert narrator.end()
    narrator.check(False, "that does not")
    assert not narrator.end()
    assert "[1/1] Do it" in out.getvalue()
    assert "1 of 2 checks do not hold" in out.getvalue()
