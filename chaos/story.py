"""The whole story of one job, for whoever finds out what went wrong."""

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

import yaml

from chaos.aftermath import Aftermath
from chaos.cluster import StormyCluster
from splitjob_local.cluster.objects import ClusterError

LINES = 60


def story(cluster: StormyCluster, aftermath: Aftermath, job_id: str) -> str:
    """Return all that is known of a job, in parts with a heading each."""
    song, job = aftermath.songs.get(job_id), aftermath.splitjobs.get(job_id)
    heard = [
        f"{one.at:.1f} {one.event_id} {one.mood} {one.delivery.body.decode(errors='replace')}"
        for one in aftermath.heard.get(job_id, [])
    ]
    parts = {
        "asked": [str(song.plan), *song.history] if song else ["by nobody"],
        "SplitJob": [_readable(job)] if job else ["it is gone"],
        "Events": _events(cluster, job_id),
        "webhooks heard": heard or ["none"],
        "bucket": [f"{key} {size}" for key, size in aftermath.keys.items() if job_id in key],
        "manifest": [str(one) for key, one in aftermath.manifests.items() if job_id in key],
        "operator": log_lines(cluster.pods_root, job_id)[-LINES:],
    }
    return "\n".join(f"--- {head}\n" + "\n".join(lines) for head, lines in parts.items())


def _readable(job: dict[str, Any]) -> str:
    job["metadata"].pop("managedFields", None)
    return yaml.safe_dump({key: job[key] for key in ("metadata", "spec", "status") if key in job})


def _events(cluster: StormyCluster, job_id: str) -> list[str]:
    found = []
    with suppress(ClusterError):
        for one in cluster.objects.get("events", namespace=cluster.namespace)["items"]:
            about = one.get("involvedObject", {}).get("name", "")
            if about.startswith(job_id):
                when = one.get("lastTimestamp") or one.get("eventTime") or ""
                found.append(f"{when} {about} {one.get('reason')}: {one.get('message')}")
    return sorted(found)


def log_lines(pods: Path, job_id: str) -> list[str]:
    """Return the lines about a job from the logs of all pods that are there, in order of time.

    Args:
        pods: the node's folder of them.
        job_id: of the job.
    """
    found = []
    for log in pods.rglob("*.log*"):
        with suppress(OSError):
            found += [
                line for line in log.read_text(errors="replace").splitlines() if job_id in line
            ]
    return sorted(found, key=_time_of)


def _time_of(line: str) -> str:
    stamp, _, _ = line.partition(" ")
    with suppress(ValueError):
        return str(json.loads(line)["time"])
    return stamp
