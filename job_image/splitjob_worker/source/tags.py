"""Which tags of a source are kept: title, artist and the like, as clean text.

Names are FFmpeg's. Values come from strangers: those that are kept are few, short and plain text.
"""

import unicodedata
from collections.abc import Mapping

KEPT = (
    "title", "artist", "album", "album_artist", "composer", "genre", "date", "track", "disc",
)  # fmt: skip
MAX_LENGTH = 256


def cleaned(found: Mapping[str, object]) -> dict[str, str]:
    """Return the tags that are kept, as plain text of at most `MAX_LENGTH` characters.

    Control, format and other invisible characters are dropped; any white space becomes one space.

    Args:
        found: tags by FFmpeg's names, in any case.
    """
    given = {str(name).lower(): str(value) for name, value in found.items()}
    texts = {name: _plain(given[name]) for name in KEPT if name in given}
    return {name: text for name, text in texts.items() if text}


def _plain(text: str) -> str:
    spaced = "".join(" " if one.isspace() or one == "\0" else one for one in text[: 4 * MAX_LENGTH])
    visible = "".join(one for one in spaced if unicodedata.category(one)[0] != "C")
    return " ".join(visible.split())[:MAX_LENGTH].rstrip()
