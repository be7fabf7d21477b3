"""The whole API, as it is shipped, in this process: over a cluster in memory, on a port.

`WatchedCluster`  a `FakeCluster` that can be watched, and goes away
`WholeApi`        the API over one, and callers of it
`CALLS`           a request for each call that the API's document describes
`whole_api`       serves one
"""

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from unittest.mock import patch

import httpx
from tests.support.app_server import served_app
from tests.support.fake_cluster import DELIVERED, RESULT, FakeCluster, Json, request_body
from tests.support.stored_content import StoredContent
from tests.support.waiting import eventually, patience

from splitjob.signing import Signer
from splitjob_api import app as app_module
from splitjob_api import deps, watcher
from splitjob_api.app import create_app
from splitjob_api.deps import Services
from splitjob_api.kubernetes import ClusterUnavailableError
from splitjob_api.settings import Settings
from splitjob_api.storage_links import StorageLinks
from splitjob_kube.access import User
from splitjob_kube.client import Page, WatchEvent

TOKEN = "a-token-for-these-tests"
STORAGE = {
    "ENVIRONMENT": "prod",
    "S3_ENDPOINT": "https://s3.example.com",
    "S3_BUCKET": "stems",
    "S3_ACCESS_KEY_ID": "reader",
    "S3_SECRET_ACCESS_KEY": "a-secret-of-the-reader",
}
WATCH_SECONDS = 0.05
AWAY = ClusterUnavailableError("cannot be reached (ReadTimeoutError)")
FRESH = "https://audio.example.com/song.wav?X-Amz-Signature=second"


class WatchedCluster(FakeCluster):
    """One namespace that a watch follows.

    Attributes:
        away: whether nothing is answered.
    """

    namespace = "music"

    def __init__(self) -> None:
        super().__init__()
        self.away = False
        self._changes: list[WatchEvent] = []
        self._changed_now = threading.Condition()

    def delete(self, name: str) -> None:
        self.version += 1
        gone = self.splitjobs.pop(name)
        metadata = {**gone["metadata"], "resourceVersion": str(self.version)}
        self._tell("DELETED", {**gone, "metadata": metadata})

    def config_map(self, _name: str) -> dict[str, str]:
        self._call("config_map")
        return {}

    def user_of(self, _token: str, _audience: str) -> User | None:
        self._call("user_of")
        return User("somebody", {})

    def is_allowed(self, _user: User, _verb: str) -> bool:
        self._call("is_allowed")
        return True

    # What the API asks by itself: no call of a request

    def probe(self) -> None:
        self._answer()

    def list_all(self) -> Iterator[Page]:
        self._answer()
        yield Page(list(self.splitjobs.values()), str(self.version))

    def latest_version(self) -> str:
        self._answer()
        return str(self.version)

    def watch(self, version: str) -> Iterator[WatchEvent]:
        told, end = int(version), time.monotonic() + WATCH_SECONDS
        while (left := end - time.monotonic()) > 0:
            self._answer()
            with self._changed_now:
                for change in list(self._changes):
                    if int(change.resource_version) > told:
                        told = int(change.resource_version)
                        yield change
                self._changed_now.wait(left)

    def _call(self, name: str) -> None:
        self._answer()
        super()._call(name)

    def _answer(self) -> None:
        if self.away:
            raise AWAY

    def _changed(self, name: str) -> Json:
        changed = super()._changed(name)
        self._tell("MODIFIED", changed)
        return changed

    def _tell(self, kind: str, splitjob: Json) -> None:
        with self._changed_now:
            self._changes.append(WatchEvent(kind, splitjob))
            self._changed_now.notify_all()


@dataclass
class Sent:
    """A request.

    Attributes:
        method, path: its line; the path with its query.
        body: of JSON; None: there is none.
        content: sent in place of that.
        headers: beside the signature.
    """

    method: str
    path: str
    body: Json | None = None
    content: bytes | None = None
    headers: dict[str, str] = field(default_factory=dict)

    @property
    def payload(self) -> bytes:
        if self.content is not None:
            return self.content
        return b"" if self.body is None else json.dumps(self.body).encode()


