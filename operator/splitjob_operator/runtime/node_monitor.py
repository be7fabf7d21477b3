"""Which nodes are away. Optional: without the right to read nodes, only their pods tell."""

import logging
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from splitjob_kube.errors import ForbiddenError, NotFoundError
from splitjob_operator.core.observed import parse_time
from splitjob_operator.core.ports import NodePort
from splitjob_operator.runtime.thread_pool import ThreadPool

__all__ = ["NodeMonitor", "not_ready_since"]

log = logging.getLogger(__name__)


class NodeMonitor:
    """The nodes that workers run on.

    Attributes:
        lost: those that were away when last looked at, and since when.
    """

    def __init__(self, kubernetes: NodePort, threads: ThreadPool) -> None:
        self.lost: dict[str, datetime] = {}
        self._kubernetes = kubernetes
        self._threads = threads
        self._forbidden = False

    async def refresh(self, names: Iterable[str]) -> None:
        """See which of some nodes are away; all others are forgotten."""
        self.lost = await self._away(names)

    async def recheck(self, names: Iterable[str]) -> dict[str, datetime]:
        """Read again those of some nodes that were away: a failure is decided by it."""
        known = [name for name in names if name in self.lost]
        now = await self._away(known)
        for name in known:
            if name not in now:
                self.lost.pop(name, None)
        return now

    async def _away(self, names: Iterable[str]) -> dict[str, datetime]:
        found: dict[str, datetime] = {}
        for name in names:
            since = await self._since(name)
            if since:
                found[name] = since
        return found

    async def _since(self, name: str) -> datetime | None:
        try:
            return not_ready_since(await self._threads.run(self._kubernetes.node, name))
        except NotFoundError:
            return self.lost.get(name, datetime.now(UTC))
        except ForbiddenError as error:
            if not self._forbidden:
                log.warning("Lost nodes are recognised late, by their pods only: %s", error)
                self._forbidden = True
            return None


def not_ready_since(node: Mapping[str, Any]) -> datetime | None:
    """Return since when a node is not ready; None while it is."""
    for condition in node.get("status", {}).get("conditions", []):
        if condition.get("type") == "Ready" and condition.get("status") != "True":
            return parse_time(condition.get("lastTransitionTime")) or datetime.now(UTC)
    return None
