"""The CustomResourceDefinition on a real API server: what it accepts, refuses and keeps."""

from collections.abc import Callable
from copy import deepcopy
from typing import Any

import pytest

from splitjob.crd import root_schema
from splitjob.resource import API_VERSION, KIND, PLURAL
from splitjob_local.cluster.kubectl import KubectlClient
from splitjob_local.cluster.local_cluster import LocalCluster
from splitjob_local.cluster.objects import ClusterError

SHA = "sha256:" + "0" * 64
REQUEST: dict[str, Any] = {
    "versionId": "song-1",
    "model": "htdemucs",
    "source": {"url": "https://example.com/song.wav"},
    "webhook": {"url": "https://example.com/hook"},
}
UPLOADS: dict[str, dict[str, Any]] = {
    name: {"url": f"https://example.com/{name}"}
    for name in ("drums", "bass", "other", "vocals", "manifest")
}


@pytest.fixture(scope="module")
def kube(crd: LocalCluster) -> KubectlClient:
    return crd.cluster


def splitjob(name: str = "one", /, **request: object) -> dict[str, Any]:
    """Return a SplitJob whose request differs from the plainest one in what is given."""
    return {
        "apiVersion": API_VERSION,
        "kind": KIND,
        "metadata": {"name": name},
        "spec": {"request": {**deepcopy(REQUEST), **request}},
    }


def create(kube: KubectlClient, namespace: str, document: dict[str, Any]) -> dict[str, Any]:
    return kube.objects.create(document, namespace)


def try_to_create(kube: KubectlClient, document: dict[str, Any]) -> dict[str, Any]:
    """Ask the API server for all of its verdict; nothing is kept, so one namespace does for all."""
    return kube.objects.create(document, "default", dry_run=True)


def patch(
    kube: KubectlClient, namespace: str, change: dict[str, Any], *, dry_run: bool = False
) -> None:
    kube.objects.patch(PLURAL, "one", change, namespace=namespace, dry_run=dry_run)


ELSEWHERE = {"url": "https://example.com/waveform"}
MOST_WAVEFORMS = [*UPLOADS, *(f"{name}.waveform" for name in UPLOADS if name != "manifest")]
WITH_WAVEFORMS = {
    name: UPLOADS.get(name, ELSEWHERE) for name in [*MOST_WAVEFORMS, "mixture.waveform"]
}
ACCEPTED: dict[str, dict[str, Any]] = {
    "the plainest request": {},
    "a whole URL in the Secret": {
        "secretName": "song-1-source",
        "source": {"url": "https://example.com/song.wav", "secretKey": "source"},
    },
    "an explained format": {"format": "flac", "bitDepth": 24},
    "float wav": {"format": "wav", "bitDepth": 32},
    "a lossy format": {"format": "mp3", "bitrateKbps": 320},
    "some stems and the rest": {"stems": ["vocals"], "remainder": True},
    "uploads for all stems": {"uploads": UPLOADS},
    "uploads with headers, whose values stand in the Secret": {
        "secretName": "song-1-source",
        "uploads": {**UPLOADS, "drums": {**UPLOADS["drums"], "headers": ["x-ms-blob-type"]}},
    },
    "uploads for one stem and the rest": {
        "stems": ["vocals"],
        "remainder": True,
        "uploads": {**UPLOADS, "no_vocals": {"url": "https://example.com/rest"}},
    },
    "uploads for two stems and the rest": {
        "stems": ["vocals", "bass"],
        "remainder": True,
        "uploads": {**UPLOADS, "remainder": {"url": "https://example.com/rest"}},
    },
    "uploads with waveforms": {"waveforms": True, "uploads": WITH_WAVEFORMS},
    "exact stems": {"clipMode": "exact", "bitDepth": 24},
    "exact flac with a stem for the residual": {
        "clipMode": "exact",
        "format": "flac",
        "bitDepth": 24,
        "residualTo": "residual",
        "uploads": {**UPLOADS, "residual": {"url": "https://example.com/residual"}},
    },
    "no webhook events at all": {"webhook": {"url": "https://example.com/hook", "events": []}},
}


@pytest.mark.parametrize("case", ACCEPTED)
def test_what_a_request_may_say_is_accepted(kube: KubectlClient, case: str) -> None:
    try_to_create(kube, splitjob(**ACCEPTED[case]))


