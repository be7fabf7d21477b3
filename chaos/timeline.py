"""What was done, when: one line each, for whoever reads a run that failed."""

import threading
import time
from collections import Counter
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Moment:
    """One thing that was done or seen.

    Attributes:
        at: seconds since the storm began.
        what: the kind of fault, or another few words by which it is counted.
        detail: whom it met.
    """

    at: float
    what: str
    detail: str = ""

    def __str__(self) -> str:
        """Return it as a line."""
        return f"{self.at:7.1f}  {self.what:34s} {self.detail}".rstrip()


@dataclass
class Timeline:
    """Everything that was done, in order; may be written to from any thread.

    Attributes:
        moments: so far.
        faults: how many of each kind there were.
    """

    moments: list[Moment] = field(default_factory=list)
    faults: Counter[str] = field(default_factory=Counter)
    _began: float = field(default_factory=time.monotonic)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def now(self) -> float:
        """Return the seconds since the storm began."""
        return time.monotonic() - self._began

    def note(self, what: str, detail: str = "") -> None:
        """Write down something that is no fault."""
        with self._lock:
            self.moments.append(Moment(self.now(), what, detail))

    def fault(self, what: str, detail: str = "") -> None:
        """Write down and count a fault."""
        self.note(what, detail)
        with self._lock:
            self.faults[what] += 1

    def __str__(self) -> str:
        """Return all lines."""
        with self._lock:
            return "\n".join(map(str, self.moments))
