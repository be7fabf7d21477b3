"""Values that a JSON schema rules out, and others that no field is made for."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain
from typing import Any

Json = dict[str, Any]
CONTROL = "a\u0000b\u001f"
# Of each type, and what breaks programs.
ODD: tuple[Any, ...] = (
    None,
    True,
    -1,
    0.5,
    10**30,
    "",
    " ",
    CONTROL,
    "a\u2028b",
    "a" * 9000,
    "http://[oops/",
    [],
    [None],
    ["a"] * 40,
    {},
    {"": ""},
    {CONTROL: CONTROL},
    {"a": {"b": ["c"]}},
)
ODD_WITHIN = (None, -1, "", CONTROL, [None], {"": ""})  # in a list, or a field of a field
# What cannot be read as a JSON object at all.
UNREADABLE: tuple[bytes, ...] = (
    b"{",
    b"[]",
    b"null",
    b'"a"',
    b'{"versionId": NaN}',
    b'{"seed": 1, "seed": 2}',
    b'{"a": "\\ud800"}',
    b"\xff\xfe",
    b'{"a":' * 2000,
)


def resolved(schema: Mapping[str, Any], document: Mapping[str, Any]) -> Json:
    """Return a schema of a document without references."""
    if "$ref" in schema:
        found: Any = document
        for part in schema["$ref"].removeprefix("#/").split("/"):
            found = found[part]
        return resolved(found, document)
    return {name: _resolved_in(one, document) for name, one in schema.items()}


def wrong_bodies(
    schema: Mapping[str, Any], right: Mapping[str, Any], odd: Sequence[Any] = ODD
) -> Iterator[Json]:
    """Yield bodies with one field wrong, missing, or one too many.

    Args:
        schema: of the body.
        right: a body that fits.
        odd: what each field is beside what its own schema rules out.
    """
    yield {**right, "nonesuch": 1}
    for name in schema.get("required", ()):
        yield {other: value for other, value in right.items() if other != name}
    for name, of_field in schema["properties"].items():
        for value in _once(chain(odd, _of_kind(of_field))):
            yield {**right, name: value}


def _of_kind(schema: Mapping[str, Any]) -> Iterator[Any]:
    for variant in schema.get("anyOf", ()):
        yield from _of_kind(variant)
    if "maximum" in schema:
        yield schema["maximum"] + 1
        yield schema["minimum"] - 1
    if "maxLength" in schema:
        yield "a" * (schema["maxLength"] + 1)
    if "items" in schema:
        yield from ([one] for one in _within(schema["items"]))
    if "properties" in schema:
        required = dict.fromkeys(schema.get("required", ()), "a")
        yield from wrong_bodies(schema, required, ODD_WITHIN)
    for of_value in schema.get("patternProperties", {}).values():
        yield from ({"vocals": one} for one in _within(of_value))
    if "maxProperties" in schema:
        yield {f"a{number}": "b" for number in range(schema["maxProperties"] + 1)}


def _within(schema: Mapping[str, Any]) -> list[Any]:
    return _once(chain(ODD_WITHIN, _of_kind(schema)))


def _once(values: Iterable[Any]) -> list[Any]:
    return list({json.dumps(value): value for value in values}.values())


def _resolved_in(value: Any, document: Mapping[str, Any]) -> Any:
    if isinstance(value, Mapping):
        return resolved(value, document)
    if isinstance(value, list):
        return [_resolved_in(one, document) for one in value]
    return value
