"""The CRC-16 of LAME's tag, of streams of any length.

Polynomial x^16 + x^15 + x^2 + 1, bits of a byte from the lowest on, starting at 0 (CRC-16/ARC; in
LAME `CRC_update_lookup`). It is linear: bytes may be folded upon later ones once they are moved
past the zeros between both, which a table does for all states at once.
"""

import functools

import numpy as np
from numpy.typing import NDArray

_POLYNOMIAL = 0xA001  # its bits from the lowest on
_STATES = 1 << 16

States = NDArray[np.uint16]


def update(state: int, data: bytes) -> int:
    """Return the CRC of bytes and of what stood before them.

    Args:
        state: the CRC of what stood before, 0 for nothing.
        data: the next bytes.
    """
    power = max((len(data) - 1).bit_length(), 1)
    # Zeros in front leave a CRC of 0 as it is.
    words = np.frombuffer(data.rjust(1 << power, b"\0"), "<u2")
    while len(words) > 1:
        power -= 1
        earlier, later = np.split(words, 2)
        words = _past_zeros(power).take(earlier) ^ later
    return _moved(state, len(data)) ^ int(_past_zeros(1)[words[0]])


def _moved(state: int, zeros: int) -> int:
    """Return the state after a number of bytes that are zero."""
    for power in range(zeros.bit_length()):
        if zeros >> power & 1:
            state = int(_past_zeros(power)[state])
    return state


@functools.cache
def _past_zeros(power: int) -> States:
    """Return what becomes of each state after 2^power bytes that are zero."""
    if power:
        half = _past_zeros(power - 1)
        return half[half]
    states = np.arange(_STATES)
    for _ in range(8):
        states = states >> 1 ^ _POLYNOMIAL * (states & 1)
    return states.astype(np.uint16)
