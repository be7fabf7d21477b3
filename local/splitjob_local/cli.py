"""`track-tree-audio local`: a whole cluster on this machine, for as long as the command runs.

up     starts a cluster with the service installed, prints one line of JSON when everything is
       ready, and keeps it running until it is ended (Ctrl-C, SIGTERM)
shell  the same with a shell on it: kubectl and helm on PATH, KUBECONFIG set; ends with the shell.
       Without a terminal it is `up`, ended also by the end of the process that started it
demo   one song through the whole service, every step shown and checked; leaves an HTML page
fetch  only downloads or builds the programs that a cluster needs, into the cache

With --containers the node is a real one: kubelet and kube-proxy over containerd, the service from
its own images, bucket and webhooks over TLS (docs/local-cluster.md).
"""

import argparse
import json
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from splitjob_local.cluster.lifetime import (
    EndRequested,
    end_on_signals,
    ignore_further_signals,
    keep_running,
)
from splitjob_local.cluster.local_cluster import ClusterOptions, LocalCluster
from splitjob_local.cluster.objects import ClusterError
from splitjob_local.cluster.reserved_values import ReservedValueError
from splitjob_local.console import say
from splitjob_local.containers.requirements import RequirementError
from splitjob_local.images.engine import ImageError
from splitjob_local.node_kinds import cluster_class
from splitjob_local.paths import TOOLS
from splitjob_local.processes.ports import NoFreePortError
from splitjob_local.processes.prctl import die_with_parent
from splitjob_local.processes.supervised import ProcessError
from splitjob_local.programs.binaries import find_binaries
from splitjob_local.programs.gobuild import GoBuildError

GREETING = """a shell on the cluster, which ends with it: type exit, or Ctrl-D
  kubectl, helm and track-tree-audio are on PATH; kubectl looks at namespace {namespace}
  API_URL, API_URLS, DEMUCSSVC_TOKEN, WEBHOOK_BASE and NAMESPACE are set, and
  ENVIRONMENT and S3_ENDPOINT, S3_REGION, S3_BUCKET, S3_ACCESS_KEY_ID, S3_SECRET_ACCESS_KEY"""

NO_TERMINAL = """there is no terminal to read from, so there is no shell
  the cluster stays up until this command ends, or the one that started it: Ctrl-C, SIGTERM
  its addresses and its token are in the line of JSON on standard output; in another terminal:
    export KUBECONFIG={kubeconfig} PATH={programs}:$PATH
    export API_URL={api_url} DEMUCSSVC_TOKEN=...
    kubectl get splitjobs --namespace {namespace}
  for scripts there is the same without the wish for a shell: track-tree-audio local up"""

# As a shell reports a command that Ctrl-C ended: a demo that was interrupted has not succeeded.
INTERRUPTED = 130

EXPECTED_ERRORS = (
    ClusterError,
    GoBuildError,
    ImageError,
    NoFreePortError,
    ReservedValueError,
    ProcessError,
    RequirementError,
)


def main(argv: Sequence[str]) -> int:
    """Run `track-tree-audio local`.

    Args:
        argv: the words after `local`.

    Returns:
        The exit status: 0 when ended by the user, 1 when the cluster could not be kept up; the
        demo's own.
    """
    arguments = parser().parse_args(argv)
    if not TOOLS.is_dir():
        say(f"this command works in a checkout of the repository; there is no {TOOLS}")
        return 1
    end_on_signals()
    try:
        if arguments.command == "fetch":
            find_binaries(say)
        elif arguments.command == "demo":
            return demo(arguments)
        else:
            run(arguments)
    except EndRequested:
        return INTERRUPTED if arguments.command == "demo" else 0
    except EXPECTED_ERRORS as error:
        say(str(error))
        return 1
    return 0


