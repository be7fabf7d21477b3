"""One job from its source to its stems: fetch, decode, separate, encode, upload, notify.

The model is loaded while the source is downloaded and decoded. Nothing that takes long to import,
torch least of all, is imported before both have begun.
Files are encoded while the model is at work, and uploaded while they are encoded.
"""

import hashlib
import importlib
import logging
import shutil
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from splitjob.allowlist import Allowlist
from splitjob.errors import ErrorCode, Failure
from splitjob.intent import intent_of
from splitjob.models import ModelRecord
from splitjob.resource import Audio
from splitjob.result import Manifest, WorkerReport, remainder_name, storage_prefix
from splitjob.signing import parse_tokens
from splitjob_io.webhook_sender import WebhookSender
from splitjob_worker.engine import weights
from splitjob_worker.machine import reuse_memory, without_collection
from splitjob_worker.reporting import report
from splitjob_worker.reporting.progress import Progress
from splitjob_worker.reporting.webhook import Notifier
from splitjob_worker.scratch import Scratch, check_limit
from splitjob_worker.settings import WorkerSettings
from splitjob_worker.source import fetch
from splitjob_worker.source.audio import Decoded
from splitjob_worker.source.audio import Limits as DecoderLimits
from splitjob_worker.stopping import Stop, Stopped, awaited, in_thread

if TYPE_CHECKING:
    from splitjob_worker.engine.separator import Options, Separator
    from splitjob_worker.pipeline import Song
    from splitjob_worker.spool import Spool
    from splitjob_worker.stems.encode import Encoding
    from splitjob_worker.upload.targets import Target

log = logging.getLogger(__name__)


