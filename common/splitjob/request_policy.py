"""What a request must fulfil beyond the types of its fields: models, formats, URLs, metadata.

The API asks the policy about what it is sent, the operator about every SplitJob, whoever wrote it.
Fields are named as the resource names them (`model`, `source`, `uploads.drums`).
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from splitjob import formats, workload
from splitjob.addresses import Network, forbidden_reason, parse_host
from splitjob.allowlist import Allowlist, NotAllowedError
from splitjob.inputs import Inputs
from splitjob.models import ModelRecord
from splitjob.result import (
    MIXTURE,
    RESIDUAL,
    WAVEFORM_SUFFIX,
    remainder_name,
    residual_stem,
)
from splitjob.spec import Location, Request, Upload
from splitjob.upload_policy import decode_headers, upload_problems
from splitjob.urls import STORED, UrlError, WebUrl, parse, parse_source, plain_url

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

    @property
    def sentence(self) -> str:
        """Field and message, for people."""
        return f"{self.field}: {self.message}"


ResolvedUrls = Mapping[str, WebUrl | UrlError]
"""The URL behind each field that has one, or why there is none that can be used."""

ResolvedHeaders = Mapping[str, Mapping[str, str] | None]
"""The headers of each upload by its name; None: the Secret does not hold those it should."""


@dataclass(frozen=True)
class RequestPolicy:
    """What an installation allows.

    Attributes:
        allowlist: where webhooks may go.
        registry: the models it offers, by name.
        local: ENVIRONMENT=local: http may be used for source and uploads.
        networks: address ranges exempt from the address rules (SOURCE_ALLOWED_NETWORKS).
        inputs: where the files from POST /uploads are; None: it takes none.
    """

    allowlist: Allowlist
    registry: Mapping[str, ModelRecord]
    local: bool
    networks: tuple[Network, ...] = ()
    inputs: Inputs | None = None

    def problems(
        self, request: Request, urls: ResolvedUrls, headers: ResolvedHeaders
    ) -> list[FieldProblem]:
        """Return all that is wrong with a request, nothing where it can be served.

        Args:
            request: what was asked.
            urls: its URLs, by field: from `resolve`, or of a `splitjob.request.ResourceDraft`.
            headers: of its uploads: from `resolve_headers`, or of that draft.
        """
        return [
            *_model_problems(request, self.registry),
            *_format_problems(request, self.registry),
            *_exact_problems(request, self.registry.get(request.model)),
            *_metadata_problems(request),
            *self._transfer_problems(urls),
            *_input_problems(request, urls["source"], self.inputs),
            *_upload_problems(urls, headers),
            *self._webhook_problems(urls["webhook"]),
        ]

    def _transfer_problems(self, urls: ResolvedUrls) -> Iterator[FieldProblem]:
        for field, url in urls.items():
            if field == "webhook":
                continue
            if isinstance(url, UrlError):
                yield _unusable(field, url)
                continue
            if url.scheme == STORED:
                continue  # no address to be dialled: see `_input_problems`
            if url.scheme == "http" and not self.local:
                yield FieldProblem(field, "forbidden", "only https:// URLs are taken")
            yield from _address_problems(field, url, self.networks)

    def _webhook_problems(self, url: WebUrl | UrlError) -> Iterator[FieldProblem]:
        if isinstance(url, UrlError):
            yield _unusable("webhook", url)
            return
        try:
            self.allowlist.check(url)
        except NotAllowedError as refused:
            yield FieldProblem("webhook", NOT_ALLOWED, refused.reason)


def resolve(request: Request, secrets: Mapping[str, str]) -> ResolvedUrls:
    """Return the URLs of a request as the cluster holds it.

    Args:
        request: `spec.request` of a SplitJob.
        secrets: the whole URLs that its Secret holds, by key (`source`, `upload.<stem>`).
    """
    found: dict[str, WebUrl | UrlError] = {}
    for field, (location, key) in _locations(request).items():
        try:
            read = parse_source if field == "source" else parse
            found[field] = _resolve(location, key, secrets, read)
        except UrlError as refused:
            found[field] = refused
    return found


def resolve_headers(request: Request, secrets: Mapping[str, str]) -> ResolvedHeaders:
    """Return the headers of the uploads of a request as the cluster holds it.

    Args:
        request: `spec.request` of a SplitJob.
        secrets: what its Secret holds, by key (`headers.<stem>`).
    """
    return {
        name: _resolve_headers(upload, secrets.get(workload.SECRET_KEY_HEADERS + name, ""))
        for name, upload in (request.uploads or {}).items()
    }


def outputs(request: Request, model: ModelRecord) -> list[str]:
    """Return the names of the files a request gives, in the model's order, its own stem last."""
    wanted = [stem for stem in model.stems if request.stems is None or stem in request.stems]
    if request.remainder and wanted:
        return [*wanted, remainder_name(wanted)]
    residual = residual_stem(request, model.stems)
    return wanted if residual is None or residual in wanted else [*wanted, residual]


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
    files = outputs(request, model)
    if request.waveforms and MIXTURE in files:
        message = f"one of the stems is called {MIXTURE}, as the song's own waveform is"
        yield FieldProblem("waveforms", "unsupported", message)
    yield from _upload_names(request, files)


