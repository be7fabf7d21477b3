"""The choice of the model that separates the demo's song."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from splitjob_local.demo.audio import UnreadableError

BETTER = "htdemucs"


@dataclass(frozen=True)
class Choice:
    """A model and its chart values.

    Attributes:
        name: as in `aiModel`.
        chart_settings: `key=value` for helm.
        words: the reason, for the user.
        folders: of this machine, with its weights; pods must see them.
    """

    name: str
    chart_settings: Sequence[str]
    words: str
    folders: Sequence[Path] = ()


def choose(own_song: bool) -> Choice:
    """Return the model for a song: `htdemucs` for the user's own if MODEL_DIR has its weights.

    Args:
        own_song: whether the song is a file of the user's.

    Raises:
        UnreadableError: MODEL_DIR is a folder that no pod could see.
    """
    if not own_song:
        return Choice(
            "demo",
            (),
            "Model: demo, a small HTDemucs trained on synthesised music alone; this song uses "
            "sounds, keys and tempi that it was not trained on.",
        )
    folder = Path(os.environ.get("MODEL_DIR") or "/nowhere").absolute()
    if (folder / f"{BETTER}.yaml").is_file():
        if folder.is_relative_to("/tmp"):  # noqa: S108 - a path of the user's
            raise UnreadableError(
                "MODEL_DIR lies below /tmp, where every pod has a /tmp of its own"
            )
        return Choice(
            BETTER,
            (f"worker.models.directory={folder}",),
            f"Model: {BETTER}, from MODEL_DIR.",
            (folder,),
        )
    return Choice(
        "demo",
        (),
        "Model: demo, a small HTDemucs trained on synthesised music alone. On real songs its "
        f"quality is limited: for Meta's {BETTER} put its weights into a folder "
        "(track-tree-audio weights fetch) and set MODEL_DIR to it.",
    )
