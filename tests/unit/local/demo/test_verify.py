"""The demo's checks of signatures and stems must be able to fail."""

import numpy as np
import pytest

from splitjob.signing import Signer
from splitjob_local.demo import verify
from splitjob_local.demo.audio import (
    Signal,
    rms_dbfs,
)
from splitjob_local.demo.receiver import Delivery

RATE = 44100


BODY = b'{"jobId":"j"}'


def noise(seed: int, seconds: float = 1.0, level: float = 0.1) -> Signal:
    rng = np.random.default_rng(seed)
    return (level * rng.standard_normal((2, round(RATE * seconds)))).astype(np.float32)


def delivery(token: str = "t", body: bytes = BODY, event: str = "e") -> Delivery:
    headers = Signer([token]).webhook_headers(event, BODY, 1_790_000_000)
    return Delivery("/", {name.lower(): value for name, value in headers.items()}, body)


def test_both_signatures_of_the_service_hold() -> None:
    assert verify.signature_holds(delivery(), "t")
    assert verify.standard_signature_holds(delivery(), "t")


@pytest.mark.parametrize(
    "forged", [delivery(token="u"), delivery(body=b"{}"), Delivery("/", {}, b"")]
)
def test_forged_signatures_do_not_hold(forged: Delivery) -> None:
    assert not verify.signature_holds(forged, "t")
    assert not verify.standard_signature_holds(forged, "t")


def test_the_residual_shows_a_stem_scaled_wrongly() -> None:
    stems = {"a": noise(1), "b": noise(2)}
    mixture = stems["a"] + stems["b"]
    written = {"a": stems["a"] * np.float32(0.5), "b": stems["b"]}
    assert verify.residual_dbfs(mixture, written, {"a": 0.5, "b": 1.0}) < -120 + 1e-6
    wrong = verify.residual_dbfs(mixture, written, {"a": 1.0, "b": 1.0})
    assert wrong == pytest.approx(rms_dbfs(stems["a"] * np.float32(0.5)), abs=0.1)
    assert verify.residuals_agree(-40.2, -40.9)
    assert verify.residuals_agree(-95.0, -120.0)
    assert not verify.residuals_agree(-40.0, -50.0)
