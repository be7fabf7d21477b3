"""What will happen, drawn from a seed before it begins: the same seed gives the same plan.

Whom a fault meets depends on who is there at that moment: the plan says where in a list of them.
"""

from dataclasses import dataclass
from random import Random
from typing import Literal, NamedTuple

Source = Literal["song", "slow", "stored", "missing", "unreadable"]
Fate = Literal["left", "canceled", "suspended", "reprioritised", "deleted"]


class Kind(NamedTuple):
    """One kind of fault.

    Attributes:
        name: what it is called in the timeline.
        weight: how often it comes, against the others.
        least, most: how long it lasts, seconds; 0: it is over at once.
    """

    name: str
    weight: float
    least: float = 0.0
    most: float = 0.0


KINDS = (
    Kind("operator killed", 3),
    Kind("operator frozen", 2, 2, 25),
    Kind("operator restarted", 1),
    Kind("operator pod deleted", 0.7),
    Kind("second operator", 0.7, 5, 20),
    Kind("API killed", 1.5),
    Kind("API frozen", 0.7, 1, 10),
    Kind("API restarted", 0.7),
    Kind("worker killed", 4),
    Kind("worker frozen", 2, 1, 10),
    Kind("worker told to stop", 1.5),
    Kind("kube-apiserver killed", 1, 0.5, 8),
    Kind("kube-apiserver frozen", 1, 1, 12),
    Kind("kube-apiserver restarted", 0.7, 0.2, 2),
    Kind("etcd killed", 0.7, 0.5, 6),
    Kind("etcd frozen", 0.7, 1, 8),
    Kind("etcd restarted", 0.5, 0.2, 2),
    Kind("kube-controller-manager killed", 0.7, 0.5, 10),
    Kind("kube-controller-manager frozen", 0.7, 1, 10),
    Kind("kube-controller-manager restarted", 0.5, 0.2, 2),
    Kind("kube-scheduler killed", 0.5, 0.5, 10),
    Kind("node killed", 0.5, 0.5, 25),
    Kind("node frozen", 0.5, 2, 25),
    Kind("node restarted", 0.3, 0.2, 2),
    Kind("s3 killed", 1, 0.5, 12),
    Kind("s3 frozen", 0.7, 1, 12),
    Kind("s3 restarted", 0.5, 0.2, 2),
    Kind("Job deleted", 1.5),
    Kind("Job deleted, pods left", 0.7),
    Kind("pod deleted", 1.5),
    Kind("pod deleted by force", 1.5),
    Kind("proxy delays", 1, 3, 15),
    Kind("proxy cuts", 1, 2, 10),
    Kind("proxy loses answers", 1.5, 2, 12),
    Kind("proxy holds watches back", 1.5, 3, 20),
    Kind("proxy answers 410", 1, 1, 6),
    Kind("proxy answers 429", 1, 2, 10),
    Kind("proxy answers 500", 1, 2, 10),
    Kind("proxy answers 503", 1, 2, 10),
    Kind("receiver down", 1, 2, 15),
    Kind("receiver slow", 1, 3, 15),
    Kind("receiver hangs up", 0.7, 3, 12),
    Kind("receiver takes it and says 500", 1.5, 3, 12),
    Kind("receiver says 200 and loses it", 0.7, 2, 8),
)


@dataclass(frozen=True)
class PlannedFault:
    """A fault to come.

    Attributes:
        at: seconds from the beginning of the storm.
        name: its kind.
        seconds: how long it lasts.
        choice: 0 to 1, whom of those that are there it meets.
    """

    at: float
    name: str
    seconds: float
    choice: float


@dataclass(frozen=True)
class PlannedSong:
    """A song to come.

    Attributes:
        at: seconds from the beginning of the storm.
        number: of this song, from 1.
        source: what its address gives.
        uploads: whether its stems go to presigned URLs.
        fate: what is done with its job.
        fate_after: that many seconds after it was accepted.
        back_after: and that many after that, for what is taken back again.
        priority: of the request.
    """

    at: float
    number: int
    source: Source
    uploads: bool
    fate: Fate
    fate_after: float
    back_after: float
    priority: int


def plan_faults(seed: int, seconds: float, every: float) -> list[PlannedFault]:
    """Return the faults of a storm, in order.

    Args:
        seed: of all draws.
        seconds: how long the storm is.
        every: seconds between two faults, on average.
    """
    random, at = Random(f"{seed} faults"), 0.0
    weights = [kind.weight for kind in KINDS]
    planned = []
    while (at := at + random.expovariate(1 / every)) < seconds:
        [kind] = random.choices(KINDS, weights)
        lasts = random.uniform(kind.least, kind.most)
        planned.append(PlannedFault(at, kind.name, lasts, random.random()))
    return planned


def plan_songs(seed: int, seconds: float, every: float) -> list[PlannedSong]:
    """Return the songs of a storm, in order; arguments as of `plan_faults`."""
    random, at, planned = Random(f"{seed} songs"), 0.0, list[PlannedSong]()
    while (at := at + random.expovariate(1 / every)) < seconds:
        sources: list[Source] = ["song", "slow", "stored", "missing", "unreadable"]
        fates: list[Fate] = ["left", "canceled", "suspended", "reprioritised", "deleted"]
        song = PlannedSong(
            at=at,
            number=len(planned) + 1,
            source=random.choices(sources, [50, 20, 20, 6, 4])[0],
            uploads=random.random() < 0.15,
            fate=random.choices(fates, [55, 15, 10, 10, 10])[0],
            fate_after=random.uniform(0, 12),
            back_after=random.uniform(1, 8),
            priority=random.choice([0, 0, 0, -10, 10]),
        )
        planned.append(song)
    return planned
