"""What must be so after any storm, each a function that says what is not so."""

from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from chaos.aftermath import MANIFEST, Aftermath, Json
from chaos.explanations import COMPLETED, explains
from chaos.receiver import Heard
from splitjob.errors import REASONS
from splitjob_local.demo.verify import signature_holds, standard_signature_holds

EVENT_OF_PHASE = {"Completed": "completed", "Failed": "failed", "Canceled": "canceled"}
TOLD = {"Delivered", "NotWanted"}
SAME_IN_ALL = ("jobId", "versionId", "status", "error", "errorCode", "stems", "attempts")


class Violation(NamedTuple):
    """Something that is not as it must be.

    Attributes:
        text: what is wrong.
        job_id: whose; blank: nobody's in particular.
    """

    text: str
    job_id: str = ""


Invariant = Callable[[Aftermath], Iterator[Violation]]


def violations(aftermath: Aftermath) -> list[Violation]:
    """Return everything that is wrong."""
    return [found for check in INVARIANTS for found in check(aftermath)]


def nothing_is_lost(aftermath: Aftermath) -> Iterator[Violation]:
    """Each 202 has its SplitJob, unless that was deleted by hand; and there are no others."""
    for name, song in aftermath.songs.items():
        if name not in aftermath.splitjobs and not song.deleted:
            yield Violation("was accepted, and its SplitJob is gone", name)
    for name in aftermath.splitjobs.keys() - aftermath.songs.keys():
        yield Violation("is there, and nobody was told that it was accepted", name)


def each_has_one_final_event(aftermath: Aftermath) -> Iterator[Violation]:
    """One event id, heard by the receiver, signed, and each time with the same content."""
    for name, song in aftermath.songs.items():
        heard = aftermath.heard.get(name, [])
        ids = {one.event_id for one in heard}
        if len(ids) > 1:
            yield Violation(f"has {len(ids)} event ids: {sorted(ids)}", name)
        if not heard and not song.deleted:
            yield Violation("its receiver has heard nothing", name)
        if any(_content(one) != _content(heard[0]) for one in heard):
            yield Violation("its event did not say the same each time", name)
        for one in heard:
            deliveries = one.delivery, aftermath.token
            if not signature_holds(*deliveries) or not standard_signature_holds(*deliveries):
                yield Violation("a webhook's signature does not hold", name)


def _content(heard: Heard) -> dict[str, Any]:
    return {key: heard.body.get(key) for key in SAME_IN_ALL}


def phases_and_events_agree(aftermath: Aftermath) -> Iterator[Violation]:
    """The resource says what the receiver was told."""
    for name, job in aftermath.splitjobs.items():
        status, heard = job.get("status", {}), aftermath.heard.get(name, [])
        outbox, event = status.get("webhook") or {}, EVENT_OF_PHASE.get(status.get("phase", ""))
        if event is None:
            yield Violation(f"has not ended: it is {status.get('phase')}", name)
            continue
        if (outbox.get("state"), outbox.get("event")) not in {(state, event) for state in TOLD}:
            yield Violation(f"is {event}, and its outbox says {outbox}", name)
        if not heard:
            continue
        told = heard[-1].body
        if told["status"] != event or heard[-1].event_id != outbox.get("eventId"):
            yield Violation(f"is {event}, and its receiver was told {told['status']}", name)
        code = (status.get("failure") or {}).get("code")
        if told["errorCode"] != code:
            yield Violation(
                f"failed by {code}, and its receiver was told {told['errorCode']}", name
            )


def each_end_has_a_cause(aftermath: Aftermath) -> Iterator[Violation]:
    """Each attempt, and each job, ended in a way that its song or a fault of the storm explains."""
    for name, song in aftermath.songs.items():
        for end in _ends(aftermath.splitjobs.get(name, {}).get("status", {})):
            if not explains(song, aftermath.faults, end):
                yield Violation(f"ended by {end}, which neither song nor fault explains", name)


def _ends(status: Json) -> Iterator[str]:
    """Yield how a job and its attempts ended: `completed`, or the failure's code."""
    if status.get("phase") == "Completed":
        yield COMPLETED
    if code := (status.get("failure") or {}).get("code"):
        yield code
    for attempt in status.get("attempts", []):
        if attempt.get("reason") in REASONS:
            yield REASONS[attempt["reason"]]


