"""A sung voice: glottal source, formant filters, vibrato, glides and consonants.

Source and filter as in Dennis Klatt, "Software for a cascade/parallel formant synthesizer"
(JASA 67, 1980), the parallel branch; the glottal pulse is Rosenberg's (JASA 49, 1971, type C).
"""

from dataclasses import dataclass

import numpy as np
import scipy

from splitjob_synth.palette import Palette
from splitjob_synth.plan import Plan
from splitjob_synth.signal import (
    SAMPLERATE,
    Signal,
    add_at,
    bandpass,
    choose,
    look_up,
    lowpass,
    noise,
    pan,
    phase_of,
    wavetable,
)
from splitjob_synth.vowels import Vowel

_FADE = int(0.03 * SAMPLERATE)


@dataclass(frozen=True)
class Singer:
    """One voice: a vocal tract and its habits."""

    tract: float
    source: Signal
    phases: Signal
    octave: int
    vibrato_rate: float
    vibrato_depth: float
    glide: float
    breath: float
    consonants: float


@dataclass(frozen=True)
class Syllable:
    """A note with a vowel, from sample `start` on."""

    start: int
    length: int
    note: int
    vowel: Vowel


def draw_singer(rng: np.random.Generator, palette: Palette) -> Singer:
    """Draw a voice: long tracts sing low, short ones high."""
    low, high = choose(rng, palette.tracts)
    tract = rng.uniform(low, high)
    spectrum = np.fft.rfft(_rosenberg(rng.uniform(*palette.open_quotients)))[1:257]
    harmonics = np.arange(1, 257)
    tilted = np.abs(spectrum) * harmonics ** rng.uniform(0.5, 1.0)
    return Singer(
        tract=tract,
        source=(tilted / np.sqrt(np.sum(tilted**2))).astype(np.float32),
        phases=np.angle(spectrum).astype(np.float32),
        octave=3 if tract < 1.03 and rng.random() < 0.8 else 4,
        vibrato_rate=rng.uniform(4.5, 6.8),
        vibrato_depth=rng.uniform(0.004, 0.02),
        glide=rng.uniform(0.02, 0.09),
        breath=rng.uniform(0.005, 0.05),
        consonants=rng.uniform(0.05, 0.3),
    )


def _rosenberg(open_quotient: float, size: int = 2048) -> Signal:
    """Derivative of one cycle of Rosenberg's glottal flow."""
    time = np.arange(size) / size
    rise = 0.66 * open_quotient
    opening = 0.5 * (1.0 - np.cos(np.pi * time / rise))
    closing = np.cos(0.5 * np.pi * (time - rise) / (open_quotient - rise))
    flow = np.where(time < rise, opening, np.where(time < open_quotient, closing, 0.0))
    return np.diff(flow, append=flow[0]).astype(np.float32)


def draw_line(
    rng: np.random.Generator, plan: Plan, palette: Palette, octave: int
) -> list[Syllable]:
    """A melody: phrases of two bars, a walk along the scale that returns to chord tones."""
    line: list[Syllable] = []
    vowels = palette.vowels(rng)
    steps = plan.beats_per_bar * 4
    degree = int(rng.choice([0, 2, 4, 7]))
    lengths = choose(rng, ((2, 2, 4), (2, 4, 4, 8), (4, 8, 12), (1, 2, 3)))
    for bar in range(plan.bars):
        if not plan.plays("vocals", bar):
            continue
        step = int(rng.integers(0, 5)) if bar % 2 == 0 else 0
        end = steps if bar % 2 == 0 else steps - int(rng.integers(0, 7))
        while step < end:
            length = min(int(rng.choice(lengths)), end - step)
            if rng.random() < 0.25:
                degree = plan.root(bar) + int(rng.choice([0, 2, 4]))
            degree = int(np.clip(degree + rng.choice([-2, -1, -1, 0, 1, 1, 2]), -3, 9))
            start, stop = plan.step(bar, step), plan.step(bar, step + length)
            vowel = choose(rng, vowels)
            line.append(Syllable(start, stop - start, plan.note(degree, octave), vowel))
            step += length
    return line


