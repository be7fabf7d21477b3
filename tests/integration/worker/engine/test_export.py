"""`track-tree-audio weights export-th`: the `demucs` command on the very same weights."""

import hashlib
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from demucs.apply import BagOfModels
from demucs.pretrained import get_model

from bench.reference import RATE, STEMS, write
from splitjob.models import dump_registry
from splitjob_worker.cli import weights as weights_cli
from splitjob_worker.engine.export import export_th
from splitjob_worker.stems.wav import WavWriter


def assert_same_model(ours: Any, theirs: Any) -> None:
    assert type(ours) is type(theirs)
    assert (ours.sources, ours.samplerate, ours.segment) == (
        theirs.sources,
        theirs.samplerate,
        theirs.segment,
    )
    for name, tensor in theirs.state_dict().items():
        assert torch.equal(ours.state_dict()[name], tensor)


@pytest.mark.parametrize("architecture", ["HTDemucs", "HDemucs", "Demucs"])
def test_demucs_reads_the_same_bag(tmp_path: Path, architecture: str) -> None:
    bag = {"weights": [[1.0, 0.0, 0.5, 1.0], [0.0, 1.0, 0.5, 1.0]], "segment": 0.4}
    model = write(tmp_path, "two", architecture, 2, bag=bag)
    export_th(model.found, tmp_path / "out")
    read = get_model("two", tmp_path / "out")
    assert isinstance(read, BagOfModels)
    assert read.weights == bag["weights"]
    for ours, theirs in zip(read.models, model.reference.models, strict=True):
        assert_same_model(ours, theirs)


def test_the_command_names_the_files_by_their_digest_and_replaces_its_own(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = write(tmp_path, "one", "HTDemucs")
    registry = tmp_path / "registry.yaml"
    registry.write_text(dump_registry({"one": model.found.record}))
    out = tmp_path / "out"
    out.mkdir()
    (out / "one0-00000000.th").write_bytes(b"of a former export")
    (out / "one0-more-00000000.th").write_bytes(b"of another model")
    where = ["--registry", str(registry), "--to", str(tmp_path)]
    assert weights_cli.main(["export-th", "one", str(out), *where]) == 0
    assert f"--repo {out} -n one" in capsys.readouterr().out
    [file] = out.glob("one0-????????.th")
    assert file.stem.endswith(hashlib.sha256(file.read_bytes()).hexdigest()[:8])
    names = {path.name for path in out.iterdir()}
    assert names == {file.name, "one.yaml", "one0-more-00000000.th"}

    (tmp_path / "one0.safetensors").unlink()
    assert weights_cli.main(["export-th", "one", str(out), *where]) == 1
    assert "one0.safetensors" in capsys.readouterr().err


def test_the_demucs_command_runs_on_it(tmp_path: Path) -> None:
    model = write(tmp_path, "one", "HTDemucs")
    export_th(model.found, tmp_path / "out")
    song = WavWriter(tmp_path / "song.wav", RATE, RATE, 16)
    song.write(np.random.default_rng(0).uniform(-0.5, 0.5, (RATE, 2)).astype(np.float32))
    song.close()
    done = subprocess.run(
        [sys.executable, "-m", "demucs", "--repo", tmp_path / "out", "-n", "one", "-d", "cpu",
         "--shifts", "0", "-o", tmp_path / "stems", tmp_path / "song.wav"],
        capture_output=True,
        text=True,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    written = (tmp_path / "stems" / "one" / "song").iterdir()
    assert {path.name for path in written} == {f"{stem}.wav" for stem in STEMS}
