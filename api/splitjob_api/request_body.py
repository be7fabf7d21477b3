"""JSON bodies, read strictly: what two parsers could read in two ways is refused."""

import json
from typing import Any, NoReturn, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from splitjob.request_policy import FieldProblem
from splitjob_api.problems import ApiError, fields_invalid

T = TypeVar("T", bound=BaseModel)

MAX_ERRORS = 20
MAX_NAME = 64

_MESSAGES = {
    "missing": "it is required",
    "extra_forbidden": "there is no such field",
    "string_type": "must be a string",
    "int_type": "must be an integer",
    "bool_type": "must be true or false",
    "list_type": "must be a list",
    "dict_type": "must be an object",
    "float_type": "must be a number",
}


def parse_object(body: bytes) -> dict[str, Any]:
    """Return the JSON object in a body.

    Raises:
        ApiError: 400; it is not UTF-8, not JSON, not an object, names a key twice, or holds text
            that is not Unicode (a lone surrogate).
    """
    try:
        content = json.loads(
            body.decode("utf-8"),
            object_pairs_hook=_unique,
            parse_constant=_no_constant,
            parse_int=_integer,
        )
        json.dumps(content, ensure_ascii=False).encode("utf-8")
    except UnicodeError:
        raise _not_json("it is not valid UTF-8 text") from None
    except RecursionError:
        raise _not_json("it is nested too deeply") from None
    except json.JSONDecodeError as error:
        raise _not_json(f"{error.msg}, at character {error.pos}") from None
    except ValueError as error:
        raise _not_json(str(error)) from None
    if not isinstance(content, dict):
        raise _not_json("it must be a JSON object")
    return content


def validate(model: type[T], content: dict[str, Any]) -> T:
    """Return the content as a model.

    Raises:
        ApiError: 422, naming each field that is wrong.
    """
    try:
        return model.model_validate(content)
    except ValidationError as error:
        details = error.errors(include_url=False, include_context=False, include_input=False)
        raise fields_invalid([_field_problem(one) for one in details[:MAX_ERRORS]]) from None


def _field_problem(error: ErrorDetails) -> FieldProblem:
    field = ".".join(str(part)[:MAX_NAME] for part in error["loc"])
    message = _MESSAGES.get(error["type"], error["msg"].removeprefix("Value error, "))
    code = "unknown" if error["type"] == "extra_forbidden" else "invalid"
    return FieldProblem(field, code, message)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    content = dict(pairs)
    if len(content) != len(pairs):
        raise ValueError("a key is there twice in one object")
    return content


def _integer(digits: str) -> int:
    try:
        return int(digits)
    except ValueError:  # Python's own words are for whoever runs it
        raise ValueError("a number has too many digits") from None


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def _not_json(reason: str) -> ApiError:
    return ApiError(400, "json_invalid", f"the body cannot be read: {reason}")
