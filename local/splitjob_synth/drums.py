"""Drum sounds.

A recipe draws a drum from a random generator and returns it as a stereo one-shot. The two
families of songs share no recipe.
"""

from collections.abc import Callable

import numpy as np

from splitjob_synth.signal import (
    SAMPLERATE,
    Signal,
    add_at,
    bandpass,
    decay,
    highpass,
    lowpass,
    noise,
    pan,
    phase_of,
    sine,
)

Drum = Callable[[np.random.Generator], Signal]


def _length(seconds: float) -> int:
    return int(seconds * SAMPLERATE)


def _sweep(n: int, high: float, low: float, seconds: float) -> Signal:
    """A sine that falls from one frequency to another."""
    return sine(phase_of(low + (high - low) * decay(n, seconds * 3), n))


# ---- kicks ------------------------------------------------------------------------------------


def round_kick(rng: np.random.Generator) -> Signal:
    """Falling sine with a short click."""
    n = _length(0.5)
    body = _sweep(n, rng.uniform(120, 350), rng.uniform(40, 65), rng.uniform(0.03, 0.08))
    body *= decay(n, rng.uniform(0.25, 0.5))
    click = highpass(noise(rng, n), 1_500) * decay(n, 0.02) * np.float32(rng.uniform(0, 0.3))
    return pan(body + click, 0.0)


def long_kick(rng: np.random.Generator) -> Signal:
    """The long boom of a drum machine."""
    n = _length(0.9)
    body = _sweep(n, rng.uniform(90, 200), rng.uniform(38, 55), 0.03)
    return pan(np.tanh(body * np.float32(rng.uniform(1, 3))) * decay(n, rng.uniform(0.6, 0.9)), 0.0)


def acoustic_kick(rng: np.random.Generator) -> Signal:
    """Skin and beater: two modes, felt noise."""
    n = _length(0.4)
    base = rng.uniform(55, 80)
    body = sine(phase_of(base, n)) * decay(n, 0.35) + 0.5 * sine(
        phase_of(base * rng.uniform(1.5, 1.9), n)
    ) * decay(n, 0.2)
    beater = bandpass(noise(rng, n), 1_000, rng.uniform(3_000, 6_000)) * decay(n, 0.04)
    return pan(body + np.float32(rng.uniform(0.2, 0.8)) * beater, 0.0)


def any_kick(rng: np.random.Generator) -> Signal:
    """Any kick: two falling modes, a beater of any colour, as much distortion as there is."""
    n = _length(0.8)
    low = rng.uniform(36, 85)
    high = low * np.exp(rng.uniform(np.log(1.2), np.log(12.0)))
    body = _sweep(n, high, low, rng.uniform(0.01, 0.1))
    body *= decay(n, rng.uniform(0.15, 0.9))
    skin = sine(phase_of(low * rng.uniform(1.4, 3.2), n)) * decay(n, rng.uniform(0.05, 0.3))
    floor = float(np.exp(rng.uniform(np.log(200), np.log(4_000))))
    beater = bandpass(noise(rng, n), floor, floor * 3.0) * decay(n, rng.uniform(0.01, 0.08))
    sound = body + np.float32(rng.uniform(0, 0.7)) * skin + np.float32(rng.uniform(0, 1)) * beater
    drive = np.float32(np.exp(rng.uniform(np.log(0.3), np.log(6.0))))
    return pan(np.tanh(drive * sound) / np.tanh(drive), 0.0)


def fm_kick(rng: np.random.Generator) -> Signal:
    """Frequency-modulated thump."""
    n = _length(0.5)
    carrier = phase_of(rng.uniform(45, 60) + 180 * decay(n, 0.12), n)
    modulator = 0.25 * sine(carrier * 2.7) * decay(n, 0.15)
    return pan(sine(carrier + modulator) * decay(n, rng.uniform(0.3, 0.5)), 0.0)


def hard_kick(rng: np.random.Generator) -> Signal:
    """Distorted sweep, as in hard dance music."""
    n = _length(0.45)
    body = _sweep(n, rng.uniform(400, 700), rng.uniform(48, 60), 0.05)
    return pan(np.clip(2.5 * body * decay(n, 0.6), -0.8, 0.8) * decay(n, 0.6), 0.0)


