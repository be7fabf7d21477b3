"""The webhooks in the API's description against the bodies that are sent."""

from typing import get_args

import pytest
from pydantic import BaseModel

from splitjob.resource import EventName
from splitjob_api.webhook_schema import CourtesyEvent, FinalEvent, webhooks


def test_every_event_is_described() -> None:
    assert set(webhooks()) == set(get_args(EventName))


@pytest.mark.parametrize("event", get_args(EventName))
def test_a_body_as_it_is_sent_has_the_fields_that_are_described(event: str) -> None:
    content = webhooks()[event]["post"]["requestBody"]["content"]["application/json"]
    name = content["schema"]["$ref"].rpartition("/")[2]
    models: dict[str, type[BaseModel]] = {"FinalEvent": FinalEvent, "CourtesyEvent": CourtesyEvent}
    model = models[name]
    body = content["example"]
    assert body["event"] == event
    assert set(body) == {field.alias for field in model.model_fields.values()}
    model.model_validate(body)
