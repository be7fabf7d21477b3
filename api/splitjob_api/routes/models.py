"""The models on offer."""

from fastapi import APIRouter

from splitjob_api.deps import ServicesDep
from splitjob_api.job_response import ResponsePart

router = APIRouter(tags=["jobs"])


class ModelResponse(ResponsePart):
    """One model that requests can name."""

    name: str
    stems: list[str]
    sample_rate: int
    license_note: str


class ModelList(ResponsePart):
    """The models of this installation."""

    models: list[ModelResponse]


@router.get("/models", summary="The models that can be asked for")
async def models(services: ServicesDep) -> ModelList:
    """Answer with each model's stems, sample rate (Hz) and what is known of its licence."""
    return ModelList(
        models=[
            ModelResponse(
                name=record.name,
                stems=list(record.stems),
                sample_rate=record.sample_rate,
                license_note=record.license_note,
            )
            for record in services.policy.registry.values()
        ]
    )
