"""What the chart accepts and what the programs accept is the same, value by value."""

import json
import shutil
from collections.abc import Callable
from functools import cache, partial
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
import yaml
from botocore.utils import is_valid_uri
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError
from tests.support import chart
from tests.support.chart import CHART
from tests.support.examples import examples

import splitjob_api.settings
import splitjob_operator.core.settings
from splitjob.allowlist import Allowlist
from splitjob.models import ModelRecord
from splitjob.quantity import ceiling, parse_quantity

SCHEMA: dict[str, Any] = json.loads((CHART / "values.schema.json").read_text())
SETTINGS = {
    "operator": splitjob_operator.core.settings.Settings.model_fields,
    "api": splitjob_api.settings.Settings.model_fields,
}
# A value of the chart, and the setting of a program that it becomes.
SAME = {
    "environment": ("operator", "environment"),
    "logLevel": ("operator", "log_level"),
    "imagePullSecrets[]": ("operator", "worker_image_pull_secrets[]"),
    "storage.region": ("operator", "s3_region"),
    "storage.bucket": ("operator", "s3_bucket"),
    "storage.prefix": ("operator", "storage_prefix"),
    "storage.addressingStyle": ("operator", "s3_addressing_style"),
    "storage.checksum": ("operator", "s3_checksum"),
    "storage.serverSideEncryption": ("operator", "s3_sse"),
    "storage.kmsKeyId": ("operator", "s3_sse_kms_key_id"),
    "api.rootPath": ("api", "root_path"),
    "api.kubernetesTokens.audience": ("api", "kubernetes_token_audience"),
    "secrets.existingSecret": ("operator", "worker_secret_name"),
    "queue.groupBy": ("operator", "queue_group_by"),
    "queue.priorityClasses[].name": ("operator", "priority_classes[].name"),
    "kueue.localQueue": ("operator", "kueue_local_queue"),
    "kueue.priorityClasses[].name": ("operator", "kueue_priority_classes[].name"),
    "worker.image.pullPolicy": ("operator", "worker_image_pull_policy"),
    "worker.device": ("operator", "worker_device"),
    "worker.precision": ("operator", "worker_precision"),
    "worker.gpu.resourceName": ("operator", "worker_gpu_resource"),
    "worker.gpu.claimTemplate": ("operator", "worker_gpu_claim_template"),
    "worker.runtimeClassName": ("operator", "worker_runtime_class"),
    "worker.priorityClassName": ("operator", "worker_priority_class"),
    "worker.serviceAccount.name": ("operator", "worker_service_account"),
    "worker.models.directory": ("operator", "worker_model_dir"),
    "worker.cudaVisibleDevices": ("operator", "cuda_visible_devices"),
}
SIZES = {
    "worker.memory": "worker_memory",
    "worker.memoryRetry": "worker_memory_retry",
    "worker.scratchSize": "worker_scratch_size",
    "worker.ephemeralStorage": "worker_ephemeral_storage",
}
CORES = {"worker.cpu": "worker_cpu", "worker.cpuLimit": "worker_cpu_limit"}
MAPS = {
    "worker.nodeSelector": "worker_node_selector",
    "worker.podLabels": "worker_pod_labels",
    "worker.podAnnotations": "worker_pod_annotations",
}
NUMBERS = {
    "source.maxBytes": ("operator", "max_source_bytes"),
    "source.maxAudioSeconds": ("operator", "max_audio_seconds"),
    "source.maxLostPercent": ("operator", "max_lost_percent"),
    "storage.webIdentity.expirationSeconds": ("operator", "worker_aws_token_seconds"),
    "queue.maxQueuedJobs": ("api", "max_queued_jobs"),
    "queue.maxActiveJobs": ("operator", "max_active_jobs"),
    "queue.maxActiveJobsPerGroup": ("operator", "max_active_jobs_per_group"),
    "queue.queueDeadlineSeconds": ("operator", "queue_deadline_seconds"),
    "queue.runDeadlineSeconds": ("operator", "run_deadline_seconds"),
    "queue.startDeadlineSeconds": ("operator", "start_deadline_seconds"),
    "queue.ttlSecondsAfterFinished": ("operator", "ttl_seconds_after_finished"),
    "queue.keepFinishedJobsSeconds": ("operator", "keep_finished_jobs_seconds"),
    "queue.priorityClasses[].at_least": ("operator", "priority_classes[].at_least"),
    "queue.priorityClasses[].at_most": ("operator", "priority_classes[].at_most"),
    "kueue.priorityClasses[].at_least": ("operator", "kueue_priority_classes[].at_least"),
    "kueue.priorityClasses[].at_most": ("operator", "kueue_priority_classes[].at_most"),
    "api.storage.urlSeconds": ("api", "download_url_seconds"),
    "api.storage.uploads.urlSeconds": ("api", "upload_url_seconds"),
    "api.bodyTimeoutSeconds": ("api", "body_timeout_seconds"),
    "api.streams.max": ("api", "max_streams"),
    "api.rateLimit.perSecond": ("api", "rate_limit_per_second"),
    "api.rateLimit.burst": ("api", "rate_limit_burst"),
    "api.keepAliveSeconds": ("api", "keep_alive_seconds"),
    "api.slowReaderSeconds": ("api", "slow_reader_seconds"),
    "operator.resyncSeconds": ("operator", "resync_seconds"),
    "operator.nodeLostSeconds": ("operator", "node_lost_seconds"),
    "worker.gpu.count": ("operator", "worker_gpu_count"),
    "worker.terminationGracePeriodSeconds": ("operator", "worker_termination_grace_seconds"),
    "worker.checkpointMinSeconds": ("operator", "checkpoint_min_seconds"),
}
Arithmetic = Callable[[str, list[str]], list[str]]
WORDS = r"""
    0 1 -1 +1 01 1.5 1e3 1e-3 6Gi 6gi .5Gi 5.Gi 1Ti 1Pi 1Ei 2Pi 1K 1k 512m 1n 1e99 -6Gi NaN inf
    6GiB 0x10 1_000 ٣Gi a A a- -a a.b a..b .a a_b ä a/b a/ /a //a /a/../b /models /models/
    /scratch /scratch/x / a:b stems/ stems st 1.2.3.4 192.168.0.1 my..bucket a.-b us-east-1 auto
    US 7 eu- null true ~ {} [] " ' $(X) %41 \ # @ nvidia.com/gpu nvidia.com/mig-1g.10gb
    requests.nvidia.com/gpu limits.a/b kubernetes.io/gpu a.kubernetes.io/g hugepages-2Mi/x
    NVIDIA.com/gpu nvidia.com/ /gpu a/b/c 0,1 GPU-5ebe9f43 MIG-1/2/3 -1 0, cuda cpu gpu mps INFO
    info prod local Always always ieee fp16 xn--a stems/prod stems//prod .hidden a/.b .. . ~a
    a*b a'b /root/.cache/x /tmp /tmp/x /proc/1 /a/. /..a
"""
NASTY = [*WORDS.split(), "", "6 Gi", "6Gi ", "a b", "us east", "0, 1"]
NASTY += [
    "a\n",
    "\na",
    " ",
    "\t",
    "6Gi\n",
    "a\x00b",
    "a" * 63,
    "a" * 64,
    "a" * 254,
    "/" + "a" * 256,
]
texts = st.one_of(st.sampled_from(NASTY), st.text(max_size=70))
some = partial(hypothesis_settings, max_examples=examples(10), deadline=None, database=None)


