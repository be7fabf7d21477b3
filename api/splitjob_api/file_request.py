"""The body of `POST /uploads`."""

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel


class FileRequest(BaseModel):
    """A file that is to be sent."""

    model_config = ConfigDict(
        alias_generator=to_camel,
        extra="forbid",
        strict=True,
        hide_input_in_errors=True,
        title="FileRequest",
    )

    filename: str = Field(
        min_length=1,
        max_length=1024,
        description="As you call it. What a key cannot hold of it is left out.",
    )
    size: int = Field(ge=1, description="Bytes: the URL takes as many, no more and no fewer.")