def _upload_names(request: Request, files: list[str]) -> Iterator[FieldProblem]:
    if request.uploads is None:
        return
    wanted = [*files, MANIFEST]
    if request.waveforms:
        wanted += [name + WAVEFORM_SUFFIX for name in (*files, MIXTURE)]
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
    if model and (complaint := formats.sample_rate_problem(request.format, model.sample_rate)):
        message = f"{complaint}, the rate of {model.name}: take wav, flac or opus"
        yield FieldProblem("format", "unsupported", message)
    if request.bit_depth is not None:
        complaint = formats.bit_depth_problem(request.format, request.bit_depth)
        if complaint:
            yield FieldProblem("bitDepth", "unsupported", complaint)
    if request.bitrate_kbps is not None:
        rate = model.sample_rate if model else 44_100
        complaint = formats.bitrate_problem(request.format, request.bitrate_kbps, rate)
        if complaint:
            yield FieldProblem("bitrateKbps", "unsupported", complaint)


def _exact_problems(request: Request, model: ModelRecord | None) -> Iterator[FieldProblem]:
    """Yield what stands in the way of stems that sum to the mixture to the last bit."""
    if request.clip_mode != "exact":
        if request.residual_to is not None:
            message = "it goes with clipMode exact only: give that, or leave residualTo out"
            yield FieldProblem("residualTo", "unsupported", message)
        return
    if request.format not in formats.EXACT_BIT_DEPTHS:
        message = "with clipMode exact it must be wav or flac: the others are lossy"
        yield FieldProblem("format", "unsupported", message)
    elif (bits := request.bit_depth or 16) not in formats.EXACT_BIT_DEPTHS[request.format]:
        depths = " or ".join(map(str, formats.EXACT_BIT_DEPTHS[request.format]))
        message = f"clipMode exact needs {depths} for {request.format}, not {bits}: give it"
        yield FieldProblem("bitDepth", "unsupported", message)
    if request.remainder:
        message = "with clipMode exact all stems are given, and nothing remains: leave it out"
        yield FieldProblem("remainder", "unsupported", message)
    if model:
        yield from _exact_stem_problems(request, model)


def _exact_stem_problems(request: Request, model: ModelRecord) -> Iterator[FieldProblem]:
    given = ", ".join(model.stems)
    if request.stems is not None and not set(model.stems) <= set(request.stems):
        message = f"with clipMode exact it takes all stems ({given}) to make the mixture: leave it"
        yield FieldProblem("stems", "unsupported", f"{message} out")
    if request.residual_to not in {None, RESIDUAL, *model.stems}:
        message = f"{model.name} has no such stem; it gives: {given}; or say {RESIDUAL}"
        yield FieldProblem("residualTo", "unknown", message)


