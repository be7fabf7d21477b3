"""What a look at the whole namespace keeps of each object."""

from tests.support.operator_samples import (
    NOW,
    stamp,
)

from splitjob_operator.runtime.resync import _secret


def test_of_a_secret_only_its_metadata_is_kept() -> None:
    raw = {
        "metadata": {"name": "s", "uid": "u", "creationTimestamp": stamp(NOW)},
        "data": {"source": "c2VjcmV0"},
    }
    assert _secret(raw) == ("s", "u", NOW, False)