# ---- snares -----------------------------------------------------------------------------------


def snare(rng: np.random.Generator) -> Signal:
    """Tone and wires."""
    n = _length(0.35)
    base = rng.uniform(160, 260)
    tone = (sine(phase_of(base, n)) + 0.6 * sine(phase_of(base * 1.59, n))) * decay(n, 0.18)
    wires = highpass(noise(rng, n), rng.uniform(800, 2_500)) * decay(n, rng.uniform(0.15, 0.35))
    return pan(np.float32(rng.uniform(0.3, 0.9)) * tone + wires, rng.uniform(-0.2, 0.2))


def clap(rng: np.random.Generator) -> Signal:
    """Several hands, a few milliseconds apart."""
    n = _length(0.35)
    out = np.zeros((2, n), dtype=np.float32)
    for _ in range(4):
        start = int(rng.uniform(0, 0.03) * SAMPLERATE)
        hand = bandpass(noise(rng, 2, n), 800, rng.uniform(2_000, 4_500)) * decay(n, 0.12)
        add_at(out, start, hand)
    return out


def rim(rng: np.random.Generator) -> Signal:
    """Stick on the rim: two short high modes."""
    n = _length(0.15)
    base = rng.uniform(400, 900)
    tone = sine(phase_of(base, n)) + sine(phase_of(base * 2.3, n))
    return pan(tone * decay(n, 0.06) + highpass(noise(rng, n), 2_000) * decay(n, 0.03), 0.2)


def ring_snare(rng: np.random.Generator) -> Signal:
    """Noise multiplied by a tone."""
    n = _length(0.35)
    ring = noise(rng, n) * sine(phase_of(rng.uniform(1_200, 2_400), n))
    tone = sine(phase_of(rng.uniform(180, 230), n)) * decay(n, 0.15)
    return pan(1.2 * ring * decay(n, 0.25) + 0.7 * tone, 0.0)


def block_snare(rng: np.random.Generator) -> Signal:
    """A block of noise with a flat envelope, cut off."""
    n = _length(rng.uniform(0.15, 0.25))
    flat = np.linspace(1.0, 0.4, n, dtype=np.float32)
    return bandpass(noise(rng, 2, n), 300, rng.uniform(6_000, 9_000)) * flat


# ---- hats, cymbals, toms, shakers ----------------------------------------------------------------


def noise_hat(rng: np.random.Generator) -> Signal:
    """High noise, short to open."""
    seconds = float(rng.choice([0.05, 0.08, 0.12, 0.4]))
    n = _length(seconds)
    sound = highpass(noise(rng, n), rng.uniform(5_000, 9_000), 3) * decay(n, seconds)
    return pan(sound, rng.uniform(-0.4, 0.4))


def metal_hat(rng: np.random.Generator) -> Signal:
    """Six squares out of tune, high-passed."""
    n = _length(0.15)
    base = rng.uniform(300, 500)
    ratios = (1.0, 1.34, 1.79, 2.32, 2.69, 3.18)
    metal = sum(np.sign(sine(phase_of(base * ratio, n))) for ratio in ratios)
    sound = highpass(np.asarray(metal, dtype=np.float32), 6_500, 3)
    return pan(sound * decay(n, rng.uniform(0.06, 0.15)), rng.uniform(-0.4, 0.4))


def shaker(rng: np.random.Generator) -> Signal:
    """Noise that swells and falls."""
    n = _length(0.12)
    shape = np.sin(np.linspace(0, np.pi, n, dtype=np.float32)) ** 2
    return pan(bandpass(noise(rng, n), 4_000, rng.uniform(8_000, 13_000)) * shape, 0.4)


def fm_hat(rng: np.random.Generator) -> Signal:
    """Frequency modulation deep enough to be noise."""
    n = _length(0.1)
    modulator = 4.0 * sine(phase_of(rng.uniform(3_000, 4_500), n))
    sound = sine(phase_of(rng.uniform(8_000, 10_000), n) + modulator)
    return pan(highpass(sound, 5_000) * decay(n, rng.uniform(0.05, 0.1)), -0.3)


