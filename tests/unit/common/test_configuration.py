"""What whoever set a setting that cannot be used is told."""

import pytest

from splitjob.configuration import ConfigurationError, read_settings
from splitjob.signing import TokenError, parse_tokens
from splitjob.storage_settings import StorageSettings
from splitjob_api.settings import Settings as ApiSettings
from splitjob_io.storage import S3Service
from splitjob_operator.core.settings import Settings as OperatorSettings

SECRET = "a-very-secret-token"


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """The least that a program starts with."""
    for name in ("S3_ENDPOINT", "S3_BUCKET", "S3_ACCESS_KEY_ID", "S3_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("DEMUCSSVC_TOKEN", SECRET)
    monkeypatch.setenv("WORKER_IMAGE", "worker:1")
    monkeypatch.setenv("ENVIRONMENT", "prod")
    return monkeypatch


WRONG = {
    "PORT": ("eighty", "chart value api.port or operator.port", "valid integer"),
    "MAX_AUDIO_SECONDS": ("0", "chart value source.maxAudioSeconds", "greater than or equal to 1"),
    "WORKER_TOLERATIONS": ("[{", "chart value worker.tolerations", "must be JSON"),
    "WORKER_NODE_SELECTOR": ('["gpu"]', "chart value worker.nodeSelector", "valid dictionary"),
    "PRIORITY_CLASSES": ('[{"at_least": 1}]', "chart value queue.priorityClasses", "0.name"),
    "MODEL_RESOURCES": ('{"demo": {"cpu": "x"}}', "chart value models.resources", "not a quantity"),
    "WORKER_DEVICE": ("gpu", "chart value worker.device", "'cpu', 'cuda'"),
    "LOG_LEVEL": ("LOUD", "chart value logLevel", "'DEBUG', 'INFO'"),
    "MODELS": ("no-such-model", "chart value models.offered", "not in the registry"),
    "MODEL_REGISTRY": ("/not/there.yaml", "chart value models.registry", "cannot read"),
    "SOURCE_ALLOWED_NETWORKS": ("10.0.0.0/99", "chart value source.allowedNetworks", "10.0.0.0/99"),
    "HTTPS_PROXY": ("socks5://proxy", "chart value proxy.httpsProxy", "a proxy's URL, such as"),
    "API_WEBHOOK_URL_ALLOWLIST": ("http://x.com/a", "chart value webhooks.allowlist", "https"),
    "S3_ENDPOINT": ("minio:9000", "chart value storage.endpoint", "must be a URL"),
    "S3_BUCKET": ("s3://stems/x", "chart value storage.bucket", "as in my-stems"),
    "S3_ACCESS_KEY_ID": ("one two", "chart value secrets.s3AccessKeyId", "white space"),
    "RETRY_DELAY_SECONDS": ("soon", "extraEnv", "valid number"),
    "DEMUCSSVC_TOKEN": (" \n", "chart value secrets.token", "is empty"),
    "WORKER_IMAGE": ("", "chart value worker.image", "as in registry.example.com"),
}


@pytest.mark.parametrize("variable", WRONG)
def test_a_wrong_setting_is_named_with_its_chart_value(
    variable: str, environment: pytest.MonkeyPatch
) -> None:
    value, origin, wrong = WRONG[variable]
    environment.setenv(variable, value)
    if variable.startswith("S3_A"):
        environment.setenv("S3_SECRET_ACCESS_KEY", "x")
    with pytest.raises(ConfigurationError) as refused:
        OperatorSettings.from_environment()
    (line,) = refused.value.problems
    assert line.startswith(f"{variable} (")
    assert origin in line
    assert wrong in line


def test_all_that_is_wrong_is_said_at_once(environment: pytest.MonkeyPatch) -> None:
    for variable, (value, _, _) in WRONG.items():
        environment.setenv(variable, value)
    environment.setenv("S3_SECRET_ACCESS_KEY", "half a pair")
    with pytest.raises(ConfigurationError) as refused:
        OperatorSettings.from_environment()
    named = {line.split(" ", 1)[0] for line in refused.value.problems}
    assert named == {*WRONG, "S3_SECRET_ACCESS_KEY"} - {"MODELS"}  # no registry to look them up in


def test_the_api_says_it_alike(environment: pytest.MonkeyPatch) -> None:
    for variable in ("PORT", "LOG_LEVEL", "MODELS", "API_WEBHOOK_URL_ALLOWLIST"):
        environment.setenv(variable, WRONG[variable][0])
    with pytest.raises(ConfigurationError) as refused:
        ApiSettings.from_environment()
    assert len(refused.value.problems) == 4


def test_no_token_and_no_key_is_quoted(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("DEMUCSSVC_TOKEN", f"{SECRET},,{SECRET}")
    environment.setenv("S3_ACCESS_KEY_ID", f"{SECRET} x")
    environment.setenv("S3_SECRET_ACCESS_KEY", f"{SECRET}\n{SECRET}")
    with pytest.raises(ConfigurationError) as refused:
        OperatorSettings.from_environment()
    assert len(refused.value.problems) == 3
    assert SECRET not in str(refused.value)


def test_the_secret_is_named_where_its_name_is_known(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("DEMUCSSVC_TOKEN", "")
    environment.setenv("SECRET_NAME", "my-keys")
    with pytest.raises(ConfigurationError, match="key DEMUCSSVC_TOKEN of the Secret my-keys"):
        ApiSettings.from_environment()


@pytest.mark.parametrize("names", ['{"DEMUCSSVC_TOKEN": "signing"}', "no JSON", "[]", "{}"])
def test_the_secrets_key_is_called_as_it_is_there(
    environment: pytest.MonkeyPatch, names: str
) -> None:
    environment.setenv("DEMUCSSVC_TOKEN", " ")
    environment.setenv("SECRET_KEYS", names)
    called = "signing" if "signing" in names else "DEMUCSSVC_TOKEN"
    with pytest.raises(ConfigurationError, match=f"key {called} of the Secret"):
        ApiSettings.from_environment()


def test_half_a_pair_of_keys_names_both(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("S3_BUCKET", "stems")
    environment.setenv("S3_ACCESS_KEY_ID", "only-this")
    with pytest.raises(ConfigurationError, match="set both S3_ACCESS_KEY_ID and S3_SECRET_ACCESS"):
        S3Service()


def test_the_newline_at_a_files_end_is_dropped(environment: pytest.MonkeyPatch) -> None:
    """`kubectl create secret --from-file` takes it along."""
    environment.setenv("DEMUCSSVC_TOKEN", f"{SECRET}\n")
    environment.setenv("S3_ACCESS_KEY_ID", "key\n")
    environment.setenv("S3_SECRET_ACCESS_KEY", "secret\r\n")
    assert OperatorSettings.from_environment().tokens == [SECRET]
    found = read_settings(StorageSettings)
    assert found.s3_access_key_id == "key"
    assert found.s3_secret_access_key.get_secret_value() == "secret"


def test_two_lines_are_not_one_token() -> None:
    with pytest.raises(TokenError, match="line break"):
        parse_tokens("first\nsecond")