def something_was_separated(aftermath: Aftermath) -> Iterator[Violation]:
    """A storm in which no job completes has tried nothing of what comes after a separation."""
    phases = {job.get("status", {}).get("phase") for job in aftermath.splitjobs.values()}
    if "Completed" not in phases:
        yield Violation("no job at all completed")


def totals_agree(aftermath: Aftermath) -> Iterator[Violation]:
    """Each job is in the totals once; of those deleted by hand nobody knows whether they are."""
    phases = Counter(job.get("status", {}).get("phase") for job in aftermath.splitjobs.values())
    deleted = len(aftermath.songs.keys() - aftermath.splitjobs.keys())
    totals = aftermath.totals
    for phase, total in (("Completed", totals.completed_jobs), ("Failed", totals.failed_jobs)):
        if not phases[phase] <= total <= phases[phase] + deleted:
            yield Violation(
                f"{phases[phase]} jobs are {phase}, {deleted} were deleted, the total says {total}"
            )
    for name, job in aftermath.splitjobs.items():
        if not job.get("status", {}).get("counted"):
            yield Violation("the totals do not include it", name)


def the_bucket_agrees(aftermath: Aftermath) -> Iterator[Violation]:
    """What completed has its manifest and the stems named there, what did not a tombstone."""
    expected: set[str] = set()
    for name, job in aftermath.splitjobs.items():
        request, status = job["spec"]["request"], job.get("status", {})
        if request.get("uploads"):
            continue
        prefix = f"{request['versionId']}/{name}/"
        expected.add(prefix)
        manifest = aftermath.manifests.get(prefix + MANIFEST)
        event = EVENT_OF_PHASE.get(status.get("phase", ""))
        if manifest is None:
            yield Violation(f"is {event}, and nothing is in the manifest's place", name)
        elif manifest["status"] != event:
            yield Violation(f"is {event}, and the manifest says {manifest['status']}", name)
        elif event == "completed":
            yield from _stems_agree(aftermath, name, prefix, manifest)
    gone = aftermath.songs.keys() - aftermath.splitjobs.keys()
    for key in aftermath.keys:
        version, _, rest = key.partition("/")
        owner = rest.partition("/")[0]
        known = f"{version}/{owner}/" in expected or owner in gone or version == "uploads"
        if not known:
            yield Violation(f"nobody knows of {key} in the bucket")


def _stems_agree(
    aftermath: Aftermath, name: str, prefix: str, manifest: Json
) -> Iterator[Violation]:
    stems = {stem["url"].split("/", 3)[3]: stem for stem in manifest["result"]["stems"]}
    there = {key for key in aftermath.keys if key.startswith(prefix)} - {prefix + MANIFEST}
    if there != stems.keys():
        yield Violation(f"its manifest names {sorted(stems)}, there are {sorted(there)}", name)
    for key in there & stems.keys():
        if aftermath.checksums.get(key) != stems[key]["checksum"]:
            yield Violation(f"{key} is not what its manifest says", name)


def presigned_uploads_are_whole(aftermath: Aftermath) -> Iterator[Violation]:
    """What completed with URLs of the caller's has put something at each of them."""
    for name, job in aftermath.splitjobs.items():
        uploads = job["spec"]["request"].get("uploads") or {}
        if job.get("status", {}).get("phase") != "Completed" or not uploads:
            continue
        version = job["spec"]["request"]["versionId"]
        missing = [what for what in uploads if f"uploads/{version}/{what}" not in aftermath.keys]
        if missing:
            yield Violation(f"completed, and {missing} were not uploaded", name)


def nothing_is_left(aftermath: Aftermath) -> Iterator[Violation]:
    """No Job, pod, Secret, scratch file or multipart upload."""
    yield from (Violation(f"{what} is left", job_id) for what, job_id in aftermath.left)


def no_answer_is_a_500(aftermath: Aftermath) -> Iterator[Violation]:
    """Whatever happens, the API knows what to say."""
    yield from (Violation(what) for what in aftermath.broken)


INVARIANTS: tuple[Invariant, ...] = (
    nothing_is_lost,
    each_has_one_final_event,
    phases_and_events_agree,
    each_end_has_a_cause,
    something_was_separated,
    totals_agree,
    the_bucket_agrees,
    presigned_uploads_are_whole,
    nothing_is_left,
    no_answer_is_a_500,
)
