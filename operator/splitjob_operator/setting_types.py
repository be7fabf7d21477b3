"""What a setting may say: the same that the chart's values.schema.json lets through.

What the chart accepts must not end the operator, and what the operator accepts the API server must
take in a Job.
"""

from typing import Annotated

from pydantic import AfterValidator

from splitjob.quantity import bytes_of, ceiling, parse_quantity

__all__ = ["ByteQuantity", "CpuQuantity"]

LEAST_BYTES, MOST_BYTES = 2**20, 2**50
MOST_CORES = 1024


def _bytes(text: str) -> str:
    if not LEAST_BYTES <= bytes_of(text) <= MOST_BYTES:
        raise ValueError(
            f"{text} is not between 1Mi and 1Pi: write the unit, as in 6Gi (m means thousandths)"
        )
    return text


def _cores(text: str) -> str:
    if not 1 <= ceiling(parse_quantity(text) * 1000) <= MOST_CORES * 1000:
        raise ValueError(f"{text} is not between 1m and {MOST_CORES} cores: write 2 or 500m")
    return text


ByteQuantity = Annotated[str, AfterValidator(_bytes)]
CpuQuantity = Annotated[str, AfterValidator(_cores)]
