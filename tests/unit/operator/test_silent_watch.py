"""A watch that has gone silent is found out; one that brings more than can be dealt with is not."""

from splitjob_operator.runtime.silent_watch import SilentWatchGuard


class Guarded:
    """A guard with a patience of 60 s, and its clock."""

    def __init__(self) -> None:
        self.now = 0.0
        self.guard = SilentWatchGuard(60, lambda: self.now)

    def listed(self, at: float, kind: str = "Pod", **versions: str) -> tuple[str, str] | None:
        """List; return what is missed then."""
        self.now = at
        self.guard.listed(kind, versions)
        return self.guard.silent()


def test_a_silent_watch_is_noticed() -> None:
    """Acceptance 53."""
    one = Guarded()
    one.guard.heard("Pod", "1")
    assert one.listed(0, p="1") is None
    assert one.listed(30, p="2") is None
    assert one.listed(91, p="3") == ("Pod", "p")


def test_a_watch_that_never_brought_anything_is_noticed() -> None:
    """Acceptance 53."""
    one = Guarded()
    assert one.listed(0, p="1") is None
    assert one.listed(61, p="1") == ("Pod", "p")


def test_a_silent_watch_is_noticed_while_objects_come_and_go_and_other_watches_work() -> None:
    """Acceptance 53."""
    one = Guarded()
    assert one.listed(0, p="1") is None
    assert one.listed(30, q="2") is None
    one.guard.heard("Job", "3")
    assert one.listed(61, r="4") == ("Pod", "r")


def test_what_has_come_and_still_waits_to_be_dealt_with_is_not_missed() -> None:
    """Else a burst would end the operator."""
    one = Guarded()
    one.guard.heard("Pod", "9000")
    assert one.listed(0, first="1", last="9000") is None
    assert one.listed(600, first="1", last="9000") is None


def test_a_watch_that_is_behind_and_goes_on_is_not_silent() -> None:
    one = Guarded()
    for second in range(0, 600, 30):
        one.guard.heard("Pod", str(second))
        assert one.listed(second, p="9000") is None
    assert one.listed(700, p="9000") == ("Pod", "p")


def test_while_the_api_server_is_away_no_watch_counts_as_silent() -> None:
    one = Guarded()
    one.listed(0, p="2")
    one.guard.reset()
    assert one.listed(200, p="2") is None


def test_late_news_are_news() -> None:
    one = Guarded()
    one.listed(0, p="2", q="1")
    one.guard.heard("Pod", "2")
    assert one.listed(100, p="2") is None


def test_what_is_gone_before_the_watch_brought_it_is_not_missed() -> None:
    """As where kopf lists anew: it was there between two lists."""
    one = Guarded()
    one.guard.heard("Pod", "1")
    one.listed(0, p="1", q="2")
    assert one.listed(100, p="1") is None
