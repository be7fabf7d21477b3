"""Files of a bucket in memory, as `splitjob_api.storage_links` opens them."""

from collections.abc import Mapping

from splitjob_api.storage_links import OpenFile, StorageLinksError


class StoredContent(OpenFile):
    """A file that is open.

    Args:
        content: what is read.
        breaks_after: bytes after which the bucket breaks off.
        size: what the bucket says of it, where that is not so.

    Attributes:
        closed: whether it is.
    """

    def __init__(
        self, content: bytes, breaks_after: int | None = None, size: int | None = None
    ) -> None:
        self.size = len(content) if size is None else size
        self.etag = '"0123"'
        self.closed = False
        self._bytes, self._breaks_after, self._at = content, breaks_after, 0

    def read(self, size: int) -> bytes:
        if self._breaks_after is not None and self._at >= self._breaks_after:
            raise StorageLinksError("the storage broke off")
        piece = self._bytes[self._at : self._at + size]
        self._at += len(piece)
        return piece

    def close(self) -> None:
        self.closed = True


class StoredContents:
    """Stands in for `StorageLinks.open`.

    Args:
        contents: by key; other keys have none.

    Attributes:
        opened: what was handed out.
        error: raised in place of an answer.
    """

    def __init__(self, contents: Mapping[str, bytes]) -> None:
        self.contents = dict(contents)
        self.opened: list[StoredContent] = []
        self.error: StorageLinksError | None = None
        self.how: dict[str, int] = {}

    def __call__(self, key: str) -> StoredContent | None:
        if self.error:
            raise self.error
        if key not in self.contents:
            return None
        self.opened.append(StoredContent(self.contents[key], **self.how))
        return self.opened[-1]
