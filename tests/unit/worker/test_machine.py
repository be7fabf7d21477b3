"""What the worker asks of the machine it runs on."""

import gc
import os
import platform
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from splitjob_worker.machine import (
    garbage_collection_paused,
    limit_openmp_spinning,
    lower_thread_priority,
)


def test_threads_spin_briefly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OMP_WAIT_POLICY", raising=False)
    monkeypatch.delenv("GOMP_SPINCOUNT", raising=False)
    limit_openmp_spinning()
    assert 0 < int(os.environ["GOMP_SPINCOUNT"]) < 300_000  # libgomp's own


@pytest.mark.parametrize(
    ("name", "value"), [("OMP_WAIT_POLICY", "ACTIVE"), ("GOMP_SPINCOUNT", "7")]
)
def test_what_the_environment_says_stays(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.delenv("OMP_WAIT_POLICY", raising=False)
    monkeypatch.delenv("GOMP_SPINCOUNT", raising=False)
    monkeypatch.setenv(name, value)
    limit_openmp_spinning()
    assert os.environ[name] == value
    assert "OMP_WAIT_POLICY" not in os.environ or "GOMP_SPINCOUNT" not in os.environ


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="it is a setting of glibc")
def test_freed_memory_is_used_again_without_asking_the_system() -> None:
    """Twenty blocks of 16 MB, one after the other, in a thread: only the first has new pages."""
    program = """
import resource, threading
from splitjob_worker.machine import keep_freed_memory
keep_freed_memory(7.8)
def use():
    for _ in range(20):
        block = bytearray(16 << 20)
        block[::4096] = bytes(len(block) // 4096)
        del block
worker = threading.Thread(target=use)
worker.start()
worker.join()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt)
"""
    faults = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True).stdout
    assert int(faults) < 5 * (16 << 20) // 4096


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="it is a setting of glibc")
def test_what_is_kept_is_given_back_when_it_has_grown() -> None:
    """A hundred blocks of 1 MB stay when they are freed, until somebody looks."""
    program = """
import psutil
from splitjob_worker.machine import HeapTrimmer, keep_freed_memory
keep_freed_memory(7.8)
trimmer = HeapTrimmer()
def megabytes():
    return psutil.Process().memory_info().rss >> 20
trimmer.trim_if_grown()
print(megabytes())
blocks = [bytearray(b"x") * (1 << 20) for _ in range(100)]
del blocks
print(megabytes())
trimmer.trim_if_grown()
print(megabytes())
"""
    said = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True).stdout
    before, grown, after = map(int, said.split())
    assert grown > before + 90
    assert after < before + 32


def test_garbage_is_collected_again_also_after_an_error() -> None:
    @garbage_collection_paused()
    def load() -> None:
        assert not gc.isenabled()
        raise RuntimeError

    with pytest.raises(RuntimeError):
        load()
    assert gc.isenabled()
    gc.unfreeze()


@pytest.mark.skipif(sys.platform != "linux", reason="a thread has a priority of its own on Linux")
def test_one_thread_gives_way_and_no_other() -> None:
    with ThreadPoolExecutor(1, initializer=lower_thread_priority) as pool:
        yielding = pool.submit(_niceness).result()
    assert yielding > _niceness() == os.nice(0)


def _niceness() -> int:
    return os.getpriority(os.PRIO_PROCESS, threading.get_native_id())
