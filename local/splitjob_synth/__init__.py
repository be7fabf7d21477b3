"""A synthesiser of songs with known stems.

The demo plays one, the demo model was trained on them, and tests measure with them.
"""

from splitjob_synth.palette import Family
from splitjob_synth.plan import STEMS
from splitjob_synth.signal import SAMPLERATE
from splitjob_synth.song import render_song

__all__ = ["SAMPLERATE", "STEMS", "Family", "render_song"]
