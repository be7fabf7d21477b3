"""What a worker says when it ends: its termination message, and the manifest in the bucket.

The kubelet keeps the last 4096 bytes of a termination message, so it carries only what cannot be
derived from the request: the rest (URLs, formats, lengths) is put back by `WorkerReport.result`.
"""

import base64
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from splitjob.errors import ErrorCode, known_code
from splitjob.resource import Model
from splitjob.spec import Request
from splitjob.status import Audio, Decimal, Result, Stem

MAX_MESSAGE_BYTES = 3072
DECIMALS = 9  # of a peak or gain, wherever it is told: an event that is sent again says the same
EXIT_DONE = 0
EXIT_DEFECT = 1  # also what Python gives for an uncaught exception
EXIT_BAD_INPUT = 10  # another attempt would end the same way
EXIT_TRANSIENT = 11  # another attempt may succeed
EXIT_TERMINATED = 12  # told to stop (SIGTERM), stopped in time

RESIDUAL = "residual"  # the stem that is made where the residual is to go into none of the model's
FILE_EXTENSIONS = {"wav": "wav", "flac": "flac", "mp3": "mp3", "m4a": "m4a", "opus": "opus"}
MIXTURE = "mixture"  # what the waveform of the song itself is called
WAVEFORM_SUFFIX = ".waveform"  # of a stem's name: its waveform, in `uploads` and as a file

KnownCode = Annotated[ErrorCode, BeforeValidator(known_code)]


def storage_prefix(prefix: str, version_id: str, job_id: str) -> str:
    """Return the key prefix of a job's objects, without a slash at the end."""
    return "/".join(part for part in (prefix.strip("/"), version_id, job_id) if part)


def remainder_name(stems: list[str]) -> str:
    """Return what the mixture minus the stems asked for is called."""
    return f"no_{stems[0]}" if len(stems) == 1 else "remainder"


def residual_stem(request: Request, stems: Sequence[str]) -> str | None:
    """Return the stem that takes what the model leaves over, None unless the clip mode is `exact`.

    Args:
        request: what was asked.
        stems: all that the model gives.
    """
    if request.clip_mode != "exact":
        return None
    return request.residual_to or default_residual_stem(stems)


def default_residual_stem(stems: Sequence[str]) -> str:
    """Return the stem that takes what a model leaves over, where nothing else was asked for.

    Args:
        stems: all that the model gives.
    """
    return "other" if "other" in stems else RESIDUAL


class Message(BaseModel):
    """What a worker says; ready for use when it is first used, as the resource's models are."""

    model_config = ConfigDict(defer_build=True)


class StemReport(Message):
    """What only the worker knows of one stem.

    Attributes:
        name: the stem.
        sha256: hex digest of the file.
        size: bytes of the file.
        frames: samples a channel.
        peak: largest magnitude before clipping.
        gain: the gain applied.
    """

    name: str
    sha256: str
    size: int
    frames: int
    peak: float
    gain: float

    @property
    def silent(self) -> bool:
        """Whether the peak is below -60 dBFS."""
        return self.peak < 1e-3


@dataclass(frozen=True)
class WaveformReport:
    """What only the worker knows of one waveform.

    Attributes:
        name: of its stem, or `MIXTURE`.
        sha256: hex digest of the file.
        size: bytes of the file.
    """

    name: str
    sha256: str
    size: int


