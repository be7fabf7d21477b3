"""Songs with known stems, from a seed."""

from collections.abc import Sequence

import numpy as np

from splitjob_synth.effects import Effect
from splitjob_synth.grooves import play_drums
from splitjob_synth.palette import COMMON_EFFECTS, PALETTES, Family, Palette
from splitjob_synth.plan import STEMS, Plan, draw_plan
from splitjob_synth.players import LAYERS, play_bass
from splitjob_synth.signal import SAMPLERATE, Signal, highpass
from splitjob_synth.voice import play_voice

_LOUDNESS = 0.09
"""RMS that a stem is levelled to where it plays, before it is turned up or down a little."""


def render_song(seed: int, seconds: float, family: Family = "train") -> dict[str, Signal]:
    """Compose and play a song.

    Args:
        seed: the same seed gives the same song, bit for bit, on the same numpy and scipy.
        seconds: length of the song.
        family: "train" for what the demo model learns from; "heldout" for songs with keys,
            tempi, timbres and effects that are in none of those.

    Returns:
        The stems drums, bass, other and vocals, each float32 of shape (2, n) at 44,100 Hz. Their
        sum is the mixture; it stays within -1 and 1.

    Raises:
        ValueError: if the length is not positive or the family is unknown.
    """
    if family not in PALETTES:
        raise ValueError(f"unknown family {family!r}: take one of {', '.join(PALETTES)}")
    samples = round(seconds * SAMPLERATE)
    if samples < 1:
        raise ValueError(f"a song of {seconds} seconds has no samples: ask for more")
    palette = PALETTES[family]
    rng = np.random.default_rng([seed, list(PALETTES).index(family)])
    plan = draw_plan(rng, samples, palette)
    stems = {
        "drums": _finish(play_drums(plan, palette.kit, rng), plan, palette, rng, 0.25),
        "bass": _finish(play_bass(plan, palette, rng), plan, palette, rng, 0.15),
        "other": _play_other(plan, palette, rng),
        "vocals": _finish(play_voice(plan, palette, rng), plan, palette, rng, 0.7),
    }
    return _level({name: stems[name] for name in STEMS}, rng)


def _play_other(plan: Plan, palette: Palette, rng: np.random.Generator) -> Signal:
    """Two or three layers, each with its own effects and loudness."""
    chosen = rng.choice(len(LAYERS), size=int(rng.integers(2, 4)), replace=False)
    track = np.zeros((2, plan.samples), dtype=np.float32)
    for layer in chosen:
        part = _finish(LAYERS[layer](plan, palette, rng), plan, palette, rng, 0.4)
        track += part * np.float32(rng.uniform(0.4, 1.0) / max(_active_rms(part), 1e-6))
    return track


def _finish(
    part: Signal, plan: Plan, palette: Palette, rng: np.random.Generator, space: float
) -> Signal:
    """Apply the effects of a part: colour, then those of every part, then space."""
    chain: list[Effect] = _some(palette.colour, 0.15, rng)
    chain += _some(COMMON_EFFECTS, 0.6, rng)
    chain += _some(palette.space, space, rng)
    for effect in chain:
        part = effect(part, rng, plan.beat).astype(np.float32)
    return highpass(part, 25.0)


def _some(effects: Sequence[Effect], odds: float, rng: np.random.Generator) -> list[Effect]:
    return [effect for effect in effects if rng.random() < odds]


def _active_rms(signal: Signal) -> float:
    """RMS over the tenths of a second in which something sounds."""
    block = SAMPLERATE // 10
    padded = np.pad(signal, ((0, 0), (0, -signal.shape[1] % block)))
    power = np.mean(padded.reshape(2, -1, block) ** 2, axis=(0, 2))
    sounding = power[power > 1e-3 * power.max()] if power.max() > 0 else power
    return float(np.sqrt(np.mean(sounding)))


def _level(stems: dict[str, Signal], rng: np.random.Generator) -> dict[str, Signal]:
    """Bring the stems to about the same loudness, and the mixture below full scale."""
    levelled = {}
    for name, stem in stems.items():
        loudness = _LOUDNESS * 10.0 ** (rng.uniform(-3.0, 3.0) / 20.0)
        levelled[name] = stem * np.float32(loudness / max(_active_rms(stem), 1e-6))
    peak = float(np.abs(sum(levelled.values())).max())
    gain = np.float32(min(1.0, 0.98 / max(peak, 1e-6)))
    return {name: (stem * gain).astype(np.float32) for name, stem in levelled.items()}
