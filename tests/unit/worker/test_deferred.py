"""What the worker loads when: nothing heavy before the calls that need it."""

import subprocess
import sys

HEAVY = {"av", "boto3", "demucs", "lameenc", "numpy", "torch"}


def loaded_after(program: str) -> set[str]:
    """Run a program in a fresh interpreter; return which modules it has loaded."""
    told = f"import sys\n{program}\nprint(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", told], capture_output=True, check=True)
    return set(done.stdout.decode().split())


def heavy_modules_after(program: str) -> set[str]:
    return HEAVY & loaded_after(program)


def test_the_deferred_calls_load_nothing_until_they_are_called() -> None:
    assert heavy_modules_after("import splitjob_worker.deferred") == set()


def test_the_command_line_answers_before_even_the_http_client_is_loaded() -> None:
    program = "from splitjob_worker.cli.separate import command"
    assert loaded_after(program) & {*HEAVY, "httpx"} <= {"numpy"}


def test_a_job_can_describe_its_separation_and_files_before_anything_is_loaded() -> None:
    program = """
from splitjob_worker.engine import options, weights
from splitjob_worker.source import audio, fetch
from splitjob_worker.stems import encoding, output
from splitjob_worker.upload import stem_uploads
"""
    assert heavy_modules_after(program) == set()


def test_the_bucket_loads_no_numpy() -> None:
    assert heavy_modules_after("from splitjob_worker.upload import targets") == {"boto3"}


def test_decoding_in_its_own_process_loads_no_library_of_formats_here() -> None:
    assert heavy_modules_after("from splitjob_worker.source import decode") == {"numpy"}


def test_the_decoders_process_loads_no_library_before_it_is_confined() -> None:
    assert heavy_modules_after("from splitjob_worker.source import decoder_process") == set()
