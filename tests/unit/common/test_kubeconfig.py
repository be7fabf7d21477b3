"""What the files of KUBECONFIG say: where the API server is, and who we are."""

import base64
import json
import stat
from pathlib import Path
from typing import Any

import pytest
import yaml

from splitjob_kube.kubeconfig import Kubeconfig, KubeconfigError

SERVER = "https://api.example.com:6443"
Json = dict[str, Any]


def written(folder: Path, user: Json, **cluster: object) -> Path:
    """Write a file with one cluster, one user and a context of both; return its path."""
    content = {
        "clusters": [{"name": "here", "cluster": {"server": SERVER, **cluster}}],
        "users": [{"name": "me", "user": user}],
        "contexts": [{"name": "it", "context": {"cluster": "here", "user": "me"}}],
        "current-context": "it",
    }
    path = folder / "kubeconfig"
    path.write_text(yaml.safe_dump(content))
    return path


def encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def test_what_is_embedded_lies_in_files_that_nobody_else_may_read(tmp_path: Path) -> None:
    user = {"client-certificate-data": encoded("mine"), "client-key-data": encoded("secret")}
    path = written(tmp_path, user, **{"certificate-authority-data": encoded("theirs")})
    found = Kubeconfig(str(path)).read().connection
    files = [Path(file or "") for file in (found.ca_path, found.certificate_path, found.key_path)]
    assert [file.read_text() for file in files] == ["theirs", "mine", "secret"]
    assert stat.S_IMODE(files[2].parent.stat().st_mode) == 0o700
    assert Kubeconfig(str(path)).read().connection == found, "one file for one content"


def test_relative_paths_count_from_the_file_that_names_them(tmp_path: Path) -> None:
    (tmp_path / "ca.crt").write_text("theirs")
    (tmp_path / "token").write_text("mine\n")
    path = written(tmp_path, {"tokenFile": "token"}, **{"certificate-authority": "ca.crt"})
    found = Kubeconfig(str(path)).read().connection
    assert (found.token, found.ca_path) == ("mine", str(tmp_path / "ca.crt"))


def test_a_file_that_is_named_and_not_there_is_named(tmp_path: Path) -> None:
    path = written(tmp_path, {"client-certificate": "gone.crt"})
    with pytest.raises(KubeconfigError, match=r"gone\.crt"):
        Kubeconfig(str(path)).read()


def test_of_several_files_the_first_that_says_something_counts(tmp_path: Path) -> None:
    """As with one file that holds the clusters, and another with who we are."""
    first, second = tmp_path / "first", written(tmp_path, {"token": "second"})
    first.write_text(yaml.safe_dump({"users": [{"name": "me", "user": {"token": "first"}}]}))
    found = Kubeconfig(f"{first}:{tmp_path / 'gone'}:{second}").read()
    assert (found.connection.token, found.connection.server) == ("first", SERVER)
    assert found.namespace == "default"


def test_what_is_said_of_the_server_is_taken(tmp_path: Path) -> None:
    more = {
        "tls-server-name": "kubernetes",
        "insecure-skip-tls-verify": True,
        "proxy-url": "http://proxy.example.com:3128",
    }
    path = written(tmp_path, {}, **more)
    found = Kubeconfig(str(path)).read().connection
    assert (found.server_name, found.verify) == ("kubernetes", False)
    assert found.proxy
    assert (found.proxy.host, found.proxy.port) == ("proxy.example.com", 3128)


@pytest.mark.parametrize("user", [{"auth-provider": {"name": "oidc"}}, {"username": "me"}])
def test_a_way_to_sign_in_that_kubernetes_took_out_is_named(tmp_path: Path, user: Json) -> None:
    with pytest.raises(KubeconfigError, match=next(iter(user))):
        Kubeconfig(str(written(tmp_path, user))).read()


def test_a_context_whose_user_is_nowhere_is_no_anonymous_one(tmp_path: Path) -> None:
    path = written(tmp_path, {})
    path.write_text(path.read_text().replace("user: me", "user: you"))
    with pytest.raises(KubeconfigError, match="no 'you' among the users"):
        Kubeconfig(str(path)).read()


def plugin(folder: Path, script: str, **spec: object) -> Json:
    """Write a plugin; return the user who signs in by it."""
    path = folder / "plugin"
    path.write_text(f"#!/bin/sh\necho asked >> {folder}/asked\n{script}\n")
    path.chmod(0o755)
    version = "client.authentication.k8s.io/v1"
    return {"exec": {"apiVersion": version, "command": "./plugin", **spec}}


def says(**status: str) -> str:
    return f"echo '{json.dumps({'kind': 'ExecCredential', 'status': status})}'"


def asked(folder: Path) -> int:
    return len((folder / "asked").read_text().splitlines())


def test_a_plugin_is_asked_once_while_its_answer_counts_and_anew_where_it_is_refused(
    tmp_path: Path,
) -> None:
    """As those of the clouds, which take a second and ask the network."""
    answer = says(token="given", expirationTimestamp="2999-01-01T00:00:00Z")
    kubeconfig = Kubeconfig(str(written(tmp_path, plugin(tmp_path, answer))))
    assert [kubeconfig.read().connection.token for _ in range(2)] == ["given", "given"]
    assert asked(tmp_path) == 1
    kubeconfig.read(anew=True)
    assert asked(tmp_path) == 2


def test_a_plugin_whose_answer_has_ended_is_asked_again(tmp_path: Path) -> None:
    answer = says(token="given", expirationTimestamp="2001-01-01T00:00:00Z")
    kubeconfig = Kubeconfig(str(written(tmp_path, plugin(tmp_path, answer))))
    for _ in range(2):
        kubeconfig.read()
    assert asked(tmp_path) == 2


def test_a_plugin_is_told_what_it_may_know_and_may_give_a_certificate(tmp_path: Path) -> None:
    answer = says(clientCertificateData="mine", clientKeyData="secret")
    script = f'echo "$KUBERNETES_EXEC_INFO" > {tmp_path}/info; test "$1$OWN" = wordhere && {answer}'
    user = plugin(
        tmp_path,
        script,
        args=["word"],
        env=[{"name": "OWN", "value": "here"}],
        provideClusterInfo=True,
    )
    found = Kubeconfig(str(written(tmp_path, user))).read().connection
    assert Path(found.certificate_path or "").read_text() == "mine"
    assert Path(found.key_path or "").read_text() == "secret"
    told = json.loads((tmp_path / "info").read_text())
    assert told["spec"] == {"interactive": False, "cluster": {"server": SERVER}}


@pytest.mark.parametrize(
    ("script", "says_what"),
    [("echo no >&2; exit 3", "ended with 3: no"), (says(), "neither a token nor a certificate")],
)
def test_a_plugin_that_fails_says_why(tmp_path: Path, script: str, says_what: str) -> None:
    with pytest.raises(ValueError, match=says_what):
        Kubeconfig(str(written(tmp_path, plugin(tmp_path, script)))).read()
