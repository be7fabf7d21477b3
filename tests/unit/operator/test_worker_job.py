"""The Job of an attempt, and what goes into a pod: nothing more than it needs."""

import json
from typing import Any, ClassVar

import pytest
from pydantic import ValidationError
from tests.support.operator_samples import (
    NAME,
    NOW,
    UID,
    after,
    manifest_job,
    settings,
    splitjob,
    stamp,
)

from splitjob import workload
from splitjob.configuration import ConfigurationError
from splitjob.resource import LABEL_SPLITJOB
from splitjob.signing import TokenError, parse_tokens
from splitjob.spec import Request
from splitjob.status import Attempt
from splitjob_api.settings import Settings as ApiSettings
from splitjob_kubelet.runtime.environment import expand
from splitjob_operator.core.settings import Settings
from splitjob_operator.core.worker_job import build_job

RESTRICTED = {
    "allowPrivilegeEscalation": False,
    "readOnlyRootFilesystem": True,
    "capabilities": {"drop": ["ALL"]},
}


def pod_of(job: dict[str, Any]) -> dict[str, Any]:
    spec: dict[str, Any] = job["spec"]["template"]["spec"]
    return spec


def container_of(job: dict[str, Any]) -> dict[str, Any]:
    container: dict[str, Any] = pod_of(job)["containers"][0]
    return container


def env_of(job: dict[str, Any]) -> dict[str, Any]:
    return {v["name"]: v.get("value", v.get("valueFrom")) for v in container_of(job)["env"]}


def test_one_attempt_and_its_cause_stays_in_the_job() -> None:
    spec = manifest_job()["spec"]
    assert spec["backoffLimit"] == 0
    assert {rule["action"] for rule in spec["podFailurePolicy"]["rules"]} == {"FailJob"}
    assert "ttlSecondsAfterFinished" not in spec
    assert pod_of(manifest_job())["restartPolicy"] == "Never"


def test_the_splitjob_owns_it() -> None:
    owner = manifest_job()["metadata"]["ownerReferences"]
    assert [(o["name"], o["uid"], o["controller"]) for o in owner] == [(NAME, UID, True)]


