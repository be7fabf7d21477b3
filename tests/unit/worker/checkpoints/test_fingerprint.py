"""Only the same separation goes on."""

from dataclasses import replace
from typing import Any

import pytest

from splitjob_worker.checkpoints.fingerprint import fingerprint_of
from splitjob_worker.engine.options import Options
from splitjob_worker.normalisation import Normalisation
from splitjob_worker.source.audio import Decoded

DECODED = Decoded(44100, 44100, 44100, 2, Normalisation(0.01, 0.2))
SAME: dict[str, Any] = {
    "source_digest": "a",
    "decoded": DECODED,
    "model_digest": "b",
    "stems": ("drums", "bass"),
    "options": Options(seed=3),
    "precision": "ieee",
}


def test_the_same_separation_has_the_same_one() -> None:
    again = {**SAME, "stems": ["drums", "bass"], "decoded": replace(DECODED, tags={"title": "x"})}
    assert fingerprint_of(**again) == fingerprint_of(**SAME)


@pytest.mark.parametrize(
    "change",
    [
        {"source_digest": "c"},
        {"decoded": replace(DECODED, frames=44101)},
        {"decoded": replace(DECODED, normalisation=Normalisation(0.01, 0.2000001))},
        {"model_digest": "c"},
        {"stems": ("bass", "drums")},
        {"options": Options(seed=4)},
        {"options": Options(seed=3, shifts=1)},
        {"options": Options(seed=3, overlap=0.5)},
        {"precision": "tf32"},
    ],
)
def test_any_other_separation_has_another_one(change: dict[str, Any]) -> None:
    assert fingerprint_of(**{**SAME, **change}) != fingerprint_of(**SAME)
