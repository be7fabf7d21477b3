"""What a node that runs containers needs of the machine."""

import os
import sys

import pytest

from splitjob_local.containers.requirements import (
    RequirementError,
    check_requirements,
    missing_packages,
)


def test_missing_programs_are_named_by_their_packages() -> None:
    assert missing_packages(lambda _program: "/usr/bin/it", has_cni_plugins=True) == []
    missing = missing_packages(lambda _program: None, has_cni_plugins=False)
    assert {"buildah", "containerd", "containernetworking-plugins", "runc"} <= set(missing)
    assert len(missing) == len(set(missing))


def test_without_root_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(RequirementError, match="root"):
        check_requirements()
    monkeypatch.setattr(sys, "platform", "darwin")
    with pytest.raises(RequirementError, match="Linux"):
        check_requirements()
