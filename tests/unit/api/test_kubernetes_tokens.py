"""Requests with a Kubernetes token: who is let in, for what, and how long that is believed."""

from dataclasses import dataclass, field

import pytest
from starlette.routing import Route

from splitjob_api.caller import Caller
from splitjob_api.kubernetes import ClusterUnavailableError
from splitjob_api.kubernetes_tokens import (
    GOOD_SECONDS,
    REMEMBERED,
    VERBS,
    KubernetesTokens,
    verb_of,
)
from splitjob_api.problems import ApiError
from splitjob_api.routes import (
    actions,
    data,
    events,
    files,
    jobs,
    models,
    queue,
    resource,
    split,
    stems,
    uploads,
)
from splitjob_kube.access import User

ANA = User("ana", {"user": "ana"})


@dataclass
class Reviewer:
    """A cluster that knows one token, whose user may do some things."""

    verbs: set[str] = field(default_factory=lambda: {"get", "list"})
    namespace: str = "audio"
    away: bool = False
    asked: list[str] = field(default_factory=list)

    def user_of(self, token: str, audience: str) -> User | None:
        if self.away:
            raise ClusterUnavailableError("is away")
        self.asked.append(f"{token} for {audience}")
        return ANA if token == "ana.s-token" else None

    def is_allowed(self, user: User, verb: str) -> bool:
        if self.away:
            raise ClusterUnavailableError("is away")
        self.asked.append(f"{user.name} {verb}")
        return verb in self.verbs


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def refusal(tokens: KubernetesTokens, authorization: str, method: str = "GET") -> ApiError:
    with pytest.raises(ApiError) as refused:
        tokens.admit(authorization, method, "/jobs/a")
    return refused.value


def test_a_user_with_the_right_is_let_in() -> None:
    reviewer = Reviewer()
    tokens = KubernetesTokens(reviewer, "the-api")
    assert tokens.admit("bearer ana.s-token", "GET", "/jobs/a") == Caller("kubernetes", "ana")
    assert reviewer.asked == ["ana.s-token for the-api", "ana get"]


@pytest.mark.parametrize(
    "authorization",
    ["", "Bearer", "Bearer ", "Basic abc", "ana.s-token", "Bearer a b", "Bearer é", "Bearer a, b"],
)
def test_79_what_is_no_token_is_not_asked_about(authorization: str) -> None:
    """Acceptance 79."""
    reviewer = Reviewer()
    refused = refusal(KubernetesTokens(reviewer, "the-api"), authorization)
    assert (refused.status, refused.code) == (401, "token_invalid")
    assert refused.headers["WWW-Authenticate"] == "Bearer"
    assert reviewer.asked == []


def test_79_a_token_that_is_not_accepted_says_how_to_get_one_and_is_not_repeated() -> None:
    """Acceptance 79."""
    refused = refusal(KubernetesTokens(Reviewer(), "the-api"), "Bearer another-token")
    assert (refused.status, refused.code) == (401, "token_invalid")
    assert "kubectl create token ACCOUNT --audience the-api" in refused.detail
    assert "another-token" not in refused.detail


def test_79_a_right_that_is_missing_is_named() -> None:
    """Acceptance 79."""
    tokens = KubernetesTokens(Reviewer(), "")
    refused = refusal(tokens, "Bearer ana.s-token", "DELETE")
    assert (refused.status, refused.code) == (403, "forbidden")
    assert "ana may not patch splitjobs.audio.track-tree.com in namespace audio" in refused.detail


def test_answers_are_believed_for_a_few_seconds() -> None:
    clock, reviewer = Clock(), Reviewer()
    tokens = KubernetesTokens(reviewer, "", clock)
    for _ in range(3):
        tokens.admit("Bearer ana.s-token", "GET", "/jobs/a")
        refusal(tokens, "Bearer another")
    assert len(reviewer.asked) == 3
    reviewer.verbs.clear()
    tokens.admit("Bearer ana.s-token", "GET", "/jobs/a")
    clock.now = GOOD_SECONDS
    assert refusal(tokens, "Bearer ana.s-token").status == 403