@cache
def leaf(path: str) -> tuple[dict[str, Any], jsonschema_rs.Draft202012Validator]:
    """Return the schema of one value, and a validator of it alone."""
    node = SCHEMA
    for part in path.replace("[]", ".[]").split("."):
        while "$ref" in node:
            node = {**SCHEMA["$defs"][node["$ref"].rpartition("/")[2]]}
        node = node["items"] if part == "[]" else node["properties"][part]
    while "$ref" in node:
        node = {**SCHEMA["$defs"][node["$ref"].rpartition("/")[2]]}
    return node, jsonschema_rs.Draft202012Validator({**node, "$defs": SCHEMA["$defs"]})


@cache
def setting(program: str, name: str) -> TypeAdapter[Any]:
    """Return what reads one setting; `a[]` is an entry of a list, `a[].b` a field of it."""
    plain, entry, inner = name.partition("[]")
    annotation = SETTINGS[program][plain].rebuild_annotation()
    if entry:
        (annotation,) = annotation.__args__
    if inner:
        annotation = annotation.model_fields[inner[1:]].rebuild_annotation()
    return TypeAdapter(annotation)


def chart_takes(path: str, value: object) -> bool:
    return bool(leaf(path)[1].is_valid(value))


def program_takes(program: str, name: str, value: object) -> bool:
    try:
        setting(program, name).validate_python(value)
    except ValidationError:
        return False
    return True


