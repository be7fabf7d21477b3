"""`download`: stems and waveforms."""

import hashlib
import json
from pathlib import Path

from tests.support.fake_service import (
    JOB_ID,
    FakeService,
    gives,
    job,
    problem,
    sends,
    stem,
)
from tests.support.service_commands import Run

from track_tree_audio.service.command import ExitStatus


def test_stems_are_fetched(run: Run, service: FakeService, tmp_path: Path) -> None:
    content = b"RIFF"
    digest = hashlib.sha256(content).hexdigest()
    stems = [stem(name, digest, 4) for name in ("drums", "vocals")]
    service.on(f"GET /jobs/{JOB_ID}", gives(job("completed", result={"stems": stems})))
    for name in ("drums", "vocals"):
        url = {"url": f"{service.url}/bucket/{name}?sig=secret"}
        service.on(f"GET /jobs/{JOB_ID}/stems/{name}", gives(url))
        service.on(f"GET /bucket/{name}", sends(content, 200, "audio/wav"))
    said = run("download", JOB_ID, "--to", str(tmp_path))
    assert said.out.splitlines() == [str(tmp_path / "drums.wav"), str(tmp_path / "vocals.wav")]
    one = run("download", JOB_ID, "drums", "--to", str(tmp_path), "--json")
    assert one.json == {"stem": "drums", "path": str(tmp_path / "drums.wav")}
    for words in ((), ("drums",)):
        service.on(f"GET /jobs/{JOB_ID}", gives(job("running")))
        assert run("download", JOB_ID, *words).status == ExitStatus.REFUSED


def test_a_file_that_cannot_be_had_any_more_is_told_as_one_that_never_was(
    run: Run, service: FakeService, tmp_path: Path
) -> None:
    to = ("--to", str(tmp_path))
    made = {"stems": [{**stem("drums", "0" * 64, 4), "waveform": "s3://bucket/x"}]}
    service.on(f"GET /jobs/{JOB_ID}", gives(job("completed", result=made)))
    unknown = run("download", JOB_ID, "guitar", *to)
    assert (unknown.status, unknown.err) == (
        ExitStatus.NOT_FOUND,
        "download: the job has no stem guitar; it has: drums\n",
    )
    service.on(f"GET /jobs/{JOB_ID}/stems/drums", problem(410, "erased"))
    assert run("download", JOB_ID, *to).status == ExitStatus.NOT_FOUND
    service.on(f"GET /jobs/{JOB_ID}/stems/drums", gives({"url": f"{service.url}/bucket/drums"}))
    service.on("GET /bucket/drums", problem(404, "NoSuchKey"))
    assert run("download", JOB_ID, *to).status == ExitStatus.NOT_FOUND
    assert list(tmp_path.iterdir()) == []


def test_waveforms_are_fetched_with_their_stems(
    run: Run, service: FakeService, tmp_path: Path
) -> None:
    digest = hashlib.sha256(b"RIFF").hexdigest()
    drawn = {"waveform": "s3://bucket/x"}
    stems = [{**stem("drums", digest, 4), **drawn}, stem("vocals", digest, 4)]
    done = job("completed", result={"stems": stems, "audio": drawn})
    service.on(f"GET /jobs/{JOB_ID}", gives(done))
    for name in ("drums", "vocals"):
        service.on(
            f"GET /jobs/{JOB_ID}/stems/{name}", gives({"url": f"{service.url}/bucket/{name}"})
        )
        service.on(f"GET /bucket/{name}", sends(b"RIFF", 200, "audio/wav"))
    for name in ("drums", "mixture"):
        service.on(f"GET /jobs/{JOB_ID}/waveforms/{name}", gives({"version": 2}))
    said = run("download", JOB_ID, "--to", str(tmp_path))
    names = ["drums.wav", "vocals.wav", "drums.waveform.json", "mixture.waveform.json"]
    assert said.out.splitlines() == [str(tmp_path / name) for name in names], said.err
    assert json.loads((tmp_path / "mixture.waveform.json").read_text()) == {"version": 2}
    run("download", JOB_ID, "drums", "--to", str(tmp_path / "one"))
    assert {path.name for path in (tmp_path / "one").iterdir()} == {
        "drums.wav",
        "drums.waveform.json",
    }
