"""The models on offer."""

from fastapi import APIRouter
from pydantic import Field

from splitjob_api.deps import ServicesDep
from splitjob_api.job_response import ResponsePart

router = APIRouter(tags=["jobs"])


class ModelResponse(ResponsePart):
    """One model that requests can name."""

    name: str
    stems: list[str]
    sample_rate: int
    license_note: str
    embedded: bool = Field(
        description="Whether its weights come with the service. Those of others are put there by "
        "whoever runs it: a job for one without its weights ends with model_unavailable."
    )


class ModelList(ResponsePart):
    """The models of this installation."""

    models: list[ModelResponse]


@router.get("/models", summary="The models that can be asked for")
async def models(services: ServicesDep) -> ModelList:
    """Answer with each model's stems, sample rate (Hz), licence, as far as known, and weights."""
    return ModelList(
        models=[
            ModelResponse(
                name=record.name,
                stems=list(record.stems),
                sample_rate=record.sample_rate,
                license_note=record.license_note,
                embedded=record.embedded,
            )
            for record in services.policy.registry.values()
        ]
    )
