"""The commands of the documentation, run as they are written, page after page, on one cluster.

A block `sh` is run. One with the title `your values` is the reader's own: ours stand in its place.
One with the title `not run here` needs what no machine of ours has.
"""

import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml
from tests.support.waiting import patience, timeout
from tests.support.web import web_server

from bench.audio_files import tones, write_audio
from splitjob_local.cluster.local_cluster import LocalCluster
from splitjob_local.processes.ports import PortLeases
from splitjob_local.processes.supervised import clean_environment

pytestmark = pytest.mark.timeout(patience(600))  # a cluster, and waiting as long as a reader would

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
README = ROOT / "README.md"
NOT_RUN = "not run here"
YOURS = "your values"
# In the order in which a reader comes to them; each finds what those before it have left.
PAGES = (
    "install/any-cluster.md",
    "tune.md",
    "integrate.md",
    "client.md",
    "operations.md",
    "observe.md",
    "runbook.md",
    "backup.md",
    "upgrade.md",
)
# Run by other tests: whole clusters of their own, and receivers without any.
ELSEWHERE = {"local-cluster.md", "webhooks.md"}
FENCE = re.compile(r"^ *```(?P<info>[^\n]*)\n(?P<text>.*?)^ *```$", re.MULTILINE | re.DOTALL)
COMMANDS = ("sh", "bash", "shell")

# Of the reader's own machine; other tests may have theirs there.
PORTS = ("18080", "18081", "8001")

# The local values have the API sign URLs, as readers may have theirs do: the pages say how.
KEYS_OF_THE_API = """
kubectl --namespace audio patch secret audio-keys --patch \
  "$(printf '{"stringData": {"API_S3_ACCESS_KEY_ID": "%s", "API_S3_SECRET_ACCESS_KEY": "%s"}}' \
    "$S3_ACCESS_KEY_ID" "$S3_SECRET_ACCESS_KEY")"
"""
# What a cluster without Services and with ports of its own needs besides, and what comes before
# `helm test` there.
AFTER = {
    "create secret generic audio-keys": KEYS_OF_THE_API,
    "cat > audio-values.yaml": "cat local-values.yaml >> audio-values.yaml",
}
BEFORE = {
    "helm --namespace audio test": """
ADDRESS=$(kubectl --namespace audio get pods -l app.kubernetes.io/component=api \
  --field-selector=status.phase=Running -o jsonpath='{.items[0].status.podIP}')
printf 'tests: {address: "http://%s:%s"}\\n' "$ADDRESS" "$API_PORT" >> audio-values.yaml
helm upgrade audio charts/track-tree-audio --namespace audio --values audio-values.yaml
"""
}
# What the shell of `make cluster` has, here for the service that the first page has installed.
SHELL_OF_A_CLUSTER = """
ADDRESS=$(kubectl --namespace audio get pods -l app.kubernetes.io/component=api \
  --field-selector=status.phase=Running -o jsonpath='{.items[0].status.podIP}')
API_URL=http://$ADDRESS:$API_PORT
DEMUCSSVC_TOKEN=$(kubectl --namespace audio get secret audio-keys \
  -o jsonpath='{.data.DEMUCSSVC_TOKEN}' | base64 --decode)
WEBHOOK_BASE=$WEBHOOK/
"""
ITS_JOB = f"""
kubectl --namespace audio wait --for=condition=Succeeded {timeout(110)} \
  $(kubectl --namespace audio get splitjobs -o name --field-selector=spec.request.versionId=first)
"""
# A reader takes longer to the next page than the pods that a page has replaced to start.
TURN_THE_PAGE = f"""
kubectl --namespace audio rollout status {timeout(110)} \
  deployment/audio-track-tree-audio-api deployment/audio-track-tree-audio-operator
"""


@dataclass(frozen=True)
class Block:
    """A block of commands on a page."""

    title: str
    text: str


def blocks(page: Path) -> list[Block]:
    return blocks_of(page.read_text())


def blocks_of(text: str) -> list[Block]:
    found = []
    for fence in FENCE.finditer(text):
        language, _, options = fence["info"].strip().partition(" ")
        if language in COMMANDS:
            title = re.search(r'title="([^"]*)"', options)
            found.append(Block(title[1] if title else "", fence["text"]))
    return found


