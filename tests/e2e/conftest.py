"""The service as installed on the cluster, with a caller and a receiver of its own."""

from collections.abc import Iterator

import pytest
from tests.support.web import web_server
from tests.support.whole_path import WholePath

from bench.audio_files import tones, write_audio
from splitjob_client import Client
from splitjob_local.cluster.local_cluster import LocalCluster
from splitjob_local.cluster.service import Service


@pytest.fixture(scope="session")
def path(
    crd: LocalCluster, installed: Service, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[WholePath]:
    """The whole path, shared by the tests of this folder; its receiver listens."""
    song = write_audio(tmp_path_factory.mktemp("songs") / "song.wav", tones(44100, 2.0, 2))
    with (
        Client(installed.api_urls()[0], installed.token) as client,
        web_server(installed.source_host, installed.receiver_identity) as web,
    ):
        whole = WholePath(crd, installed, client, web, song.read_bytes())
        whole.listen()
        yield whole
        whole.hang_up()
