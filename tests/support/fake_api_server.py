"""An API server in memory: objects with resourceVersion and uid, deletion, garbage collection.

Objects are the JSON that the real one gives, and are never changed in place: whoever has read one
keeps what it has read, and the server can still be asked what it said some changes ago.
"""

from collections import deque
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any

from tests.support.operator_samples import stamp

from splitjob_kube.errors import AlreadyExistsError, ConflictError, NotFoundError

Json = dict[str, Any]
Objects = Mapping[tuple[str, str], Json]

GRACE_SECONDS = 30  # a pod's terminationGracePeriodSeconds
HISTORY = 12


class FakeApiServer:
    """One namespace.

    Args:
        clock: the time.
    """

    def __init__(self, clock: Callable[[], datetime]) -> None:
        self._clock = clock
        self._revision = 100
        self._uids = 0
        self.objects: Objects = {}
        self._past: deque[Objects] = deque(maxlen=HISTORY)

    def as_of(self, changes_ago: int) -> Objects:
        """Return all objects as they were so many changes ago."""
        if changes_ago == 0 or not self._past:
            return self.objects
        return self._past[max(-changes_ago, -len(self._past))]

    def find(self, kind: str, name: str) -> Json | None:
        return self.objects.get((kind, name))

    def get(self, kind: str, name: str) -> Json:
        return found_in(self.objects, kind, name)

    def all(self, kind: str) -> list[Json]:
        return list_in(self.objects, kind)

    def children(self, kind: str, owner_uid: str) -> list[Json]:
        return [found for found in self.all(kind) if owner_uid in owners_of(found)]

    # Writes

    def create(self, kind: str, manifest: Json) -> Json:
        """Create an object, with a uid of its own."""
        name = manifest["metadata"]["name"]
        if (kind, name) in self.objects:
            raise AlreadyExistsError(f"cannot create {kind} {name}: 409", 409)
        self._uids += 1
        metadata = {
            "generation": 1,
            "creationTimestamp": stamp(self._clock()),
            **manifest["metadata"],
            "uid": f"{kind.lower()}-{self._uids}",
        }
        return self._store(kind, {**manifest, "metadata": metadata})

    def update(self, kind: str, name: str, **parts: Any) -> Json:
        """Change parts of an object as it is now: what its own controllers and people do."""
        return self._store(kind, {**self.get(kind, name), **parts})

    def update_metadata(self, kind: str, name: str, **parts: Any) -> Json:
        metadata = self.get(kind, name)["metadata"] | parts
        return self.update(kind, name, metadata=metadata)

    def touch(self, kind: str, name: str) -> None:
        """Give an object a new resourceVersion: somebody has changed a label."""
        if self.find(kind, name):
            self.update(kind, name)

    def replace(self, kind: str, seen: Mapping[str, Any], **parts: Any) -> Json:
        """Change parts of an object under the resourceVersion that was read.

        Raises:
            ConflictError: it has changed since.
        """
        name = seen["metadata"]["name"]
        now = self.get(kind, name)["metadata"]
        read = seen["metadata"]
        if (now["uid"], now["resourceVersion"]) != (read["uid"], read["resourceVersion"]):
            raise ConflictError(f"cannot write {kind} {name}: 409 it has changed", 409)
        return self.update(kind, name, **parts)

    def delete(
        self, kind: str, name: str, uid: str, *, foreground: bool = False, force: bool = False
    ) -> bool:
        """Delete an object; return whether it was there. What it owns is the collector's."""
        found = self.find(kind, name)
        if found is None or found["metadata"]["uid"] != uid:
            return False
        if kind == "Pod" and not force and is_running(found):
            self._mark_deleted(kind, name, GRACE_SECONDS)
        elif foreground:
            self._mark_deleted(kind, name, 0)
        else:
            self._remove(kind, name)
        return True

    def delete_as_read(self, kind: str, seen: Mapping[str, Any]) -> bool:
        """Delete an object that is still as it was read; return whether it was."""
        read, found = seen["metadata"], self.find(kind, seen["metadata"]["name"])
        same = found and found["metadata"]["resourceVersion"] == read["resourceVersion"]
        return bool(same) and self.delete(kind, read["name"], read["uid"])

    # The garbage collector, and the kubelet's part in a deletion

    def collect(self) -> None:
        """Delete what no owner, or a deleted one, has; let go of what is deleted and idle."""
        for _ in range(4):  # SplitJob, Job, pod or NetworkPolicy, and once to see that all is done
            for kind, found in [(kind, found) for (kind, _), found in self.objects.items()]:
                self._collect(kind, found)

    def _collect(self, kind: str, found: Json) -> None:
        metadata = found["metadata"]
        living = {one["metadata"]["uid"]: one for one in self.objects.values()}
        owners = owners_of(found)
        waits = [uid for uid in owners if uid in living and is_deleting(living[uid])]
        if owners and (waits or not any(uid in living for uid in owners)):
            self.delete(kind, metadata["name"], metadata["uid"])
        elif is_deleting(found) and not self._held_back(kind, found):
            self._remove(kind, metadata["name"])

    def _held_back(self, kind: str, found: Json) -> bool:
        """Whether something that is to be deleted still runs, or waits for what it owns."""
        if kind == "Pod":
            return is_running(found)
        uid = found["metadata"]["uid"]
        return any(uid in owners_of(one) for one in self.objects.values())

    def _mark_deleted(self, kind: str, name: str, grace: int) -> None:
        if not is_deleting(self.get(kind, name)):
            when = stamp(self._clock() + timedelta(seconds=grace))
            self.update_metadata(kind, name, deletionTimestamp=when)

    def _store(self, kind: str, new: Json) -> Json:
        self._revision += 1
        metadata = {**new["metadata"], "resourceVersion": str(self._revision)}
        stored = {**new, "metadata": metadata}
        self._past.append(self.objects)
        self.objects = {**self.objects, (kind, metadata["name"]): stored}
        return stored

    def _remove(self, kind: str, name: str) -> None:
        self._past.append(self.objects)
        self.objects = {key: found for key, found in self.objects.items() if key != (kind, name)}


def found_in(objects: Objects, kind: str, name: str) -> Json:
    """Return an object.

    Raises:
        NotFoundError: there is none of that name.
    """
    try:
        return objects[kind, name]
    except KeyError:
        raise NotFoundError(f"cannot read {kind} {name}: 404", 404) from None


def list_in(objects: Objects, kind: str) -> list[Json]:
    return [found for (one, _), found in objects.items() if one == kind]


def labelled(objects: list[Json], label: str, value: str | None) -> Iterator[Json]:
    """Yield the objects with a label; of any value where none is named."""
    for found in objects:
        there = found["metadata"].get("labels", {}).get(label)
        if there is not None and value in {None, there}:
            yield found


def owners_of(found: Mapping[str, Any]) -> list[str]:
    return [owner["uid"] for owner in found["metadata"].get("ownerReferences", [])]


def is_deleting(found: Mapping[str, Any]) -> bool:
    return "deletionTimestamp" in found["metadata"]


def is_running(pod: Mapping[str, Any]) -> bool:
    """Whether the container of a pod runs."""
    return bool(pod["status"]["phase"] == "Running")


def is_finished(job: Mapping[str, Any]) -> bool:
    """Whether the Job controller has given its verdict."""
    conditions = job.get("status", {}).get("conditions", [])
    return any(c["type"] in {"Complete", "Failed"} and c["status"] == "True" for c in conditions)
