"""The SplitJob resource on a real cluster."""

from typing import Any

from tests.support.waiting import eventually

from splitjob_local.cluster.objects import FIELD_MANAGER, ObjectClient

ESTABLISHED = {"type": "Established", "status": "True"}


def establish(
    objects: ObjectClient, definition: dict[str, Any], field_manager: str = FIELD_MANAGER
) -> None:
    """Put a CustomResourceDefinition on a cluster and wait until its objects can be made."""
    objects.apply(definition, field_manager=field_manager)
    eventually(lambda: is_established(objects, definition["metadata"]["name"]))


def is_established(objects: ObjectClient, name: str) -> bool:
    """Whether the objects of a definition can be made, and the server lists them by now."""
    found = objects.get("crd", name)["status"]["conditions"] or ()
    said = any(ESTABLISHED.items() <= condition.items() for condition in found)
    return said and bool(objects.get(name.partition(".")[0]))
