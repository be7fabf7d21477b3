"""The load: songs that are asked for, and what becomes of their jobs while they run."""

import heapq
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from chaos.cluster import StormyCluster
from chaos.plan import PlannedSong
from chaos.songs import PRESIGNED_SECONDS, Songs
from chaos.timeline import Timeline
from splitjob_client import AnswerError, Client, ClientError, NotFoundError, RetryPolicy
from splitjob_local.cluster.objects import ClusterError

STEMS = ("drums", "bass", "other", "vocals")
AGAIN_SECONDS = 1.0
AT_ONCE = 8
SERVER_ERROR = 500


@dataclass
class Song:
    """One song, and what is known of its job.

    Attributes:
        plan: what is to become of it.
        request: what the service is asked.
        job_id: of its job; blank: not accepted yet.
        deleted: whether somebody has begun to delete its SplitJob.
        history: what was done to it, for people.
    """

    plan: PlannedSong
    request: dict[str, Any]
    job_id: str = ""
    deleted: bool = False
    history: list[str] = field(default_factory=list)


@dataclass(order=True)
class Step:
    """Something to do: at a time, again and again until it has worked."""

    at: float
    order: int
    do: Callable[[], None] = field(compare=False)


class Load:
    """Asks for songs as planned.

    Args:
        cluster: with the service.
        songs: where they come from.
        timeline: told what was asked.

    Attributes:
        asked: all songs so far.
        broken: answers that the service must never give.
    """

    def __init__(self, cluster: StormyCluster, songs: Songs, timeline: Timeline) -> None:
        self._cluster, self._songs, self._timeline = cluster, songs, timeline
        self._storage = cluster.s3.service()
        self._urls = cluster.service.api_urls()
        self._steps: list[Step] = []
        self._left, self._count, self._ended = 0, 0, False
        self._changed = threading.Condition()
        self._pool = ThreadPoolExecutor(AT_ONCE, "load")
        self.asked: list[Song] = []
        self.broken: list[str] = []

    @property
    def accepted(self) -> dict[str, Song]:
        """The songs that were accepted, by their jobs."""
        return {song.job_id: song for song in self.asked if song.job_id}

    def begin(self, planned: Sequence[PlannedSong], seed: int) -> None:
        """Ask for these songs from now on, each at its time."""
        for plan in planned:
            song = Song(plan, self._request(plan, seed))
            self.asked.append(song)
            self._add(plan.at, partial(self._submit, song))
        threading.Thread(target=self._run, daemon=True).start()

    def finish(self, seconds: float) -> bool:
        """Wait until everything that was begun has worked; returns whether it has in time."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._left, seconds)

    def close(self) -> None:
        """Do nothing more."""
        with self._changed:
            self._ended = True
            self._changed.notify_all()
        self._pool.shutdown(cancel_futures=True)

    def call(self, ask: Callable[[Client], Any]) -> Any:  # noqa: ANN401 - whatever is asked for
        """Ask the service by any of its replicas.

        Raises:
            ClientError: it does not answer, or says no.
        """
        self._count += 1
        url = self._urls[self._count % len(self._urls)]
        token = self._cluster.service.token
        try:
            with Client(url, token, retry=RetryPolicy(attempts=1)) as client:
                return ask(client)
        except AnswerError as error:
            if error.status == SERVER_ERROR:
                self.broken.append(f"the API answered 500 ({error.detail})")
            raise
        except ClientError:
            self._find_api()
            raise

    def _find_api(self) -> None:
        try:
            self._urls = self._cluster.service.api_urls() or self._urls
        except ClusterError:  # it is away, and with it who could say
            return

    def _request(self, plan: PlannedSong, seed: int) -> dict[str, Any]:
        name = f"chaos-{seed}-{plan.number}"
        request = {
            "version_id": name,
            "audio_url": self._songs.url(plan.source),
            "ai_model": "demo",
            "webhook": f"{self._cluster.service.webhook_base}{plan.number}",
            "priority": plan.priority,
        }
        if plan.uploads:
            request["uploads"] = {
                what: self._storage.generate_presigned_put_url(
                    f"uploads/{name}/{what}", expires_in=PRESIGNED_SECONDS
                )
                for what in (*STEMS, "manifest")
            }
        return request

    def _run(self) -> None:
        while True:
            with self._changed:
                if self._ended:
                    return
                now = self._timeline.now()
                due = bool(self._steps) and self._steps[0].at <= now
                if not due:
                    wait = self._steps[0].at - now if self._steps else None
                    self._changed.wait(wait)
                    continue
                step = heapq.heappop(self._steps)
                self._pool.submit(self._try, step)

    def _try(self, step: Step) -> None:
        try:
            step.do()
        except (ClientError, ClusterError):
            self._add(self._timeline.now() + AGAIN_SECONDS, step.do)
        finally:
            with self._changed:
                self._left -= 1
                self._changed.notify_all()

    def _add(self, at: float, do: Callable[[], None]) -> None:
        with self._changed:
            self._left += 1
            heapq.heappush(self._steps, Step(at, self._left + len(self._steps), do))
            self._changed.notify_all()

    def _submit(self, song: Song) -> None:
        song.job_id = self.call(lambda client: client.submit(**song.request).job_id)
        self._note(song, "accepted")
        if song.plan.fate != "left":
            self._add(self._timeline.now() + song.plan.fate_after, partial(self._meet_fate, song))

    def _meet_fate(self, song: Song) -> None:
        match song.plan.fate:
            case "canceled":
                self.call(lambda client: client.cancel(song.job_id))
            case "suspended":
                self._patch(song, suspend=True)
                self._add(
                    self._timeline.now() + song.plan.back_after,
                    partial(self._patch, song, suspend=False),
                )
            case "reprioritised":
                self._patch(song, priority=50)
            case "deleted":
                self._delete(song)
        self._note(song, song.plan.fate)

    def _patch(self, song: Song, **spec: object) -> None:
        kind, change = "splitjob", {"spec": spec}
        namespace = self._cluster.namespace
        self._cluster.objects.patch(kind, song.job_id, change, namespace=namespace)
        self._note(song, f"patched {spec}")

    def _delete(self, song: Song) -> None:
        song.deleted = True  # it may have worked also where no answer came
        try:
            self._cluster.objects.delete("splitjob", song.job_id, namespace=self._cluster.namespace)
        except ClusterError as error:
            if "NotFound" not in str(error):
                raise

    def _note(self, song: Song, what: str) -> None:
        song.history.append(f"{self._timeline.now():.1f} s: {what}")


def redeliver(load: Load, job_id: str) -> None:
    """Have the final event of a job sent again.

    Raises:
        ClientError: the service does not take that now.
    """
    try:
        load.call(lambda client: client.redeliver(job_id))
    except NotFoundError:
        return
