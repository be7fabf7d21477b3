"""The name server of a node that runs containers."""

import struct

import pytest

from splitjob_local.containers.dns import MalformedError, answer, question


def query(name: str, kind: int = 1) -> bytes:
    labels = b"".join(bytes([len(part)]) + part.encode() for part in name.split("."))
    return b"\x12\x34\x01\x00\x00\x01" + bytes(6) + labels + b"\x00" + struct.pack(">HH", kind, 1)


def test_names_of_services_are_answered_and_others_do_not_exist() -> None:
    names = {"api.audio.svc.cluster.local": "10.96.0.7"}
    found = answer(query("API.audio.svc.cluster.local"), names)
    assert found[:2] == b"\x12\x34"
    assert found.endswith(b"\x00\x04\x0a\x60\x00\x07")
    no_ipv6 = answer(query("api.audio.svc.cluster.local", kind=28), names)
    assert (no_ipv6[3] & 0xF, no_ipv6[7]) == (0, 0), "it exists, without such an address"
    unknown = answer(query("example.com"), names)
    assert unknown[3] & 0xF == 3, "NXDOMAIN"


@pytest.mark.parametrize("length", [0, 12, 14, 20])
def test_a_query_cut_short_is_refused(length: int) -> None:
    with pytest.raises(MalformedError):
        question(query("api.audio")[:length])