def test_pod_security_restricted_and_no_token() -> None:
    """Acceptance 64, 65."""
    job = manifest_job(secretName="urls")
    assert container_of(job)["securityContext"] == RESTRICTED
    assert pod_of(job)["securityContext"]["runAsNonRoot"] is True
    assert pod_of(job)["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert pod_of(job)["automountServiceAccountToken"] is False
    assert all({"emptyDir", "secret"} & volume.keys() for volume in pod_of(job)["volumes"])


def test_a_pod_asks_for_the_resources_of_the_settings() -> None:
    job = manifest_job({"worker_gpu_resource": "amd.com/gpu", "worker_gpu_count": 2})
    resources = container_of(job)["resources"]
    disk = {"ephemeral-storage": "20736Mi"}  # 20 GiB of scratch, and logs
    assert resources["limits"] == {"memory": "6Gi", "amd.com/gpu": 2, **disk}
    assert resources["requests"] == {"cpu": "2", **resources["limits"]}
    on_cpu = manifest_job({"worker_gpu_count": 0})
    assert container_of(on_cpu)["resources"]["limits"] == {"memory": "6Gi", **disk}
    assert (env_of(job)[workload.ENV_DEVICE], env_of(on_cpu)[workload.ENV_DEVICE]) == (
        "cuda",
        "cpu",
    )
    assert env_of(job)[workload.ENV_PRECISION] == "ieee"
    more = build_job(splitjob(), Attempt(number=2, job_name="x-2", memory_bytes=7), settings())
    assert container_of(more)["resources"]["limits"]["memory"] == "7"


@pytest.mark.parametrize(
    "traceparent", ["", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"]
)
def test_a_worker_is_told_where_in_a_trace_it_belongs_if_in_any(traceparent: str) -> None:
    attempt = Attempt(number=1, job_name=f"{NAME}-1")
    variables = container_of(build_job(splitjob(), attempt, settings(), traceparent))["env"]
    found = [one["value"] for one in variables if one["name"] == workload.ENV_TRACEPARENT]
    assert found == ([traceparent] if traceparent else [])


def test_a_worker_is_told_for_how_long_earlier_attempts_ran() -> None:
    first = {
        "number": 1,
        "jobName": f"{NAME}-1",
        "startedAt": stamp(NOW),
        "endedAt": stamp(after(61)),
        "finishedAt": stamp(after(90)),
    }
    view = splitjob(status={"attempts": [first, {"number": 2, "jobName": f"{NAME}-2"}]})
    told = [
        env_of(build_job(view, Attempt(number=number, job_name="x"), settings()))
        for number in (1, 2)
    ]
    assert [env[workload.ENV_EARLIER_SECONDS] for env in told] == ["0", "61"]


def test_the_deadline_net_leaves_time_to_pull() -> None:
    job = manifest_job({"start_deadline_seconds": 100}, runDeadlineSeconds=10)
    assert pod_of(job)["activeDeadlineSeconds"] == 170


def test_the_request_reaches_the_worker_as_it_is() -> None:
    view = splitjob(stems=["vocals"], metadata={"a": "b"})
    env = env_of(build_job(view, Attempt(number=1, job_name="x"), settings()))
    assert view.spec
    assert Request.model_validate_json(env[workload.ENV_REQUEST]) == view.spec.request
    assert json.loads(env[workload.ENV_REQUEST])["versionId"] == "v1"


def test_kubernetes_replaces_nothing_in_the_request() -> None:
    """`$(NAME)` would become another variable's value, and `$$` one dollar sign."""
    view = splitjob(metadata={"a": "$(JOB_UID) $$ $"})
    env = env_of(build_job(view, Attempt(number=1, job_name="x"), settings()))
    variables: dict[str, str] = {}
    for name, value in env.items():
        if isinstance(value, str):
            variables[name] = expand(value, variables)
    assert view.spec
    assert Request.model_validate_json(variables[workload.ENV_REQUEST]) == view.spec.request


def test_with_uploads_no_storage_credentials() -> None:
    uploads = {"drums": {"url": "https://put.example.com/d"}}
    env = env_of(manifest_job(uploads=uploads))
    assert not [name for name in env if name.startswith("S3_")]
    assert "DEMUCSSVC_TOKEN" in env
    assert {"S3_ACCESS_KEY_ID", "S3_BUCKET"} <= env_of(manifest_job()).keys()


def test_no_secret_stands_in_the_manifest() -> None:
    job = manifest_job(secretName="urls")
    assert "a-token" not in json.dumps(job)
    assert env_of(job)["DEMUCSSVC_TOKEN"] == {
        "secretKeyRef": {"name": "keys", "key": "DEMUCSSVC_TOKEN", "optional": False}
    }
    mounts = {m["name"]: m["mountPath"] for m in container_of(job)["volumeMounts"]}
    assert env_of(job)[workload.ENV_SECRET_DIR] == mounts["request"]
    assert env_of(job)[workload.ENV_SCRATCH_DIR] == mounts["scratch"]
    assert env_of(job)[workload.ENV_SCRATCH_BYTES] == str(20 << 30)
    assert (
        env_of(job)[workload.ENV_TERMINATION_MESSAGE]
        == (container_of(job)["terminationMessagePath"])
    )


def test_what_an_installation_adds() -> None:
    changed = {
        "worker_node_selector": {"gpu": "a10"},
        "worker_tolerations": [{"key": "gpu", "operator": "Exists"}],
        "worker_runtime_class": "nvidia",
        "worker_service_account": "worker",
        "worker_image_pull_secrets": ["registry"],
        "priority_classes": [{"at_least": 1, "name": "high"}, {"name": "normal"}],
        "worker_model_volume": {"persistentVolumeClaim": {"claimName": "models"}},
        "worker_model_registry_configmap": "registry",
    }
    job = manifest_job(changed, spec={"priority": 7})
    pod = pod_of(job)
    assert pod["nodeSelector"] == {"gpu": "a10"}
    assert pod["tolerations"] == [{"key": "gpu", "operator": "Exists"}]
    assert (pod["runtimeClassName"], pod["serviceAccountName"]) == ("nvidia", "worker")
    assert pod["imagePullSecrets"] == [{"name": "registry"}]
    assert pod["priorityClassName"] == "high"
    assert env_of(job)[workload.ENV_MODEL_DIR] == "/models"
    mounts = {m["mountPath"] for m in container_of(job)["volumeMounts"]}
    assert env_of(job)[workload.ENV_MODEL_REGISTRY].rsplit("/", 1)[0] in mounts
    assert pod_of(manifest_job(changed, spec={"priority": -7}))["priorityClassName"] == "normal"


class TestResourcesOfAModel:
    OWN: ClassVar[dict[str, Any]] = {
        "gpu": {"resourceName": "nvidia.com/mig-2g.20gb"},
        "cpu": 3,
        "memory": "8Gi",
        "nodeSelector": {"gpu": "a100"},
        "tolerations": [],
        "runtimeClassName": "nvidia",
        "priorityClassName": "batch",
        "affinity": {"nodeAffinity": {}},
        "topologySpreadConstraints": [{"maxSkew": 1}],
        "scratchSize": "30Gi",
    }
    DEFAULT: ClassVar[dict[str, Any]] = {
        "worker_gpu_count": 2,
        "worker_node_selector": {"gpu": "l4"},
        "worker_tolerations": [{"key": "gpu", "operator": "Exists"}],
    }

    def test_stand_in_the_place_of_the_default_as_a_whole(self) -> None:
        job = manifest_job({**self.DEFAULT, "model_resources": {"demo": self.OWN}})
        limits = container_of(job)["resources"]["limits"]
        assert limits == {
            "memory": "8Gi",
            "nvidia.com/mig-2g.20gb": 1,
            "ephemeral-storage": "30976Mi",
        }
        assert container_of(job)["resources"]["requests"]["cpu"] == "3"
        pod = pod_of(job)
        assert pod["nodeSelector"] == {"gpu": "a100"}
        assert "tolerations" not in pod
        assert (pod["runtimeClassName"], pod["priorityClassName"]) == ("nvidia", "batch")
        assert pod["affinity"] == {"nodeAffinity": {}}
        assert pod["topologySpreadConstraints"] == [{"maxSkew": 1}]
        assert env_of(job)[workload.ENV_SCRATCH_BYTES] == str(30 * 2**30)

    def test_of_another_model_change_nothing(self) -> None:
        others = manifest_job({**self.DEFAULT, "model_resources": {"mdx_extra": self.OWN}})
        assert others == manifest_job(self.DEFAULT)

    def test_without_a_gpu_it_runs_on_the_cpu(self) -> None:
        job = manifest_job({"model_resources": {"demo": {"gpu": {"count": 0}}}})
        assert env_of(job)[workload.ENV_DEVICE] == "cpu"
        assert container_of(job)["resources"]["limits"].keys() == {"memory", "ephemeral-storage"}

    def test_a_priority_of_the_job_goes_before_that_of_its_model(self) -> None:
        changed = {"model_resources": {"demo": self.OWN}, "priority_classes": [{"name": "x"}]}
        assert pod_of(manifest_job(changed))["priorityClassName"] == "x"

    def test_a_claim_stands_in_the_place_of_a_resource(self) -> None:
        for changed in (
            {"worker_gpu_claim_template": "slice"},
            {"model_resources": {"demo": {"gpu": {"claimTemplate": "slice"}}}},
        ):
            job = manifest_job(changed)
            claim = {"name": "gpu", "resourceClaimTemplateName": "slice"}
            assert pod_of(job)["resourceClaims"] == [claim]
            resources = container_of(job)["resources"]
            assert resources["claims"] == [{"name": "gpu"}]
            assert resources["limits"].keys() == {"memory", "ephemeral-storage"}
            assert env_of(job)[workload.ENV_DEVICE] == "cuda"

    @pytest.mark.parametrize(
        ("given", "message"),
        [
            ({"memory": "8Gi", "memoryRetry": "7Gi"}, r"worker_oom \(7Gi\) is below"),
            ({"memoryRetry": "5Gi"}, r"worker_oom \(5Gi\) is below"),
            ({"device": "cuda", "gpu": {"count": 0}}, "no GPU is asked for"),
            ({"cpuLimit": "1"}, "2 cores are above the limit of 1"),
            ({"gpu": {"claimTemplate": "x", "count": 2}}, "in the place of resourceName and count"),
            ({"memori": "8Gi"}, "memori"),
        ],
    )
    def test_that_cannot_work_are_refused(self, given: dict[str, Any], message: str) -> None:
        with pytest.raises(ValidationError, match=message):
            settings(model_resources={"demo": given})

    def test_of_a_model_that_nobody_knows_are_refused(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("DEMUCSSVC_TOKEN", "a-token")
        monkeypatch.setenv("WORKER_IMAGE", "w:1")
        monkeypatch.setenv("MODEL_RESOURCES", '{"demucs9": {"cpu": "1"}}')
        with pytest.raises(ConfigurationError, match=r"models\.resources.*demucs9: not"):
            Settings.from_environment()


def test_autoscalers_leave_a_worker_alone_unless_the_installation_says_otherwise() -> None:
    def annotations(**changed: Any) -> dict[str, str]:
        found: dict[str, str] = manifest_job(changed)["spec"]["template"]["metadata"]["annotations"]
        return found

    usual = {
        "cluster-autoscaler.kubernetes.io/safe-to-evict": "false",
        "karpenter.sh/do-not-disrupt": "true",
    }
    assert annotations() == usual
    own = {"karpenter.sh/do-not-disrupt": "false"}
    assert annotations(worker_pod_annotations=own) == usual | own
    assert "annotations" not in manifest_job()["metadata"], "a Job that waits holds no node"


REFUSED_ADDITIONS: list[tuple[dict[str, Any], str]] = [
    ({"worker_pod_labels": {LABEL_SPLITJOB: "x"}}, "a label by which workers are found"),
    ({"worker_pod_labels": {"job-name": "x"}}, "a label by which workers are found"),
    ({"worker_extra_env": [{"name": "DEVICE"}]}, "DEVICE, a variable that the operator sets"),
    ({"worker_extra_env": [{"name": "A"}, {"name": "A"}]}, "A more than once"),
    (
        {"worker_aws_role_arn": "arn:x", "worker_extra_env": [{"name": "AWS_ROLE_ARN"}]},
        "AWS_ROLE_ARN, a variable that the operator sets",
    ),
    ({"worker_extra_volumes": [{"name": "scratch"}]}, "scratch, a volume that the operator sets"),
    ({"worker_extra_volume_mounts": [{"name": "x", "mountPath": "/x"}]}, "not in WORKER_EXTRA_VOL"),
    (
        {
            "worker_extra_volumes": [{"name": "x", "emptyDir": {}}],
            "worker_extra_volume_mounts": [{"name": "x", "mountPath": "/scratch/"}],
        },
        "/scratch, a path that the operator sets",
    ),
    (
        {
            "worker_extra_volumes": [
                {"name": "x", "projected": {"sources": [{"serviceAccountToken": {"path": "t"}}]}}
            ]
        },
        "a token for the API server, which workers must not have",
    ),
]


class TestAdditions:
    @pytest.mark.parametrize(("changed", "message"), REFUSED_ADDITIONS)
    def test_what_would_hide_ours_is_refused(self, changed: dict[str, Any], message: str) -> None:
        with pytest.raises(ValidationError, match=message):
            settings(**changed)

    def test_a_role_of_ones_own_is_left_alone(self) -> None:
        own = [{"name": "AWS_ROLE_ARN", "value": "arn:own"}]
        assert env_of(manifest_job({"worker_extra_env": own}))["AWS_ROLE_ARN"] == "arn:own"

    def test_a_quota_on_cpu_and_disk_can_be_met(self) -> None:
        job = manifest_job({"worker_cpu_limit": "3", "worker_ephemeral_storage": "30Gi"})
        resources = container_of(job)["resources"]
        assert (resources["requests"]["cpu"], resources["limits"]["cpu"]) == ("2", "3")
        for kind in ("requests", "limits"):
            assert resources[kind]["ephemeral-storage"] == "30Gi"

    def test_a_priority_class_for_those_without_one(self) -> None:
        changed = {"worker_priority_class": "audio", "priority_classes": [{"name": "x"}]}
        assert pod_of(manifest_job({"worker_priority_class": "audio"}))["priorityClassName"] == (
            "audio"
        )
        assert pod_of(manifest_job(changed))["priorityClassName"] == "x"


class TestSettings:
    @pytest.mark.parametrize("text", ["", " , ", "new,", "new,,old", "whsec_%%"])
    def test_no_start_with_tokens_that_the_workers_could_not_use(
        self, text: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Acceptance 9: it says what the API says, in one line."""
        monkeypatch.setenv("DEMUCSSVC_TOKEN", text)
        monkeypatch.setenv("WORKER_IMAGE", "w:1")
        with pytest.raises(TokenError) as refused:
            parse_tokens(text)
        with pytest.raises(ConfigurationError) as ours:
            Settings.from_environment()
        with pytest.raises(ConfigurationError) as the_apis:
            ApiSettings.from_environment()
        assert ours.value.problems == the_apis.value.problems
        (line,) = ours.value.problems
        assert line.startswith("DEMUCSSVC_TOKEN (key DEMUCSSVC_TOKEN of the Secret ")
        assert line.endswith(str(refused.value).removeprefix("DEMUCSSVC_TOKEN").lstrip(": "))

    def test_from_the_environment(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("DEMUCSSVC_TOKEN", "first-token, second-token")
        monkeypatch.setenv("WORKER_IMAGE", "w:1")
        monkeypatch.setenv("WORKER_TOLERATIONS", '[{"key": "gpu"}]')
        monkeypatch.setenv("WORKER_MODEL_VOLUME", "")
        monkeypatch.setenv("MODEL_REGISTRY", "")
        found = Settings()
        assert found.tokens == ["first-token", "second-token"]
        assert found.worker_tolerations == [{"key": "gpu"}]
        assert (found.worker_model_volume, found.model_registry) == (None, None)
        assert "first-token" not in repr(found)

    @pytest.mark.parametrize("text", ["6Gi", "1.5Gi", "1Ti", ".5Gi", "6e9", "6.442450944e+09"])
    def test_memory_is_any_quantity_of_kubernetes(self, text: str) -> None:
        found = settings(worker_memory=text, worker_memory_retry="2Ti", worker_scratch_size=text)
        assert found.worker_memory == text

    @pytest.mark.parametrize(
        "text", ["", " ", "6", "0", "-6Gi", "512m", "6G B", "6gi", "x", "6Gi\n", "2Pi", "1e99"]
    )
    @pytest.mark.parametrize(
        "name", ["worker_memory", "worker_memory_retry", "worker_scratch_size"]
    )
    def test_a_size_no_worker_could_have_is_refused(self, name: str, text: str) -> None:
        with pytest.raises(ValidationError):
            settings(**{name: text})

    @pytest.mark.parametrize("text", ["", "0", "-1", "2 cores", "5000", "2\n"])
    def test_cores_no_worker_could_have_are_refused(self, text: str) -> None:
        with pytest.raises(ValidationError):
            settings(worker_cpu=text)

    def test_a_retry_with_less_memory_is_refused(self) -> None:
        with pytest.raises(ValidationError, match=r"WORKER_MEMORY_RETRY \(12Gi\) is below"):
            settings(worker_memory="16Gi")
