"""The command and the client against the service as it is installed, with a real worker."""

import asyncio
import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.waiting import eventually
from tests.support.whole_path import WholePath

from splitjob.webhook import verify
from splitjob_client import (
    AsyncClient,
    Client,
    ConflictError,
    GoneError,
    NotFoundError,
    UnauthorizedError,
)
from splitjob_local.demo.receiver import Delivery
from track_tree_audio import main as cli
from track_tree_audio.service.command import ExitStatus


@pytest.fixture(scope="module")
def client(path: WholePath) -> Iterator[Client]:
    with Client(path.service.api_urls()[0], path.service.token) as connected:
        yield connected


@pytest.fixture(autouse=True)
def environment(path: WholePath, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("API_URL", path.service.api_urls()[0])
    monkeypatch.setenv("DEMUCSSVC_TOKEN", path.service.token)
    monkeypatch.setenv("WEBHOOK", f"{path.service.webhook_base}client")


def deliveries(path: WholePath, job_id: str) -> list[Delivery]:
    return [one for one in path.deliveries if json.loads(one.body)["jobId"] == job_id]


def test_a_song_by_the_command_alone(
    path: WholePath, client: Client, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    words = ("submit", path.song_url(), "--model", "demo", "--version-id", "by-command", "--watch")
    assert cli.main(words) == ExitStatus.DONE
    said = capsys.readouterr()
    job_id, *stems = said.out.splitlines()
    assert [line.split()[0] for line in stems] == ["STEM", "drums", "bass", "other", "vocals"]
    assert "running" in said.err
    assert path.service.token not in said.out + said.err
    assert cli.main(("jobs", "--version-id", "by-command", "--json")) == ExitStatus.DONE
    listed = json.loads(capsys.readouterr().out)["jobs"]
    assert [(one["jobId"], one["state"]) for one in listed] == [(job_id, "completed")]

    [told] = eventually(lambda: deliveries(path, job_id))
    event = verify(told.body, told.headers, f"another,{path.service.token}")
    assert (event.name, event.job_id) == ("completed", job_id)

    path.wait(job_id)
    assert cli.main(("redeliver", job_id)) == ExitStatus.DONE
    again = eventually(lambda: deliveries(path, job_id)[1:])
    assert verify(again[0].body, again[0].headers, path.service.token).event_id == event.event_id
    with pytest.raises(ConflictError) as refused:
        client.retry(job_id)
    assert refused.value.code == "already_completed"

    check_download_and_erasure(job_id, client, tmp_path, capsys)


def check_download_and_erasure(
    job_id: str, client: Client, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Fetch the stems by the command, which checks them, and have them erased."""
    capsys.readouterr()
    assert cli.main(("download", job_id, "--to", str(folder))) == ExitStatus.DONE
    files = [folder / f"{name}.wav" for name in ("drums", "bass", "other", "vocals")]
    assert capsys.readouterr().out.splitlines() == list(map(str, files))
    assert all(file.read_bytes().startswith(b"RIFF") for file in files)
    assert cli.main(("erase", job_id)) == ExitStatus.DONE
    eventually(lambda: client.job(job_id).erased)
    with pytest.raises(GoneError):
        client.stem_url(job_id, "drums")


def test_a_job_is_canceled_and_done_again(
    path: WholePath, client: Client, capsys: pytest.CaptureFixture[str]
) -> None:
    held = client.submit(
        version_id="held",
        ai_model="demo",
        audio_url=path.song_url(),
        webhook=f"{path.service.webhook_base}client",
        priority=-100,
    )
    watched = client.watch(held.job_id)
    next(watched)
    assert cli.main(("cancel", held.job_id)) == ExitStatus.DONE
    assert [job.state for job in watched][-1] == "canceled"
    assert cli.main(("job", held.job_id, "--watch")) == ExitStatus.CANCELED
    capsys.readouterr()
    assert cli.main(("retry", held.job_id, "--watch")) == ExitStatus.DONE
    again = capsys.readouterr().out.splitlines()[0]
    assert again != held.job_id
    assert client.job(again).state == "completed"


def key_of_input(path: WholePath, job_id: str) -> str:
    """Return the key of the file that a job reads."""
    url: str = path.job(job_id)["spec"]["request"]["source"]["url"]
    bucket, _, key = url.removeprefix("s3://").partition("/")
    assert bucket == path.kube.s3.bucket
    assert key.startswith("_inputs/")
    return key


def test_a_file_is_sent_by_the_command_and_gone_with_its_job(
    path: WholePath, client: Client, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    song = tmp_path / "A song.wav"
    song.write_bytes(path.song)
    assert cli.main(("submit", str(song), "--model", "demo", "--watch")) == ExitStatus.DONE
    job_id = capsys.readouterr().out.splitlines()[0]
    assert client.job(job_id).version_id == "A-song"
    key = key_of_input(path, job_id)
    eventually(lambda: "inputDeletedAt" in path.status(job_id))
    bucket = path.kube.s3.service()
    assert not bucket.file_exists(key)
    assert client.erase(job_id).erase_requested
    erased = eventually(lambda: client.job(job_id).erased)
    assert erased
    assert erased.objects == 5, "four stems and the manifest: the file was gone already"


def test_a_file_that_is_no_song_goes_too_and_is_asked_for_anew(
    path: WholePath, tmp_path: Path
) -> None:
    """Acceptance 28c: with the asynchronous client."""
    text = tmp_path / "song.wav"
    text.write_bytes(b"no song at all" * 1000)

    async def send() -> str:
        async with AsyncClient(path.service.api_urls()[-1], path.service.token) as client:
            submitted = await client.submit(
                version_id="no-song",
                ai_model="demo",
                audio_url=await client.upload(text),
                webhook=f"{path.service.webhook_base}client",
            )
            async for job in client.watch(submitted.job_id):
                state = job.failure.code if job.failure else job.state
            assert state == "audio_unreadable"
            return submitted.job_id

    job_id = asyncio.run(send())
    eventually(lambda: "inputDeletedAt" in path.status(job_id))
    assert not path.kube.s3.service().file_exists(key_of_input(path, job_id))
    with Client(path.service.api_urls()[0], path.service.token) as client:
        with pytest.raises(GoneError) as refused:
            client.retry(job_id)
        assert refused.value.code == "input_deleted"


def test_all_events_are_heard_by_the_async_client(path: WholePath) -> None:
    async def hear() -> tuple[str, list[str]]:
        url, token = path.service.api_urls()[-1], path.service.token
        async with AsyncClient(url, token) as client:
            submitted = await client.submit(
                version_id="heard",
                ai_model="demo",
                audio_url=path.song_url(),
                webhook=f"{path.service.webhook_base}client",
            )
            states: list[str] = []
            async for event in client.events(version_id="heard"):
                if event.job and event.job.job_id == submitted.job_id:
                    states.append(event.job.state)
                    if event.job.finished:
                        break
            return submitted.job_id, states

    _, states = asyncio.run(hear())
    order = ["queued", "starting", "running", "completed"]
    assert states == sorted(states, key=order.index)
    assert states[-1] == "completed"


def test_a_pasted_line_of_curl_and_a_wrong_token(
    path: WholePath, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(("sign", "GET", "/jobs?status=completed&limit=1")) == ExitStatus.DONE
    line = capsys.readouterr().out
    answer = subprocess.run(["bash", "-c", line], check=True, capture_output=True)
    assert set(json.loads(answer.stdout)) == {"jobs", "nextCursor", "observedAt"}
    stranger = Client(path.service.api_urls()[0], "a-wrong-token")
    with stranger, pytest.raises(UnauthorizedError):
        stranger.models()


def test_a_job_that_is_not_there_is_not_waited_for(client: Client) -> None:
    with pytest.raises(NotFoundError):
        next(client.watch("split-that-is-not-there"))
