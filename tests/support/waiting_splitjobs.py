"""SplitJobs as the operator's queue knows them, by hand and by hypothesis."""

from datetime import timedelta

from hypothesis import strategies as st
from tests.support.operator_samples import NOW

from splitjob.lifecycle import LifecycleState
from splitjob_operator.core.cached_splitjob import BlockedReason, CachedSplitJob


def entry(
    name: str,
    state: LifecycleState = LifecycleState.QUEUED,
    age: int = 0,
    priority: int = 0,
    blocked: BlockedReason | None = None,
    needs_bucket: bool = True,
    model: str = "demo",
    ran: int | None = None,
    group: str = "",
    turn: int | None = None,
) -> CachedSplitJob:
    return CachedSplitJob(
        name=name,
        uid=name,
        resource_version="1",
        created_at=NOW - timedelta(seconds=age),
        priority=priority,
        state=state,
        model=model,
        started_at=None if ran is None else NOW - timedelta(seconds=ran),
        blocked=blocked,
        needs_bucket=needs_bucket,
        group=group,
        turn_at=None if turn is None else NOW - timedelta(seconds=turn),
    )


entries = st.lists(
    st.builds(
        entry,
        st.uuids().map(str),
        st.sampled_from(LifecycleState),
        st.integers(0, 100),
        st.integers(-100, 100),
        st.none() | st.sampled_from(BlockedReason),
        st.booleans(),
        group=st.sampled_from(["", "ana", "ben"]),
        turn=st.none() | st.integers(0, 100),
    ).filter(lambda e: e.needs_bucket or e.blocked is not BlockedReason.STORAGE),
    max_size=30,
    unique_by=lambda e: e.name,
)
