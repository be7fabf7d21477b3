"""What a request must fulfil beyond the types of its fields: models, formats, URLs, metadata.

The API runs these checks on what it is sent, the operator on every SplitJob, whoever wrote it.
Fields are named as the resource names them (`model`, `source`, `uploads.drums`).
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from splitjob import formats, workload
from splitjob.addresses import Network, parse_host, refusal
from splitjob.allowlist import Allowlist, NotAllowedError
from splitjob.models import ModelRecord
from splitjob.resource import Location, Request
from splitjob.result import remainder_name
from splitjob.urls import UrlError, WebUrl, parse, plain_url

MANIFEST = "manifest"
MAX_METADATA_BYTES = 1024

NOT_ALLOWED = "not_allowed"


class FieldProblem(NamedTuple):
    """What is wrong with one field.

    Attributes:
        field: as in the resource, with dots between levels.
        code: stable: `invalid`, `unknown`, `unsupported`, `forbidden`, `not_allowed`, `expired`.
        message: for people; holds no part of a URL's query.
    """

    field: str
    code: str
    message: str


@dataclass(frozen=True)
class Rules:
    """What an installation allows.

    Attributes:
        allowlist: where webhooks may go.
        registry: the models it offers, by name.
        local: ENVIRONMENT=local: http may be used for source and uploads.
        networks: address ranges exempt from the address rules (SOURCE_ALLOWED_NETWORKS).
    """

    allowlist: Allowlist
    registry: Mapping[str, ModelRecord]
    local: bool
    networks: tuple[Network, ...] = ()


def check(request: Request, secrets: Mapping[str, str], rules: Rules) -> list[FieldProblem]:
    """Return all that is wrong with a request, nothing where it can be served.

    Args:
        request: what was asked.
        secrets: the whole URLs that its Secret holds, by key.
        rules: what this installation allows.
    """
    return [
        *_model_problems(request, rules.registry),
        *_format_problems(request, rules.registry),
        *_metadata_problems(request),
        *_transfer_problems(request, secrets, rules),
        *_webhook_problems(request, secrets, rules.allowlist),
    ]


def outputs(request: Request, model: ModelRecord) -> list[str]:
    """Return the names of the files a request gives, in the model's order, the remainder last."""
    wanted = [stem for stem in model.stems if request.stems is None or stem in request.stems]
    return [*wanted, remainder_name(wanted)] if request.remainder and wanted else wanted


def _model_problems(
    request: Request, registry: Mapping[str, ModelRecord]
) -> Iterator[FieldProblem]:
    model = registry.get(request.model)
    if model is None:
        offered = ", ".join(registry)
        yield FieldProblem("model", "unknown", f"there is no such model here; there are: {offered}")
        return
    for index, stem in enumerate(request.stems or []):
        if stem not in model.stems:
            given = ", ".join(model.stems)
            yield FieldProblem(
                f"stems.{index}", "unknown", f"{model.name} has no such stem; it gives: {given}"
            )
        elif stem in (request.stems or [])[:index]:
            yield FieldProblem(f"stems.{index}", "invalid", "this stem is asked for twice")
    if request.remainder and not request.stems:
        yield FieldProblem(
            "remainder", "invalid", "it is the mixture minus some stems: name them in `stems`"
        )
    yield from _upload_names(request, outputs(request, model))


def _upload_names(request: Request, files: list[str]) -> Iterator[FieldProblem]:
    if request.uploads is None:
        return
    wanted = [*files, MANIFEST]
    for name in wanted:
        if name not in request.uploads:
            yield FieldProblem(f"uploads.{name}", "invalid", "a URL is needed for this file too")
    for name in request.uploads:
        if name not in wanted:
            yield FieldProblem(
                f"uploads.{name}", "unknown", f"no such file comes of this: {', '.join(wanted)} do"
            )


def _format_problems(
    request: Request, registry: Mapping[str, ModelRecord]
) -> Iterator[FieldProblem]:
    model = registry.get(request.model)
    if model and (complaint := formats.sample_rate_complaint(request.format, model.sample_rate)):
        message = f"{complaint}, the rate of {model.name}: take wav, flac or opus"
        yield FieldProblem("format", "unsupported", message)
    if request.bit_depth is not None:
        complaint = formats.bit_depth_complaint(request.format, request.bit_depth)
        if complaint:
            yield FieldProblem("bitDepth", "unsupported", complaint)
    if request.bitrate_kbps is not None:
        rate = model.sample_rate if model else 44_100
        complaint = formats.bitrate_complaint(request.format, request.bitrate_kbps, rate)
        if complaint:
            yield FieldProblem("bitrateKbps", "unsupported", complaint)


def _metadata_problems(request: Request) -> Iterator[FieldProblem]:
    pairs = (request.metadata or {}).items()
    size = sum(len(name.encode()) + len(value.encode()) for name, value in pairs)
    if size > MAX_METADATA_BYTES:
        yield FieldProblem(
            "metadata", "invalid", f"names and values are {size} bytes, {MAX_METADATA_BYTES} fit"
        )


def _transfer_problems(
    request: Request, secrets: Mapping[str, str], rules: Rules
) -> Iterator[FieldProblem]:
    places = {"source": (request.source, workload.SECRET_KEY_SOURCE)}
    for name, location in (request.uploads or {}).items():
        places[f"uploads.{name}"] = (location, workload.SECRET_KEY_UPLOAD + name)
    for field, (location, key) in places.items():
        try:
            url = _resolve(location, key, secrets)
        except UrlError as refused:
            yield FieldProblem(field, "invalid", f"this URL cannot be used: {refused}")
            continue
        if url.scheme == "http" and not rules.local:
            yield FieldProblem(field, "forbidden", "only https:// URLs are taken")
        yield from _address_problems(field, url, rules.networks)


def _address_problems(
    field: str, url: WebUrl, networks: Iterable[Network]
) -> Iterator[FieldProblem]:
    """Yield what is wrong with a host that is an address; names are judged when dialled."""
    address = parse_host(url.host)
    reason = refusal(address, networks) if address is not None else None
    if reason:
        yield FieldProblem(field, "forbidden", f"its host is {reason}")


def _webhook_problems(
    request: Request, secrets: Mapping[str, str], allowlist: Allowlist
) -> Iterator[FieldProblem]:
    try:
        _resolve(request.webhook, workload.SECRET_KEY_WEBHOOK, secrets)
        allowlist.check(_whole(request.webhook, secrets))
    except UrlError as refused:
        yield FieldProblem("webhook", "invalid", f"this URL cannot be used: {refused}")
    except NotAllowedError as refused:
        yield FieldProblem("webhook", NOT_ALLOWED, refused.reason)


def _resolve(location: Location, key: str, secrets: Mapping[str, str]) -> WebUrl:
    """Return the URL behind a location.

    Raises:
        UrlError: it is none, or the Secret does not hold what the location says.
    """
    if location.secret_key is not None:
        if location.secret_key != key:
            raise UrlError(f"its secretKey must be {key}")
        if key not in secrets:
            raise UrlError(f"the Secret of this request has no key {key}")
    url = parse(_whole(location, secrets))
    plain = plain_url(url)
    if location.secret_key is not None and plain != plain_url(parse(location.url)):
        raise UrlError("it is not the one that stands in the Secret")
    return url


def _whole(location: Location, secrets: Mapping[str, str]) -> str:
    return location.url if location.secret_key is None else secrets[location.secret_key]
