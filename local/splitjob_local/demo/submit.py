"""Submitting the separation, and checking that requests that must be refused are."""

from splitjob_local.demo.client import SignedClient
from splitjob_local.demo.narrator import Narrator

TOO_OLD_SECONDS = 301  # a signature is valid for 300 s


def submit(narrator: Narrator, first: SignedClient, last: SignedClient, body: bytes) -> str | None:
    """POST a request, after four that must be refused and before a repeat that is the same job.

    Args:
        narrator: records the checks.
        first: a client of one replica of the API.
        last: a client of another.
        body: the request, as JSON; its webhook's path begins with /webhooks.

    Returns:
        The job's id; None where the request was not accepted.
    """
    check = narrator.check
    check(first.post("/split", body, {}).status_code == 401, "without a signature: 401")
    old = first.headers("POST", "/split", body)
    changed = first.post("/split", body.replace(b'": "', b'":"'), old)
    check(changed.status_code == 401, "the same JSON with other spaces, old signature: 401")
    late = first.post("/split", body, first.headers("POST", "/split", body, TOO_OLD_SECONDS))
    check(late.status_code == 401, f"signed {TOO_OLD_SECONDS} s ago, as a replay would be: 401")
    elsewhere = last.post("/split", body.replace(b"/webhooks", b"/elsewhere"))
    check(elsewhere.status_code == 422, "a webhook address that is not on the allowlist: 422")
    answer = first.post("/split", body)
    narrator.show(f"POST {first.base_url}/split\n{answer.status_code} {answer.text}")
    if not check(answer.status_code == 202, "signed: 202, accepted"):
        return None
    name: str = answer.json()["jobId"]
    again = last.post("/split", body)
    check(
        again.status_code == 200 and again.json()["jobId"] == name,
        "sent once more, to the API's other replica: 200 and the same job",
    )
    narrator.say("What was asked is now a SplitJob, a resource like a Deployment or a Pod.")
    return name