QUERY = {"url": "https://example.com/x?X-Amz-Signature=abc"}
REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "a presigned source": ({"source": QUERY}, "must be a URL without '?'"),
    "a presigned webhook": ({"webhook": QUERY}, "must be a URL without '?'"),
    "a presigned upload": (
        {"uploads": {**UPLOADS, "drums": QUERY}},
        "must be a URL without '?'",
    ),
    "a file URL": ({"source": {"url": "file:///etc/passwd"}}, "should match"),
    "a URL with a fragment": ({"source": {"url": "https://example.com/x#y"}}, "should match"),
    "a URL with a no-break space": (
        {"source": {"url": "https://example.com/a\u00a0b"}},
        "should match",
    ),
    "a URL that is not percent-encoded": ({"webhook": {"url": "https://example.com/é"}}, "match"),
    "a key of no Secret": (
        {"source": {"url": "https://example.com/x", "secretKey": "source"}},
        "name that Secret in secretName",
    ),
    "an upload's key of no Secret": (
        {"uploads": {**UPLOADS, "drums": {"url": "https://example.com/x", "secretKey": "d"}}},
        "name that Secret in secretName",
    ),
    "an upload's headers of no Secret": (
        {"uploads": {**UPLOADS, "drums": {**UPLOADS["drums"], "headers": ["x-key"]}}},
        "name that Secret in secretName",
    ),
    "an upload's header with its value": (
        {"uploads": {**UPLOADS, "drums": {**UPLOADS["drums"], "headers": ["x-key: hush"]}}},
        "should match",
    ),
    "a Secret elsewhere": ({"secretName": "../configmaps/x"}, "secretName in body should match"),
    "a Secret of no name": ({"secretName": ".."}, "secretName in body should match"),
    "the rest of nothing": ({"remainder": True}, "name those in stems"),
    "bit depth of mp3": ({"format": "mp3", "bitDepth": 16}, "bitDepth goes with format wav"),
    "float flac": ({"format": "flac", "bitDepth": 32}, "bitDepth goes with format wav"),
    "20 bit": ({"bitDepth": 20}, 'supported values: "16", "24", "32"'),
    "bit rate of wav": ({"bitrateKbps": 320}, "bitrateKbps goes with format mp3"),
    "exact stems in 16 bits": ({"clipMode": "exact"}, "clipMode exact goes with format wav"),
    "exact mp3": ({"clipMode": "exact", "format": "mp3"}, "clipMode exact goes with format wav"),
    "an exact remainder": (
        {"clipMode": "exact", "bitDepth": 24, "stems": ["vocals"], "remainder": True},
        "there is no remainder",
    ),
    "a residual of stems that are not exact": (
        {"residualTo": "other"},
        "residualTo goes with clipMode exact only",
    ),
    "uploads without the residual": (
        {"clipMode": "exact", "bitDepth": 24, "residualTo": "residual", "uploads": UPLOADS},
        "uploads needs an entry for the stem that residualTo names",
    ),
    "uploads without a manifest": (
        {"uploads": {"vocals": UPLOADS["vocals"]}},
        "uploads needs an entry called manifest",
    ),
    "uploads without a stem": (
        {"stems": ["piano"], "uploads": UPLOADS},
        "uploads needs an entry for each of stems",
    ),
    "uploads without the rest": (
        {"stems": ["vocals"], "remainder": True, "uploads": UPLOADS},
        "uploads needs an entry for the remainder",
    ),
    "an upload of a waveform that is not asked for": (
        {"uploads": WITH_WAVEFORMS},
        "ask for them with waveforms",
    ),
    "waveforms without the upload of one": (
        {"waveforms": True, "uploads": {**UPLOADS, "mixture.waveform": ELSEWHERE}},
        "uploads needs an entry <stem>.waveform for each stem",
    ),
    "waveforms without the upload of the mixture's": (
        {"waveforms": True, "uploads": {k: WITH_WAVEFORMS[k] for k in MOST_WAVEFORMS}},
        "uploads needs an entry called mixture.waveform",
    ),
    "no stem": ({"stems": []}, "should have at least 1 items"),
    "a stem twice": ({"stems": ["vocals", "vocals"]}, "Duplicate value"),
    "17 stems": ({"stems": [f"s{n}" for n in range(17)]}, "must have at most 16 items"),
    "17 pairs of metadata": (
        {"metadata": {str(n): "x" for n in range(17)}},
        "must have at most 16 items",
    ),
    "a long correlation id": ({"correlationId": "x" * 257}, "may not be more than 256"),
    "a version outside its folder": ({"versionId": "../x"}, "should match"),
    "an unknown event": (
        {"webhook": {"url": "https://example.com/hook", "events": ["finished"]}},
        "Unsupported value",
    ),
    "21 shifts": ({"shifts": 21}, "less than or equal to 20"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_a_request_may_not_say_is_refused_in_words(kube: KubectlClient, case: str) -> None:
    request, message = REFUSED[case]
    with pytest.raises(ClusterError, match="is invalid") as refusal:
        try_to_create(kube, splitjob(**request))
    assert message in str(refusal.value)


@pytest.mark.parametrize("field", ["versionId", "model", "source", "webhook"])
def test_a_request_without_a_required_field_is_refused(kube: KubectlClient, field: str) -> None:
    document = splitjob()
    del document["spec"]["request"][field]
    with pytest.raises(ClusterError, match=f"spec.request.{field}: Required value"):
        try_to_create(kube, document)


@pytest.mark.parametrize(
    ("name", "message"),
    [("x" * 53, "at most 52 characters"), ("a.b", "must not contain a dot")],
)
def test_a_name_too_long_or_with_a_dot_is_refused(
    kube: KubectlClient, name: str, message: str
) -> None:
    with pytest.raises(ClusterError, match=message):
        try_to_create(kube, splitjob(name))


def test_the_longest_name_is_accepted(kube: KubectlClient) -> None:
    try_to_create(kube, splitjob("x" * 52))


def test_defaults_are_those_of_the_seed(kube: KubectlClient) -> None:
    made = try_to_create(kube, splitjob())
    assert made["spec"]["canceled"] is False
    assert made["spec"]["priority"] == 0
    assert made["spec"]["request"]["format"] == "wav"
    assert made["spec"]["request"]["webhook"]["events"] == ["completed", "failed", "canceled"]
    assert "status" not in made


IMMUTABLE: dict[str, dict[str, Any]] = {
    "a field changed": {"model": "other"},
    "a field deep inside changed": {"source": {"url": "https://example.com/another.wav"}},
    "an optional field added": {"correlationId": "x"},
    "an optional field removed": {"idempotencyKey": None},
    "a default changed": {"shifts": 3},
}


@pytest.mark.parametrize("case", IMMUTABLE)
def test_the_request_is_immutable(kube: KubectlClient, namespace: str, case: str) -> None:
    """Acceptance 56."""
    create(kube, namespace, splitjob(idempotencyKey="k"))
    with pytest.raises(ClusterError, match="the request cannot be changed"):
        patch(kube, namespace, {"spec": {"request": IMMUTABLE[case]}}, dry_run=True)


def test_the_request_cannot_be_dropped_and_put_back(kube: KubectlClient, namespace: str) -> None:
    """Acceptance 56: being required, it is always there to be compared."""
    create(kube, namespace, splitjob())
    with pytest.raises(ClusterError, match=r"spec.request: Required value"):
        patch(kube, namespace, {"spec": {"request": None}})


def test_what_may_change_changes(kube: KubectlClient, namespace: str) -> None:
    create(kube, namespace, splitjob())
    change = {"suspend": True, "priority": 7, "ttlSecondsAfterFinished": 60, "redeliveries": 2}
    patch(kube, namespace, {"spec": change})
    spec = kube.objects.get(PLURAL, "one", namespace=namespace)["spec"]
    assert change.items() <= spec.items()
    with pytest.raises(ClusterError, match="redeliveries only grows"):
        patch(kube, namespace, {"spec": {"redeliveries": 1}})
    with pytest.raises(ClusterError, match="less than or equal to 100"):
        patch(kube, namespace, {"spec": {"priority": 101}})


@pytest.mark.parametrize("unset", [False, None])
def test_canceled_stays_canceled(kube: KubectlClient, namespace: str, unset: bool | None) -> None:
    create(kube, namespace, splitjob())
    patch(kube, namespace, {"spec": {"canceled": True}})
    with pytest.raises(ClusterError, match="a canceled SplitJob stays canceled"):
        patch(kube, namespace, {"spec": {"canceled": unset}})


def condition(kind: str, status: str, reason: str) -> dict[str, Any]:
    return {
        "type": kind,
        "status": status,
        "reason": reason,
        "message": "",
        "lastTransitionTime": "2026-01-01T00:00:00Z",
    }


FINISHED: dict[str, Any] = {
    "phase": "Completed",
    "conditions": [
        condition("Succeeded", "True", "Completed"),
        condition("Notified", "True", "Delivered"),
    ],
    "progress": {"stage": "notify", "percent": 100},
    "attempts": [
        {"number": 1, "jobName": "one-1", "nodeName": "lost"},
        {"number": 2, "jobName": "one-2", "nodeName": "gpu-7"},
    ],
    "jobName": "one-2",
    "result": {
        "model": "htdemucs",
        "processingTimeMs": 45000,
        "stems": [
            {
                "type": "drums",
                "size": 1,
                "frames": 1,
                "sampleRate": 44100,
                "checksum": SHA,
                "format": "wav",
                "peak": "0.5",
                "gain": "1",
            }
        ],
    },
}


def write_status(kube: KubectlClient, namespace: str, status: dict[str, Any]) -> None:
    change = {"status": status}
    kube.objects.patch(PLURAL, "one", change, namespace=namespace, subresource="status")


def test_columns_and_selectors(kube: KubectlClient, namespace: str) -> None:
    create(kube, namespace, splitjob())
    write_status(kube, namespace, FINISHED)
    listed = kube.kubectl("get", "splits", "-n", namespace, "-o", "wide").splitlines()
    shown = dict(zip(listed[0].split(), listed[1].split(), strict=False))
    assert shown["PHASE"] == "Completed"
    assert shown["MODEL"] == "htdemucs"
    assert shown["PROGRESS"] == "100"
    assert "True" in listed[1]
    assert listed[1].split()[-4:] == ["Completed", "one-2", "gpu-7", "45000"]
    for selector, found in (
        ("status.phase=Completed", True),
        ("status.phase=Failed", False),
        ("spec.request.versionId=song-1", True),
        ("spec.request.model=demo", False),
    ):
        names = kube.kubectl(
            "get", PLURAL, "-n", namespace, "-o", "name", f"--field-selector={selector}"
        )
        assert bool(names) is found, selector


@pytest.mark.parametrize(
    ("status", "message"),
    [
        ({"phase": "Done"}, "Unsupported value"),
        ({"conditions": [condition("A", "True", "No"), condition("A", "True", "No")]}, "Duplicate"),
        ({"conditions": [condition("A", "Maybe", "No")]}, "Unsupported value"),
        ({"progress": {"stage": "separate", "percent": 101}}, "less than or equal to 100"),
        ({"result": {"model": "x", "residualDbfs": "-inf"}}, "should match"),
    ],
)
def test_the_status_has_a_schema_too(
    kube: KubectlClient, namespace: str, status: dict[str, Any], message: str
) -> None:
    create(kube, namespace, splitjob())
    with pytest.raises(ClusterError, match=message):
        write_status(kube, namespace, status)


def test_the_status_is_a_subresource(kube: KubectlClient, namespace: str) -> None:
    create(kube, namespace, {**splitjob(), "status": {"phase": "Completed"}})
    patch(kube, namespace, {"status": {"phase": "Completed"}})
    assert "status" not in kube.objects.get(PLURAL, "one", namespace=namespace)


@pytest.mark.parametrize(
    ("field", "words"),
    [
        ("splitjob", "SplitJob asks for one song"),
        ("splitjob.spec.canceled", "Set to true to cancel"),
        ("splitjob.spec.request.uploads", "Presigned PUT URLs"),
        ("splitjob.status.conditions.lastTransitionTime", "When the status last changed"),
    ],
)
def test_explain_reads_as_documentation(kube: KubectlClient, field: str, words: str) -> None:
    assert words in " ".join(kube.kubectl("explain", field).split())


def test_explain_knows_every_field(kube: KubectlClient) -> None:
    text = kube.kubectl("explain", "splitjob", "--recursive")
    walk: Callable[[dict[str, Any]], set[str]] = lambda node: set().union(  # noqa: E731
        *({name} | walk(child) for name, child in node.get("properties", {}).items())
    )
    shown = {line.split()[0] for line in text.splitlines() if "\t<" in line}
    assert walk(root_schema()) - {"metadata"} <= shown