def crushed_hat(rng: np.random.Generator) -> Signal:
    """Noise held for several samples at a time, as cheap samplers do."""
    n = _length(0.12)
    held = np.repeat(noise(rng, n // 3 + 1), 3)[:n]
    return pan(highpass(held, 4_000) * decay(n, 0.1), rng.uniform(-0.3, 0.3))


def crash(rng: np.random.Generator) -> Signal:
    """Wide noise with a long decay."""
    n = _length(1.6)
    return highpass(noise(rng, 2, n), rng.uniform(2_500, 5_000)) * decay(n, rng.uniform(1.0, 1.6))


def gong_crash(rng: np.random.Generator) -> Signal:
    """Forty inharmonic partials."""
    n = _length(1.2)
    out = np.zeros((2, n), dtype=np.float32)
    for hertz in np.exp(rng.uniform(np.log(1_500), np.log(12_000), 40)):
        out += pan(sine(phase_of(float(hertz), n, rng.random())), rng.uniform(-1, 1))
    return out * decay(n, 1.2) * np.float32(0.2)


def tom(rng: np.random.Generator) -> Signal:
    """Falling sine, longer and higher than a kick."""
    n = _length(0.45)
    low = rng.uniform(80, 200)
    body = _sweep(n, low * 1.6, low, 0.08) * decay(n, 0.4)
    skin = lowpass(noise(rng, n), 3_000) * decay(n, 0.05)
    return pan(body + 0.3 * skin, rng.uniform(-0.6, 0.6))


def any_hit(rng: np.random.Generator) -> Signal:
    """Any percussion: a falling tone and a band of noise, in any proportion and of any shape."""
    seconds = float(np.exp(rng.uniform(np.log(0.05), np.log(0.5))))
    n = _length(seconds)
    low = float(np.exp(rng.uniform(np.log(60), np.log(3_000))))
    tone = _sweep(n, low * rng.uniform(1.0, 4.0), low, 0.05) * decay(n, seconds)
    floor = float(np.exp(rng.uniform(np.log(200), np.log(7_000))))
    band = bandpass(noise(rng, 2, n), floor, floor * np.exp(rng.uniform(np.log(1.5), np.log(20.0))))
    shape = decay(n, seconds * rng.uniform(0.3, 1.0)) ** np.float32(
        rng.choice([0.03, 0.15, 0.5, 1.0])
    )
    share = rng.random()
    return np.float32(share) * pan(tone, 0.0) + np.float32(2 * (1 - share)) * band * shape


def any_metal(rng: np.random.Generator) -> Signal:
    """Any short metal or wood: partials anywhere, in tune with nothing, over some noise."""
    return _partials(rng, float(np.exp(rng.uniform(np.log(0.05), np.log(0.4)))))


def any_crash(rng: np.random.Generator) -> Signal:
    """The same, left to ring."""
    return _partials(rng, rng.uniform(0.8, 1.6))


def _partials(rng: np.random.Generator, seconds: float) -> Signal:
    n = _length(seconds)
    low = np.log(rng.uniform(300, 3_000))
    high = low + np.log(rng.uniform(2.0, 8.0))
    out = highpass(noise(rng, 2, n), 2_000) * np.float32(rng.uniform(0.0, 0.5))
    for hertz in np.exp(rng.uniform(low, high, int(rng.integers(2, 24)))):
        partial = sine(phase_of(min(float(hertz), 18_000.0), n, rng.random()))
        out += pan(np.float32(rng.uniform(0.1, 0.5)) * partial, rng.uniform(-0.8, 0.8))
    return out * decay(n, seconds * rng.uniform(0.5, 1.5))


def conga(rng: np.random.Generator) -> Signal:
    """Hand drum: two close modes and a slap."""
    n = _length(0.3)
    low = rng.uniform(180, 330)
    body = sine(phase_of(low, n)) * decay(n, 0.25) + 0.4 * sine(phase_of(low * 1.5, n)) * decay(
        n, 0.12
    )
    return pan(body + 0.4 * bandpass(noise(rng, n), 1_500, 4_000) * decay(n, 0.04), -0.4)
