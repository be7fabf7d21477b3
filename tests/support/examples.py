"""How many examples hypothesis tries: more or fewer in proportion, for all tests at once."""

import os


def examples(count: int) -> int:
    """Return a number of examples, times TEST_EXAMPLES (1 unless the Makefile says otherwise)."""
    return max(1, round(count * float(os.environ.get("TEST_EXAMPLES", "1"))))
