"""A synthesiser of songs with known stems.

The demo plays one, the demo model was trained on them, and tests measure with them.
"""

from splitjob_local.synthesiser.palette import Family
from splitjob_local.synthesiser.plan import STEMS
from splitjob_local.synthesiser.signal import SAMPLERATE
from splitjob_local.synthesiser.song import render_song

__all__ = ["SAMPLERATE", "STEMS", "Family", "render_song"]
