"""`python libraries.py /opt/venv`: does each library find its dependencies?

The worker's build runs it at its end, inside the image, by itself, as no image holds this package:
it shows that no remaining library is linked against one that was left out.
"""

import ctypes
import mmap
import struct
import sys
from functools import cache
from pathlib import Path

__all__ = ["missing", "needed"]

OF_THE_DRIVER = {"libcuda.so.1", "libnvidia-ml.so.1"}  # the node brings them

# In PyTorch's wheel without its libquadmath; nothing is linked against it.
UNUSED = {"torch/lib/libgfortran.so.5"}


def missing(environment: Path) -> dict[str, list[str]]:
    """Return the libraries of an environment with missing dependencies: path -> their names."""
    found: dict[str, list[str]] = {}
    for site in environment.glob("lib/python3.*/site-packages"):
        found |= unresolved(site)
    return {path: names for path, names in found.items() if path not in UNUSED}


def unresolved(site: Path) -> dict[str, list[str]]:
    """Return the libraries of a folder whose dependencies are neither in it nor on the system.

    Args:
        site: a site-packages folder.
    """
    libraries = [path for path in sorted(site.rglob("*.so*")) if path.is_file()]
    present = {path.name for path in libraries} | OF_THE_DRIVER
    missing = {}
    for path in libraries:
        absent = [one for one in needed(path) if one not in present and not _is_loadable(one)]
        if absent:
            missing[str(path.relative_to(site))] = absent
    return missing


@cache
def _is_loadable(name: str) -> bool:
    try:
        ctypes.CDLL(name)
    except OSError:
        return False
    return True


def needed(library: Path) -> list[str]:
    """Return the names of the libraries that a library is linked against (its DT_NEEDED)."""
    with library.open("rb") as file:
        if file.read(6) != b"\x7fELF\x02\x01":
            return []
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
            return _needed(content)


def _needed(content: mmap.mmap) -> list[str]:
    (at,) = struct.unpack_from("<Q", content, 32)
    size, count = struct.unpack_from("<HH", content, 54)
    headers = [struct.unpack_from("<IIQQQQ", content, at + size * index) for index in range(count)]
    loads = [(offset, start, length) for kind, _, offset, start, _, length in headers if kind == 1]
    entries: list[tuple[int, int]] = []
    for kind, _, offset, _, _, length in headers:
        if kind == 2:  # PT_DYNAMIC
            entries = list(struct.iter_unpack("<QQ", content[offset : offset + length]))
    tables = [value for tag, value in entries if tag == 5]  # DT_STRTAB
    if not tables:
        return []
    strings = next(o + tables[0] - start for o, start, n in loads if start <= tables[0] < start + n)
    names = [strings + value for tag, value in entries if tag == 1]  # DT_NEEDED
    return [content[name : content.find(b"\0", name)].decode() for name in names]


def main(environment: str) -> int:
    """Print the missing dependencies; 1: there are some."""
    found = missing(Path(environment))
    for path, names in found.items():
        print(f"{path} needs {', '.join(names)}: see NEVER_LOADED in recipe.py", file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
