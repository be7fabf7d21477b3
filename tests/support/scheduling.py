"""Which worker of pytest-xdist runs which test files, so that two cores are busy to the end.

A whole run takes all the time that two cores have, and each worker that comes to a test on a
cluster starts one of its own, with the service on it: more workers than these only share the same
two cores with more clusters. So two workers begin at one end of the files, where those on clusters
are, and the third at the other end, with what takes processor time alone; it starts a cluster only
if it comes that far.
"""

from xdist.scheduler import LoadScopeScheduling
from xdist.workermanage import WorkerController

# Workers that begin with the tests on clusters; the others begin with the unit tests.
ON_CLUSTERS = 2
# Files that run one after the other on a cluster without the service, in the same worker.
ON_A_BARE_CLUSTER = (
    "tests/integration/service/test_bad_environment.py",
    "tests/integration/chart/test_helm.py",
    "tests/integration/chart/test_proxy.py",
    "tests/e2e/test_docs_commands.py",  # leaves the service there, so that it has to be the last
)
# In the order in which files are begun; the longest first, as a run is as long as what begins last.
ORDER = (
    *ON_A_BARE_CLUSTER,
    "tests/contract/test_openapi.py",  # the only one of the contract's that is on a cluster
    "tests/integration/service/",
    "tests/e2e/",
    "tests/integration/operator/",
    "tests/integration/chart/",
    "tests/integration/local/",
    "tests/integration/common/",
    "tests/integration/api/",
    "tests/integration/",
    "tests/contract/",
)


def place(nodeid: str) -> int:
    """Return where a test stands in the order."""
    beginnings = [nodeid.startswith(beginning) for beginning in ORDER]
    return [*beginnings, True].index(True)


def is_on_a_bare_cluster(nodeid: str) -> bool:
    """Whether a test is in one of the files that share a cluster without the service."""
    return nodeid.partition("::")[0] in ON_A_BARE_CLUSTER


class FromBothEnds(LoadScopeScheduling):  # type: ignore[misc]  # it has no types
    """Gives each worker whole files from its end of the order; those on a bare cluster together."""

    def _split_scope(self, nodeid: str) -> str:
        return "on a bare cluster" if is_on_a_bare_cluster(nodeid) else nodeid.partition("::")[0]

    def _assign_work_unit(self, node: WorkerController) -> None:
        if list(self.nodes).index(node) >= ON_CLUSTERS:
            last = next(reversed(self.workqueue))
            self.workqueue.move_to_end(last, last=False)
        super()._assign_work_unit(node)
