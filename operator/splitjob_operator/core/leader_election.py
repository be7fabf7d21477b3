"""Who may lead: what a Lease says, when that was first seen, and what a candidate does about it.

The rules are those of client-go's leader election. A Lease counts as running from when this
process first saw its present state, by this process's own clock: times that others wrote are never
compared with it, so clocks may differ at will. They must only not run at speeds so different that
ten seconds of one are fifteen of another. A leader ceases to act once it has not renewed for two
thirds of the time after which others take over, whether it has heard of them or not.
Source: https://pkg.go.dev/k8s.io/client-go/tools/leaderelection
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Self

__all__ = ["Candidate", "LeaseSpec", "LeaseTimes", "Sighting"]


@dataclass(frozen=True, slots=True)
class LeaseTimes:
    """How long a Lease lasts, and what follows from that; all in seconds.

    Attributes:
        lease: how long others wait after a renewal before they take over; at least 1.
    """

    lease: int

    @property
    def act(self) -> float:
        """How long a leader may act after its last renewal."""
        return self.lease * 2 / 3

    @property
    def renew(self) -> float:
        """The pause between two renewals."""
        return self.lease * 2 / 15

    @property
    def answer(self) -> float:
        """How long the event loop may take to answer before a renewal."""
        return self.lease * 2 / 15

    @property
    def look(self) -> float:
        """The pause between two looks of who stands by, and of a leader whose renewal failed."""
        return self.lease / 15


@dataclass(frozen=True, slots=True)
class LeaseSpec:
    """What a Lease says.

    Attributes:
        holder: who leads; blank: nobody, the last one has let go of it.
        seconds: how long others are to wait after a renewal.
        transitions: how often it has changed hands.
        acquired_at, renewed_at: as the holder's clock had it, for people.
    """

    holder: str = ""
    seconds: int = 0
    transitions: int = 0
    acquired_at: str = ""
    renewed_at: str = ""

    @classmethod
    def of(cls, raw: Mapping[str, Any]) -> Self:
        """Read the API server's JSON."""
        spec = raw.get("spec") or {}
        return cls(
            holder=spec.get("holderIdentity") or "",
            seconds=spec.get("leaseDurationSeconds") or 0,
            transitions=spec.get("leaseTransitions") or 0,
            acquired_at=spec.get("acquireTime") or "",
            renewed_at=spec.get("renewTime") or "",
        )

    def to_json(self) -> dict[str, Any]:
        """Return it as the API server takes it."""
        return {
            "holderIdentity": self.holder,
            "leaseDurationSeconds": self.seconds,
            "leaseTransitions": self.transitions,
            "acquireTime": self.acquired_at,
            "renewTime": self.renewed_at,
        }


@dataclass(frozen=True, slots=True)
class Sighting:
    """What a Lease said when it was last seen.

    Attributes:
        spec: what it said.
        since: seconds of the own monotonic clock, when it was first seen to say so.
    """

    spec: LeaseSpec
    since: float

    def then(self, spec: LeaseSpec, now: float) -> "Sighting":
        """Return what is known after another look, which found this."""
        return self if spec == self.spec else Sighting(spec, now)


@dataclass(frozen=True, slots=True)
class Candidate:
    """One that would lead.

    Attributes:
        identity: its name in the Lease, of no other process at the same time.
        times: of the Lease.
    """

    identity: str
    times: LeaseTimes

    def may_take(self, seen: Sighting | None, now: float) -> bool:
        """Return whether the Lease may be written in the candidate's name.

        Args:
            seen: what is known of it; None: it has never been there.
            now: seconds of the clock of `seen`.
        """
        if seen is None or seen.spec.holder in {"", self.identity}:
            return True
        return now >= seen.since + seen.spec.seconds

    def taken(self, seen: LeaseSpec | None, now: datetime) -> LeaseSpec:
        """Return what the Lease says once the candidate has taken or renewed it.

        Args:
            seen: what it says before; None: it is not there.
            now: the time, in UTC.
        """
        mine = seen is not None and seen.holder == self.identity
        before = seen or LeaseSpec()
        return LeaseSpec(
            holder=self.identity,
            seconds=self.times.lease,
            transitions=before.transitions + (seen is not None and not mine),
            acquired_at=before.acquired_at if mine else _micro_time(now),
            renewed_at=_micro_time(now),
        )

    def released(self, mine: LeaseSpec, now: datetime) -> LeaseSpec:
        """Return what the Lease says once the candidate has let go of it: others take it at once.

        Args:
            mine: what it says before.
            now: the time, in UTC.
        """
        return LeaseSpec("", self.times.lease, mine.transitions, mine.acquired_at, _micro_time(now))


def _micro_time(moment: datetime) -> str:
    """Return a time as Kubernetes' MicroTime."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
