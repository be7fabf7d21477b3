"""One storm, from the start of its cluster to what is wrong afterwards."""

import tempfile
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

from chaos.aftermath import Aftermath, look
from chaos.cluster import StormyCluster
from chaos.explanations import OWN_END
from chaos.faults import Faults
from chaos.invariants import Violation, violations
from chaos.load import Load
from chaos.plan import plan_faults, plan_songs
from chaos.receiver import Receiver
from chaos.settle import settle
from chaos.songs import Songs
from chaos.story import story
from chaos.timeline import Timeline
from splitjob.errors import ErrorCode
from splitjob_local.console import Say

STORIES = 5


@dataclass(frozen=True)
class Weather:
    """How a storm is to be.

    Attributes:
        seed: of everything that is drawn.
        seconds: how long faults come.
        fault_every: seconds between two faults, on average.
        song_every: seconds between two songs, on average.
        patience: seconds in which nothing comes any nearer to rest before it is given up.
        real: whether workers separate by a model; else each stem is a share of the mixture, which
            begins in a third of the time.
    """

    seed: int
    seconds: float
    fault_every: float = 4.0
    song_every: float = 3.0
    patience: float = 120.0
    real: bool = False


def short(seed: int) -> Weather:
    """Return how the storm of the tests is."""
    return Weather(seed, seconds=40, fault_every=2, song_every=2)


@dataclass(frozen=True)
class Report:
    """What came of a storm.

    Attributes:
        weather: how it was.
        timeline: what was done.
        aftermath: what there was afterwards.
        found: what is wrong; empty where nothing is.
        stories: of the jobs concerned, the first few.
    """

    weather: Weather
    timeline: Timeline
    aftermath: Aftermath
    found: list[Violation]
    stories: dict[str, str]

    def __str__(self) -> str:
        """Return it for people: all that a failed run needs, or the summary of a good one."""
        trouble = self._trouble() if self.found else []
        return "\n".join(trouble + self._summary())

    def _trouble(self) -> list[str]:
        lines = ["timeline (seconds since the storm began):", str(self.timeline), ""]
        for job_id, told in self.stories.items():
            lines += [f"===== {job_id}", told, ""]
        lines += ["what is wrong:"]
        return lines + [f"  {one.job_id} {one.text}" for one in self.found]

    def _summary(self) -> list[str]:
        outcomes = Counter(map(_outcome, self.aftermath.splitjobs.values()))
        faults = self.timeline.faults
        deleted = sum(song.deleted for song in self.aftermath.songs.values())
        return [
            f"seed {self.weather.seed}: {self.weather.seconds:.0f} s of storm",
            f"faults: {faults.total()} ({_listed(faults)})",
            f"jobs: {len(self.aftermath.songs)} accepted ({_listed(outcomes)})",
            f"of these deleted by hand: {deleted}",
            f"webhooks heard: {sum(map(len, self.aftermath.heard.values()))}",
            *self._failed_by_faults(),
            f"wrong: {len(self.found)}",
        ]

    def _failed_by_faults(self) -> list[str]:
        """Return how each job ended whose song, left alone, would have ended in another way."""
        ends = {name: _outcome(job) for name, job in self.aftermath.splitjobs.items()}
        return [
            f"failed by faults: {name} {ends[name]}: {_attempts(self.aftermath.splitjobs[name])}"
            for name, song in self.aftermath.songs.items()
            if name in ends and ends[name] not in {OWN_END[song.plan.source], ErrorCode.CANCELED}
        ]


def storm(weather: Weather, say: Say) -> Report:
    """Let a storm pass over a cluster of its own, and look at what it has left.

    Args:
        weather: how it is to be.
        say: told the progress.

    Raises:
        ProcessError, ClusterError: the cluster does not start, or not any more.
    """
    with (
        tempfile.TemporaryDirectory() as folder,
        StormyCluster(weather.seed, Path(folder), say, real=weather.real) as cluster,
        Songs(cluster.s3.service()) as songs,
        Receiver(cluster.service.webhook_base, Random(f"{weather.seed} receiver")) as receiver,
    ):
        return _storm_over(cluster, songs, receiver, weather, say)


def _storm_over(
    cluster: StormyCluster, songs: Songs, receiver: Receiver, weather: Weather, say: Say
) -> Report:
    timeline = Timeline()
    load, faults = Load(cluster, songs, timeline), Faults(cluster, receiver, timeline)
    load.begin(plan_songs(weather.seed, weather.seconds, weather.song_every), weather.seed)
    say(f"the storm begins: seed {weather.seed}, {weather.seconds:.0f} s")
    faults.run(plan_faults(weather.seed, weather.seconds, weather.fault_every), weather.seconds)
    timeline.note("the storm is over")
    say(f"the storm is over: {timeline.faults.total()} faults, {len(load.accepted)} jobs")
    faults.start_what_has_ended()
    restless = settle(cluster, load, receiver, timeline, weather.patience)
    say(f"at rest after {timeline.now() - weather.seconds:.0f} s")
    load.close()
    aftermath = look(cluster, load, receiver, timeline.faults)
    found = list(dict.fromkeys([*restless, *violations(aftermath)]))
    concerned = dict.fromkeys(one.job_id for one in found if one.job_id)
    stories = {name: story(cluster, aftermath, name) for name in [*concerned][:STORIES]}
    return Report(weather, timeline, aftermath, found, stories)


def _outcome(job: Mapping[str, Any]) -> str:
    status = job.get("status")
    if not isinstance(status, dict):
        return "without a status"
    code = (status.get("failure") or {}).get("code")
    return code or str(status.get("phase")).lower()


def _attempts(job: Mapping[str, Any]) -> str:
    """Return why each attempt of a job ended, in words."""
    attempts = job.get("status", {}).get("attempts", [])
    return "; ".join(f"{one['number']}. {one['reason']}: {one['message']}" for one in attempts)


def _listed(counts: Counter[str]) -> str:
    return ", ".join(f"{count} {what}" for what, count in counts.most_common())
