"""The files from POST /uploads in the bucket: listed, and deleted."""

from collections.abc import Callable, Sequence
from typing import Self

from splitjob.inputs import Inputs
from splitjob_io.storage import BRIEF, S3Service, StorageError
from splitjob_operator.core.inputs import StoredInput
from splitjob_operator.core.lookups import InputDeletion
from splitjob_operator.core.ports import BucketError
from splitjob_operator.core.settings import Settings

__all__ = ["InputStore"]


class InputStore:
    """The files that callers have sent to an installation.

    Args:
        service: the bucket.
        inputs: where in it they are.
        fence: called before each deletion; raises where this process may delete nothing.
    """

    def __init__(
        self, service: S3Service, inputs: Inputs, fence: Callable[[], None] = lambda: None
    ) -> None:
        self._service = service
        self._inputs = inputs
        self._fence = fence

    @classmethod
    def from_settings(cls, settings: Settings, fence: Callable[[], None]) -> Self | None:
        """Return the store of an installation; None where no bucket is configured.

        Args:
            settings: the installation's.
            fence: called before each deletion; raises where this process may delete nothing.

        Raises:
            BucketError: the storage cannot be used as it is configured.
        """
        inputs = settings.inputs()
        if inputs is None:
            return None
        try:
            return cls(S3Service(patience=BRIEF), inputs, fence)
        except StorageError as error:
            raise BucketError(str(error)) from error

    def delete(self, key: str) -> InputDeletion:
        """Delete one file; that it could not be deleted is a result."""
        self._fence()
        try:
            self._service.delete_file(key)
        except StorageError as error:
            return InputDeletion(done=False, message=str(error))
        return InputDeletion(done=True)

    def page(self, after: str) -> tuple[list[StoredInput], str]:
        """Return some of the files, and the last key that was looked at: the next page's `after`.

        Args:
            after: blank: from the first one on.

        Returns:
            The files; and a blank key where there are no more.

        Raises:
            BucketError: they could not be listed.
        """
        try:
            found = self._service.list_page(self._inputs.folder, after)
        except StorageError as error:
            raise BucketError(str(error)) from error
        files = [
            StoredInput(one["key"], self._inputs.url_of(one["key"]), one["last_modified"])
            for one in found
            if self._inputs.holds(one["key"])
        ]
        return files, found[-1]["key"] if found else ""

    def delete_all(self, keys: Sequence[str]) -> None:
        """Delete files; those that are not there count as deleted.

        Raises:
            BucketError: not all could be deleted.
        """
        self._fence()
        try:
            self._service.delete_objects(keys)
        except StorageError as error:
            raise BucketError(str(error)) from error
