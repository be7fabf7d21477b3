"""Pods that nobody ends any more: on a node that is away, or on their way out for too long."""

from collections.abc import Iterable
from datetime import timedelta

from splitjob_operator.core.context import ReconcileContext
from splitjob_operator.core.observed import KubePod
from splitjob_operator.core.plan import DeletePod

__all__ = ["delete_stuck_pods"]


def delete_stuck_pods(ctx: ReconcileContext, pods: Iterable[KubePod]) -> list[KubePod]:
    """Have pods that should be gone deleted by force where that takes too long.

    Args:
        ctx: the context.
        pods: those that should be gone.

    Returns:
        Those of them that run, and are not to be deleted by force yet.
    """
    patience = timedelta(seconds=ctx.settings.node_lost_seconds)
    others = []
    for pod in pods:
        if pod.stopped:
            continue
        lost_since = ctx.observed.lost_nodes.get(pod.node)
        lost = lost_since is not None and lost_since + patience <= ctx.now
        stuck = pod.deleting_since is not None and pod.deleting_since + patience <= ctx.now
        if lost or stuck:
            if (delete := DeletePod(pod.name, pod.uid, force=True)) not in ctx.after:
                ctx.after.append(delete)
            continue
        if pod.deleting_since:
            ctx.requeue_at(pod.deleting_since + patience)
        others.append(pod)
    return others
