"""The demo's results: the page, the list of files, the reason for a failure, what to try next."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from splitjob.resource import LABEL_SPLITJOB
from splitjob_local.cluster.kubectl import KubectlError
from splitjob_local.cluster.local_cluster import LocalCluster
from splitjob_local.demo.examine import Separation
from splitjob_local.demo.narrator import Check
from splitjob_local.demo.page import Page, Track
from splitjob_local.demo.song import Song

LOG_LINES = 15


def failure_report(cluster: LocalCluster, splitjob: dict[str, Any]) -> str:
    """Return why a SplitJob did not succeed: its failure and the end of the worker's log."""
    failure = splitjob.get("status", {}).get("failure") or {}
    said = [f"{failure.get('code', 'not finished in time')}: {failure.get('message', '')}"]
    for text in logs(cluster, f"{LABEL_SPLITJOB}={splitjob['metadata']['name']}"):
        said += ["", "the worker's log:", *text.splitlines()[-LOG_LINES:]]
    return "\n".join(said)


def logs(cluster: LocalCluster, selector: str = "") -> list[str]:
    """Return the logs of the pods of the service, workers included, or of those selected."""
    namespace = cluster.service.namespace
    texts = []
    for name in cluster.objects.names("pods", namespace=namespace, selector=selector):
        try:
            texts.append(cluster.kubectl("logs", "-n", namespace, name, "--all-containers"))
        except KubectlError:  # the pod was deleted in between
            continue
    return texts


def page(song: Song, separation: Separation, splitjob: str, checks: Sequence[Check]) -> str:
    """Return the HTML page."""
    body = separation.body
    stems = [_track(stem, separation) for stem in body["stems"]]
    seconds = body["processingTimeMs"] / 1000
    facts = f"{song.seconds:.1f} s, {song.file.suffix.lstrip('.')}, as it was sent"
    return Page(
        title=song.title,
        subtitle=(
            f"Separated by the model {body['model']} on {body['device']} in {seconds:.1f} s, in a "
            f"pod on Kubernetes. Job {body['jobId']}."
        ),
        rate=song.rate,
        mixture=Track("The song", song.mixture, facts),
        stems=stems,
        measures=_measures(separation),
        checks=checks,
        documents={
            "webhook.json: what the receiver got": json.dumps(body, indent=2),
            "splitjob.yaml: kubectl get splitjob -o yaml": splitjob,
            "manifest.json: what the bucket holds": json.dumps(separation.manifest, indent=2),
        },
    ).render()


def listing(folder: Path) -> str:
    """Return the files of the results with their sizes."""
    files = sorted(file for file in folder.rglob("*") if file.is_file())
    return "\n".join(
        f"{file.stat().st_size / 1e3:9,.1f} kB  {file.relative_to(folder)}" for file in files
    )


def tour(cluster: LocalCluster, name: str) -> str:
    """Return the commands to look around on a cluster that is kept up."""
    namespace = cluster.service.namespace
    environment = cluster.cluster.environment()
    programs = environment["PATH"].partition(":")[0]
    return f"""
The cluster stays up until you press Ctrl-C here. In another terminal:

    export PATH={programs}:$PATH KUBECONFIG={environment["KUBECONFIG"]}
    kubectl config set-context --current --namespace={namespace}

    kubectl get splitjobs -o wide
    kubectl describe splitjob {name}
    kubectl get splitjob {name} -o yaml
    kubectl explain splitjob.spec.request
    kubectl get events --field-selector involvedObject.name={name}
    kubectl get deployments,jobs,pods
    kubectl logs deployment/track-tree-audio-operator --tail=20
    helm list
    curl {cluster.service.api_urls()[0]}/healthz
"""


def _track(stem: dict[str, Any], separation: Separation) -> Track:
    facts = [f"peak {stem['peak']:.2f}", f"{stem['size'] / 1e6:.1f} MB {stem['format']}"]
    if stem["silent"]:
        facts.append("silent")
    if stem["type"] in separation.sdr:
        facts.append(f"SDR {separation.sdr[stem['type']][0]:.1f} dB")
    signal = separation.stems[stem["type"]]
    return Track(stem["name"], signal, ", ".join(facts), stem=stem["type"])


def _measures(separation: Separation) -> list[list[str]]:
    known = bool(separation.sdr)
    header = ["Stem", "Length", "Peak", "Gain against clipping"]
    rows = [header + (["SDR", "SDR of the song itself"] if known else [])]
    for stem in separation.body["stems"]:
        row = [
            stem["name"],
            f"{stem['duration']:.2f} s",
            f"{stem['peak']:.3f}",
            f"{stem['gain']:.3f}",
        ]
        if known:
            row += (f"{value:.1f} dB" for value in separation.sdr.get(stem["type"], ()))
        rows.append(row)
    rows.append(["Song minus all stems", f"{separation.residual:.1f} dBFS"])
    return rows
