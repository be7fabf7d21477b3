"""A watch that has gone silent is found out."""

from splitjob_operator.runtime.silent_watch import SilentWatchGuard


class TestWatchGuard:
    def test_a_silent_watch_is_noticed(self) -> None:
        """Acceptance 53."""
        now = [0.0]
        guard = SilentWatchGuard(60, lambda: now[0])
        guard.saw_event("Pod", "p", "1")
        guard.listed("Pod", {"p": "1"})
        guard.listed("Pod", {"p": "2"})
        now[0] = 61
        guard.listed("Pod", {"p": "3"})
        assert guard.silent() == ("Pod", "p")

    def test_while_the_api_server_is_away_no_watch_counts_as_silent(self) -> None:
        now = [0.0]
        guard = SilentWatchGuard(60, lambda: now[0])
        guard.listed("Pod", {"p": "2"})
        guard.reset()
        now[0] = 200
        guard.listed("Pod", {"p": "2"})
        assert guard.silent() is None

    def test_late_news_are_news(self) -> None:
        now = [0.0]
        guard = SilentWatchGuard(60, lambda: now[0])
        guard.listed("Pod", {"p": "2", "q": "1"})
        guard.saw_event("Pod", "p", "2")
        guard.listed("Pod", {"p": "2"})
        now[0] = 100
        assert guard.silent() is None
