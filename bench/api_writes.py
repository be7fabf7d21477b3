"""How fast the API takes jobs, against the same objects written straight to the API server.

Both by the same HTTP library from the same threads, in rounds that take turns, so that what else
the machine does meets both.
"""

import asyncio
import json
import statistics
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import count
from typing import Any

import urllib3
from kubernetes import client

from bench.figures import Figure, at_least, at_most, note
from splitjob import resource
from splitjob.request import SplitRequest
from splitjob.signing import Signer
from splitjob_api.submission import Submission
from splitjob_local.cluster.local_cluster import LocalCluster

COMMAND = "make bench ONLY=api"
AT_ONCE = (1, 8, 32)
ROUNDS = 8
JOBS = 100  # in a round
MOST_AT_ONCE = max(AT_ONCE)

Json = dict[str, Any]


@dataclass
class Made:
    """What a request becomes, as `splitjob_api.kubernetes.Submissions` would write it."""

    secrets: list[Json] = field(default_factory=list)
    splitjobs: list[Json] = field(default_factory=list)

    async def get(self, _: str) -> Json | None:
        """There is none."""
        return None

    async def with_intent(self, _: str) -> list[Json]:
        """There are none."""
        return []

    async def create(self, splitjob: Json) -> Json:
        """Keep a SplitJob."""
        self.splitjobs.append(splitjob)
        return splitjob

    async def create_secret(
        self, name: str, data: Mapping[str, str], labels: Mapping[str, str]
    ) -> None:
        """Keep a Secret."""
        metadata = {"name": name, "labels": dict(labels)}
        kind = {"type": resource.SECRET_TYPE, "immutable": True}
        self.secrets.append({"metadata": metadata, **kind, "stringData": dict(data)})


class RawWriter:
    """Writes what a request becomes with the plain client of Kubernetes.

    Args:
        cluster: where.
        namespace: into which.
    """

    def __init__(self, cluster: LocalCluster, namespace: str) -> None:
        configuration = cluster.client().configuration
        configuration.connection_pool_maxsize = MOST_AT_ONCE
        api = client.ApiClient(configuration)
        self._core, self._objects = client.CoreV1Api(api), client.CustomObjectsApi(api)
        self._where = (resource.GROUP, resource.VERSION, namespace, resource.PLURAL)
        self._namespace = namespace

    def prepare(self, number: int) -> Callable[[], None]:
        """Return what writes a Secret and a SplitJob."""
        made = Made()
        draft = SplitRequest.model_validate(_body(f"raw-{number}")).to_resource_draft()
        submission = Submission(
            made,
            draft,
            0,
            retried=lambda _: False,
            absent=lambda _: True,
            refusal=lambda: None,
        )
        asyncio.run(submission.submit())
        (secret,), (splitjob,) = made.secrets, made.splitjobs

        def write() -> None:
            self._core.create_namespaced_secret(self._namespace, secret)
            self._objects.create_namespaced_custom_object(*self._where, splitjob)

        return write


class Caller:
    """Sends requests to an API.

    Args:
        url: of the API.
        token: signs.
    """

    def __init__(self, url: str, token: str) -> None:
        self._signer = Signer([token])
        self._pool = urllib3.connection_from_url(url, maxsize=MOST_AT_ONCE, retries=False)

    def prepare(self, number: int) -> Callable[[], None]:
        """Return what sends a request."""
        content = json.dumps(_body(f"song-{number}")).encode()

        def post() -> None:
            headers = self._signer.sign(content, int(time.time()))
            answer = self._pool.request("POST", "/split", body=content, headers=headers)
            if answer.status != 202:
                raise RuntimeError(f"POST /split was answered with {answer.status}")

        return post


@dataclass
class Sample:
    """What was measured of one of the two.

    Attributes:
        milliseconds: of each write.
        seconds: of all rounds.
    """

    milliseconds: list[float] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def rate(self) -> float:
        """Writes a second."""
        return len(self.milliseconds) / self.seconds

    @property
    def p99(self) -> float:
        """Milliseconds within which 99 of 100 writes were done."""
        return statistics.quantiles(self.milliseconds, n=100)[98]

    def run(self, writes: Iterable[Callable[[], None]], at_once: int) -> None:
        """Measure one round."""
        started = time.perf_counter()
        with ThreadPoolExecutor(at_once) as pool:
            self.milliseconds += pool.map(_timed, writes)
        self.seconds += time.perf_counter() - started


def writes(cluster: LocalCluster, namespace: str, url: str, token: str) -> list[Figure]:
    """Return the figures of writes.

    Args:
        cluster: where.
        namespace: the API's.
        url: of the API.
        token: the API's.
    """
    raw, caller, numbers = RawWriter(cluster, namespace), Caller(url, token), count()
    found = []
    for at_once in AT_ONCE:
        _compare(raw, caller, numbers, at_once, rounds=1)  # connections, and what is made lazily
        found += _figures(at_once, *_compare(raw, caller, numbers, at_once, rounds=ROUNDS))
    return found


def _compare(
    raw: RawWriter, caller: Caller, numbers: "count[int]", at_once: int, rounds: int
) -> tuple[Sample, Sample]:
    plain, taken = Sample(), Sample()
    for _ in range(rounds):
        plain.run([raw.prepare(next(numbers)) for _ in range(JOBS)], at_once)
        taken.run([caller.prepare(next(numbers)) for _ in range(JOBS)], at_once)
    return plain, taken


def _figures(at_once: int, plain: Sample, taken: Sample) -> list[Figure]:
    where = f"at {at_once} at once"
    rate, latency = taken.rate / plain.rate, taken.p99 / plain.p99
    return [
        note(f"api: jobs a second {where}, raw Secret + SplitJob", plain.rate, "1/s", COMMAND),
        note(f"api: jobs a second {where}, POST /split", taken.rate, "1/s", COMMAND),
        at_least(f"api: POST /split against raw writes, {where}", rate, "ratio", 0.8, COMMAND),
        note(f"api: p99 {where}, raw Secret + SplitJob", plain.p99, "ms", COMMAND),
        note(f"api: p99 {where}, POST /split", taken.p99, "ms", COMMAND),
        at_most(f"api: p99 of POST /split against raw, {where}", latency, "ratio", 2, COMMAND),
    ]


def _timed(write: Callable[[], None]) -> float:
    started = time.perf_counter()
    write()
    return (time.perf_counter() - started) * 1000


def _body(version_id: str) -> Json:
    return {
        "versionId": version_id,
        "audioUrl": f"https://audio.example.com/{version_id}.wav?X-Amz-Signature=0",
        "aiModel": "demo",
        "webhook": "https://api.track-tree.com/webhooks/demucs",
    }
