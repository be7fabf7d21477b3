"""Which models of a bag contribute to the stems asked for, and with which shares."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from splitjob.errors import ErrorCode, Failure
from splitjob_worker.engine.loading import Blueprint, build, read_blueprint
from splitjob_worker.engine.weights import Weights


@dataclass(frozen=True)
class Member:
    """A model of a bag.

    Attributes:
        blueprint: of the model.
        shares: of each row of the model's output, its share in that stem; empty: not needed.
        model: on its device; None: not needed.
    """

    blueprint: Blueprint
    shares: dict[int, float]
    model: Any = None


@dataclass(frozen=True)
class Bag:
    """Models that give stems together: each stem is the weighted mean of the models' outputs.

    Attributes:
        members: all, in the bag's order; those that are not needed are not loaded, but still make
            their random draws.
        stems: of the models, in their order.
        sample_rate: Hz.
        device: that they are on.
    """

    members: tuple[Member, ...]
    stems: tuple[str, ...]
    sample_rate: int
    device: torch.device


def load_bag(weights: Weights, device: torch.device, wanted: Sequence[str] | None = None) -> Bag:
    """Load the models that contribute to the stems asked for.

    Args:
        weights: found and checked.
        device: where the models go.
        wanted: stems; None: all.

    Raises:
        Failure: `model_unavailable`: a file is not what the registry says it is.
    """
    record = weights.record
    blueprints = [
        read_blueprint(path, record.architecture, weights.segment) for path in weights.paths
    ]
    for blueprint in blueprints:
        if (blueprint.stems, blueprint.sample_rate) != (record.stems, record.sample_rate):
            raise _unavailable(
                f"the registry's record of {record.name} does not fit its weights: "
                f"{blueprint.path} gives {', '.join(blueprint.stems)} at "
                f"{blueprint.sample_rate} Hz"
            )
    rows = [record.stems.index(name) for name in wanted or record.stems]
    shares = shares_of(weights.bag_weights, len(blueprints), len(record.stems), rows)
    return Bag(
        tuple(
            Member(blueprint, share, build(blueprint, device) if share else None)
            for blueprint, share in zip(blueprints, shares, strict=True)
        ),
        record.stems,
        record.sample_rate,
        device,
    )


def shares_of(
    weights: list[list[float]] | None, models: int, stems: int, rows: Sequence[int]
) -> list[dict[int, float]]:
    """Return what each model contributes to each of the stems asked for.

    Args:
        weights: a row for each model, a column for each stem; None: all the same.
        models: how many.
        stems: how many.
        rows: the stems asked for.

    Returns:
        For each model, the share of each row, in the order of its rows.

    Raises:
        Failure: `model_unavailable`: the weights are of another shape, or a stem has none.
    """
    table = weights or [[1.0] * stems for _ in range(models)]
    if len(table) != models or any(len(row) != stems for row in table):
        raise _unavailable(
            f"the bag's weights must be {models} rows of {stems}: one for each model and stem"
        )
    totals = [sum(row[stem] for row in table) for stem in range(stems)]
    if any(totals[stem] == 0 for stem in rows):
        raise _unavailable("the bag's weights of a stem add up to nothing")
    return [{stem: row[stem] / totals[stem] for stem in sorted(rows) if row[stem]} for row in table]


def _unavailable(message: str) -> Failure:
    return Failure(ErrorCode.MODEL_UNAVAILABLE, message)
