"""One job from its source to its stems: fetch, decode, separate, encode, upload, notify.

The model is loaded while the source is downloaded and decoded. Files are encoded while the model is
at work, and uploaded while they are encoded. What takes long to import is called through
`deferred`, so that the download begins before it.
"""

import hashlib
import logging
import shutil
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from splitjob.allowlist import Allowlist
from splitjob.errors import ErrorCode, Failure
from splitjob.intent import intent_of
from splitjob.models import ModelRecord
from splitjob.result import (
    RESIDUAL,
    Manifest,
    WorkerReport,
    decimal,
    remainder_name,
    residual_stem,
    storage_prefix,
)
from splitjob.signing import parse_tokens
from splitjob.status import Audio, Usage
from splitjob.urls import STORED
from splitjob.usage import usage_when_completed
from splitjob_io.webhook_sender import WebhookSender
from splitjob_worker import deferred
from splitjob_worker.cancellation import Cancelled, CancelToken, run_in_thread, wait_for
from splitjob_worker.checkpoints.fingerprint import fingerprint_of
from splitjob_worker.engine import weights
from splitjob_worker.engine.options import Options, Remainder
from splitjob_worker.machine import keep_freed_memory
from splitjob_worker.reporting import report
from splitjob_worker.reporting.progress import Progress
from splitjob_worker.reporting.tracing import RunTrace
from splitjob_worker.reporting.webhook import Notifier
from splitjob_worker.scratch import Scratch, check_limit
from splitjob_worker.settings import WorkerSettings
from splitjob_worker.source.audio import AudioLimits, Decoded
from splitjob_worker.source.fetch import Download, DownloadLimits
from splitjob_worker.stems.encoding import Encoding
from splitjob_worker.stems.output import StemOutput
from splitjob_worker.upload.stem_uploads import StemUploads

if TYPE_CHECKING:
    from splitjob_worker.checkpoints.checkpoints import Checkpoints
    from splitjob_worker.engine.separator import Separator
    from splitjob_worker.pipeline import SeparatedSong
    from splitjob_worker.spool import Spool
    from splitjob_worker.upload.targets import UploadTarget

log = logging.getLogger(__name__)


