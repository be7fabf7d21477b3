"""The checks of the results: webhook, manifest and stems."""

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from splitjob_io.storage import S3Service
from splitjob_local.demo import verify
from splitjob_local.demo.audio import Signal, decode, rms_dbfs
from splitjob_local.demo.narrator import Narrator
from splitjob_local.demo.receiver import Delivery
from splitjob_local.demo.song import Song

FRESH_SECONDS = 300


@dataclass
class Separation:
    """The results of one separation.

    Attributes:
        body: of the webhook.
        manifest: of the bucket.
        stems: downloaded and decoded, by type.
        files: the downloaded files, by type.
        sdr: by stem: its SDR and that of the unseparated song, dB; empty for a song of the user's.
        residual: mixture minus stems, dBFS.
    """

    body: dict[str, Any]
    manifest: dict[str, Any] = field(default_factory=dict)
    stems: dict[str, Signal] = field(default_factory=dict)
    files: dict[str, Path] = field(default_factory=dict)
    sdr: dict[str, tuple[float, float]] = field(default_factory=dict)
    residual: float = 0.0


def examine_webhook(
    narrator: Narrator, deliveries: Sequence[Delivery], token: str, splitjob: dict[str, Any]
) -> dict[str, Any] | None:
    """Check the final webhook; returns its body, or None where there is none."""
    if not narrator.check(len(deliveries) == 1, f"one webhook arrived ({len(deliveries)})"):
        return None
    delivery = deliveries[0]
    for name in ("x-signature", "x-timestamp", "webhook-id", "webhook-signature"):
        narrator.show(f"{name}: {delivery.headers.get(name, '(missing)')}")
    narrator.check(
        verify.signature_holds(delivery, token),
        "X-Signature is HMAC-SHA256 of the raw body with our token: it came from this service",
    )
    narrator.check(
        verify.standard_signature_holds(delivery, token),
        "webhook-signature (Standard Webhooks) holds too, so ready-made libraries can verify it",
    )
    age = abs(time.time() - int(delivery.headers.get("x-timestamp", "0")))
    narrator.check(age < FRESH_SECONDS, "its timestamp is fresh, so that a replay can be refused")
    outbox = splitjob["status"].get("webhook") or {}
    narrator.check(
        delivery.headers.get("webhook-id") == outbox.get("eventId"),
        "its webhook-id is the one on the SplitJob: a receiver can drop repeats by it",
    )
    body: dict[str, Any] = json.loads(delivery.body)
    narrator.check(
        body["jobId"] == splitjob["metadata"]["name"], "it names the job that was accepted"
    )
    return body


def examine_stems(
    narrator: Narrator, separation: Separation, storage: S3Service, song: Song, folder: Path
) -> None:
    """Download the stems and compare them with the webhook, the manifest and the song."""
    _download(separation, storage, song, folder)
    stems = separation.body["stems"]
    narrator.check(
        all(
            verify.checksum(separation.files[stem["type"]]) == stem["checksum"]
            and separation.files[stem["type"]].stat().st_size == stem["size"]
            for stem in stems
        ),
        f"SHA-256 and size of all {len(stems)} downloaded stems are those in the webhook",
    )
    listed = {
        stem["type"]: stem["checksum"] for stem in separation.manifest["result"].get("stems", [])
    }
    narrator.check(
        listed == {stem["type"]: stem["checksum"] for stem in stems},
        "manifest.json, written last, lists the same stems with the same checksums: the set is "
        "whole",
    )
    wanted = song.mixture.shape[1]
    narrator.check(
        # Resampling a song can round its length up or down by one sample.
        all(abs(stem.shape[1] - wanted) <= 1 for stem in separation.stems.values()),
        f"every stem is as long as the song, {wanted} samples",
    )
    _examine_sum(narrator, separation, song)
    if song.stems:
        _examine_quality(narrator, separation, song)


def _download(separation: Separation, storage: S3Service, song: Song, folder: Path) -> None:
    folder.mkdir(exist_ok=True)
    for stem in separation.body["stems"]:
        key = _key(stem["url"])
        file = folder / key.rpartition("/")[2]
        storage.download_file(key, file)
        separation.files[stem["type"]] = file
        separation.stems[stem["type"]] = decode(file, song.rate)
    prefix = _key(separation.body["stems"][0]["url"]).rpartition("/")[0]
    separation.manifest = storage.get_json(f"{prefix}/manifest.json") or {"result": {}}


def _examine_sum(narrator: Narrator, separation: Separation, song: Song) -> None:
    gains = {stem["type"]: float(stem["gain"]) for stem in separation.body["stems"]}
    ours = verify.residual_dbfs(song.mixture, separation.stems, gains)
    separation.residual = ours
    reported = separation.body["residual"]
    theirs = float("nan") if reported is None else float(reported)
    level = rms_dbfs(song.mixture)
    narrator.check(
        reported is not None and verify.residuals_agree(ours, theirs),
        f"song minus all stems leaves {ours:.1f} dBFS, decoded and summed here; the service "
        f"reported {theirs:.1f}",
    )
    share = 100 * 10 ** ((ours - level) / 10)
    words = f"what the stems miss together is {share:.1f} % of the song's energy"
    if song.stems:
        narrator.check(share <= verify.MAX_MISSING_PERCENT, words)
    else:
        narrator.say(f"({words}; how much depends on the model and the song)")


def _examine_quality(narrator: Narrator, separation: Separation, song: Song) -> None:
    separation.sdr = verify.sdr_table(song.stems or {}, separation.stems, song.mixture)
    narrator.say(
        "The synthesiser kept what it mixed, so the distance to the truth can be measured. "
        "SDR in dB, 3 dB more is half the error; beside it, what the unseparated song scores:"
    )
    for name, (found, before) in separation.sdr.items():
        narrator.show(f"{name:<8} {found:6.1f} dB   (song itself {before:6.1f} dB)")
    mean = sum(found for found, _ in separation.sdr.values()) / max(len(separation.sdr), 1)
    narrator.check(
        all(found > before for found, before in separation.sdr.values()),
        f"every stem is closer to what was played than the song was; {mean:.1f} dB on average",
    )


def _key(url: str) -> str:
    """Return the key in `s3://bucket/key`."""
    return url.removeprefix("s3://").partition("/")[2]
