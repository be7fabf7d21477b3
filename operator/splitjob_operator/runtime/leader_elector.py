"""Holds the Lease, or waits for it: in a thread, so that no backlog of events delays a renewal.

An event loop that does no work at all is another matter: its process must not keep the others from
working, so the Lease is written only while the loop answers.
"""

import logging
import threading
import time
from collections.abc import Callable
from typing import Any

from splitjob_kube.errors import AlreadyExistsError, ConflictError, KubernetesError, NotFoundError
from splitjob_operator.core.leader_election import Candidate, LeaseSpec, Sighting
from splitjob_operator.core.ports import LeasePort
from splitjob_operator.runtime.clock import Clock, utc_now
from splitjob_operator.runtime.leadership import Leadership

__all__ = ["LeaderElector"]

log = logging.getLogger(__name__)

Json = dict[str, Any]
OTHERS_WROTE = (AlreadyExistsError, ConflictError, NotFoundError)
AT_ONCE = 0.05  # seconds, after that


class LeaderElector:
    """Keeps a term of leadership going as long as the Lease is this process's.

    Losing the Lease does not end the process: it stands by with all that it knows, and an outage of
    the API server, in which nobody can renew, makes no replica start afresh.

    Args:
        leases: where the Lease is.
        lease: the Lease's name.
        candidate: this process.
        leadership: is extended at each renewal.
        changed: told, in this thread, whether this process leads: at first, and at each change.
        at_work: says, in this thread, whether this process can do the work of who leads.
        monotonic: seconds; the clock of `leadership`.
        clock: the time, in UTC, for what people read in the Lease.
    """

    def __init__(
        self,
        leases: LeasePort,
        lease: str,
        candidate: Candidate,
        leadership: Leadership,
        changed: Callable[[bool], object],
        at_work: Callable[[], bool],
        monotonic: Callable[[], float] = time.monotonic,
        clock: Clock = utc_now,
    ) -> None:
        self._leases = leases
        self._name = lease
        self._me = candidate
        self._leadership = leadership
        self._changed = changed
        self._at_work = at_work
        self._monotonic = monotonic
        self._clock = clock
        self._lease: Json | None = None
        self._seen: Sighting | None = None
        self._current = False
        self._leading: bool | None = None
        self._late = self._blocked = False
        self._stopping = threading.Event()

    def run(self) -> None:
        """Hold the Lease or wait for it until `stop` is called, then let go of it."""
        pause = 0.0
        while not self._stopping.wait(pause):
            pause = self.step()
        self._release()

    def stop(self) -> None:
        """Act no more from now on, and let `run` end; may be called from any thread."""
        self._leadership.resign()
        self._stopping.set()

    def step(self) -> float:
        """Renew the Lease, take it, or look at it, once.

        Returns:
            In how many seconds that is to be done again.
        """
        try:
            return self._hold_or_wait()
        except OTHERS_WROTE:
            self._current = False
            return AT_ONCE
        except KubernetesError as error:
            self._current = False  # it may have been written although there is no answer
            self._say_if_late(error)
            return self._me.times.look

    def _hold_or_wait(self) -> float:
        if not self._current:
            self._look()
        if not self._me.may_take(self._seen, self._monotonic()):
            self._stand_by()
            return self._me.times.look
        if not self._at_work():
            self._say_blocked()
            return self._me.times.look
        self._blocked = False
        began = self._monotonic()
        known = LeaseSpec.of(self._lease) if self._lease else None
        self._write(self._me.taken(known, self._clock()))
        self._current = True
        self._leadership.extend(began + self._me.times.act)
        self._lead()
        return self._me.times.renew

    def _look(self) -> None:
        self._lease = self._leases.lease(self._name)
        if self._lease:
            self._note(self._lease)

    def _write(self, spec: LeaseSpec) -> None:
        lease = self._lease or {"metadata": {"name": self._name}}
        self._lease = self._leases.write_lease({**lease, "spec": spec.to_json()})
        self._note(self._lease)

    def _note(self, lease: Json) -> None:
        spec, now = LeaseSpec.of(lease), self._monotonic()
        self._seen = self._seen.then(spec, now) if self._seen else Sighting(spec, now)

    def _lead(self) -> None:
        if self._late:
            log.info("The Lease %s can be written again", self._name)
        self._late = False
        if self._leading:
            return
        self._leading = True
        log.info("Leading from now on: %s holds the Lease %s", self._me.identity, self._name)
        self._changed(True)

    def _stand_by(self) -> None:
        self._current = self._late = False
        if self._leading is False:
            return
        self._leadership.lose()
        self._leading = False
        leader = self._seen.spec.holder if self._seen else ""
        log.info("Standing by: %s holds the Lease %s", leader, self._name)
        self._changed(False)

    def _say_if_late(self, error: KubernetesError) -> None:
        if self._late or self._leading is False or self._leadership.leads:
            return
        self._late = True
        log.warning("Nothing is done until the Lease can be written: %s", error)

    def _say_blocked(self) -> None:
        if not self._blocked:
            log.warning("The event loop does not answer: the Lease %s is left alone", self._name)
        self._blocked = True

    def _release(self) -> None:
        try:
            if self._leading and not self._current:
                self._look()
            if self._leading and self._seen and self._seen.spec.holder == self._me.identity:
                self._write(self._me.released(self._seen.spec, self._clock()))
                log.info("Let go of the Lease %s: another operator may lead", self._name)
        except KubernetesError as error:
            log.warning("The Lease could not be let go of and runs out: %s", error)