def run(arguments: argparse.Namespace) -> None:
    """Start the cluster and keep it running until the command is ended."""
    if arguments.command == "shell":
        die_with_parent(signal.SIGTERM)  # with `make cluster`, however that ends
    options = ClusterOptions(
        install=not arguments.bare,
        namespace=arguments.namespace,
        values=arguments.values,
        settings=arguments.set,
        gpus=arguments.gpus,
        shared=arguments.share,
    )
    with cluster_class(containers=arguments.containers)(options, say) as cluster:
        try:
            told = cluster.connection()
            if arguments.bare:
                told["values"] = str(cluster.values_to_install_with())
            print(json.dumps(told), flush=True)
            if arguments.command == "shell" and sys.stdin.isatty():
                shell(cluster)
                return
            if arguments.command == "shell":
                say(without_shell(cluster))
            keep_running(cluster)
        finally:
            ignore_further_signals()


def demo(arguments: argparse.Namespace) -> int:
    """Play the demo; returns 0 if every check held."""
    from splitjob_local.demo.run import run as play  # noqa: PLC0415 - imports numpy and FFmpeg

    die_with_parent(signal.SIGTERM)  # with `make demo`, however that ends
    return play(arguments)


def parser() -> argparse.ArgumentParser:
    """Describe the command line."""
    top = argparse.ArgumentParser(
        prog="track-tree-audio local",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = top.add_subparsers(dest="command", required=True, metavar="up|shell|demo|fetch")
    for name in ("up", "shell"):
        _add_cluster_options(commands.add_parser(name))
    commands.add_parser("fetch")
    _add_demo_options(commands.add_parser("demo"))
    return top


def _add_demo_options(command: argparse.ArgumentParser) -> None:
    _add_chart_options(command)
    command.add_argument("--song", type=existing_file, help="yours: mp3, flac, wav, m4a, ogg, ...")
    command.add_argument(
        "--out", type=Path, default=Path("demo-out"), help="where the results go (demo-out)"
    )
    command.add_argument(
        "--keep", action="store_true", help="keep the cluster up afterwards, to look around"
    )


def _add_chart_options(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--containers",
        action="store_true",
        help="a node that runs containers: a real kubelet, the service's own images (Linux, root)",
    )
    command.add_argument(
        "--values",
        "-f",
        action="append",
        default=[],
        type=existing_file,
        metavar="FILE",
        help="chart values, as for helm; repeatable",
    )
    command.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="one chart value, as for helm; repeatable",
    )


def _add_cluster_options(command: argparse.ArgumentParser) -> None:
    _add_chart_options(command)
    command.add_argument(
        "--namespace", default=ClusterOptions.namespace, help="where the service goes"
    )
    command.add_argument(
        "--gpus", type=int, default=ClusterOptions.gpus, help="GPUs the node pretends to have"
    )
    command.add_argument(
        "--share",
        action="append",
        default=[],
        type=existing_folder,
        metavar="DIR",
        help="a folder that every pod sees read-only, such as one of weights; repeatable",
    )
    command.add_argument("--bare", action="store_true", help="without the service")


def existing_file(text: str) -> Path:
    """Return the absolute path of a file named on the command line."""
    path = Path(text).expanduser().absolute()  # a shell leaves the ~ in SONG=~/song.mp3 alone
    if not path.is_file():
        raise argparse.ArgumentTypeError(f"there is no file {text}")
    return path


def existing_folder(text: str) -> Path:
    """Return the absolute path of a folder named on the command line."""
    path = Path(text).expanduser().absolute()
    if not path.is_dir():
        raise argparse.ArgumentTypeError(f"there is no folder {text}")
    return path


def without_shell(cluster: LocalCluster) -> str:
    """Return what to tell where there is no terminal to run a shell on; it holds no token."""
    environment = cluster.environment()
    return NO_TERMINAL.format(
        kubeconfig=environment["KUBECONFIG"],
        programs=":".join(environment["PATH"].split(":")[:2]),
        api_url=environment["API_URL"] or "...",
        namespace=environment["NAMESPACE"],
    )


def shell(cluster: LocalCluster) -> None:
    """Run the user's shell with the cluster as its Kubernetes."""
    program = os.environ.get("SHELL", "/bin/sh")
    say(GREETING.format(namespace=cluster.options.namespace))
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for what runs in the shell
    environment = os.environ | cluster.environment()
    subprocess.run([program], check=False, env=environment, preexec_fn=_end_with_us)


def _end_with_us() -> None:
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    die_with_parent(signal.SIGHUP)
