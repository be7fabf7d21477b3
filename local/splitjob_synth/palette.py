"""What the two families of songs may use.

`train` is what the demo model learns from, `heldout` is what it is measured on: no drum, timbre,
voice or key is in both, and of the effects only those that every recording has (equalisation,
compression, width). The recipes called `any_…` draw widely rather than imitate something: about
half of what `train` plays, so that the model learns what a stem is rather than what it was shown.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from splitjob_synth import basses, drums, effects, instruments
from splitjob_synth.drums import Drum
from splitjob_synth.effects import Effect
from splitjob_synth.timbres import Recipe
from splitjob_synth.vowels import Vowels, any_vowels, heldout_vowels

Family = Literal["train", "heldout"]


@dataclass(frozen=True)
class Palette:
    """Keys, tempi, recipes and effects of a family.

    Attributes:
        tonics: pitch classes, 0 is C.
        tempi: ranges, in beats per minute.
        kit: recipes for every part of the drum kit.
        bass: recipes for the bass.
        sustained: recipes for chords that are held.
        struck: recipes for broken or repeated chords.
        lead: recipes for melodies.
        vowels: draws a singer's vowels.
        tracts: shortest and longest vocal tract, as a factor on the formants.
        open_quotients: range of the share of a glottal cycle that is open.
        space: reverberations and echoes.
        colour: other effects.
    """

    tonics: Sequence[int]
    tempi: Sequence[tuple[float, float]]
    kit: Mapping[str, Sequence[Drum]]
    bass: Sequence[Recipe]
    sustained: Sequence[Recipe]
    struck: Sequence[Recipe]
    lead: Sequence[Recipe]
    vowels: Vowels
    tracts: Sequence[tuple[float, float]]
    open_quotients: tuple[float, float]
    space: Sequence[Effect]
    colour: Sequence[Effect]


COMMON_EFFECTS: Sequence[Effect] = (effects.equalise, effects.compress, effects.width)
"""What every recording has: both families use them."""

_TRAIN = Palette(
    tonics=(0, 2, 3, 5, 7, 8, 9, 10),
    tempi=((75.0, 138.0), (161.0, 185.0)),
    kit={
        "kick": (drums.round_kick, drums.long_kick, drums.acoustic_kick, *3 * [drums.any_kick]),
        "snare": (
            drums.snare,
            drums.clap,
            drums.rim,
            *3 * [drums.any_hit],
            drums.any_metal,
        ),
        "hat": (
            drums.noise_hat,
            drums.metal_hat,
            drums.shaker,
            *2 * [drums.any_hit],
            *2 * [drums.any_metal],
        ),
        "extra": (
            drums.tom,
            drums.shaker,
            drums.rim,
            drums.noise_hat,
            *4 * [drums.any_hit],
            drums.any_metal,
        ),
        "crash": (drums.crash, drums.any_crash),
    },
    bass=(
        basses.saw_bass,
        basses.square_bass,
        basses.sub_bass,
        basses.finger_bass,
        *4 * [basses.any_bass],
        # A bass may have any timbre, as long as it plays low.
        *2 * [instruments.plucked_string],
        *2 * [instruments.any_mallet],
        instruments.any_pad,
        instruments.electric_piano,
        instruments.piano,
    ),
    sustained=(
        instruments.saw_pad,
        instruments.organ,
        instruments.strings,
        *3 * [instruments.any_pad],
    ),
    struck=(
        instruments.electric_piano,
        instruments.plucked_string,
        instruments.piano,
        instruments.organ,
        *4 * [instruments.any_mallet],
    ),
    lead=(
        instruments.square_lead,
        instruments.flute,
        instruments.bell,
        instruments.plucked_string,
        *2 * [instruments.any_pad],
        *2 * [instruments.any_mallet],
    ),
    vowels=any_vowels,
    tracts=((0.88, 1.0), (1.06, 1.2)),
    open_quotients=(0.4, 0.62),
    space=(effects.hall, effects.echo),
    colour=(effects.chorus, effects.overdrive, effects.tremolo, effects.telephone),
)

_HELDOUT = Palette(
    tonics=(1, 4, 6, 11),
    tempi=((139.0, 160.0),),
    kit={
        "kick": (drums.fm_kick, drums.hard_kick),
        "snare": (drums.ring_snare, drums.block_snare),
        "hat": (drums.fm_hat, drums.crushed_hat),
        "extra": (drums.conga, drums.crushed_hat),
        "crash": (drums.gong_crash,),
    },
    bass=(basses.fm_bass, basses.triangle_bass, basses.slap_bass),
    sustained=(instruments.pulse_pad, instruments.brass),
    struck=(instruments.marimba, instruments.clavinet),
    lead=(instruments.harmonic_lead, instruments.brass),
    vowels=heldout_vowels,
    tracts=((1.01, 1.05),),
    open_quotients=(0.64, 0.72),
    space=(effects.plate, effects.gated, effects.ping_pong),
    colour=(effects.flanger, effects.fold, effects.auto_pan, effects.crush),
)

PALETTES: Mapping[Family, Palette] = {"train": _TRAIN, "heldout": _HELDOUT}
"""The palette of each family."""
