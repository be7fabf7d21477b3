"""A worker on the nodes that it meets: any user, nothing to write on, IPv6 alone, odd paths."""

import os
import site
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from tests.support.confined import can_confine, start_confined
from tests.support.ipv6_only import Ipv6Network, ipv6_network
from tests.support.web import Web, answer, web_server
from tests.support.worker import Models, Process, Worker

from bench.audio_files import tones, write_audio
from splitjob.result import EXIT_DONE
from splitjob_kubelet.runtime.confinement import Identity, Mount
from splitjob_local.cluster import s3server
from splitjob_local.paths import REPOSITORY
from splitjob_local.processes.supervised import Processes
from splitjob_local.programs.binaries import find_binaries

ADDRESS = "::1"
PORT = 9000
AS_OPENSHIFT_CHOOSES = Identity(1000650000, 0)
NODES_VARIABLES = {
    "LD_LIBRARY_PATH": "/usr/local/nvidia/lib64:/usr/local/cuda/lib64",
    "PYTHONPATH": "/opt/elsewhere/lib/python/site-packages",
}


@pytest.fixture
def network() -> Iterator[Ipv6Network]:
    if not can_confine():
        pytest.skip("this machine has no mount namespaces for us")
    with ipv6_network() as made:
        yield made


@pytest.fixture
def servers(network: Ipv6Network, tmp_path: Path) -> Iterator[tuple[Web, s3server.S3Access]]:
    """A web server and the real S3 server, reached by IPv6 alone."""
    program = find_binaries(lambda text: print(text, file=sys.__stderr__))["versitygw"]
    access = s3server.S3Access.new(f"http://[{ADDRESS}]:{PORT}")
    web_context = web_server(ADDRESS)
    web = network.run(web_context.__enter__)
    with closing(network.run(lambda: Processes(tmp_path / "s3"))) as processes:
        server = s3server.process(program, tmp_path / "s3", access)
        network.run(lambda: s3server.start(processes, server, access))
        yield web, access
    web_context.__exit__(None, None, None)


def opened_to_all(*folders: Path) -> None:
    for folder in folders:
        folder.chmod(0o777)
        for file in folder.iterdir():
            file.chmod(0o644)


def test_a_nameless_user_on_a_read_only_disk_with_nothing_but_ipv6(
    network: Ipv6Network,
    servers: tuple[Web, s3server.S3Access],
    models: Models,
    song: bytes,
    tmp_path: Path,
) -> None:
    """Acceptance 69: no name, no HOME, 64 MB of /dev/shm, paths as a node's driver sets them."""
    web, access = servers
    web.serve("/hooks", answer(204))
    folder = tmp_path / "work"
    folder.mkdir()
    worker = Worker(access, web, models, folder)
    source = worker.source(web.give("/song.wav", song))
    scratch, message = folder / "scratch", folder / "told" / "message"
    message.parent.mkdir()
    environment = worker.environment(
        {"source": source},
        SOURCE_ALLOWED_NETWORKS="::1/128",
        TERMINATION_MESSAGE_PATH=str(message),
        TMPDIR=str(scratch),
        **NODES_VARIABLES,
    )
    opened_to_all(scratch, message.parent, models.folder)
    seen = (folder / "secret", models.folder, models.registry.parent)
    mounts = [
        *(Mount(str(path), str(path), read_only=True) for path in dict.fromkeys(seen)),
        *(Mount(str(path), str(path)) for path in (scratch, message.parent)),
    ]
    with worker._outputs() as (out, read, errors, log):
        popen = network.run(
            lambda: start_confined(
                ["splitjob_worker"],
                environment,
                tmp_path / "root",
                mounts,
                AS_OPENSHIFT_CHOOSES,
                out,
                errors,
            )
        )
    run = worker.finish(Process(popen, read, log), environment)
    assert run.status == EXIT_DONE, run.log
    assert [what for what, _, _ in web.requests].count("POST /hooks") == 1
    stored = network.run(lambda: access.service().list_objects(""))
    assert len(stored) == 5


def test_a_decoder_is_found_where_the_worker_was(tmp_path: Path) -> None:
    """By a path that only PYTHONPATH has, as where nothing is installed."""
    write_audio(tmp_path / "song.wav", tones(44100, 1.0, 2))
    program = (
        "import sys; from pathlib import Path\n"
        "from splitjob_worker.source.audio import AudioLimits\n"
        "from splitjob_worker.source.decode import decode\n"
        "folder = Path(sys.argv[1])\n"
        "limits = AudioLimits(44100, 60)\n"
        "print(decode(folder / 'song.wav', folder / 'spool', limits)[1].frames)\n"
    )
    parts = [*site.getsitepackages(), str(REPOSITORY / "common"), str(REPOSITORY / "job_image")]
    interpreter = Path(sys.base_prefix) / "bin" / f"python3.{sys.version_info.minor}"
    done = subprocess.run(
        [interpreter, "-c", program, tmp_path],
        env={"PYTHONPATH": os.pathsep.join(parts)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout == "44100\n", done.stderr
