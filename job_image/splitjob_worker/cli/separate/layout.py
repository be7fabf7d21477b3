"""Where the files go: by Demucs' names, only when complete, and with nothing left behind.

Everything is written into a hidden folder beside the output, on the same file system, and each
finished file is renamed into its place.
"""

import errno
import os
import shutil
import stat
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self


class LayoutError(ValueError):
    """The names asked for cannot be used; the message says why and what to do."""


class Layout:
    """The names of the files, below the output folder.

    Args:
        folder: in the output folder, named after the model.
        template: with `{track}`, `{trackext}`, `{stem}`, `{ext}`, as `demucs --filename` has it.
        extension: of the format.
    """

    def __init__(self, folder: Path, template: str, extension: str) -> None:
        self.folder = folder
        self._template = template
        self._extension = extension

    def path(self, track: Path, stem: str) -> Path:
        """Return where a stem of a song goes.

        Raises:
            LayoutError: outside the output folder, for a song called `...mp3`, say.
        """
        name, _, extension = track.name.rpartition(".")
        relative = self._template.format(
            track=name if "." in track.name else track.name,
            trackext=extension,
            stem=stem,
            ext=self._extension,
        )
        path = Path(os.path.normpath(self.folder / relative))
        if not path.is_relative_to(self.folder) or path == self.folder:
            raise LayoutError(
                f"the stems of {track} would be written to {path}, outside {self.folder}: give "
                "the file another name, or another --filename"
            )
        return path

    def check(self, tracks: Sequence[Path], stems: Sequence[str]) -> None:
        """Refuse names that two songs would share, or that are a song's own.

        Args:
            tracks: the songs.
            stems: of each.

        Raises:
            LayoutError: the message names both songs.
        """
        songs = {os.path.realpath(track) for track in tracks}
        taken: dict[Path, Path] = {}
        for track in tracks:
            places = [self.path(track, stem) for stem in stems]
            for place in places:
                if place in taken:
                    raise LayoutError(
                        f"{taken[place]} and {track} would be written to the same files, {place} "
                        'for one: rename one, or take --filename "{track}.{trackext}/{stem}.{ext}",'
                        " or separate them with different -o"
                    )
                taken[place] = track
                if os.path.realpath(place) in songs:
                    raise LayoutError(
                        f"{place} is a song to be separated, and a stem of {track} would be "
                        "written over it: take another -o or --filename"
                    )


class Workspace:
    """The hidden folder of one run, and the folders that the run had to make.

    A context manager: at its end, the hidden folder and those of the folders made that are empty
    are deleted.

    Args:
        folder: where the results go; made with its parents where it is not there.

    Raises:
        OSError: it cannot be made, or not be written.
    """

    def __init__(self, folder: Path) -> None:
        self._made: list[Path] = []
        try:
            self._make(folder)
            self.hidden = Path(tempfile.mkdtemp(prefix=".separate-", dir=folder))
        except OSError:
            self._remove_empty()
            raise

    def prepare(self, places: Iterable[Path]) -> None:
        """Make the folders of the places, and check that a file can be renamed into each.

        Raises:
            OSError: a place cannot be written: it is a folder, say, or its name is too long.
        """
        for place in places:
            self._make(place.parent)
            with suppress(FileNotFoundError):
                if stat.S_ISDIR(place.stat().st_mode):
                    raise IsADirectoryError(errno.EISDIR, "a folder is in the way", str(place))
            if not os.access(place.parent, os.W_OK | os.X_OK):
                raise PermissionError(
                    errno.EACCES, "the folder cannot be written", str(place.parent)
                )

    def publish(self, files: Mapping[Path, Path]) -> None:
        """Rename finished files into their places, over what was there.

        Args:
            files: from where, to where.

        Raises:
            OSError: a place cannot be written: it is a folder, say.
        """
        self.prepare(files.values())  # all of them, or none
        for source, target in files.items():
            source.replace(target)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        shutil.rmtree(self.hidden, ignore_errors=True)
        self._remove_empty()

    def _make(self, folder: Path) -> None:
        missing = [one for one in (folder, *folder.parents) if not one.exists()]
        for one in reversed(missing):
            one.mkdir(exist_ok=True)
            self._made.append(one)

    def _remove_empty(self) -> None:
        for folder in reversed(self._made):
            with suppress(OSError):
                folder.rmdir()