@dataclass(frozen=True)
class Reader:
    """Somebody who follows the pages, with a folder, a cluster and values of their own."""

    folder: Path
    environment: dict[str, str]
    ports: dict[str, str]

    def follow(self, page: str) -> str:
        """Run the commands of a page in one shell; returns what it said."""
        script = []
        for number, block in enumerate(blocks(DOCS / page), start=1):
            if block.title:
                continue
            script += [f"echo '--- {page}, block {number}'"]
            script += [do for words, do in BEFORE.items() if words in block.text]
            script += [block.text]
            script += [do for words, do in AFTER.items() if words in block.text]
        return self.run(*script, TURN_THE_PAGE)

    def run(self, *script: str) -> str:
        """Run commands in one shell that ends at the first that fails; returns what it said."""
        begin = ["set -euo pipefail", "trap 'kill $(jobs -p) 2> /dev/null || true' EXIT"]
        text = "\n".join([*begin, *script])
        text = re.sub(r"\d+", lambda number: self.ports.get(number[0], number[0]), text)
        ran = subprocess.run(
            ["bash", "-c", text],
            check=False,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=patience(500),
            cwd=self.folder,
            env=self.environment,
        )
        assert ran.returncode == 0, ran.stdout
        return ran.stdout


@pytest.fixture(scope="module")
def reader(bare: LocalCluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Reader]:
    folder = tmp_path_factory.mktemp("reader")
    (folder / "charts").symlink_to(ROOT / "charts")
    (folder / ".venv").symlink_to(sys.prefix)
    (folder / "demo-out").mkdir()
    song = write_audio(folder / "demo-out" / "song.wav", tones(44100, 2.0, 2))
    with web_server() as web, PortLeases() as leases:
        service, s3 = bare.service, bare.s3
        local = yaml.safe_load((ROOT / "charts/track-tree-audio/values-local.yaml").read_text())
        local["api"]["port"] = service.api_port
        local["operator"]["port"] = service.operator_port
        (folder / "local-values.yaml").write_text(yaml.safe_dump(local))
        programs = bare.cluster.programs
        homes = dict.fromkeys(("HELM_CACHE_HOME", "HELM_CONFIG_HOME", "HELM_DATA_HOME"), "helm")
        environment = clean_environment(
            **homes,
            KUBECONFIG=str(bare.kubeconfig),
            API_PORT=str(service.api_port),
            S3_ENDPOINT=s3.endpoint,
            S3_REGION=s3.region,
            S3_BUCKET=s3.bucket,
            S3_ACCESS_KEY_ID=s3.access_key_id,
            S3_SECRET_ACCESS_KEY=s3.secret_access_key,
            WEBHOOK=service.webhook_base.rstrip("/"),
            SONG=web.give("/song.wav", song.read_bytes()).partition("?")[0],
            FILE=str(song),
            REGISTRY="registry.example.com",
        )
        folders = {str(programs[name].parent) for name in ("kubectl", "helm")}
        environment["PATH"] = ":".join([*folders, environment["PATH"]])
        yield Reader(folder, environment, {port: str(leases.port()) for port in PORTS})


@pytest.mark.parametrize("page", PAGES)
def test_the_commands_of_a_page_run_as_written(reader: Reader, page: str) -> None:
    assert f"--- {page}" in reader.follow(page)


def section(title: str) -> str:
    """Return the commands of a section of the README."""
    text = README.read_text().partition(f"\n## {title}\n")[2].partition("\n## ")[0]
    return "\n".join(block.text for block in blocks_of(text))


def test_a_song_is_separated_by_hand_as_the_readme_says(reader: Reader) -> None:
    reader.run(section("Separate a song by hand"))
    written = {file.name for file in (reader.folder / "separated/demo/song").iterdir()}
    assert written == {"vocals.mp3", "no_vocals.mp3"}


def test_the_service_is_called_as_the_readme_says(reader: Reader) -> None:
    """It is the one that the pages above have installed."""
    said = reader.run(SHELL_OF_A_CLUSTER, section("Call it"), ITS_JOB)
    assert '{"jobId":"split-' in said


def test_the_readme_has_no_other_commands_than_these_and_those_of_make() -> None:
    sections = ("Separate a song by hand", "Call it", "Install it")
    known = "".join(section(title) for title in sections)
    others = [
        block.text.strip() for block in blocks_of(README.read_text()) if block.text not in known
    ]
    assert others == ["make demo", "make test"]


def test_every_block_is_run_or_says_that_it_is_not() -> None:
    wrong = []
    for page in DOCS.rglob("*.md"):
        name = str(page.relative_to(DOCS))
        if name in ELSEWHERE:
            continue
        for number, block in enumerate(blocks(page), start=1):
            run = not block.title and name in PAGES
            yours = block.title == YOURS and name in PAGES
            if not (run or yours or block.title == NOT_RUN):
                wrong.append(f"{name}, block {number}: {block.title or 'no title'}")
    assert not wrong