def _metadata_problems(request: Request) -> Iterator[FieldProblem]:
    pairs = (request.metadata or {}).items()
    size = sum(len(name.encode()) + len(value.encode()) for name, value in pairs)
    if size > MAX_METADATA_BYTES:
        yield FieldProblem(
            "metadata", "invalid", f"names and values are {size} bytes, {MAX_METADATA_BYTES} fit"
        )


def _address_problems(
    field: str, url: WebUrl, networks: Iterable[Network]
) -> Iterator[FieldProblem]:
    """Yield what is wrong with a host that is an address; names are judged when dialled."""
    address = parse_host(url.host)
    reason = forbidden_reason(address, networks) if address is not None else None
    if reason:
        yield FieldProblem(field, "forbidden", f"its host is {reason}")


def _input_problems(
    request: Request, source: WebUrl | UrlError, inputs: Inputs | None
) -> Iterator[FieldProblem]:
    """Yield what is wrong with a source in the bucket: nobody may name any other object there."""
    if isinstance(source, UrlError) or source.scheme != STORED:
        return
    if inputs is None:
        yield FieldProblem(
            "source",
            "forbidden",
            "s3:// addresses are of files from POST /uploads, and this installation takes none "
            "(api.storage.uploads.enabled)",
        )
    elif inputs.key_of(source.whole) is None:
        message = "no file from POST /uploads has this address: give the `audioUrl` of its answer"
        yield FieldProblem("source", "forbidden", message)
    if request.uploads:
        yield FieldProblem(
            "source",
            "unsupported",
            "a file from POST /uploads is read with storage credentials, and with `uploads` none "
            "are used: give an https:// URL, or leave `uploads` out",
        )


def _upload_problems(urls: ResolvedUrls, headers: ResolvedHeaders) -> Iterator[FieldProblem]:
    for name, given in headers.items():
        field = f"uploads.{name}"
        url = urls[field]
        if given is None:
            message = f"the Secret of this request does not hold its headers under headers.{name}"
            yield FieldProblem(field, "invalid", message)
        elif isinstance(url, WebUrl):
            for problem in upload_problems(url.whole, given):
                yield FieldProblem(field, problem.code, problem.message)


def _unusable(field: str, refused: UrlError) -> FieldProblem:
    return FieldProblem(field, "invalid", f"this URL cannot be used: {refused}")


def _locations(request: Request) -> dict[str, tuple[Location, str]]:
    """Return each URL of a request by its field, with the key it may have in the Secret."""
    return {
        "source": (request.source, workload.SECRET_KEY_SOURCE),
        **{
            f"uploads.{name}": (location, workload.SECRET_KEY_UPLOAD + name)
            for name, location in (request.uploads or {}).items()
        },
        "webhook": (request.webhook, workload.SECRET_KEY_WEBHOOK),
    }


def _resolve(
    location: Location, key: str, secrets: Mapping[str, str], read: Callable[[str], WebUrl]
) -> WebUrl:
    """Return the URL behind a location, as `read` takes it.

    Raises:
        UrlError: it is none, or the Secret does not hold what the location says.
    """
    if location.secret_key is None:
        url = read(location.url)
        plain_url(url)
        return url
    if location.secret_key != key:
        raise UrlError(f"its secretKey must be {key}")
    if key not in secrets:
        raise UrlError(f"the Secret of this request has no key {key}")
    url = parse(secrets[key])
    if plain_url(url) != plain_url(parse(location.url)):
        raise UrlError("it is not the one that stands in the Secret")
    return url


def _resolve_headers(upload: Upload, stored: str) -> dict[str, str] | None:
    if not upload.headers:
        return {}
    headers = decode_headers(stored)
    if headers is None or {name.lower() for name in headers} != set(upload.headers):
        return None
    return headers
