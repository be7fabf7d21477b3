"""The operator's Job for the values that the chart takes, before the real API server."""

from pathlib import Path
from typing import Any

import pytest
from tests.support import chart
from tests.support.operator_samples import raw_splitjob, settings

from splitjob.status import Attempt
from splitjob_local.cluster.local_cluster import LocalCluster
from splitjob_operator.core import worker_job
from splitjob_operator.core.observed import SplitJob

# Spelled as people and Helm spell them, at the ends of what is taken.
TAKEN: list[dict[str, Any]] = [
    *(
        {"worker_memory": text, "worker_memory_retry": "1Pi", "worker_scratch_size": text}
        for text in (
            "1Mi", "1Pi", "1.5Gi", ".5Gi", "5.Gi", "+6Gi", "6G", "1T", "1e9", "1E9", "1e+09",
            "6.442450944e+09", "128974848000m", "1048576", "2000000k", "3000000000000000n",
        )
    ),
    *({"worker_cpu": text} for text in ("1m", "1024", "0.5", ".5", "1e-3", "500000u", "1k")),
    {"worker_cpu": "1", "worker_cpu_limit": "1.5"},
    {"worker_ephemeral_storage": "1Ti"},
    *(
        {"worker_gpu_resource": text}
        for text in ("nvidia.com/gpu", "nvidia.com/mig-1g.10gb", "a/B_c", "gpu.intel.com/i915")
    ),
    *(
        {"worker_image": text}
        for text in (
            "w:1", "r.example:5000/team/w:1_a", f"w@sha256:{'a' * 64}", "[::1]:5000/w:1",
            f"w:1@sha256:{'0' * 64}",
        )
    ),
    *({"worker_model_dir": text} for text in ("/models", "/a/b-c/d_e.f", "/opt/x")),
    {"worker_priority_class": "a.b-c", "worker_runtime_class": "x" * 253},
    {"worker_service_account": "x" * 253, "worker_image_pull_secrets": ["a.b", "c"]},
    {"worker_node_selector": {"example.com/a_b.c": "", "x" * 63: "y" * 63}},
    {"worker_pod_labels": {"team": "A.b_c-d"}, "worker_pod_annotations": {"Example.com/x": "ä\n"}},
    {"cuda_visible_devices": "0,GPU-5ebe9f43,MIG-1/2/3"},
    {"s3_bucket": "a.b-c", "s3_region": "auto", "storage_prefix": "a/b!_*()c"},
]  # fmt: skip


def dry_run(cluster: LocalCluster, manifests: list[Any]) -> None:
    """See that the API server would take all of them, and no field of them is unknown."""
    for manifest in manifests:
        made = cluster.objects.create(manifest, "default", dry_run=True)
        assert made["metadata"]["uid"]


def test_the_api_server_takes_the_job_for_every_value_that_is_taken(cluster: LocalCluster) -> None:
    jobs = []
    for number, changed in enumerate(TAKEN):
        attempt = Attempt(number=1, job_name=f"v-{number}")
        made = worker_job.build_job(SplitJob.of(raw_splitjob()), attempt, settings(**changed))
        made["metadata"].pop("namespace")
        jobs.append(made)
    dry_run(cluster, jobs)


@pytest.mark.parametrize("release", ["audio-1.2", "3stems", "123", "true", "a" * 53, "9" * 53])
def test_the_api_server_takes_the_chart_for_every_name_of_a_release(
    cluster: LocalCluster, tmp_path: Path, release: str
) -> None:
    helm = cluster.cluster.programs["helm"]
    settings = ("crds.enabled=false", "ingress.enabled=true", "ingress.hosts={a.example.com}")
    dry_run(
        cluster,
        chart.render(helm, tmp_path, *settings, release=release, namespace="default"),
    )