class Job:
    """One attempt at one request.

    Args:
        settings: what was asked for, and where things are.
        cancel: stops the job.
        began: `time.monotonic()` at which the process started.
        trace: has a span of each stage.

    Raises:
        Failure: `worker_config`: the token, the allowlist or the webhook's URL cannot be used.
    """

    def __init__(
        self,
        settings: WorkerSettings,
        cancel: CancelToken,
        began: float,
        trace: RunTrace | None = None,
    ) -> None:
        self._settings = settings
        self._request = settings.request
        self._cancel = cancel
        self._began = began
        self._prefix = storage_prefix(
            settings.storage_prefix, settings.request.version_id, settings.job_id
        )
        self._trace = trace or RunTrace({})
        self._notifier = _notifier(settings, cancel, self._trace)
        self._progress = Progress(listener=self._notifier.progress, trace=self._trace)

    def run(self) -> WorkerReport:
        """Do the job.

        Returns:
            The report of a completed job, already written once; its webhook has been tried.

        Raises:
            Failure: the job cannot be completed.
            SupersededError: its outcome is recorded already.
            Cancelled: told to stop.
        """
        self._cancel.check()
        record = _model_record(self._settings)
        keep_freed_memory(record.segment_seconds)
        with _scratch_folder(self._settings.scratch_dir) as folder:
            scratch = Scratch(folder, self._settings.scratch_bytes)
            loading = run_in_thread(lambda: self._load_separator(record))
            download = run_in_thread(lambda: self._download(scratch))
            target = deferred.open_target(self._settings, self._prefix, self._cancel)
            self._cancel.run(target.check_before_work)
            self._notifier.started()
            mixture, decoded, digest = self._decode(record, download, loading, scratch)
            separator = wait_for(loading, self._cancel.check)
            checkpoints = self._checkpoints(separator, decoded, digest, scratch)
            song = self._separate(separator, mixture, decoded, scratch, target, checkpoints)
            finished = self._report(song, decoded, separator)
            self._write_manifest(finished, target)
        if checkpoints:
            checkpoints.remove()
        report.write(finished, self._settings.termination_message_path)
        self._announce_completed(finished, target.bucket)
        return finished

    def _load_separator(self, record: ModelRecord) -> "Separator":
        """Check the weights and load the model, in a thread beside the download."""
        began = time.monotonic()
        remainder = None
        if self._request.remainder:
            remainder = Remainder(remainder_name(self._request.stems or list(record.stems)))
        with self._trace.span("load"):
            separator = deferred.load_separator(
                lambda: weights.find(record, self._settings.model_dir),
                self._settings.device,
                self._request.stems,
                self._settings.precision,
                remainder,
            )
        self._progress.timings["load"] = round((time.monotonic() - began) * 1000)
        return separator

    def _download(self, scratch: Scratch) -> Path:
        """Download the source, in a thread beside the first look at the bucket; return its file."""
        source = scratch.folder / "source"
        url = self._settings.url_of(self._request.source)
        with self._progress.stage("fetch") as on_progress:
            if url.startswith(f"{STORED}://"):
                deferred.download_stored(
                    self._settings, url, source, scratch, self._cancel, on_progress
                )
                return source
            Download(
                url,
                source,
                DownloadLimits(self._settings.max_source_bytes),
                egress=self._settings.egress,
                allow_http=self._settings.local,
                scratch=scratch,
                cancel=self._cancel,
                on_progress=on_progress,
            ).run()
        return source

    def _decode(
        self,
        record: ModelRecord,
        download: Future[Path],
        loading: "Future[Separator]",
        scratch: Scratch,
    ) -> "tuple[Spool, Decoded, str | None]":
        """Wait for the source and decode it; the downloaded file is gone afterwards.

        Returns:
            The song, what is known of it, and the file's SHA-256 where it is worth checkpoints.
        """

        def check() -> None:
            self._cancel.check()
            check_limit(scratch)
            if loading.done():
                loading.result()  # no model, no GPU: fail before more work is done

        source = wait_for(download, check)
        limits = AudioLimits(
            record.sample_rate, self._settings.max_audio_seconds, self._settings.max_lost_percent
        )
        with self._progress.stage("decode"):
            mixture, decoded = deferred.decode(
                source, source.with_name("mixture.f32"), limits, check
            )
        long = self._is_worth_checkpoints(decoded.frames / record.sample_rate)
        digest = weights.sha256(source) if long else None
        source.unlink()
        return mixture, decoded, digest

    def _is_worth_checkpoints(self, seconds: float) -> bool:
        least = self._settings.checkpoint_min_seconds
        return bool(least) and seconds >= least and not self._request.uploads

    def _checkpoints(
        self, separator: "Separator", decoded: Decoded, digest: str | None, scratch: Scratch
    ) -> "Checkpoints | None":
        """Return what keeps the stems while they are made, for another attempt."""
        if digest is None:
            return None
        fingerprint = fingerprint_of(
            digest,
            decoded,
            separator.weights.digest,
            separator.separated,
            self._options(),
            self._settings.precision,
        )
        return deferred.open_checkpoints(
            self._settings, self._prefix, fingerprint, scratch, self._cancel
        )

    def _separate(
        self,
        separator: "Separator",
        mixture: "Spool",
        decoded: Decoded,
        scratch: Scratch,
        target: "UploadTarget",
        checkpoints: "Checkpoints | None",
    ) -> "SeparatedSong":
        """Separate, encode and upload, each stem as soon as it can be."""
        encoding = self._encoding(decoded)
        residual_to = residual_stem(self._request, separator.stems) or RESIDUAL
        with StemUploads(target, encoding.content_type, self._cancel) as uploads:
            song = deferred.separate_song(
                separator,
                mixture,
                decoded.normalisation,
                self._options(),
                StemOutput(encoding, scratch.folder, scratch, uploads, residual_to),
                self._progress,
                uploads.check,
                checkpoints,
            )
            with self._progress.stage("upload") as on_progress:
                uploads.finish(on_progress)
        return song

    def _encoding(self, decoded: Decoded) -> Encoding:
        return Encoding(
            format=self._request.format,
            bit_depth=self._request.bit_depth or 16,
            bitrate_kbps=self._request.bitrate_kbps,
            clip_mode=self._request.clip_mode,
            tags=decoded.tags,
            waveforms=self._request.waveforms,
        )

    def _options(self) -> Options:
        seed = self._request.seed
        return Options(
            shifts=self._request.shifts,
            overlap=self._request.overlap_permille / 1000,
            seed=_seed_of(self._settings.job_id) if seed is None else seed,
        )

    def _report(
        self, song: "SeparatedSong", decoded: Decoded, separator: "Separator"
    ) -> WorkerReport:
        return WorkerReport(
            outcome="completed",
            stems=[stem.report for stem in song.stems],
            waveforms=[one.report for one in song.waveforms],
            sample_rate=song.sample_rate,
            model_digest=separator.weights.digest,
            device=separator.device.type,
            audio=Audio(
                frames=decoded.source_frames,
                sample_rate=decoded.source_rate,
                channels=decoded.source_channels,
                damaged_seconds=_unless_zero(decoded.damaged_seconds),
                missing_seconds=_unless_zero(decoded.missing_seconds),
            ),
            residual_dbfs=song.residual_dbfs,
            timings=dict(self._progress.timings),
            processing_time_ms=round((time.monotonic() - self._began) * 1000),
        )

    def _usage(self, finished: WorkerReport) -> Usage:
        return usage_when_completed(
            self._settings.attempt, self._settings.earlier_seconds, finished.processing_time_ms
        )

    def _write_manifest(self, finished: WorkerReport, target: "UploadTarget") -> None:
        """Write the manifest: from here on the job is completed."""
        self._cancel.check()
        target.write_manifest_if_first(
            Manifest(
                job_id=self._settings.job_id,
                job_uid=self._settings.job_uid,
                submission_id=self._request.submission_id,
                version_id=self._request.version_id,
                intent=intent_of(self._request),
                attempt=self._settings.attempt,
                gpu_seconds=self._usage(finished).gpu_seconds,
                status="completed",
                result=finished.result(self._request, target.bucket, self._prefix),
                waveforms=finished.manifest_waveforms(self._request, target.bucket, self._prefix),
            )
        )

    def _announce_completed(self, finished: WorkerReport, bucket: str) -> None:
        """Send the webhook; with presigned uploads the operator does, which decides the outcome."""
        self._notifier.finish_courtesies()
        if self._request.uploads:
            return
        result = finished.result(self._request, bucket, self._prefix)
        try:
            with self._progress.stage("notify"):
                outcome = self._notifier.completed(result, self._usage(finished))
        except Cancelled:
            log.warning("told to stop: the webhook is left to the operator")
            return
        if outcome is not None:
            finished.webhook_delivered = outcome.delivered
            finished.webhook_gone = outcome.gone
            finished.webhook_retry_after = outcome.retry_after_seconds


