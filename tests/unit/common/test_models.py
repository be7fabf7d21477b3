"""The model registry, and the command that looks after it."""

import hashlib
import json
import struct
from pathlib import Path

import pytest
import yaml

from splitjob.models import (
    ModelFile,
    ModelRecord,
    RegistryError,
    digest_of,
    dump_registry,
    load_registry,
    offered,
)
from splitjob_worker.cli import weights as weights_cli

ENTRY = """
models:
- {{name: x, architecture: {architecture}, stems: [a], sample_rate: 44100, segment: '{segment}',
   license_note: n, files: [{{name: {file}.safetensors}}]}}
"""


def test_the_built_in_registry() -> None:
    records = load_registry()
    meta = {"htdemucs", "htdemucs_ft", "htdemucs_6s", "hdemucs_mmi", "mdx_extra"}
    assert {"demo", *meta} <= set(records)
    assert records["htdemucs"].segment == "39/5"
    assert "piano" in records["htdemucs_6s"].stems
    assert [name for name, record in records.items() if record.embedded] == ["demo"]
    for name, record in records.items():
        if name != "demo":
            assert "scientific" in record.license_note


def test_metas_files_are_named_as_demucs_names_them() -> None:
    """Signatures and digests' beginnings, against Demucs 4.1.0's own list."""
    remote = Path(str(pytest.importorskip("demucs").__file__)).parent / "remote"
    published = (remote / "files.txt").read_text().splitlines()
    for record in load_registry().values():
        for file in record.files:
            if file.origin:
                assert file.origin.rpartition("/")[2] in published
        if record.name != "demo":
            bag = yaml.safe_load((remote / f"{record.name}.yaml").read_text())
            assert bag["models"] == [file.signature for file in record.files]
            assert str(bag.get("segment", record.segment)) == record.segment


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    records = load_registry()
    path = tmp_path / "registry.yaml"
    path.write_text(dump_registry(records))
    assert load_registry(path) == records


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("models: [", "not YAML"),
        ("models: []", "no list called"),
        ("[]", "no list called"),
        ("models: [1]", r"models\[0\]"),
        ("models: [{name: x}]", "architecture"),
        (ENTRY.format(architecture="Other", segment="1", file="x"), "architecture"),
        (ENTRY.format(architecture="Demucs", segment="-1", file="x"), "segment"),
        (ENTRY.format(architecture="Demucs", segment="1/0", file="x"), "segment"),
        (ENTRY.format(architecture="Demucs", segment="1", file="../x"), "name"),
    ],
)
def test_a_wrong_registry_names_the_place(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "registry.yaml"
    path.write_text(text)
    with pytest.raises(RegistryError, match=words) as caught:
        load_registry(path)
    assert str(path) in str(caught.value)


def test_a_registry_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(RegistryError, match="cannot read"):
        load_registry(tmp_path / "none.yaml")


@pytest.mark.parametrize(
    ("names", "found"),
    [
        ("demo", ["demo"]),
        (" htdemucs_ft, demo ,,demo", ["htdemucs_ft", "demo"]),
        ("", list(load_registry())),
        (" , ", list(load_registry())),
    ],
)
def test_some_of_a_registry_are_offered(names: str, found: list[str]) -> None:
    assert list(offered(load_registry(), names)) == found


def test_what_is_offered_must_be_in_the_registry() -> None:
    with pytest.raises(RegistryError, match="MODELS: kazoo, tuba: not in the registry, which has"):
        offered(load_registry(), "demo,kazoo,tuba")


def test_one_digest_for_a_model(tmp_path: Path) -> None:
    assert digest_of({"a.safetensors": "1" * 64}) == "sha256:" + "1" * 64
    lines = "".join(f"{number * 64}  {number}.safetensors\n" for number in "12")
    expected = hashlib.sha256(lines.encode()).hexdigest()
    assert digest_of({"2.safetensors": "2" * 64, "1.safetensors": "1" * 64}) == f"sha256:{expected}"
    assert load_registry()["htdemucs"].digest is None


def weights_file(path: Path, klass: str = "demucs.htdemucs.HTDemucs") -> None:
    """A safetensors file without tensors, with a model's metadata."""
    arguments = {
        "sources": ["voice", "rest"],
        "samplerate": 48000,
        "segment": {"_type": "fraction", "numerator": 39, "denominator": 5},
    }
    metadata = {"klass": klass, "args": "[]", "kwargs": json.dumps(arguments)}
    header = json.dumps({"__metadata__": metadata}).encode()
    path.write_bytes(struct.pack("<Q", len(header)) + header)


def test_adding_verifying_and_listing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    weights_file(tmp_path / "abcd.safetensors")
    (tmp_path / "mine.yaml").write_text("models: ['abcd']\n")
    registry = tmp_path / "registry.yaml"
    words = ["--from", str(tmp_path), "--license-note", "Mine.", "--registry", str(registry)]
    assert weights_cli.main(["add", "mine", *words]) == 0
    record = load_registry(registry)["mine"]
    digest = hashlib.sha256((tmp_path / "abcd.safetensors").read_bytes()).hexdigest()
    assert record == ModelRecord(
        name="mine",
        architecture="HTDemucs",
        stems=("voice", "rest"),
        sample_rate=48000,
        segment="39/5",
        license_note="Mine.",
        files=(ModelFile(name="abcd.safetensors", sha256=digest),),
    )
    here = ["--registry", str(registry), "--dir", str(tmp_path)]
    assert weights_cli.main(["verify", *here]) == 0
    assert "as pinned" in capsys.readouterr().out
    assert weights_cli.main(["list", *here]) == 0
    listed = capsys.readouterr().out
    assert f"here, sha256:{digest}" in listed
    assert "segments of 7.8 s" in listed
    assert weights_cli.main(["list", "--json", *here]) == 0
    assert json.loads(capsys.readouterr().out)[0]["present"] == f"sha256:{digest}"

    (tmp_path / "abcd.safetensors").write_bytes(b"spoilt")
    assert weights_cli.main(["verify", *here]) == 1
    assert "damaged or another one" in capsys.readouterr().err
    assert weights_cli.main(["list", *here]) == 0
    assert "damaged or another one" in " ".join(capsys.readouterr().out.split())


@pytest.mark.parametrize("klass", ["os.system", "demucs.hdemucs.Other"])
def test_other_classes_are_not_added(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], klass: str
) -> None:
    weights_file(tmp_path / "abcd.safetensors", klass)
    (tmp_path / "mine.yaml").write_text("models: ['abcd']\n")
    words = ["--from", str(tmp_path), "--license-note", "x", "--registry", str(tmp_path / "r")]
    assert weights_cli.main(["add", "mine", *words]) == 1
    assert "which is not run" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "bag", "registry", "complaint"),
    [
        ("My.Model", "models: ['abcd']\n", "r.yaml", "'My.Model' cannot be a model's name"),
        ("mine", "models: ['abcd']\nsegment: hello\n", "r.yaml", "do not describe a model"),
        ("mine", "models: ['abcd']\n", "", "cannot read the model registry"),
        ("mine", "models: ['abcd']\n", "no/r.yaml", "cannot write"),
    ],
)
def test_a_model_that_cannot_be_added_is_told_in_one_line(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    name: str,
    bag: str,
    registry: str,
    complaint: str,
) -> None:
    weights_file(tmp_path / "abcd.safetensors")
    (tmp_path / f"{name}.yaml").write_text(bag)
    target = ["--registry", str(tmp_path / registry)]
    words = ["--from", str(tmp_path), "--license-note", "x", *target]
    assert weights_cli.main(["add", name, *words]) == 1
    said = capsys.readouterr().err
    assert complaint in said
    assert said.count("\n") == 1


def test_missing_weights_say_what_to_put_where(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert weights_cli.main(["verify", "htdemucs", "--dir", str(tmp_path)]) == 1
    said = capsys.readouterr().err
    assert "htdemucs.yaml, 955717e8.safetensors" in said
    assert str(tmp_path) in said


def test_a_model_that_nobody_knows(capsys: pytest.CaptureFixture[str]) -> None:
    assert weights_cli.main(["fetch", "nothing"]) == 1
    assert "known are demo" in capsys.readouterr().err
