"""The ways out of one operator process, each call through its gate: cluster, bucket, receiver."""

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, TypeVar

from tests.support.fake_api_server import FakeApiServer, found_in, labelled, list_in
from tests.support.faults import CallGate, Violation
from tests.support.operator_contract import Record

from splitjob.resource import LABEL_SPLITJOB, SECRET_TYPE
from splitjob.webhook import DeliveryOutcome
from splitjob_io.storage import StorageError, StoredObject
from splitjob_kube.errors import UnreachableError

Json = dict[str, Any]
PAGE = 2  # of a listing, where a real bucket's has a thousand
Result = TypeVar("Result")


class FakeKubernetes:
    """One process's way to the API server: the port, and what the resync reads beside it.

    Reads may come from a cache that is some changes behind. It is behind as a whole, as an API
    server's is: no answer is older than the one before.

    Args:
        server: what everybody writes to.
        gate: what the process's calls pass.
        record: is told of every status and Job that is written.
    """

    def __init__(self, server: FakeApiServer, gate: CallGate, record: Record) -> None:
        self._server = server
        self._gate = gate
        self._record = record
        self.behind = 0

    def _call(self, name: str, take_effect: Callable[[], Result]) -> Result:
        return self._gate.call(name, take_effect, lambda call: UnreachableError(f"cannot {call}"))

    def _read(self, name: str, kind: str, key: str) -> Json:
        view = self._server.as_of(self.behind)
        return self._call(name, lambda: found_in(view, kind, key))

    def _list(self, name: str, kind: str, splitjob: str | None) -> Iterator[Json]:
        view = self._server.as_of(self.behind)
        return self._call(name, lambda: labelled(list_in(view, kind), LABEL_SPLITJOB, splitjob))

    def splitjob(self, name: str) -> Json:
        return self._read("splitjob", "SplitJob", name)

    def readers(self, source_url: str) -> list[Json]:
        def found() -> list[Json]:
            jobs = list_in(self._server.as_of(0), "SplitJob")
            return [one for one in jobs if one["spec"]["request"]["source"]["url"] == source_url]

        return self._call("readers", found)

    def splitjobs(self) -> Iterator[Json]:
        return iter(list_in(self._server.as_of(self.behind), "SplitJob"))

    def jobs(self, splitjob: str) -> Iterator[Json]:
        return self._list("jobs", "Job", splitjob)

    def pods(self, splitjob: str) -> Iterator[Json]:
        return self._list("pods", "Pod", splitjob)

    def watched(self, kind: str) -> list[Json]:
        """The Jobs or pods of all SplitJobs, as a watch brings them."""
        return list(labelled(list_in(self._server.as_of(self.behind), kind), LABEL_SPLITJOB, None))

    def metadata(self, kind: str) -> Iterator[Json]:
        found = list_in(self._server.as_of(self.behind), kind)
        if kind == "Secret":
            found = [secret for secret in found if secret["type"] == SECRET_TYPE]
        if kind in {"Job", "Pod"}:
            found = list(labelled(found, LABEL_SPLITJOB, None))
        return iter([raw["metadata"] for raw in found])

    def job(self, name: str) -> Json:
        return self._read("job", "Job", name)

    def secret(self, name: str) -> Json:
        return self._read("secret", "Secret", name)

    def events(self, _kind: str, _name: str) -> list[Json]:
        return self._call("events", list)

    def autoscaler_events(self) -> list[Json]:
        return self._call("autoscaler_events", list)

    def log_tail(self, _pod: str, _container: str) -> str:
        return self._call("log_tail", str)

    def write_status(self, seen: Mapping[str, Any], status: Json) -> Json:
        def write() -> Json:
            before = self._server.find("SplitJob", seen["metadata"]["name"])
            after = self._server.replace("SplitJob", seen, status=status)
            self._gate.status_written()
            self._record.status_written(before or {}, after)
            return after

        return self._call("write_status", write)

    def create_job(self, manifest: Json) -> Json:
        def create() -> Json:
            job = self._server.create("Job", manifest)
            self._record.job_created(job, late=self._gate.out_of_date)
            return job

        return self._call("create_job", create)

    def workload(self, _job_uid: str) -> Json | None:
        return None  # no Kueue

    def set_workload_active(self, _job_uid: str, *, active: bool) -> None:
        """There is no Kueue."""

    def create_network_policy(self, manifest: Json) -> None:
        self._call("create_network_policy", lambda: self._server.create("NetworkPolicy", manifest))

    def create_event(self, _event: Json) -> None:
        self._call("create_event", lambda: None)

    def own_secret(self, secret: Mapping[str, Any], owner: Json) -> None:
        owners = [*secret["metadata"].get("ownerReferences", []), owner]
        metadata = {**secret["metadata"], "ownerReferences": owners}
        self._call("own_secret", lambda: self._server.replace("Secret", secret, metadata=metadata))

    def delete_job(self, name: str, uid: str, propagation: str) -> None:
        foreground = propagation == "Foreground"
        self._call(
            "delete_job", lambda: self._server.delete("Job", name, uid, foreground=foreground)
        )

    def delete_pod(self, name: str, uid: str, *, force: bool) -> None:
        self._call("delete_pod", lambda: self._server.delete("Pod", name, uid, force=force))

    def delete_splitjob(self, seen: Mapping[str, Any]) -> None:
        self._call("delete_splitjob", lambda: self._server.delete_as_read("SplitJob", seen))

    def delete_secret(self, seen: Mapping[str, Any]) -> None:
        self._call("delete_secret", lambda: self._server.delete_as_read("Secret", seen))