def test_what_is_remembered_is_bounded_and_holds_no_token() -> None:
    tokens = KubernetesTokens(Reviewer(), "")
    for number in range(REMEMBERED + 10):
        refusal(tokens, f"Bearer guess-{number}")
    assert len(tokens._users) == REMEMBERED
    assert not [key for key in tokens._users._answers if b"guess" in key]


def test_an_answer_that_does_not_come_lets_nobody_in_and_is_not_remembered() -> None:
    reviewer = Reviewer(away=True)
    tokens = KubernetesTokens(reviewer, "")
    with pytest.raises(ClusterUnavailableError):
        tokens.admit("Bearer ana.s-token", "GET", "/jobs/a")
    reviewer.away = False
    assert tokens.admit("Bearer ana.s-token", "GET", "/jobs/a").name == "ana"


@pytest.mark.parametrize(
    ("method", "path", "verb"),
    [
        ("GET", "/jobs", "list"),
        ("GET", "/queue/status", "list"),
        ("GET", "/queue/capacity", "list"),
        ("GET", "/models", "list"),
        ("GET", "/events", "list"),
        ("GET", "/jobs/a", "get"),
        ("HEAD", "/jobs/a", "get"),
        ("GET", "/jobs/a/events", "get"),
        ("GET", "/jobs/a/stems/vocals", "get"),
        ("GET", "/jobs/a/waveforms/mixture", "get"),
        ("GET", "/jobs/a/manifest", "get"),
        ("POST", "/split", "create"),
        ("POST", "/jobs/a/retry", "create"),
        ("POST", "/jobs/a/redeliver", "patch"),
        ("DELETE", "/jobs/a", "patch"),
        ("DELETE", "/jobs/a/data", "patch"),
        # What the router still takes for a call, with a line end behind it, takes the call's right.
        ("POST", "/jobs/a/redeliver\n", "patch"),
        ("GET", "/jobs/a\n", "get"),
        ("PUT", "/anything", None),
        ("GET", "/anything", None),
        ("POST", "/jobs/a/redeliver/", None),
        ("POST", "/jobs/a/b/redeliver", None),
        ("OPTIONS", "/jobs", None),
        ("HEAD", "/split", None),
    ],
)
def test_the_verb_of_each_call(method: str, path: str, verb: str | None) -> None:
    assert verb_of(method, path) == verb


def test_each_call_of_the_api_has_its_verb() -> None:
    modules = (
        split,
        uploads,
        jobs,
        actions,
        stems,
        files,
        data,
        events,
        resource,
        models,
        queue,
    )
    calls = {
        (method, route.path)
        for module in modules
        for route in module.router.routes
        if isinstance(route, Route)
        for method in route.methods or ()
    }
    assert calls == set(VERBS)


def test_what_is_no_call_is_let_in_by_no_right() -> None:
    reviewer = Reviewer({"get", "list", "create", "patch"})
    tokens = KubernetesTokens(reviewer, "")
    with pytest.raises(ApiError) as refused:
        tokens.admit("Bearer ana.s-token", "POST", "/jobs/a/anything")
    assert (refused.value.status, refused.value.code) == (404, "not_found")


def test_what_is_remembered_is_told_without_asking() -> None:
    reviewer = Reviewer()
    tokens = KubernetesTokens(reviewer, "")
    known = ("Bearer ana.s-token", "GET", "/jobs/a")
    assert tokens.remembered(*known) is None
    caller = tokens.admit(*known)
    refusal(tokens, "Bearer another")
    reviewer.away = True
    assert tokens.remembered(*known) == caller
    assert tokens.remembered("Bearer ana.s-token", "GET", "/jobs") is None
    with pytest.raises(ApiError):
        tokens.remembered("Bearer another", "GET", "/jobs/a")
