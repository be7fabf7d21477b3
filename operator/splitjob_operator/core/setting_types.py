"""What a setting may say: the same that the chart's values.schema.json lets through.

What the chart accepts must not end the operator, and what the operator accepts the API server must
take in a Job. Sources: the Kubernetes API's rules for names, labels and quantities; those of S3 for
buckets and regions; github.com/distribution/reference for images.
"""

from typing import Annotated

from pydantic import AfterValidator, Field

from splitjob.quantity import bytes_of, ceiling, parse_quantity
from splitjob.spec import MODEL_PATTERN
from splitjob.storage_settings import STORAGE_PREFIX_PATTERN

__all__ = [
    "AnnotationKey",
    "BucketName",
    "ByteQuantity",
    "CpuQuantity",
    "CudaDevices",
    "ExtendedResource",
    "ImageReference",
    "LabelKey",
    "LabelValue",
    "ModelDirectory",
    "ModelName",
    "ObjectName",
    "OptionalName",
    "Region",
    "StoragePrefix",
]

LEAST_BYTES, MOST_BYTES = 2**20, 2**50
MOST_CORES = 1024

_LABEL = "[a-z0-9]([-a-z0-9]*[a-z0-9])?"
_SUBDOMAIN = rf"{_LABEL}(\.{_LABEL})*"
_NAME_PART = "[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?"
_HOST_LABEL = "[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_HOST = rf"({_HOST_LABEL}(\.{_HOST_LABEL})*|\[[0-9a-fA-F:.]+\])(:[0-9]{{1,5}})?"
_COMPONENT = r"[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*"
_IMAGE = rf"({_HOST}/)?{_COMPONENT}(/{_COMPONENT})*"
_DEVICE = "([0-9]{1,2}|GPU-[0-9a-fA-F-]{1,36}|MIG-[0-9A-Za-z/-]{1,64})"


def _bytes(text: str) -> str:
    if not LEAST_BYTES <= bytes_of(text) <= MOST_BYTES:
        raise ValueError(
            f"{text} is not between 1Mi and 1Pi: write the unit, as in 6Gi (m means thousandths)"
        )
    return text


def _cores(text: str) -> str:
    if not 1 <= ceiling(parse_quantity(text) * 1000) <= MOST_CORES * 1000:
        raise ValueError(f"{text} is not between 1m and {MOST_CORES} cores: write 2 or 500m")
    return text


def _extended(text: str) -> str:
    domain = text.partition("/")[0]
    if domain.startswith(("requests.", "limits.")):
        raise ValueError(f"{text} is how quotas are spelled: leave requests. or limits. out")
    of_kubernetes = domain == "kubernetes.io" or domain.endswith(".kubernetes.io")
    if of_kubernetes or domain.startswith("hugepages-"):
        raise ValueError(f"{text} is no extended resource: those are such as nvidia.com/gpu")
    return text


def _bucket(text: str) -> str:
    if text.replace(".", "").isdigit() and text.count(".") == 3:
        raise ValueError("a bucket cannot be called like an address")
    if text and len(text) < 3:
        raise ValueError("a bucket's name has at least 3 characters")
    return text


def _model_directory(text: str) -> str:
    if text in {"/tmp", "/run", "/etc"} or text.split("/")[1:2] in _TAKEN:  # noqa: S108 - no file
        raise ValueError(f"{text} is used otherwise: mount the weights at a folder such as /models")
    return text


_TAKEN = (["scratch"], ["dev"], ["proc"], ["sys"])

ByteQuantity = Annotated[str, AfterValidator(_bytes)]
CpuQuantity = Annotated[str, AfterValidator(_cores)]
ObjectName = Annotated[str, Field(pattern=f"^{_SUBDOMAIN}$", max_length=253)]
OptionalName = Annotated[str, Field(pattern=f"^({_SUBDOMAIN})?$", max_length=253)]
LabelKey = Annotated[str, Field(pattern=f"^({_SUBDOMAIN}/)?{_NAME_PART}$", max_length=317)]
LabelValue = Annotated[str, Field(pattern=f"^({_NAME_PART})?$", max_length=63)]
AnnotationKey = Annotated[
    str,
    Field(pattern=f"^({_SUBDOMAIN.replace('a-z', 'A-Za-z')}/)?{_NAME_PART}$", max_length=317),
]
ExtendedResource = Annotated[
    str, Field(pattern=f"^{_SUBDOMAIN}/{_NAME_PART}$", max_length=317), AfterValidator(_extended)
]
BucketName = Annotated[
    str, Field(pattern=f"^({_SUBDOMAIN})?$", max_length=63), AfterValidator(_bucket)
]
Region = Annotated[str, Field(pattern="^[A-Za-z]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?$")]
StoragePrefix = Annotated[str, Field(pattern=STORAGE_PREFIX_PATTERN, max_length=256)]
ImageReference = Annotated[
    str,
    Field(
        pattern=f"^{_IMAGE}(:[A-Za-z0-9_][A-Za-z0-9_.-]{{0,127}})?(@sha256:[0-9a-f]{{64}})?$",
        max_length=1024,
    ),
]
ModelDirectory = Annotated[
    str,
    Field(pattern=r"^(/\.?[A-Za-z0-9_~@+-][A-Za-z0-9_.~@+-]*)*$", max_length=256),
    AfterValidator(_model_directory),
]
ModelName = Annotated[str, Field(pattern=MODEL_PATTERN)]
CudaDevices = Annotated[str, Field(pattern=f"^({_DEVICE}(,{_DEVICE})*)?$", max_length=1024)]
