"""SplitJobs that have been served, written straight to the API server."""

from bench.api_server import ApiServer

_NOW = "2026-01-01T00:00:00Z"
_STEMS = [
    {
        "type": name,
        "url": f"s3://stems/prod/song-1/split-0123456789/{name}.wav",
        "size": 52920044,
        "frames": 13230000,
        "sampleRate": 44100,
        "checksum": "sha256:" + digit * 64,
        "format": "wav",
        "peak": "0.98765",
        "gain": "1",
    }
    for name, digit in (("drums", "a"), ("bass", "b"), ("other", "c"), ("vocals", "d"))
]


def create_completed(server: ApiServer, name: str) -> None:
    """Create a SplitJob that has been served: four stems, its webhook delivered, counted."""
    ended = {"type": "Succeeded", "status": "True", "reason": "Completed", "message": "Done."}
    webhook = {"eventId": f"evt-{name}", "event": "completed", "state": "Delivered"}
    status = {
        "conditions": [{**ended, "lastTransitionTime": _NOW}],
        "attempts": [{"number": 1, "jobName": name, "finishedAt": _NOW, "reason": "Completed"}],
        "result": {"stems": _STEMS, "model": "demo", "timings": {"fetch": 1, "separate": 2}},
        "webhook": webhook,
        "startedAt": _NOW,
        "finishedAt": _NOW,
        "counted": True,
    }
    server.write_status(server.create(name), status)
