"""A DNS server that resolves the names of the cluster's Services for the node's pods.

    python -m splitjob_local.containers.dns ADDRESS KUBECONFIG

It resolves `<service>.<namespace>.svc.cluster.local` and answers NXDOMAIN to everything else, since
pods here cannot reach the internet. It follows the Services with a watch.
"""

import ipaddress
import socket
import struct
import sys
import threading
import time

PORT = 53
DOMAIN = "svc.cluster.local"
TYPE_A, CLASS_IN, TTL_SECONDS = 1, 1, 5
ANSWER, NO_SUCH_NAME = 0x8580, 0x8583
PAUSE_SECONDS = 1.0
WATCH_SECONDS = 60
HEADER_BYTES = 12

Names = dict[str, str]


class MalformedError(Exception):
    """A packet is not a DNS query."""


def question(query: bytes) -> tuple[str, int, bytes]:
    """Parse a query: the name in lower case, the record type, and the raw question section.

    Raises:
        MalformedError: the query is truncated.
    """
    labels = []
    at = HEADER_BYTES
    try:
        while length := query[at]:
            labels.append(query[at + 1 : at + 1 + length].decode("ascii").lower())
            at += 1 + length
        (kind,) = struct.unpack(">H", query[at + 1 : at + 3])
    except (IndexError, UnicodeDecodeError, struct.error) as error:
        raise MalformedError(str(error)) from error
    return ".".join(labels), kind, query[HEADER_BYTES : at + 5]


def answer(query: bytes, names: Names) -> bytes:
    """Return the response to a query: an address, an empty answer, or NXDOMAIN.

    Raises:
        MalformedError: it is not a query.
    """
    name, kind, asked = question(query)
    address = names.get(name)
    record = b""
    if address and kind == TYPE_A:
        packed = ipaddress.IPv4Address(address).packed
        # A pointer to the name in the question section (RFC 1035, 4.1.4).
        record = b"\xc0\x0c" + struct.pack(">HHIH", TYPE_A, CLASS_IN, TTL_SECONDS, 4) + packed
    flags = ANSWER if address else NO_SUCH_NAME
    header = struct.pack(">HHHHH", flags, 1, 1 if record else 0, 0, 0)
    return query[:2] + header + asked + record


def follow(kubeconfig: str, names: Names) -> None:
    """Keep the names up to date with the cluster's Services, for ever."""
    from kubernetes import client, config, watch  # noqa: PLC0415 - takes a second to import

    api = client.CoreV1Api(config.new_client_from_config(kubeconfig))
    while True:
        try:
            for event in watch.Watch().stream(
                api.list_service_for_all_namespaces, timeout_seconds=WATCH_SECONDS
            ):
                _note(event["type"], event["object"], names)
        except Exception as error:  # noqa: BLE001 - any failure of the watch: try again
            print(f"the watch of Services failed: {error}", file=sys.stderr, flush=True)
        time.sleep(PAUSE_SECONDS)


def _note(kind: str, service: object, names: Names) -> None:
    metadata, spec = service.metadata, service.spec  # type: ignore[attr-defined]
    name = f"{metadata.name}.{metadata.namespace}.{DOMAIN}"
    if kind == "DELETED" or not spec.cluster_ip or spec.cluster_ip == "None":
        names.pop(name, None)
    else:
        names[name] = spec.cluster_ip


def serve(address: str, names: Names) -> None:
    """Answer queries over UDP, for ever."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind((address, PORT))
        while True:
            query, peer = server.recvfrom(4096)
            try:
                server.sendto(answer(query, names), peer)
            except (MalformedError, OSError) as error:
                print(f"refused a query of {peer}: {error}", file=sys.stderr, flush=True)


def main() -> None:
    """Run as the program described at the top of this file."""
    address, kubeconfig = sys.argv[1:]
    names: Names = {}
    threading.Thread(target=follow, args=(kubeconfig, names), daemon=True).start()
    serve(address, names)


if __name__ == "__main__":
    main()
