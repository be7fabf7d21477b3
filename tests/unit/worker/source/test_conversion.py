"""Channels mixed to stereo."""

import numpy as np
import pytest

from splitjob_worker.source.conversion import COEFFICIENTS, mixing_matrix


def test_mono_is_copied() -> None:
    assert mixing_matrix(["FC"]).tolist() == [[1.0, 1.0]]


def test_stereo_is_left_alone() -> None:
    assert np.array_equal(mixing_matrix(["FL", "FR"]), np.eye(2))
    assert np.array_equal(mixing_matrix(["?", "?"]), np.eye(2))


def test_surround_keeps_its_centre_and_drops_its_low_frequencies() -> None:
    """Acceptance 32."""
    matrix = mixing_matrix(["FL", "FR", "FC", "LFE", "BL", "BR"])
    assert matrix == pytest.approx(
        np.array([[1, 0], [0, 1], [0.7071, 0.7071], [0, 0], [0.7071, 0], [0, 0.7071]]), abs=1e-4
    )


def test_left_and_right_mirror_each_other() -> None:
    for name, (left, right) in COEFFICIENTS.items():
        mirrored = name.translate(str.maketrans("LR", "RL")) if not name.startswith("LFE") else name
        assert COEFFICIENTS[mirrored] == (right, left)


def test_up_to_eight_channels_without_names_are_what_they_usually_are() -> None:
    named = mixing_matrix(["FL", "FR", "FC", "LFE", "BL", "BR"])
    assert np.array_equal(mixing_matrix(["NONE"] * 6), named)
    assert [len(mixing_matrix(["NONE"] * count)) for count in range(3, 9)] == list(range(3, 9))


@pytest.mark.parametrize("count", [9, 16, 31, 32])
def test_channels_without_names_go_left_and_right_in_turn(count: int) -> None:
    matrix = mixing_matrix(["UNK"] * count)
    assert matrix.sum(axis=0) == pytest.approx([1.0, 1.0])
    assert (matrix[0::2, 1] == 0).all()
    assert (matrix[1::2, 0] == 0).all()