class WorkerReport(Message):
    """The termination message of a worker: how it ended, and what it made.

    Attributes:
        outcome: `completed`, `failed` or `terminated` (told to stop).
        code, message, retryable: of a failure.
        stems, sample_rate, model_digest, device, audio, residual_dbfs, timings,
            processing_time_ms: of a completed separation.
        waveforms: beside the stems; for the manifest, the message has no room for them.
        webhook_delivered: whether the worker's own delivery of `completed` was answered with 2xx.
        webhook_gone: whether it was answered with 410.
        webhook_retry_after: seconds for which the receiver asked to be left alone, at most 24 h.
    """

    outcome: Literal["completed", "failed", "terminated"]
    code: KnownCode | None = None
    message: str = ""
    retryable: bool = False
    stems: list[StemReport] = Field(default_factory=list)
    waveforms: list[WaveformReport] = Field(default_factory=list)
    sample_rate: int = 0
    model_digest: str = ""
    device: str = ""
    audio: Audio | None = None
    residual_dbfs: float | None = None
    timings: dict[str, int] = Field(default_factory=dict)
    processing_time_ms: int = 0
    webhook_delivered: bool = False
    webhook_gone: bool = False
    webhook_retry_after: int | None = Field(default=None, ge=0, le=86400)

    def encode(self) -> bytes:
        """Return the message as it is written to the termination message path, <= 3072 bytes.

        Raises:
            ValueError: it does not fit; more than 17 stems, or very long names.
        """
        compact = self.model_dump(
            mode="json", exclude_defaults=True, exclude={"stems", "waveforms"}
        )
        compact["message"] = self.message[:400]
        compact["s"] = [
            [
                s.name,
                _base64(s.sha256),
                s.size,
                s.frames,
                round(s.peak, DECIMALS),
                round(s.gain, DECIMALS),
            ]
            for s in self.stems
        ]
        text = json.dumps(compact, separators=(",", ":"), ensure_ascii=False).encode()
        if len(text) > MAX_MESSAGE_BYTES:
            raise ValueError(f"a termination message of {len(text)} bytes would be cut off")
        return text

    @classmethod
    def decode(cls, text: str) -> Self | None:
        """Return the report in a termination message, or None where it holds none.

        A container that was killed before it could speak leaves an empty message, and one that was
        cut off half of one: neither is an error here.
        """
        try:
            compact = json.loads(text)
            stems = [
                StemReport(
                    name=name, sha256=_hex(digest), size=size, frames=frames, peak=peak, gain=gain
                )
                for name, digest, size, frames, peak, gain in compact.pop("s", [])
            ]
            return cls.model_validate({**compact, "stems": stems})
        except (ValueError, TypeError, AttributeError, ValidationError):
            return None

    def result(self, request: Request, bucket: str, prefix: str) -> Result:
        """Return the result of a completed separation, with all that can be derived put back.

        Args:
            request: what was asked.
            bucket: the bucket the stems are in; empty where the caller gave upload URLs.
            prefix: `storage_prefix` of the job.
        """
        extension = FILE_EXTENSIONS[request.format]
        base = _base(bucket, prefix)
        stems = [
            Stem(
                type=s.name,
                url=self._url(request, base, s.name, f"{s.name}.{extension}"),
                size=s.size,
                frames=s.frames,
                sample_rate=self.sample_rate,
                checksum=f"sha256:{s.sha256}",
                format=request.format,
                peak=decimal(s.peak),
                gain=decimal(s.gain),
                silent=s.silent,
                waveform=self._waveform_url(request, base, s.name),
            )
            for s in self.stems
        ]
        mixture = {"waveform": self._waveform_url(request, base, MIXTURE)}
        return Result(
            stems=stems,
            manifest_url=self._url(request, base, "manifest", "manifest.json"),
            model=request.model,
            model_digest=self.model_digest,
            device=self.device,
            audio=self.audio and self.audio.model_copy(update=mixture),
            residual_dbfs=None if self.residual_dbfs is None else decimal(self.residual_dbfs),
            timings=self.timings,
            processing_time_ms=self.processing_time_ms,
        )

    def manifest_waveforms(
        self, request: Request, bucket: str, prefix: str
    ) -> "list[ManifestWaveform] | None":
        """Return the waveforms as the manifest lists them; None: the request asked for none.

        Args: as of `result`.
        """
        if not request.waveforms:
            return None
        base = _base(bucket, prefix)
        return [
            ManifestWaveform(
                type=one.name,
                url=self._waveform_url(request, base, one.name),
                size=one.size,
                checksum=f"sha256:{one.sha256}",
            )
            for one in self.waveforms
        ]

    def _waveform_url(self, request: Request, base: str, name: str) -> str:
        if not request.waveforms:
            return ""
        target = name + WAVEFORM_SUFFIX
        return self._url(request, base, target, f"{target}.json")

    @staticmethod
    def _url(request: Request, base: str, target: str, file: str) -> str:
        if request.uploads:
            return request.uploads[target].url if target in request.uploads else ""
        return f"{base}/{file}"


