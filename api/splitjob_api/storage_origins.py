"""Where a browser may play stems from: the origins that presigned URLs of the bucket can have."""

from urllib.parse import urlsplit


def storage_origins(endpoint: str, region: str, bucket: str) -> list[str]:
    """Return the origins of presigned URLs, as a Content-Security-Policy takes them.

    Args:
        endpoint: of the storage, such as `https://minio.example.com`; blank: AWS.
        region: of AWS.
        bucket: its name; blank: there is none, and so no URL.
    """
    if not bucket:
        return []
    if endpoint:
        parts = urlsplit(endpoint)
        return [f"{parts.scheme}://{parts.netloc}"]
    domain = "amazonaws.com.cn" if region.startswith("cn-") else "amazonaws.com"
    # One name for all regions is used by us-east-1; a bucket with dots in its name is in the path.
    hosts = (f"{bucket}.s3.{region}.{domain}", f"{bucket}.s3.{domain}", f"s3.{region}.{domain}")
    return [f"https://{host}" for host in (*hosts, f"s3.{domain}")]