@dataclass
class WholeApi:
    """The API on a port of this machine.

    Attributes:
        cluster: behind it.
        services: it has them in common with its tests.
        http: calls it.
        document: its OpenAPI document.
    """

    cluster: WatchedCluster
    services: Services
    http: httpx.Client
    document: Json = field(default_factory=dict)

    def send(self, sent: Sent) -> httpx.Response:
        """Return the answer; of a stream that is served its head alone."""
        with self.http.stream(
            sent.method, sent.path, content=sent.payload, headers=self.headers(sent)
        ) as answer:
            if not answer.headers.get("content-type", "").startswith("text/event-stream"):
                answer.read()
            return answer

    @contextmanager
    def stream(self, path: str, **headers: str) -> Iterator[httpx.Response]:
        """Open a stream for as long as the block lasts."""
        sent = Sent("GET", path, headers=headers)
        with self.http.stream("GET", path, headers=self.headers(sent)) as answer:
            yield answer

    def job(self, reason: str = "", **fields: Any) -> str:
        """Return a new job of a request of its own.

        Args:
            reason: how it has ended; blank: it waits.
            fields: of its request.
        """
        body = request_body(versionId=f"song-{self.cluster.version}", **fields)
        answer = self.send(Sent("POST", "/split", body))
        assert answer.status_code == 202, answer.text
        name = str(answer.json()["jobId"])
        if reason == "Completed":
            self.cluster.finish(name, reason, result=RESULT)
        elif reason:
            self.cluster.finish(name, reason, webhook=DELIVERED)
        self.catch_up()
        return name

    def catch_up(self) -> None:
        """Wait until the watch has told all."""
        jobs = self.services.jobs
        eventually(lambda: jobs.current and jobs.version >= self.cluster.version, pause=0.005)

    def headers(self, sent: Sent) -> dict[bytes, bytes]:
        """Return a request's headers, signed."""
        payload = sent.payload or f"{sent.method} {sent.path}".encode()
        headers = Signer([TOKEN]).sign(payload, int(time.time())) | sent.headers
        return {name.encode(): value.encode("latin-1") for name, value in headers.items()}


Prepared = Callable[[WholeApi], Sent]

# For each call of the API's document a request that is served; whoever adds a call adds it here.
CALLS: dict[tuple[str, str], Prepared] = {
    ("POST", "/split"): lambda api: Sent(
        "POST", "/split", request_body(versionId=f"new-{api.cluster.version}")
    ),
    ("POST", "/uploads"): lambda api: Sent("POST", "/uploads", {"filename": "song.wav", "size": 9}),
    ("GET", "/jobs"): lambda api: Sent("GET", "/jobs?status=queued&limit=2"),
    ("GET", "/events"): lambda api: Sent("GET", "/events?status=queued"),
    ("GET", "/jobs/{job_id}"): lambda api: Sent("GET", f"/jobs/{api.job()}"),
    ("GET", "/jobs/{job_id}/events"): lambda api: Sent("GET", f"/jobs/{api.job()}/events"),
    ("GET", "/jobs/{job_id}/resource"): lambda api: Sent("GET", f"/jobs/{api.job()}/resource"),
    ("GET", "/jobs/{job_id}/stems/{stem}"): lambda api: Sent(
        "GET", f"/jobs/{api.job('Completed')}/stems/vocals"
    ),
    ("GET", "/jobs/{job_id}/waveforms/{stem}"): lambda api: Sent(
        "GET", f"/jobs/{api.job('Completed')}/waveforms/vocals"
    ),
    ("GET", "/jobs/{job_id}/manifest"): lambda api: Sent(
        "GET", f"/jobs/{api.job('Completed')}/manifest"
    ),
    ("DELETE", "/jobs/{job_id}"): lambda api: Sent("DELETE", f"/jobs/{api.job()}"),
    ("DELETE", "/jobs/{job_id}/data"): lambda api: Sent(
        "DELETE", f"/jobs/{api.job('Completed')}/data"
    ),
    ("POST", "/jobs/{job_id}/redeliver"): lambda api: Sent(
        "POST", f"/jobs/{api.job('SourceNotFound')}/redeliver"
    ),
    ("POST", "/jobs/{job_id}/retry"): lambda api: Sent(
        "POST", f"/jobs/{api.job('SourceNotFound')}/retry", {"audioUrl": FRESH}
    ),
    ("GET", "/queue/status"): lambda api: Sent("GET", "/queue/status"),
    ("GET", "/queue/capacity"): lambda api: Sent("GET", "/queue/capacity"),
    ("GET", "/models"): lambda api: Sent("GET", "/models"),
    ("GET", "/healthz"): lambda api: Sent("GET", "/healthz"),
    ("GET", "/readyz"): lambda api: Sent("GET", "/readyz"),
    ("GET", "/metrics"): lambda api: Sent("GET", "/metrics"),
}


@contextmanager
def whole_api(**settings: Any) -> Iterator[WholeApi]:
    """Serve an API with access to a bucket until the block ends."""
    cluster = WatchedCluster()
    chosen = Settings(
        **{
            "demucssvc_token": TOKEN,
            "environment": "prod",
            "api_webhook_url_allowlist": "https://hooks.example.com/demucs",
            "s3_bucket": STORAGE["S3_BUCKET"],
            "uploads_enabled": True,
            **settings,
        }
    )
    with (
        patch.object(app_module, "Cluster", lambda *_, **__: cluster),
        patch.object(deps, "CURRENT_TRIES", 1),
        patch.object(watcher, "FIRST_PAUSE_SECONDS", 0.02),
        patch.object(watcher, "LAST_PAUSE_SECONDS", 0.02),
        patch.object(StorageLinks, "open", lambda _links, _key: StoredContent(b"{}")),
        patch.dict("os.environ", STORAGE),
    ):
        app = create_app(chosen)
        services: Services = app.state.services
        with served_app(app) as url, httpx.Client(base_url=url, timeout=patience()) as http:
            api = WholeApi(cluster, services, http)
            api.catch_up()
            api.document = http.get("/openapi.json").json()
            yield api
            services.streams.close()