def spelled(path: str) -> st.SearchStrategy[str]:
    """Return texts that the schema means to accept, and some that it may not."""
    pattern = leaf(path)[0].get("if", {}).get("pattern")
    return st.one_of(st.from_regex(pattern, fullmatch=True), texts) if pattern else texts


@pytest.mark.storm
@pytest.mark.parametrize("path", SAME)
def test_the_same_texts_are_taken(path: str) -> None:
    @some()
    @given(spelled(path))
    def check(text: str) -> None:
        assert chart_takes(path, text) == program_takes(*SAME[path], text)

    check()
    for text in NASTY:
        assert chart_takes(path, text) == program_takes(*SAME[path], text), repr(text)


@pytest.mark.storm
@pytest.mark.parametrize("path", [*SIZES, *CORES])
def test_the_same_quantities_are_taken(path: str) -> None:
    name = {**SIZES, **CORES}[path]
    least, most = (2**20, 2**50) if path in SIZES else (1, 1024 * 1000)
    scale = 1 if path in SIZES else 1000

    def bounded(text: str) -> bool:  # as _checks.tpl says it; see the test of its arithmetic
        if text == "":
            return True
        return least <= ceiling(parse_quantity(text) * scale) <= most

    @some(max_examples=examples(25))
    @given(spelled(path))
    def check(text: str) -> None:
        taken = chart_takes(path, text) and bounded(text)
        assert taken == program_takes("operator", name, text)

    check()
    for text in NASTY:
        taken = chart_takes(path, text) and bounded(text)
        assert taken == program_takes("operator", name, text), repr(text)


@pytest.mark.parametrize("path", MAPS)
def test_the_same_labels_and_annotations_are_taken(path: str) -> None:
    keys = ["team", "example.com/team", "Example.com/team", "a b", "", "a/b/c", "-a", "a" * 64, "ä"]

    def check(key: str, value: str) -> None:
        given = {key: value}
        if len(value) <= 63 or path != "worker.podAnnotations":
            assert chart_takes(path, given) == program_takes("operator", MAPS[path], given), given

    for key in keys:
        check(key, "a")
    for value in NASTY:
        check("team", value)


@pytest.mark.parametrize("path", NUMBERS)
def test_the_same_numbers_are_taken(path: str) -> None:
    """At the bounds of either, where a bound is forgotten."""
    node = leaf(path)[0]
    edges = {node.get("minimum", 0), node["maximum"], 0, 2**31, 2**63, 10**30}
    for number in sorted(n + step for n in edges for step in (-1, 0, 1)):
        taken = program_takes(*NUMBERS[path], str(number))
        assert chart_takes(path, number) == taken, number


@some(max_examples=examples(30))
@given(spelled("webhooks.allowlist[]"))
def test_what_the_chart_takes_for_a_webhook_the_programs_take(text: str) -> None:
    if chart_takes("webhooks.allowlist[]", text) and text.startswith("https"):
        assert Allowlist.parse(text, local=False).entries


@some(max_examples=examples(30))
@given(spelled("storage.endpoint"))
def test_what_the_chart_takes_for_an_endpoint_boto_takes(text: str) -> None:
    if chart_takes("storage.endpoint", text) and text:
        assert is_valid_uri(text)


IMAGE = ("registry", "repository", "tag", "digest")


@some(max_examples=examples(15))
@given(st.tuples(*(spelled(f"worker.image.{part}") for part in IMAGE)))
def test_what_the_chart_takes_for_an_image_the_operator_takes(parts: tuple[str, ...]) -> None:
    if not all(chart_takes(f"worker.image.{n}", v) for n, v in zip(IMAGE, parts, strict=True)):
        return
    registry, repository, tag, digest = parts
    if registry and ":" in repository:  # a registry of its own: refused when it is rendered
        return
    name = f"{registry}/{repository}" if registry else repository
    image = f"{name}@{digest}" if digest else f"{name}:{tag or '0.1.0'}"
    assert program_takes("operator", "worker_image", image)