def sing(line: list[Syllable], samples: int, singer: Singer, rng: np.random.Generator) -> Signal:
    """Sing a line.

    Args:
        line: the syllables, in order.
        samples: length of the result.
        singer: the voice.
        rng: where noise and consonants come from.

    Returns:
        A stereo signal, the voice in the middle.
    """
    track = np.zeros((2, samples), dtype=np.float32)
    if not line:
        return track
    frequency = _contour(line, samples, singer, rng)
    table = wavetable(singer.source, singer.phases, float(frequency.max()))
    source = look_up(table, phase_of(frequency, samples))
    source += np.float32(singer.breath) * noise(rng, samples) * (1.0 + source)
    for syllable in line:
        piece = source[syllable.start : syllable.start + syllable.length + _FADE]
        if len(piece) > 4 * _FADE:
            voiced = _vowel(piece, syllable.vowel, singer.tract) * _swell(len(piece), rng)
            add_at(track, syllable.start, pan(voiced, 0.0))
        if rng.random() < 0.7:
            _consonant(track, syllable.start, singer.consonants, rng)
    return track


def _contour(
    line: list[Syllable], samples: int, singer: Singer, rng: np.random.Generator
) -> np.ndarray:
    """Fundamental frequency in Hz per sample: notes joined by glides, vibrato, slow drift."""
    pitch = np.full(samples, float(line[0].note))
    for syllable in line:
        pitch[syllable.start :] = syllable.note
    pole = np.exp(-1.0 / (singer.glide * SAMPLERATE))
    pitch = scipy.signal.lfilter([1.0 - pole], [1.0, -pole], pitch, zi=[pole * pitch[0]])[0]
    time = np.arange(samples) / SAMPLERATE
    depth = 12.0 * np.log2(1.0 + singer.vibrato_depth)
    slow = 0.5 + 0.5 * np.sin(2.0 * np.pi * 0.37 * time + rng.uniform(0, 6))
    pitch += depth * slow * np.sin(2.0 * np.pi * singer.vibrato_rate * time)
    knots = rng.standard_normal(samples // 2_000 + 2) * 0.06
    pitch += np.interp(np.arange(samples), np.arange(len(knots)) * 2_000, knots)
    return np.asarray(440.0 * 2.0 ** ((pitch - 69.0) / 12.0))


def _vowel(source: Signal, vowel: Vowel, tract: float) -> Signal:
    """Parallel resonators, neighbours in opposite phase."""
    out = np.zeros_like(source)
    for index, (hertz, level) in enumerate(zip(vowel.formants, vowel.levels, strict=True)):
        centre = hertz * tract
        radius = np.exp(-np.pi * (60.0 + 0.05 * centre) / SAMPLERATE)
        angle = 2.0 * np.pi * centre / SAMPLERATE
        a = [1.0, -2.0 * radius * np.cos(angle), radius**2]
        gain = (1.0 - radius) * 10.0 ** (level / 20.0) * (-1.0) ** index * 4.0
        out += np.asarray(scipy.signal.lfilter([gain, 0.0, -gain], a, source), dtype=np.float32)
    return out


def _swell(n: int, rng: np.random.Generator) -> Signal:
    """Loudness of a syllable: short fades, a slight rise or fall between."""
    ramp = np.ones(n, dtype=np.float32)
    ramp[:_FADE] = np.linspace(0, 1, _FADE)
    ramp[-_FADE:] = np.linspace(1, 0, _FADE)
    return ramp * np.linspace(rng.uniform(0.6, 1), rng.uniform(0.6, 1), n, dtype=np.float32)


def _consonant(track: Signal, start: int, level: float, rng: np.random.Generator) -> None:
    """A fricative, a plosive or a nasal before a vowel."""
    kind = rng.integers(3)
    seconds = (rng.uniform(0.05, 0.12), rng.uniform(0.01, 0.03), rng.uniform(0.04, 0.08))[kind]
    n = int(seconds * SAMPLERATE)
    shape = np.sin(np.linspace(0, np.pi, n, dtype=np.float32))
    if kind == 0:
        low = rng.uniform(2_500, 6_000)
        sound = bandpass(noise(rng, n), low, low * 1.8)
    elif kind == 1:
        sound = bandpass(noise(rng, n), 800, rng.uniform(2_500, 5_000))
    else:
        sound = lowpass(noise(rng, n), 400) * np.float32(0.5)
    add_at(track, max(start - n // 2, 0), pan(sound * shape, 0.0), level)


def play_voice(plan: Plan, palette: Palette, rng: np.random.Generator) -> Signal:
    """The voice part of a song, before effects; sometimes doubled or with a second voice."""
    singer = draw_singer(rng, palette)
    line = draw_line(rng, plan, palette, singer.octave)
    track = sing(line, plan.samples, singer, rng)
    if rng.random() < 0.3:
        for side in (-0.7, 0.7):
            double = sing(line, plan.samples, singer, rng)
            track += np.float32(0.4) * pan(double.mean(axis=0), side)
    return track
