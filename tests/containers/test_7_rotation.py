"""Tokens of service accounts are replaced while the service runs, and it goes on with the new ones.

The shortest life that Kubernetes gives a token is ten minutes, so the installation with such
tokens is started early, in a namespace of its own, and looked at last.
"""

import time

from tests.containers.report import Report
from tests.containers.rotating import READ_TOKEN, Rotating, expiry


def test_tokens_replaced_meanwhile(rotating: Rotating, report: Report) -> None:
    left = max(0.0, rotating.expires + 5 - time.time())
    report.say(f"     {time.strftime('%H:%M:%S')}  {left:.0f} s until the first tokens have ended")
    time.sleep(left)
    world = rotating.world
    for component, pod in rotating.pods.items():
        newer = expiry(world.exec(pod, READ_TOKEN)) > rotating.expires
        report.check(f"{component}: another token, in the same pod", True, newer)
    report.check("  restarts of API and operator", [0, 0], rotating.restarts())
    name = world.ask(world.song_url())
    outcome = world.outcome(name)
    report.check("  a song after the first tokens' end", "Completed -> Completed", outcome)
    report.check("  final webhooks", 1, world.finals(name))
