"""How stems are encoded: bit rates, sample rates, media types."""

from typing import get_args

import pytest

from splitjob.resource import Format
from splitjob_worker.stems.encoding import CONTENT_TYPES, OPUS_RATE, Encoding


def test_every_format_has_a_media_type() -> None:
    assert set(CONTENT_TYPES) == set(get_args(Format))
    assert Encoding("m4a").content_type == "audio/mp4"


def test_only_float_wav_holds_samples_above_full_scale() -> None:
    assert not Encoding("wav", bit_depth=32).bounded
    assert all(one.bounded for one in (Encoding("wav"), Encoding("flac"), Encoding("opus")))


def test_the_bit_rate_is_the_one_asked_for_or_the_formats_own() -> None:
    assert Encoding("mp3", bitrate_kbps=128).bitrate == 128
    assert Encoding("mp3").bitrate == 320
    assert Encoding("flac").bitrate == 0


def test_files_have_the_models_rate_but_opus_its_own() -> None:
    assert Encoding("wav").rate(44_100) == 44_100
    assert Encoding("wav", sample_rate=96_000).rate(44_100) == 96_000
    assert Encoding("opus").rate(44_100) == OPUS_RATE


def test_a_rate_that_the_format_does_not_have_is_refused() -> None:
    with pytest.raises(ValueError, match="mp3"):
        Encoding("mp3", sample_rate=96_000).rate(44_100)
