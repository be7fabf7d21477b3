"""Kubernetes quantities (`500m`, `1.5Gi`, `1e9`) as exact numbers.

Source: `resource.Quantity` of k8s.io/apimachinery; digits and exponents are bounded here, so that
no text of a few characters becomes a number of gigabytes.
"""

import re
from decimal import ROUND_CEILING, Decimal

_SUFFIXES = {
    "n": Decimal("1e-9"),
    "u": Decimal("1e-6"),
    "m": Decimal("1e-3"),
    "": Decimal(1),
    "k": Decimal(10) ** 3,
    "M": Decimal(10) ** 6,
    "G": Decimal(10) ** 9,
    "T": Decimal(10) ** 12,
    "P": Decimal(10) ** 15,
    "E": Decimal(10) ** 18,
    "Ki": Decimal(2) ** 10,
    "Mi": Decimal(2) ** 20,
    "Gi": Decimal(2) ** 30,
    "Ti": Decimal(2) ** 40,
    "Pi": Decimal(2) ** 50,
    "Ei": Decimal(2) ** 60,
}
_QUANTITY = re.compile(
    r"(?P<number>[+-]?(?:\d{1,20}(?:\.\d{0,20})?|\.\d{1,20}))"
    r"(?:(?P<exponent>[eE][+-]?\d{1,2})|(?P<suffix>[A-Za-z]{0,2}))",
    re.ASCII,
)


def parse_quantity(text: str | int) -> Decimal:
    """Read a quantity.

    Args:
        text: the quantity, in the notation of the Kubernetes API.

    Returns:
        Its value in the base unit (cores, bytes, pieces).

    Raises:
        ValueError: not a quantity.
    """
    match = _QUANTITY.fullmatch(str(text))
    if match is None or (match["suffix"] or "") not in _SUFFIXES:
        raise ValueError(f"not a quantity: {text!r}")
    number = Decimal(match["number"] + (match["exponent"] or ""))
    return number * _SUFFIXES[match["suffix"] or ""]


def bytes_of(text: str | int) -> int:
    """Return a quantity of memory or storage as a whole number of bytes, rounded up.

    Raises:
        ValueError: not a quantity.
    """
    return ceiling(parse_quantity(text))


def ceiling(value: Decimal) -> int:
    """Return the next whole number: Kubernetes rounds quantities up."""
    return int(value.to_integral_value(rounding=ROUND_CEILING))


def binary_quantity(size: int) -> str:
    """Return a number of bytes in the largest binary unit that divides it, as Kubernetes does."""
    for unit in ("Ei", "Pi", "Ti", "Gi", "Mi", "Ki"):
        if size and size % int(_SUFFIXES[unit]) == 0:
            return f"{size // int(_SUFFIXES[unit])}{unit}"
    return str(size)
