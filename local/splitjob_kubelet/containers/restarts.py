"""The kubelet's rules for restarts: whether a container restarts, and its back-off."""

from datetime import datetime, timedelta

from splitjob_kubelet.objects import Json, init_containers, is_sidecar, restart_policy

_FORGIVEN_AFTER = timedelta(minutes=10)


def starts_again(pod: Json, container: Json, exit_code: int) -> bool:
    """Whether a container that ended is restarted."""
    if is_sidecar(container):
        return True
    policy = restart_policy(pod)
    is_init = container in init_containers(pod)
    if policy == "Never" or (is_init and exit_code == 0):
        return False
    return policy == "Always" or exit_code != 0


class NotStartableError(Exception):
    """A container cannot be started now; it is tried again later."""

    def __init__(self, reason: str, message: str, seconds: float) -> None:
        """Set the reason.

        Args:
            reason: of the waiting state.
            message: of the waiting state.
            seconds: until the next try.
        """
        super().__init__(message)
        self.reason = reason
        self.message = message
        self.seconds = seconds


class BackOff:
    """Delays that double from `initial` to `longest` seconds; the first `free` are 0."""

    def __init__(self, initial: float, longest: float, free: int = 1) -> None:
        self._initial = initial
        self._longest = longest
        self._free = free
        self._failures = 0

    def next(self) -> float:
        """Count one more failure; returns the seconds to wait before the next try."""
        self._failures += 1
        doublings = self._failures - self._free - 1
        if doublings < 0:
            return 0.0
        return min(self._initial * 2.0 ** min(doublings, 32), self._longest)

    def reset_after(self, started: datetime | None, finished: datetime) -> None:
        """Reset the delay after a run of at least 10 minutes."""
        if started and finished - started >= _FORGIVEN_AFTER:
            self._failures = 0


def duration(seconds: float) -> str:
    """Seconds in Go's format of durations: `10s`, `1m20s`, `5m0s`."""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}m{rest}s" if minutes else f"{rest}s"
