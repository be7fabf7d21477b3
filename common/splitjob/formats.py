"""What each format of a stem can hold: bit depths, bit rates, sample rates."""

_MP3_SAMPLE_RATES = (8_000, 11_025, 12_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000)
_SAMPLE_RATES = {  # of the formats that do not know every rate, Hz; AAC: ISO/IEC 14496-3
    "mp3": _MP3_SAMPLE_RATES,
    "m4a": (*_MP3_SAMPLE_RATES, 64_000, 88_200, 96_000),
}

# MPEG-1 (32 to 48 kHz) and MPEG-2 (16 to 24 kHz) layer III, in kbit/s: ISO/IEC 11172-3, 13818-3;
# below that (MPEG-2.5), LAME goes no higher than 64.
_MP3_RATES = (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320)
_MP3_LOW_RATES = (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160)
_MP3_LOWEST_RATES = _MP3_LOW_RATES[:8]
_BIT_DEPTHS = {"wav": (16, 24, 32), "flac": (16, 24)}
EXACT_BIT_DEPTHS = {"wav": (24, 32), "flac": (24,)}  # that hold every multiple of 2^-23
_BIT_RATES = {"m4a": (16, 512), "opus": (8, 510)}


def sample_rate_problem(form: str, sample_rate: int) -> str | None:
    """Return why a format does not take a sample rate, None where it does.

    Args:
        form: wav, flac, mp3, m4a or opus (which is always resampled to a rate of its own).
        sample_rate: Hz of what is to be encoded.
    """
    rates = _SAMPLE_RATES.get(form, (sample_rate,))
    return None if sample_rate in rates else f"{form} takes {_or(rates)} Hz, not {sample_rate}"


def bit_depth_problem(form: str, bits: int) -> str | None:
    """Return why a format does not take a bit depth, None where it does.

    Args:
        form: wav, flac, mp3, m4a or opus.
        bits: of a sample; 32 is floating point.
    """
    depths = _BIT_DEPTHS.get(form, ())
    if not depths:
        return f"{form} has no bit depth, only a bit rate"
    return None if bits in depths else f"{form} takes {_or(depths)} bits"


def bitrate_problem(form: str, kbps: int, sample_rate: int) -> str | None:
    """Return why a format does not take a bit rate, None where it does.

    Args:
        form: wav, flac, mp3, m4a or opus.
        kbps: kbit/s.
        sample_rate: Hz of the file.
    """
    if form in _BIT_DEPTHS:
        return f"{form} is lossless and has no bit rate, only a bit depth"
    if form == "mp3":
        rates = _mp3_rates(sample_rate)
        return None if kbps in rates else f"mp3 at {sample_rate} Hz takes {_or(rates)} kbit/s"
    low, high = _BIT_RATES[form]
    return None if low <= kbps <= high else f"{form} takes {low} to {high} kbit/s"


def _mp3_rates(sample_rate: int) -> tuple[int, ...]:
    if sample_rate >= 32_000:
        return _MP3_RATES
    return _MP3_LOW_RATES if sample_rate >= 16_000 else _MP3_LOWEST_RATES


def _or(numbers: tuple[int, ...]) -> str:
    *heads, last = map(str, numbers)
    return f"{', '.join(heads)} or {last}"
