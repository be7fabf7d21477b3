"""Situations that `reconcile` meets, for the tests of its rooms."""

from dataclasses import replace
from typing import Any

from tests.support.operator_samples import (
    SERVABLE,
    after,
    failed_pod,
    job,
    running_pod,
    seen,
    settings,
    splitjob,
    written,
)

from splitjob import conditions
from splitjob.conditions import ConditionType
from splitjob.spec import Request
from splitjob_operator.core.lookups import (
    ManifestLookup,
    ManifestState,
)
from splitjob_operator.core.observed import Observed, SplitJob
from splitjob_operator.core.plan import (
    Plan,
)
from splitjob_operator.core.reconcile import reconcile

CLAIMED = replace(SERVABLE, claim=ManifestLookup(ManifestState.OUR_TOMBSTONE))
UNREACHABLE = ManifestLookup(ManifestState.UNREACHABLE, message="cannot read s3://stems/x")


def plan_of(observed: Observed, at: float = 0, **changed: Any) -> Plan:
    return reconcile(observed, settings(**changed), after(at))


def started(**arguments: Any) -> SplitJob:
    """A SplitJob whose first attempt has been decided."""
    view = splitjob(**arguments)
    return written(view, plan_of(seen(view)))


def running(**arguments: Any) -> SplitJob:
    view = started(**arguments)
    plan = plan_of(seen(view, jobs=(job(),), pods=(running_pod(),)))
    return written(view, plan)


def canceled(view: SplitJob) -> SplitJob:
    return replace(view, spec=splitjob(spec={"canceled": True}).spec)


def failed(code: str = "source_not_found") -> SplitJob:
    view = running()
    found = seen(view, jobs=(job(),), pods=(failed_pod(code),), lookups=CLAIMED)
    return written(view, plan_of(found, 5))


def reason(plan: Plan, kind: ConditionType) -> tuple[str, str]:
    assert plan.status is not None
    condition = conditions.find(plan.status.conditions, kind)
    assert condition is not None
    return condition.status, condition.reason


def request(**changed: Any) -> Request:
    """What the sample asks for, parts of it changed."""
    spec = splitjob(**changed).spec
    assert spec
    return spec.request
