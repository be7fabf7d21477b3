"""Versions beside each other: this one leads while, or after, a newer one did."""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from tests.support.operator_harness import Site
from tests.support.waiting import eventually

from splitjob.resource import GROUP, PLURAL
from splitjob_local.cluster.local_cluster import LocalCluster

STATUS = "/spec/versions/0/schema/openAPIV3Schema/properties/status/properties"
NEWER = (f"{STATUS}/newer", f"{STATUS}/attempts/items/properties/newer")


@contextmanager
def newer_definition(cluster: LocalCluster) -> Iterator[None]:
    """Have the resource know fields that this version does not, as an upgrade brings it first."""
    added = [{"op": "add", "path": path, "value": {"type": "string"}} for path in NEWER]
    change(cluster, added)
    try:
        yield
    finally:
        change(cluster, [{"op": "remove", "path": path} for path in NEWER])


def change(cluster: LocalCluster, operations: Sequence[Mapping[str, object]]) -> None:
    name = f"{PLURAL}.{GROUP}"
    cluster.kubectl("patch", "crd", name, "--type=json", "-p", json.dumps(operations))


def test_what_a_newer_operator_wrote_is_kept_to_the_end(here: Site) -> None:
    with newer_definition(here.cluster):
        here.start()
        name = here.ask("sleep 6; complete")
        here.running(name)

        def written() -> bool:
            """Write as a newer one would; the API server takes a moment to know the fields."""
            (attempt,) = here.status(name)["attempts"]
            here.change_status(name, newer="of the job", attempts=[attempt | {"newer": "of it"}])
            return "newer" in (status := here.status(name)) and "newer" in status["attempts"][0]

        eventually(written)
        assert here.told(name).body["status"] == "completed"
        status = eventually(lambda: here.status(name)["counted"] and here.status(name))
        assert status["phase"] == "Completed"
        assert status["newer"] == "of the job"
        assert status["attempts"][0]["newer"] == "of it"
