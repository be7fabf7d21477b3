"""By whose rights pods reach the bucket: keys, cloud roles, one of each."""

import json

import pytest
from tests.support.chart import Render, container, environment, one
from tests.support.chart_pods import (
    COMPONENTS,
    DEPLOYMENTS,
    DOWNLOADS,
    READER,
    ROLE,
    UPLOADS,
    env_of,
    pod,
    worker,
)

from splitjob_operator.core.settings import Settings

SECRET_KEY = "secrets.apiS3SecretAccessKey=reader-key"


class TestIdentities:
    def test_a_role_for_operator_and_workers_by_a_projected_token(
        self, render: Render, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        rendered = render(ROLE, "storage.region=eu-central-1")
        for template in (pod(rendered, "operator"), worker(rendered, monkeypatch)):
            found = env_of(template)
            assert found["AWS_ROLE_ARN"] == "arn:aws:iam::123456789012:role/stems"
            (only,) = template["spec"]["containers"]
            (mount,) = (m for m in only["volumeMounts"] if m["name"] == "aws-token")
            assert found["AWS_WEB_IDENTITY_TOKEN_FILE"] == f"{mount['mountPath']}/token"
            (volume,) = (v for v in template["spec"]["volumes"] if v["name"] == "aws-token")
            assert volume["projected"]["sources"] == [
                {
                    "serviceAccountToken": {
                        "audience": "sts.amazonaws.com",
                        "expirationSeconds": 3600,
                        "path": "token",
                    }
                }
            ]
        assert "AWS_ROLE_ARN" not in env_of(pod(rendered, "api"))

    def test_a_worker_that_only_uploads_gets_none(
        self, render: Render, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        uploads = {"drums": {"url": "https://put.example.com/d"}}
        template = worker(render(ROLE), monkeypatch, uploads=uploads)
        assert "AWS_ROLE_ARN" not in env_of(template)
        assert "aws-token" not in {volume["name"] for volume in template["spec"]["volumes"]}

    def test_pod_identity_opens_its_agent_and_nothing_else(self, render: Render) -> None:
        agent = {
            "ports": [{"port": 80, "protocol": "TCP"}],
            "to": [
                {"ipBlock": {"cidr": "169.254.170.23/32"}},
                {"ipBlock": {"cidr": "fd00:ec2::23/128"}},
            ],
        }
        without, opened = render(), render("storage.podIdentity=true")
        for component in COMPONENTS:
            before = one(without, "NetworkPolicy", f"-{component}")["spec"]["egress"]
            after = one(opened, "NetworkPolicy", f"-{component}")["spec"]["egress"]
            added = [rule for rule in after if rule not in before]
            assert added == ([] if component == "api" else [agent])
            assert len(after) == len(before) + len(added)

    def test_the_api_signs_downloads_with_keys_of_its_own(self, render: Render) -> None:
        without, given = render(), render(DOWNLOADS, "secrets.apiS3AccessKeyId=reader", SECRET_KEY)
        assert environment(without, "api")["S3_BUCKET"] == ""
        assert not {"S3_ACCESS_KEY_ID", "S3_SECRET_ACCESS_KEY"} & env_of(pod(without, "api")).keys()
        assert environment(given, "api")["S3_BUCKET"] == "stems"
        keys = {
            component: env_of(pod(given, component))["S3_ACCESS_KEY_ID"]["secretKeyRef"]["key"]
            for component in DEPLOYMENTS
        }
        assert keys == {"api": "API_S3_ACCESS_KEY_ID", "operator": "S3_ACCESS_KEY_ID"}
        assert keys["api"] in one(given, "Secret")["data"]
        renamed = render(
            DOWNLOADS,
            "secrets.existingSecret=vault",
            "secrets.keys.apiS3AccessKeyId=reader-id",
            needed=("storage.bucket=stems",),
        )
        source = env_of(pod(renamed, "api"))["S3_ACCESS_KEY_ID"]["secretKeyRef"]
        assert (source["name"], source["key"], source["optional"]) == ("vault", "reader-id", True)

    def test_the_api_signs_for_the_address_that_callers_reach(self, render: Render) -> None:
        inside = "storage.endpoint=https://minio.storage.svc:9000"
        outside = "api.storage.publicEndpoint=https://stems.example.com"
        rendered = render(inside, DOWNLOADS, outside)
        assert environment(rendered, "api")["S3_ENDPOINT"] == "https://stems.example.com"
        assert environment(rendered, "operator")["S3_ENDPOINT"].startswith("https://minio")
        same = render(inside, DOWNLOADS)
        assert environment(same, "api")["S3_ENDPOINT"].startswith("https://minio")

    def test_the_api_reads_the_bucket_where_the_others_find_it(self, render: Render) -> None:
        inside = "storage.endpoint=https://minio.storage.svc:9000"
        outside = "api.storage.publicEndpoint=https://stems.example.com"
        rendered = render(inside, DOWNLOADS, outside)
        assert environment(rendered, "api")["S3_READ_ENDPOINT"].startswith("https://minio")
        assert environment(render(inside, DOWNLOADS), "api")["S3_READ_ENDPOINT"] == ""

    def test_the_api_reaches_the_bucket_only_where_it_reads_it(self, render: Render) -> None:
        egress = {
            downloads: json.dumps(one(rendered, "NetworkPolicy", "-api")["spec"]["egress"])
            for downloads, rendered in ((False, render()), (True, render(DOWNLOADS)))
        }
        assert "0.0.0.0/0" not in egress[False]
        assert "0.0.0.0/0" in egress[True]
        assert "169.254.0.0/16" in egress[True]  # all but what is inside, metadata included

    def test_the_api_takes_files_where_it_is_told_to_and_reads_them_where_they_are(
        self, render: Render
    ) -> None:
        """Where a file lies, and how large it may be, is what operator and workers are told."""
        place = ("storage.prefix=songs/prod", "source.maxBytes=1000")
        rendered = render(DOWNLOADS, UPLOADS, "api.storage.uploads.urlSeconds=120", *place)
        api, operator = environment(rendered, "api"), environment(rendered, "operator")
        assert (api["UPLOADS_ENABLED"], api["UPLOAD_URL_SECONDS"]) == ("true", "120")
        for name in ("S3_BUCKET", "STORAGE_PREFIX", "MAX_SOURCE_BYTES"):
            assert api[name] == operator[name] != "", name
        assert environment(render(DOWNLOADS), "api")["UPLOADS_ENABLED"] == "false"

    def test_the_api_may_have_a_role_of_its_own(self, render: Render) -> None:
        rendered = render(ROLE, DOWNLOADS, READER)
        found = env_of(pod(rendered, "api"))
        assert found["AWS_ROLE_ARN"] == "arn:aws:iam::123456789012:role/reader"
        mounts = container(rendered, "api")["volumeMounts"]
        assert "aws-token" in {mount["name"] for mount in mounts}
        assert env_of(pod(rendered, "operator"))["AWS_ROLE_ARN"].endswith("role/stems")
        agent = render("storage.podIdentity=true", DOWNLOADS)
        egress = one(agent, "NetworkPolicy", "-api")["spec"]["egress"]
        assert "169.254.170.23/32" in json.dumps(egress)

    def test_the_keys_of_a_secret_may_have_other_names(
        self, render: Render, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        rendered = render(
            "secrets.existingSecret=vault",
            "secrets.keys.token=signing-token",
            "secrets.keys.s3AccessKeyId=id",
            "secrets.keys.s3SecretAccessKey=key",
            needed=("storage.bucket=stems",),
        )
        settings = one(rendered, "ConfigMap", "-operator")["data"]
        keys = json.loads(settings["WORKER_SECRET_KEYS"])
        for component in DEPLOYMENTS:
            for variable, source in env_of(pod(rendered, component)).items():
                if isinstance(source, dict) and "secretKeyRef" in source:
                    assert source["secretKeyRef"]["key"] == keys[variable]
        assert keys == {
            "DEMUCSSVC_TOKEN": "signing-token",
            "S3_ACCESS_KEY_ID": "id",
            "S3_SECRET_ACCESS_KEY": "key",
        }
        monkeypatch.setenv("WORKER_SECRET_KEYS", settings["WORKER_SECRET_KEYS"])
        assert Settings(worker_image="w").worker_secret_keys == keys

    def test_nothing_of_somebody_elses_secret_is_in_a_checksum(self, render: Render) -> None:
        rendered = render("secrets.existingSecret=vault", needed=("storage.bucket=stems",))
        for component in DEPLOYMENTS:
            assert "checksum/secrets" not in pod(rendered, component)["metadata"]["annotations"]
