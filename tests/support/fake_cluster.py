"""The API's cluster in memory: SplitJobs and Secrets, with accidents at any call.

`FakeCluster`      what `splitjob_api.kubernetes.Cluster` does for the routes
`FakeSubmissions`  what its `submissions` do for them
`served`           an app with the routes over it, without the middleware
"""

from collections.abc import Callable, Mapping
from copy import deepcopy
from typing import Any, Protocol

from fastapi import FastAPI
from starlette.testclient import TestClient

from splitjob import resource
from splitjob_api.deps import Services
from splitjob_api.job_cache import JobCache
from splitjob_api.metrics import Metrics
from splitjob_api.problems import install_handlers
from splitjob_api.queue_stats import QueueStats
from splitjob_api.readiness import Readiness
from splitjob_api.routes import actions, data, files, jobs, queue, split, stems, uploads
from splitjob_api.routes import resource as resource_route
from splitjob_api.settings import Settings
from splitjob_api.storage_links import StorageLinks
from splitjob_api.streams import Streams
from splitjob_kube.preconditions import Unready

Json = dict[str, Any]
STEM: Json = {
    "type": "vocals",
    "url": "s3://stems/song-1/a-job/vocals.flac",
    "size": 10,
    "frames": 44100,
    "sampleRate": 44100,
    "checksum": "sha256:" + "0" * 64,
    "format": "flac",
    "peak": "0.5",
    "gain": "1",
    "waveform": "s3://stems/song-1/a-job/vocals.waveform.json",
}
RESULT: Json = {
    "stems": [STEM],
    "model": "htdemucs",
    "manifestUrl": "s3://stems/song-1/a-job/manifest.json",
    "audio": {
        "frames": 44100,
        "sampleRate": 44100,
        "channels": 2,
        "waveform": "s3://stems/song-1/a-job/mixture.waveform.json",
    },
}
CREATED = "2026-01-01T00:00:00Z"
SOURCE = "https://audio.example.com/song.wav"
DELIVERED = {"eventId": "evt-1", "event": "failed", "state": "Delivered"}


class Answer(Protocol):
    """What the tests look at of an answer."""

    @property
    def status_code(self) -> int: ...

    @property
    def is_success(self) -> bool: ...

    @property
    def headers(self) -> Mapping[str, str]: ...

    @property
    def text(self) -> str: ...

    def json(self) -> Any: ...


class FakeCluster:
    """One namespace.

    Attributes:
        splitjobs, secrets: what is there, by name.
        calls: what was asked, in order.
        before: called with the name of each call before it takes effect; may raise, or change what
            is there as somebody else would.
        after: called with the name of each write once it took effect; may raise.
        unready: what of the cluster is not as the API needs it.
        version: the resourceVersion of now.
        submissions: the same, for the event loop.
    """

    def __init__(self) -> None:
        self.splitjobs: dict[str, Json] = {}
        self.secrets: dict[str, Mapping[str, str]] = {}
        self.calls: list[str] = []
        self.before: Callable[[str], object] = lambda call: None
        self.after: Callable[[str], object] = lambda call: None
        self.unready: tuple[Unready, ...] = ()
        self.version = 0
        self.submissions = FakeSubmissions(self)

    def get(self, name: str) -> Json | None:
        self._call("get")
        return deepcopy(self.splitjobs.get(name))

    def with_intent(self, intent_label: str) -> list[Json]:
        self._call("with_intent")
        return [
            deepcopy(one)
            for one in self.splitjobs.values()
            if one["metadata"].get("labels", {}).get(resource.LABEL_INTENT) == intent_label
        ]

    def create(self, splitjob: Json) -> Json | None:
        self._call("create")
        name = splitjob["metadata"]["name"]
        if name in self.splitjobs:
            return None
        metadata = {**splitjob["metadata"], "uid": f"uid-{name}", "creationTimestamp": CREATED}
        self.splitjobs[name] = {**splitjob, "metadata": metadata}
        created = self._changed(name)
        self.after("create")
        return created

    def create_secret(self, name: str, data: Mapping[str, str], labels: Mapping[str, str]) -> None:
        self._call("create_secret")
        assert labels
        self.secrets[name] = data
        self.after("create_secret")

    def patch_spec(self, seen: Json, changes: Mapping[str, Any]) -> Json | None:
        self._call("patch_spec")
        name = seen["metadata"]["name"]
        now = self.splitjobs.get(name)
        if now is None or now["metadata"]["resourceVersion"] != seen["metadata"]["resourceVersion"]:
            return None
        self.splitjobs[name] = {**now, "spec": {**now["spec"], **changes}}
        changed = self._changed(name)
        self.after("patch_spec")
        return changed

    def events(self, _name: str) -> list[Json]:
        self._call("events")
        return []

    def unmet(self) -> tuple[Unready, ...]:
        return self.unready

    # What others do

    def set_status(self, name: str, **status: Any) -> None:
        before = self.splitjobs[name]
        self.splitjobs[name] = {**before, "status": {**before.get("status", {}), **status}}
        self._changed(name)

    def finish(self, name: str, reason: str, **status: Any) -> None:
        """Write a verdict, as the operator does."""
        condition = {
            "type": "Succeeded",
            "status": "True" if reason == "Completed" else "False",
            "reason": reason,
            "message": "",
            "lastTransitionTime": CREATED,
        }
        self.set_status(name, conditions=[condition], **status)

    def _call(self, name: str) -> None:
        self.calls.append(name)
        self.before(name)

    def _changed(self, name: str) -> Json:
        self.version += 1
        metadata = {**self.splitjobs[name]["metadata"], "resourceVersion": str(self.version)}
        self.splitjobs[name] = {**self.splitjobs[name], "metadata": metadata}
        return deepcopy(self.splitjobs[name])


