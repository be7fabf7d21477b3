"""URLs that let their bearer read or write one object for a while."""

from collections.abc import Mapping
from typing import Any

from splitjob_io.storage.bucket import Bucket, content_type_of

__all__ = ["UrlSigner"]


class UrlSigner(Bucket):
    """Signs URLs; the storage is not asked."""

    def generate_presigned_put_url(
        self,
        s3_key: str,
        expires_in: int = 3600,
        content_type: str = "",
        content_length: int | None = None,
        *,
        if_absent: bool = False,
    ) -> str:
        """Return a URL that lets its bearer PUT one object for `expires_in` seconds.

        The PUT must carry `upload_headers` too, where the settings ask for encryption.

        Args:
            s3_key: the object.
            expires_in: seconds; 604800 at most.
            content_type: of the object; signed, so the PUT must say the same.
            content_length: bytes; signed, so that the storage takes no other size. None: any.
            if_absent: sign `If-None-Match: *`, with which nothing that is there is replaced.
        """
        signed: dict[str, Any] = {**content_type_of(content_type)}
        if content_length is not None:
            signed["ContentLength"] = content_length
        if if_absent:
            signed["IfNoneMatch"] = "*"
        return self._presign("put_object", s3_key, expires_in, signed)

    def generate_presigned_get_url(
        self,
        s3_key: str,
        expires_in: int = 3600,
        download_name: str = "",
        *,
        head_only: bool = False,
    ) -> str:
        """Return a URL that lets its bearer GET one object for `expires_in` seconds.

        Args:
            s3_key: the object.
            expires_in: seconds; 604800 at most.
            download_name: the file name a browser shall save it under.
            head_only: sign for HEAD: a signature is good for one method.
        """
        as_file = {"ResponseContentDisposition": f'attachment; filename="{download_name}"'}
        operation = "head_object" if head_only else "get_object"
        return self._presign(operation, s3_key, expires_in, as_file if download_name else {})

    def _presign(
        self, operation: str, s3_key: str, expires_in: int, extra: Mapping[str, Any]
    ) -> str:
        with self._speaking_of("sign a URL for", s3_key):
            url: str = self.client.generate_presigned_url(
                operation,
                Params={"Bucket": self.bucket, "Key": s3_key, **extra},
                ExpiresIn=expires_in,
            )
        return url