RECORD: dict[str, Any] = {
    "name": "own",
    "architecture": "HTDemucs",
    "stems": ["drums", "vocals"],
    "sample_rate": 44100,
    "segment": "39/5",
    "license_note": "ours",
    "files": [{"name": "own.safetensors", "sha256": "a" * 64}],
    "memory_bytes": 5_100_000_000,
    "embedded": False,
}
CHANGES: dict[str, list[object]] = {
    "name": ["", "a b", "A_1-b", "-a", "a" * 64, 7, None],
    "architecture": ["", "Other", "Demucs", None],
    "stems": [[], ["Vocals"], ["a b"], ["a"] * 17, ["a" * 33], "vocals", None],
    "sample_rate": [0, 999, 1000, 384_000, 384_001, "fast", None],
    "segment": ["", "0", "0/5", "5/0", "7.8", "39/5", 7.8, "-1", "x", "0.0", None],
    "license_note": ["", "a" * 1024, "a" * 1025, None],
    "files": [
        [],
        [{"name": "x.th"}],
        [{"name": "x.safetensors", "sha256": "A" * 64}],
        [{"name": "x.safetensors", "origin": "hybrid/0a0a0a0a-0a0a0a0a.th"}],
        [{"name": "x.safetensors", "origin": "elsewhere"}],
        [{"name": "x.safetensors", "size": 1}],
        None,
    ],
    "memory_bytes": [-1, 0, "much"],
    "embedded": [True, "maybe"],
    "unknown": [1],
}


@pytest.mark.parametrize(("key", "value"), [(k, v) for k, many in CHANGES.items() for v in many])
def test_the_same_model_records_are_taken(key: str, value: object) -> None:
    record = {**RECORD, key: value}
    validator = jsonschema_rs.Draft202012Validator(
        {"$ref": "#/$defs/model", "$defs": SCHEMA["$defs"]}
    )
    try:
        ModelRecord.model_validate(record)
    except ValidationError:
        taken = False
    else:
        taken = True
    assert validator.is_valid(record) == taken


@pytest.fixture
def arithmetic(helm: Path, tmp_path: Path) -> Arithmetic:
    """A function that gives each of some texts to a template of the chart."""

    def run(template: str, given: list[str]) -> list[str]:
        folder = tmp_path / "arithmetic"
        (folder / "templates").mkdir(parents=True)
        (folder / "Chart.yaml").write_text("apiVersion: v2\nname: arithmetic\nversion: 1.0.0\n")
        for part in ("_quantities.tpl", "_network_checks.tpl"):
            shutil.copy(CHART / "templates" / part, folder / "templates")
        (folder / "values.yaml").write_text(yaml.safe_dump({"given": given}))
        call = f'{{{{ include "track-tree-audio.{template}" . | trim | quote }}}}'
        (folder / "templates" / "all.yaml").write_text(
            f"kind: All\nfound:\n{{{{- range .Values.given }}}}\n  - {call}\n{{{{- end }}}}\n"
        )
        (found,) = chart.render(helm, tmp_path, needed=(), source=folder)
        return list(found["found"])

    return run


def test_the_chart_reads_quantities_as_the_programs_do(arithmetic: Arithmetic) -> None:
    units = ("", "n", "u", "m", "k", "M", "G", "T", "P", "E", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei")
    given = [f"{number}{unit}" for number in ("1", "+2", ".5", "5.", "1.25") for unit in units]
    given += ["1e3", "1E3", "1e+09", "6.442450944e+09", "1e-3", "1e99", "2.5E-2"]
    for text, found in zip(given, arithmetic("quantity", given), strict=True):
        assert float(found) == pytest.approx(float(parse_quantity(text)), rel=1e-12), text


def test_the_chart_reads_addresses_as_the_programs_do(arithmetic: Arithmetic) -> None:
    given = ["10.0.0.1", "255.255.255.255", "::", "::1", "fd00::", "64:ff9b::a00:0", "1:2:3::8"]
    given += ["FE80::1", "1:2:3:4:5:6:7:8", "::ffff:a00:1", "1::"]
    for text, found in zip(given, arithmetic("addressGroups", given), strict=True):
        address = ip_address(text)
        step = 1 if address.version == 4 else 2
        packed = address.packed
        numbers = [int.from_bytes(packed[i : i + step]) for i in range(0, len(packed), step)]
        assert [int(part) for part in found.split(",")] == numbers, text
