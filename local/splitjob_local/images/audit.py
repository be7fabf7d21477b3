"""Known vulnerabilities of the packages in the lock file, as pip-audit finds them.

`python -m splitjob_local.images.audit`. An unreachable source is not a clean result: it is
reported with status 2, or with 0 under `--if-reached`, for CI on machines without the internet.
"""

import json
import subprocess
import sys
from collections.abc import Mapping
from typing import Any

from splitjob_local.paths import REPOSITORY

__all__ = ["CLEAN", "UNREACHED", "VULNERABLE", "judge"]

CLEAN, VULNERABLE, UNREACHED = 0, 1, 2
PATIENCE_SECONDS = 300.0


def judge(report: Mapping[str, Any] | None) -> tuple[int, str]:
    """Return the exit status and a message for pip-audit's report.

    Args:
        report: its JSON; None: there was none.
    """
    if report is None:
        return UNREACHED, "not audited: pip-audit got no answer from its source of vulnerabilities"
    packages = report["dependencies"]
    skipped = [one["name"] for one in packages if "skip_reason" in one]
    found = [
        f"{one['name']} {one['version']}: {flaw['id']}, mended in "
        f"{', '.join(flaw['fix_versions']) or 'no version yet'}"
        for one in packages
        for flaw in one.get("vulns", ())
    ]
    if found:
        return VULNERABLE, "\n".join([*found, "take a version that mends it: make lock"])
    if skipped:
        return UNREACHED, (
            f"not audited: {len(skipped)} of {len(packages)} packages, {skipped[0]} for one, are "
            "unknown to the source of vulnerabilities that this machine reaches; run it where the "
            "whole package index can be reached"
        )
    return CLEAN, f"no known vulnerability in {len(packages)} packages"


def ask() -> Mapping[str, Any] | None:
    """Return pip-audit's report on the lock file, None where its source gives no answer."""
    command = [sys.executable, "-m", "pip_audit", "--disable-pip", "--require-hashes"]
    command += ["--format=json", "--progress-spinner=off"]
    command += ["--requirement", str(REPOSITORY / "requirements.lock")]
    try:
        done = subprocess.run(
            command, check=False, capture_output=True, text=True, timeout=PATIENCE_SECONDS
        )
        report: Mapping[str, Any] = json.loads(done.stdout)
    except subprocess.TimeoutExpired:
        return None
    except ValueError:
        print(done.stderr.strip(), file=sys.stderr)
        return None
    return report


def main(arguments: list[str]) -> int:
    """Audit the lock file; 0: clean, 1: vulnerable, 2: the source did not answer."""
    status, text = judge(ask())
    print(text, file=sys.stderr if status else sys.stdout)
    return CLEAN if status == UNREACHED and "--if-reached" in arguments else status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