class Job:
    """One attempt at one request.

    Args:
        settings: what was asked, and where things are.
        stop: told to stop?
        began: `time.monotonic()` at which the process started.
    """

    def __init__(self, settings: WorkerSettings, stop: Stop, began: float) -> None:
        self._settings = settings
        self._request = settings.request
        self._stop = stop
        self._began = began
        self._prefix = storage_prefix(
            settings.storage_prefix, settings.request.version_id, settings.job_id
        )
        self._notifier = self._make_notifier()
        self._progress = Progress(listener=self._notifier.progress)

    def run(self) -> WorkerReport:
        """Do the job.

        Returns:
            The report of a completed job, already written once; its webhook has been tried.

        Raises:
            Failure: the job cannot be completed.
            Superseded: it is settled already.
            Stopped: told to stop.
        """
        self._stop.check()
        record = self._model_record()
        reuse_memory(record.segment_seconds)
        with self._scratch() as scratch:
            separator = in_thread(lambda: self._load_model(record))
            source = in_thread(lambda: self._download(self._room(scratch)))
            target = self._target()
            self._stop.during(target.prepare)
            self._notifier.started()
            mixture, decoded = self._mixture(record, source, separator, self._room(scratch))
            song = self._song(separator, mixture, decoded, scratch, target)
            finished = self._report(song, decoded, separator.result())
            self._settle(finished, target)
        report.write(finished, self._settings.termination_message_path)
        self._notify(finished, target.bucket)
        return finished

    def _room(self, folder: Path) -> Scratch:
        return Scratch(folder, self._settings.scratch_bytes)

    def _download(self, scratch: Scratch) -> Path:
        """Download the source, in a thread beside the first look at the bucket; return its file."""
        source = scratch.folder / "source"
        with self._progress.stage("fetch") as on_progress:
            fetch.Download(
                self._settings.url_of(self._request.source),
                source,
                fetch.Limits(self._settings.max_source_bytes),
                networks=self._settings.allowed_networks,
                allow_http=self._settings.local,
                scratch=scratch,
                stop=self._stop,
                on_progress=on_progress,
            ).run()
        return source

    def _mixture(
        self,
        record: ModelRecord,
        download: Future[Path],
        separator: "Future[Separator]",
        scratch: Scratch,
    ) -> "tuple[Spool, Decoded]":
        """Wait for the source and decode it; the downloaded file is gone afterwards."""

        def check() -> None:
            self._stop.check()
            check_limit(scratch)
            if separator.done():
                separator.result()  # no model, no GPU: say so before more work is done

        source = awaited(download, check)
        from splitjob_worker.source.decode import decode  # noqa: PLC0415 - loads numpy

        limits = DecoderLimits(record.sample_rate, self._settings.max_audio_seconds)
        with self._progress.stage("decode"):
            mixture, decoded = decode(
                source, source.with_name("mixture.f32"), limits, check_stop=check
            )
        source.unlink()
        return mixture, decoded

    @without_collection()
    def _load_model(self, record: ModelRecord) -> "Separator":
        """Check the weights and bring the model up, in a thread beside the download."""
        began = time.monotonic()
        found = in_thread(lambda: weights.find(record, self._settings.model_dir))
        from splitjob_worker.engine.separator import (  # noqa: PLC0415 - seconds of import
            Remainder,
            Separator,
        )

        importlib.import_module("splitjob_worker.pipeline")  # needed next: not when the model waits
        remainder = None
        if self._request.remainder:
            remainder = Remainder(remainder_name(self._request.stems or list(record.stems)))
        separator = Separator(
            found.result(),
            self._settings.device,
            self._request.stems,
            self._settings.precision,
            remainder,
        )
        self._progress.timings["load"] = round((time.monotonic() - began) * 1000)
        return separator

    def _song(
        self,
        loading: "Future[Separator]",
        mixture: "Spool",
        decoded: Decoded,
        scratch: Path,
        target: "Target",
    ) -> "Song":
        """Separate, encode and upload, each stem as soon as it can be."""
        separator = awaited(loading, self._stop.check)
        from splitjob_worker.pipeline import Output, separate_song  # noqa: PLC0415
        from splitjob_worker.stems.encode import CONTENT_TYPES  # noqa: PLC0415 - all loaded by now
        from splitjob_worker.upload.targets import Uploads  # noqa: PLC0415

        encoding = self._encoding(decoded)
        with Uploads(target, CONTENT_TYPES[encoding.format], self._stop) as uploads:
            output = Output(encoding, scratch, self._room(scratch), uploads)
            song = separate_song(
                separator,
                mixture,
                decoded.normalisation,
                self._options(),
                output,
                progress=self._progress,
                check_stop=uploads.check,
            )
            with self._progress.stage("upload") as on_progress:
                uploads.finish(on_progress)
        return song

    def _encoding(self, decoded: Decoded) -> "Encoding":
        from splitjob_worker.stems.encode import Encoding  # noqa: PLC0415

        return Encoding(
            format=self._request.format,
            bit_depth=self._request.bit_depth or 16,
            bitrate_kbps=self._request.bitrate_kbps,
            clip_mode=self._request.clip_mode,
            tags=decoded.tags,
        )

    def _options(self) -> "Options":
        from splitjob_worker.engine.separator import Options  # noqa: PLC0415

        return Options(
            shifts=self._request.shifts,
            overlap=self._request.overlap_permille / 1000,
            seed=self._seed(),
        )

    def _report(self, song: "Song", decoded: Decoded, separator: "Separator") -> WorkerReport:
        return WorkerReport(
            outcome="completed",
            stems=[one.report for one in song.stems],
            sample_rate=song.sample_rate,
            model_digest=separator.weights.digest,
            device=separator.device.type,
            audio=Audio(
                frames=decoded.source_frames,
                sample_rate=decoded.source_rate,
                channels=decoded.source_channels,
            ),
            residual_dbfs=song.residual_dbfs,
            timings=dict(self._progress.timings),
            processing_time_ms=round((time.monotonic() - self._began) * 1000),
        )

    def _settle(self, finished: WorkerReport, target: "Target") -> None:
        """Write the manifest: from here on the job is completed."""
        self._stop.check()
        target.settle(
            Manifest(
                job_id=self._settings.job_id,
                job_uid=self._settings.job_uid,
                version_id=self._request.version_id,
                intent=intent_of(self._request),
                attempt=self._settings.attempt,
                status="completed",
                result=finished.result(self._request, target.bucket, self._prefix),
            )
        )

    def _notify(self, finished: WorkerReport, bucket: str) -> None:
        """Send `completed`; with presigned uploads that is the operator's, who has the verdict."""
        self._notifier.finish_courtesies()
        if self._request.uploads:
            return
        result = finished.result(self._request, bucket, self._prefix)
        try:
            with self._progress.stage("notify"):
                outcome = self._notifier.completed(result)
        except Stopped:
            log.warning("told to stop: the webhook is left to the operator")
            return
        if outcome is not None:
            finished.webhook_delivered = outcome.delivered
            finished.webhook_gone = outcome.gone
            finished.webhook_retry_after = outcome.retry_after_seconds

    def _model_record(self) -> ModelRecord:
        record = weights.registry(self._settings.model_registry).get(self._request.model)
        if record is None:
            raise Failure(
                ErrorCode.MODEL_UNAVAILABLE,
                f"this installation has no model called {self._request.model} (GET /models lists "
                "those it has)",
            )
        unknown = [one for one in self._request.stems or [] if one not in record.stems]
        if unknown:
            raise Failure(
                ErrorCode.REQUEST_INVALID,
                f"the model {record.name} gives no stem called {unknown[0]}, only "
                f"{', '.join(record.stems)}",
            )
        return record

    def _target(self) -> "Target":
        from splitjob_io.storage import S3Service, StorageError  # noqa: PLC0415 - loads boto3
        from splitjob_worker.upload.targets import Bucket, PresignedUrls  # noqa: PLC0415

        if self._request.uploads:
            urls = {
                name: self._settings.url_of(location)
                for name, location in self._request.uploads.items()
            }
            return PresignedUrls(urls, self._settings.allowed_networks, self._stop)
        try:
            storage = S3Service()
        except (StorageError, ValueError) as error:
            raise Failure(
                ErrorCode.WORKER_CONFIG, f"the bucket is not configured: {_first_line(error)}"
            ) from None
        return Bucket(storage, self._prefix)

    def _make_notifier(self) -> Notifier:
        settings = self._settings
        try:
            sender = WebhookSender(
                parse_tokens(settings.token.get_secret_value()),
                Allowlist.parse(settings.webhook_allowlist, local=settings.local),
                settings.allowed_networks,
            )
        except ValueError as error:
            raise Failure(ErrorCode.WORKER_CONFIG, _first_line(error)) from None
        return Notifier(settings, sender, settings.url_of(self._request.webhook), self._stop)

    def _seed(self) -> int:
        """Return the seed of the shifts: the request's, or one that a retry finds again."""
        if self._request.seed is not None:
            return self._request.seed
        return int.from_bytes(hashlib.sha256(self._settings.job_id.encode()).digest()[:6])

    @contextmanager
    def _scratch(self) -> Iterator[Path]:
        """A folder for everything this job writes, gone at the end however it ends."""
        folder = Path(tempfile.mkdtemp(prefix="job-", dir=self._settings.scratch_dir))
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def _first_line(error: Any) -> str:  # noqa: ANN401
    return str(error).splitlines()[0]