class Bucket:
    """The objects, by key.

    Attributes:
        stored_at: when each came, where that matters.
        away: whether nobody reaches them.
        on_delete: is told of each key before it goes.
    """

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}
        self.stored_at: dict[str, datetime] = {}
        self.away = False
        self.on_delete: Callable[[str], None] = lambda key: None

    def delete(self, key: str) -> None:
        if key in self.objects:
            self.on_delete(key)
            del self.objects[key]

    def put_if_absent(self, key: str, body: bytes) -> bool:
        return self.objects.setdefault(key, body) == body

    def put_if_unchanged(self, key: str, body: bytes, etag: str) -> bool:
        stored = self.read(key)
        if stored and stored.etag == etag:
            self.objects[key] = body
        return self.objects.get(key) == body

    def read(self, key: str) -> StoredObject | None:
        body = self.objects.get(key)
        return None if body is None else StoredObject(body, hashlib.md5(body).hexdigest())


class FakeBucketService:
    """One process's way to the bucket: what `ManifestStore` uses of `S3Service`."""

    def __init__(self, bucket: Bucket, gate: CallGate) -> None:
        self._bucket = bucket
        self._gate = gate

    def url(self, key: str) -> str:
        return f"s3://stems/{key}"

    def read_object(self, key: str) -> StoredObject | None:
        return self._call("read_object", lambda: self._bucket.read(key))

    def put_if_absent(self, key: str, body: bytes) -> bool:
        return self._call("put_if_absent", lambda: self._bucket.put_if_absent(key, body))

    def put_if_unchanged(self, key: str, body: bytes, etag: str) -> bool:
        return self._call(
            "put_if_unchanged", lambda: self._bucket.put_if_unchanged(key, body, etag)
        )

    def delete_file(self, key: str) -> bool:
        self._call("delete_file", lambda: self._bucket.delete(key))
        return True

    def file_exists(self, key: str) -> bool:
        return self._call("file_exists", lambda: key in self._bucket.objects)

    def list_objects(self, prefix: str) -> list[Json]:
        def found() -> list[Json]:
            return [{"key": key} for key in sorted(self._bucket.objects) if key.startswith(prefix)]

        return self._call("list_objects", found)

    def list_page(self, prefix: str, after: str = "") -> list[Json]:
        def found() -> list[Json]:
            keys = [key for key in self._bucket.objects if key.startswith(prefix) and key > after]
            page = sorted(keys)[:PAGE]
            return [{"key": key, "last_modified": self._bucket.stored_at[key]} for key in page]

        return self._call("list_page", found)

    def delete_objects(self, keys: Sequence[str]) -> int:
        def delete() -> int:
            for key in keys:
                self._bucket.delete(key)
            return len(keys)

        return self._call("delete_objects", delete)

    def _call(self, name: str, take_effect: Callable[[], Result]) -> Result:
        def unanswered(call: str) -> StorageError:
            return StorageError(f"cannot {call}: no answer")

        def reach() -> Result:
            if self._bucket.away:
                raise unanswered(name)
            return take_effect()

        return self._gate.call(name, reach, unanswered)


class Receiver:
    """Who is told of the end of jobs.

    Attributes:
        answer: what it answers with, whoever sends.
        hears: whether what is sent arrives, answered or not.
        hangs: whether its answers are held back for now.
    """

    def __init__(self, record: Record) -> None:
        self._record = record
        self.answer = DeliveryOutcome(delivered=True, status=200)
        self.hears = True
        self.hangs = False

    def take(self, event_id: str, body: bytes) -> DeliveryOutcome:
        """Take in what the operator sends."""
        if self.hears:
            self._record.operator_told(event_id, json.loads(body))
        return self.answer


class FakeSender:
    """One process's way to the receiver."""

    def __init__(self, receiver: Receiver, gate: CallGate) -> None:
        self._receiver = receiver
        self._gate = gate

    def send(
        self, url: str, event_id: str, body: bytes, *, traceparent: str = ""
    ) -> DeliveryOutcome:
        assert not traceparent, "nothing is traced here"
        if not url.startswith("https://hooks.example.com/x?key="):
            raise Violation(f"an event goes to {url}")
        try:
            return self._gate.call(
                "send", lambda: self._receiver.take(event_id, body), ConnectionError
            )
        except ConnectionError:
            return DeliveryOutcome(delivered=False, error="the receiver broke off")
