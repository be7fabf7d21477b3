"""An upgrade of the operator as the chart has it replaced: somebody is always there to lead."""

from tests.support.waiting import eventually, timeout
from tests.support.whole_path import WholePath

OPERATOR = "track-tree-audio-operator"


def holder(path: WholePath) -> str:
    lease = path.cluster.objects.get("lease", OPERATOR, namespace=path.service.namespace)
    found: str = lease["spec"]["holderIdentity"]
    return found


def test_a_song_is_separated_while_the_operator_is_replaced(path: WholePath) -> None:
    """Acceptance 71: from one leader to the next there is no gap that anybody notices."""
    where = ("-n", path.service.namespace)
    before = eventually(lambda: holder(path))
    path.cluster.kubectl("rollout", "restart", f"deployment/{OPERATOR}", *where)
    name = path.ask(path.song_url())
    path.cluster.kubectl("rollout", "status", f"deployment/{OPERATOR}", *where, timeout())
    path.wait(name)
    assert path.final(name)["status"] == "completed"
    assert len(path.status(name)["attempts"]) == 1
    assert eventually(lambda: holder(path)) != before