def _model_record(settings: WorkerSettings) -> ModelRecord:
    """Return the registry's record of the model asked for.

    Raises:
        Failure: `model_unavailable`: there is none; `request_invalid`: it lacks a stem asked for.
    """
    request = settings.request
    record = weights.registry(settings.model_registry).get(request.model)
    if record is None:
        raise Failure(
            ErrorCode.MODEL_UNAVAILABLE,
            f"this installation has no model called {request.model} (GET /models lists "
            "those it has)",
        )
    unknown = [stem for stem in request.stems or [] if stem not in record.stems]
    if unknown:
        raise Failure(
            ErrorCode.REQUEST_INVALID,
            f"the model {record.name} gives no stem called {unknown[0]}, only "
            f"{', '.join(record.stems)}",
        )
    return record


def _unless_zero(seconds: float) -> str | None:
    return decimal(seconds) if seconds else None


def _notifier(settings: WorkerSettings, cancel: CancelToken, trace: RunTrace) -> Notifier:
    try:
        sender = WebhookSender(
            parse_tokens(settings.token.get_secret_value()),
            Allowlist.parse(settings.webhook_allowlist, local=settings.local),
            settings.egress,
        )
    except ValueError as error:
        raise Failure(ErrorCode.WORKER_CONFIG, str(error).splitlines()[0]) from None
    return Notifier(settings, sender, settings.url_of(settings.request.webhook), cancel, trace)


def _seed_of(job_id: str) -> int:
    """Return the seed of the shifts that every attempt at a job uses, where none was asked for."""
    return int.from_bytes(hashlib.sha256(job_id.encode()).digest()[:6])


@contextmanager
def _scratch_folder(parent: Path) -> Iterator[Path]:
    """Make a folder for everything that a job writes; it is deleted however the job ends."""
    folder = Path(tempfile.mkdtemp(prefix="job-", dir=parent))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
