"""The bodies of webhooks: docs/contract.md, section 4."""

import json

import pytest

from splitjob.errors import ErrorCode
from splitjob.spec import Request, Source, Webhook
from splitjob.status import Audio, Result, Stem, Usage
from splitjob.webhook import courtesy_event, encode, final_event, result_fields

REQUEST = Request(
    version_id="v1",
    correlation_id="c1",
    model="demo",
    source=Source(url="https://a/b"),
    webhook=Webhook(url="https://a/hook"),
    metadata={"k": "ü"},
)
RESULT = Result(
    stems=[
        Stem(
            type="no_vocals",
            url="s3://bucket/v1/job/no_vocals.wav",
            size=1234567,
            frames=44100 * 2 + 1,
            sample_rate=44100,
            checksum="sha256:" + "0" * 64,
            format="wav",
            peak="0.5",
            gain="1",
            waveform="s3://bucket/v1/job/no_vocals.waveform.json",
        )
    ],
    model="demo",
    model_digest="sha256:abc",
    device="cpu",
    audio=Audio(frames=48000, sample_rate=48000, channels=1),
    residual_dbfs="-61.25",
    timings={"separate": 1500},
)


def completed() -> dict[str, object]:
    return final_event(
        job_id="job",
        request=REQUEST,
        event="completed",
        result=RESULT,
        failure_code=None,
        failure_message=None,
        processing_time_ms=45000,
        usage=Usage(attempts=2, gpu_seconds="61.5"),
    )


def test_the_body_of_completed_is_that_of_the_contract() -> None:
    body = completed()
    assert list(body)[:5] == ["versionId", "status", "processingTimeMs", "stems", "error"]
    assert body["stems"] == [
        {
            "type": "no_vocals",
            "name": "No Vocals",
            "url": "s3://bucket/v1/job/no_vocals.wav",
            "size": 1234567,
            "duration": 2.000023,
            "checksum": "sha256:" + "0" * 64,
            "format": "wav",
            "sampleRate": 44100,
            "peak": 0.5,
            "gain": 1.0,
            "silent": False,
            "waveform": "s3://bucket/v1/job/no_vocals.waveform.json",
        }
    ]
    rest = {key: value for key, value in body.items() if key not in {"stems", "metadata"}}
    assert rest == {
        "versionId": "v1",
        "status": "completed",
        "processingTimeMs": 45000,
        "error": None,
        "errorCode": None,
        "jobId": "job",
        "correlationId": "c1",
        "event": "completed",
        "attempts": 2,
        "gpuSeconds": 61.5,
        "model": "demo",
        "modelDigest": "sha256:abc",
        "device": "cpu",
        "audio": {"duration": 1.0, "sampleRate": 48000, "channels": 1, "waveform": None},
        "timings": {"separate": 1500},
        "residual": -61.25,
    }


def test_what_a_song_has_lost_is_told_of_only_where_it_has() -> None:
    lost = RESULT.model_copy(
        update={"audio": Audio(frames=1, sample_rate=1, channels=1, damaged_seconds="0.25")}
    )
    audio = result_fields(lost)["audio"]
    assert audio["damagedSeconds"] == 0.25
    assert "missingSeconds" not in audio


def test_failed_has_the_same_fields() -> None:
    body = final_event(
        job_id="job",
        request=REQUEST,
        event="failed",
        result=None,
        failure_code=ErrorCode.SOURCE_NOT_FOUND,
        failure_message="The source answered 404.",
        processing_time_ms=0,
        usage=Usage(attempts=1),
    )
    assert list(body) == list(completed())
    assert (body["status"], body["stems"], body["residual"]) == ("failed", [], None)
    assert (body["errorCode"], body["error"]) == ("source_not_found", "The source answered 404.")


def test_a_courtesy_event_says_its_place_in_the_sequence() -> None:
    body = courtesy_event(
        job_id="job",
        request=REQUEST,
        event="progress",
        sequence=3,
        attempt=1,
        stage="separate",
        percent=40,
    )
    assert (body["status"], body["event"], body["sequence"]) == ("progress", "progress", 3)


def test_a_body_is_encoded_as_plain_json_or_refused() -> None:
    assert json.loads(encode(completed())) == completed()
    assert encode({"a": "ü", "b": [1]}) == b'{"a":"\\u00fc","b":[1]}'
    with pytest.raises(ValueError, match="JSON"):
        encode({"a": float("nan")})
