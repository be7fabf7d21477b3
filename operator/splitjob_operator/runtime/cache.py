"""What the operator remembers of each SplitJob between reconciles, read anew at every resync.

It decides nothing but the order of the queue and which SplitJobs are reconciled next.
"""

import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from splitjob.lifecycle import LifecycleState
from splitjob_operator.core.admission_queue import AdmissionQueue, Bounds
from splitjob_operator.core.cached_splitjob import BlockedReason, CachedSplitJob
from splitjob_operator.core.observed import QueueDecision
from splitjob_operator.core.queue import QueuePlace, places
from splitjob_operator.runtime.clock import Clock, utc_now

__all__ = ["SplitJobCache"]

PLACES_SECONDS = 1.0  # how old the computed positions may be
PLACES_COST = 20.0  # nor are they computed again before so many times the CPU time of it


class SplitJobCache:
    """The SplitJobs of a namespace.

    Args:
        bounds: how many attempts may be under way at once.
        device: what the workers run on.
        monotonic: seconds, for the age of the computed positions.
        clock: the time, in UTC, from which expected times count.
        group_by: `QUEUE_GROUP_BY`.

    Attributes:
        run_seconds: mean run time by `model/device`.
        moves: how often somebody has come into the queue, left it or changed places.
        placed_at: how often somebody had when places were last computed.
    """

    def __init__(
        self,
        bounds: Bounds,
        device: str,
        monotonic: Callable[[], float],
        clock: Clock = utc_now,
        group_by: str = "",
    ) -> None:
        self.moves = self.placed_at = 0
        self._clock = clock
        self.run_seconds: Mapping[str, float] = {}
        self._bounds = bounds
        self._group_by = group_by
        self._device = device
        self._monotonic = monotonic
        self._entries: dict[str, CachedSplitJob] = {}
        self._queue = AdmissionQueue(bounds)
        self._unfinished_by_secret: Counter[str] = Counter()
        self._unfinished_by_input: Counter[str] = Counter()
        self._places: dict[str, QueuePlace] = {}
        self._places_until = float("-inf")

    def __iter__(self) -> Iterator[CachedSplitJob]:
        """Yield every entry."""
        return iter(tuple(self._entries.values()))

    def get(self, name: str) -> CachedSplitJob | None:
        """Return the entry of a SplitJob."""
        return self._entries.get(name)

    def has(self, name: str, uid: str, resource_version: str) -> bool:
        """Return whether a SplitJob is known in this state, or a newer one."""
        known = self._entries.get(name)
        return known is not None and known.uid == uid and not _newer(resource_version, known)

    def put(self, raw: Mapping[str, Any]) -> CachedSplitJob:
        """Take in a SplitJob as the API server gave it, where that is newer than what is known.

        One of the same version is ignored too: a listing must not undo a reservation.

        Returns:
            What is known now.
        """
        metadata = raw["metadata"]
        known = self._entries.get(metadata["name"])
        if (
            known
            and known.uid == metadata["uid"]
            and not _newer(metadata["resourceVersion"], known)
        ):
            return known
        fresh = self._read(raw)
        self._set(fresh)
        return fresh

    def reserve(self, name: str) -> None:
        """Count a SplitJob as active from now on, before the write that makes it so."""
        known = self._entries.get(name)
        if known:
            self._set(replace(known, state=LifecycleState.STARTING))

    def set_blocked(self, name: str, blocked: BlockedReason | None) -> bool:
        """Remember why a SplitJob is ineligible, if it is; return whether that has changed."""
        known = self._entries.get(name)
        if known is None or known.blocked is blocked:
            return False
        self._set(replace(known, blocked=blocked))
        return True

    def restore(self, raw: Mapping[str, Any]) -> None:
        """Take a SplitJob as it was just read, whatever was reserved for it."""
        self._set(self._read(raw))

    def drop(self, name: str) -> None:
        """Forget a SplitJob that is gone."""
        if known := self._entries.pop(name, None):
            self._queue.remove(known)
            self.moves += known.has_place
            self._count_use(known, -1)

    def shares_secret(self, name: str) -> bool:
        """Return whether a job that has not ended refers to the Secret of this one that has."""
        entry = self._entries.get(name)
        return entry is not None and entry.secret in self._unfinished_by_secret

    def shares_input(self, name: str) -> bool:
        """Return whether a job that has not ended reads the same object as this one that has."""
        entry = self._entries.get(name)
        return entry is not None and entry.input in self._unfinished_by_input

    def inputs_in_use(self) -> frozenset[str]:
        """Return the addresses in the bucket that jobs which have not ended read."""
        return frozenset(self._unfinished_by_input)

    def next_up(self) -> list[str]:
        """Return the names to reconcile for the free slots."""
        return self._queue.next_up()

    def queue_decision(self, name: str) -> QueueDecision:
        """Return whether a SplitJob may start, its position and when it should be done."""
        entry = self._entries.get(name)
        place = self.places().get(name)
        return QueueDecision(
            may_start=entry is not None and self._queue.may_start(entry),
            group_full=entry is not None and self._queue.is_group_full(entry),
            position=place.position if place else None,
            eta_seconds=place.eta_seconds if place else None,
        )

    def places(self) -> Mapping[str, QueuePlace]:
        """Return the positions in the queue, a second old; older where thousands wait."""
        now = self._monotonic()
        if now >= self._places_until:
            began = time.thread_time()
            self.placed_at = self.moves
            self._places = places(
                self._entries.values(),
                self.run_seconds,
                self._bounds,
                self._device,
                self._clock(),
            )
            took = time.thread_time() - began
            self._places_until = now + max(PLACES_SECONDS, PLACES_COST * took)
        return self._places

    def _read(self, raw: Mapping[str, Any]) -> CachedSplitJob:
        """Return the entry of a SplitJob, with why it was ineligible at its last reconcile."""
        fresh = CachedSplitJob.of(raw, self._group_by)
        known = self._entries.get(fresh.name)
        return replace(fresh, blocked=known.blocked) if known and known.uid == fresh.uid else fresh

    def _set(self, entry: CachedSplitJob) -> None:
        known = self._entries.pop(entry.name, None)
        if known:
            self._queue.remove(known)
            self._count_use(known, -1)
        self._entries[entry.name] = entry
        self._queue.add(entry)
        self.moves += _place_key(known) != _place_key(entry)
        self._count_use(entry, 1)

    def _count_use(self, entry: CachedSplitJob, step: int) -> None:
        """Count what a job that has not ended needs, so that it is kept for it."""
        if entry.state.finished:
            return
        _count(self._unfinished_by_secret, entry.secret, step)
        _count(self._unfinished_by_input, entry.input, step)


def _count(users: Counter[str], what: str, step: int) -> None:
    if not what:
        return
    users[what] += step
    if not users[what]:
        del users[what]


def _place_key(entry: CachedSplitJob | None) -> tuple[object, ...] | None:
    """Return what an entry's place follows from; None where it has none."""
    if entry is None or not entry.has_place:
        return None
    return entry.priority, entry.created_at, entry.group, entry.blocked is None


def _newer(resource_version: str, known: CachedSplitJob) -> bool:
    """Whether one is newer than what is known: versions of one resource can be compared."""
    try:
        return int(resource_version) > int(known.resource_version)
    except ValueError:
        return True
