"""The SplitJob resource, `splitjobs.audio.track-tree.com`, v1alpha1: names, and what models share.

`splitjob.spec` holds what is wanted, `splitjob.status` what became of it. They are the source of
the CustomResourceDefinition (`splitjob.crd` turns them into one), so each description there is what
`kubectl explain splitjob` prints. Numbers are integers or decimal strings, never floats, as the
Kubernetes API conventions ask.
"""

from typing import Literal

from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel

GROUP = "audio.track-tree.com"
VERSION = "v1alpha1"
API_VERSION = f"{GROUP}/{VERSION}"
KIND = "SplitJob"
PLURAL = "splitjobs"
SINGULAR = "splitjob"
SHORT_NAMES = ("splits",)

SECRET_TYPE = f"{GROUP}/source"
LABEL_INTENT = f"{GROUP}/intent"
LABEL_SPLITJOB = f"{GROUP}/splitjob"
LABEL_ATTEMPT = f"{GROUP}/attempt"
ANNOTATION_GENERATION = f"{GROUP}/generation"  # which SplitJob of its intent: 0, 1, ...
ANNOTATION_TRACEPARENT = f"{GROUP}/traceparent"  # where in a trace the job belongs
MAX_NAME_LENGTH = 52  # a Job's name is <name>-<attempt>, its pods' labels must still fit in 63

Format = Literal["wav", "flac", "mp3", "m4a", "opus"]
EventName = Literal["started", "progress", "completed", "failed", "canceled"]


class Model(BaseModel):
    """A part of the resource: camelCase in the cluster, snake_case in Python."""

    model_config = ConfigDict(
        alias_generator=to_camel,
        populate_by_name=True,
        extra="ignore",
        use_enum_values=True,
        hide_input_in_errors=True,  # what a validation error prints must hold no secret
        defer_build=True,  # programs that use a few of these models pay for those few
    )