class FakeSubmissions:
    """A `FakeCluster` for coroutines."""

    def __init__(self, cluster: FakeCluster) -> None:
        self._cluster = cluster

    async def get(self, name: str) -> Json | None:
        return self._cluster.get(name)

    async def with_intent(self, intent_label: str) -> list[Json]:
        return self._cluster.with_intent(intent_label)

    async def create(self, splitjob: Json) -> Json | None:
        return self._cluster.create(splitjob)

    async def create_secret(
        self, name: str, data: Mapping[str, str], labels: Mapping[str, str]
    ) -> None:
        self._cluster.create_secret(name, data, labels)

    async def close(self) -> None:
        """Nothing is open."""


def served(
    cluster: FakeCluster, storage_links: StorageLinks | None = None, **settings: Any
) -> TestClient:
    """Return a client of the routes; who may come in is the middleware's, and not asked here."""
    chosen = Settings(
        **{
            "demucssvc_token": "a-token",
            "environment": "prod",
            "api_webhook_url_allowlist": "https://hooks.example.com/demucs",
            **settings,
        }
    )
    stats = QueueStats()
    cached_jobs = JobCache(stats, cluster.get)
    streams = Streams(cached_jobs, 1)
    metrics = Metrics(stats, streams)
    app = FastAPI()
    app.state.services = Services(
        settings=chosen,
        policy=chosen.request_policy(),
        cluster=cluster,  # type: ignore[arg-type]
        queue_stats=stats,
        jobs=cached_jobs,
        streams=streams,
        readiness=Readiness(lambda: None, cluster.unmet, stats, metrics.unready),
        metrics=metrics,
        storage_links=storage_links,
    )
    for module in (split, jobs, actions, stems, files, data, queue, uploads, resource_route):
        app.include_router(module.router)
    install_handlers(app)
    return TestClient(app, raise_server_exceptions=False)


def let_watch_begin(api: TestClient, cluster: FakeCluster) -> None:
    """Have the API hold what the cluster has now, as from its watch; later changes do not come."""
    listing = api.app.state.services.jobs.listing()  # type: ignore[attr-defined]
    listing.add(deepcopy(one) for one in cluster.splitjobs.values())
    listing.complete(str(cluster.version))


def request_body(**fields: Any) -> dict[str, Any]:
    return {
        "versionId": "song-1",
        "audioUrl": f"{SOURCE}?X-Amz-Signature=first",
        "aiModel": "htdemucs",
        "webhook": "https://hooks.example.com/demucs",
        **fields,
    }


def submitted(api: TestClient, **fields: Any) -> str:
    answer = api.post("/split", json=request_body(**fields))
    assert answer.status_code == 202, answer.text
    return str(answer.json()["jobId"])


def failed(api: TestClient, cluster: FakeCluster, **fields: Any) -> str:
    job_id = submitted(api, **fields)
    cluster.finish(job_id, "SourceNotFound", webhook=DELIVERED)
    return job_id


def refused(answer: Answer, status: int, code: str) -> str:
    """See that an answer is this refusal; return its detail."""
    assert (answer.status_code, answer.json()["code"]) == (status, code), answer.text
    return str(answer.json()["detail"])