class ManifestWaveform(Model):
    """A waveform, as it lies in the bucket.

    Attributes:
        type: of its stem, or `MIXTURE`.
        url: `s3://bucket/key`, or the caller's own URL without its query.
        size: bytes.
        checksum: of the file, `sha256:` and 64 hex digits.
    """

    type: str
    url: str
    size: int
    checksum: str


class Manifest(Model):
    """`manifest.json`: the proof that a set of stems is whole, or what keeps its place.

    A tombstone keeps it for good: no worker completes the job any more. A reservation keeps it for
    the job's worker, where a former job of the same name had left something.

    Attributes:
        submission_id: of the request, by which the job knows it again after a restore, where its
            uid is another one; None: it had none.
        intent: what the stems answer (`splitjob.intent.intent_of`); None in a tombstone.
        attempt: how many Jobs were made for it, up to the one that wrote this.
        gpu_seconds: how long their containers held their resources (`splitjob.usage`); None: not
            known.
        status: `completed`, or in a tombstone how the job ended otherwise; `erased` where it was
            completed and its data are gone; `reserved`: the job has not ended.
        message: in a tombstone, how the job ended, for people.
        erased_files: what was erased, by its name below the job's place in the bucket, this
            manifest's predecessor among it, and `input` for the file that it read; None: nothing.
        waveforms: one for each stem and one for the mixture; None: none were asked for.
    """

    job_id: str
    job_uid: str
    submission_id: str | None = None
    version_id: str
    intent: str | None = None
    attempt: int = 0
    gpu_seconds: Decimal | None = None
    status: Literal["completed", "failed", "canceled", "erased", "reserved"]
    error_code: KnownCode | None = None
    message: str | None = None
    erased_files: list[str] | None = None
    result: Result | None = None
    waveforms: list[ManifestWaveform] | None = None

    def is_of(self, job_uid: str, submission_id: str | None) -> bool:
        """Whether this stands for a job, given by its uid and its request's submission id."""
        same = submission_id is not None and self.submission_id == submission_id
        return same or self.job_uid == job_uid


class ProgressLine(Message):
    """One line of JSON on the worker's standard output that the operator reads from the pod's log.

    Attributes:
        stage: fetch, decode, separate, encode, upload or notify.
        percent: of the whole job, never falling.
        memory: bytes that the container used at that moment; None: not known.
    """

    progress: Literal[True] = True
    stage: str
    percent: int = Field(ge=0, le=100)
    memory: int | None = Field(default=None, ge=0)

    def encode(self) -> str:
        """Return the line, without its end."""
        return self.model_dump_json(exclude_none=True)

    @classmethod
    def last_in(cls, log: str) -> Self | None:
        """Return the last progress line of a log's tail, or None."""
        for line in reversed(log.splitlines()):
            if '"progress":true' in line.replace(" ", ""):
                try:
                    return cls.model_validate_json(line)
                except ValidationError:
                    continue
        return None


def _base(bucket: str, prefix: str) -> str:
    return f"s3://{bucket}/{prefix}" if bucket else ""


def decimal(number: float) -> str:
    """Return a number as the decimal string the resource holds, at most nine decimals."""
    return f"{number:.{DECIMALS}f}".rstrip("0").rstrip(".") or "0"


def _base64(hexadecimal: str) -> str:
    return base64.b64encode(bytes.fromhex(hexadecimal)).decode().rstrip("=")


def _hex(text: str) -> str:
    return base64.b64decode(text + "=" * (-len(text) % 4)).hex()
