"""The operator's own check of a request, and of the Secret that holds its URLs."""

import base64
from dataclasses import replace
from typing import Any

import pytest
from tests.support.operator_samples import (
    NAME,
    NOW,
    splitjob,
)

from splitjob.allowlist import Allowlist
from splitjob.errors import ErrorCode
from splitjob.inputs import Inputs
from splitjob.intent import name_of, secret_name_of
from splitjob.models import load_registry
from splitjob.request_policy import RequestPolicy
from splitjob.resource import SECRET_TYPE
from splitjob.spec import Request
from splitjob_operator.core.check_before_start import check_before_start, secret_texts
from splitjob_operator.core.lookups import Problem

POLICY = RequestPolicy(
    Allowlist.parse("https://hooks.example.com", local=False), load_registry(None), local=False
)


WHOLE = "https://audio.example.com/song.wav?X-Amz-Date=20261122T190000Z&X-Amz-Expires={}"


def request(**changed: Any) -> Request:
    spec = splitjob(**changed).spec
    assert spec
    return spec.request


def checked(request: Request, secret: dict[str, Any] | None) -> Problem | None:
    return check_before_start(NAME, request, secret, POLICY, NOW)


def secret(kind: str = SECRET_TYPE, **urls: str) -> dict[str, Any]:
    data = {key: base64.b64encode(url.encode()).decode() for key, url in urls.items()}
    return {"type": kind, "data": data}


class TestCheck:
    source = {"url": "https://audio.example.com/song.wav", "secretKey": "source"}  # noqa: RUF012

    def test_a_request_that_can_be_served(self) -> None:
        assert checked(request(), None) is None

    def test_what_the_api_would_have_refused(self) -> None:
        """Acceptance 19, 21."""
        for changed in (
            {"model": "nothing"},
            {"stems": ["kazoo"]},
            {"webhook": {"url": "https://hooks.example.com.evil.com/x"}},
            {"format": "mp3", "bitDepth": 24},
        ):
            problem = checked(request(**changed), None)
            assert problem
            assert problem.code == ErrorCode.REQUEST_INVALID

    def test_no_other_object_of_the_bucket_is_a_source(self) -> None:
        """Acceptance 28b: whoever wrote the SplitJob."""
        place = Inputs("stems", "prod")
        policy = replace(POLICY, inputs=place)
        sent = place.url_of(place.new_key("song.wav"))
        assert check_before_start(NAME, request(source={"url": sent}), None, policy, NOW) is None
        for url in (
            "s3://stems/prod/v1/split-a/vocals.wav",
            "s3://stems/prod/_inputs/song.wav",
            sent.replace("stems", "other"),
            f"{sent}/..",
        ):
            problem = check_before_start(NAME, request(source={"url": url}), None, policy, NOW)
            assert problem, url
            assert problem.code == ErrorCode.REQUEST_INVALID
        assert checked(request(source={"url": sent}), None)

    def test_the_secret_must_be_of_the_type(self) -> None:
        asked = request(secretName="s", source=self.source)
        problem = checked(asked, secret("Opaque", source=WHOLE.format(9)))
        assert problem
        assert problem.code == ErrorCode.REQUEST_INVALID
        missing = checked(asked, None)
        assert missing
        assert (missing.code, missing.missing) == (ErrorCode.WORKER_CONFIG, "s")

    def test_a_retry_whose_secret_went_with_the_first_job_is_told_so(self) -> None:
        first, another = name_of("an intent", 0), name_of("an intent", 1)
        asked = request(secretName=secret_name_of(first, "0" * 16), source=self.source)
        problem = checked(asked, None)
        assert problem
        assert problem.code == ErrorCode.WORKER_CONFIG
        assert f"that of {first}, of which this job is a retry" in problem.message
        assert "POST /split anew" in problem.message
        for own in (another, NAME):
            asked = request(secretName=secret_name_of(own, "0" * 16), source=self.source)
            problem = check_before_start(own, asked, None, POLICY, NOW)
            assert problem
            assert problem.message.endswith("is not there.")

    @pytest.mark.parametrize(
        "name", ["..", "a/b", "../configmaps/a", "", "A", "a?b", "a.", "x" * 254]
    )
    def test_a_secret_is_asked_for_by_its_name_alone(self, name: str) -> None:
        """The name becomes part of an address of the API server."""
        view = splitjob(secretName=name)
        assert view.spec is None
        assert view.spec_error == "spec: these fields cannot be used: request.secretName"

    def test_a_secret_may_have_any_name_that_there_is(self) -> None:
        for name in ("split-abc-0f", "a", "0.b-c.d", "x" * 253):
            assert request(secretName=name).secret_name == name

    def test_an_expired_source_url(self) -> None:
        """Acceptance 24."""
        asked = request(secretName="s", source=self.source)
        assert checked(asked, secret(source=WHOLE.format(7200))) is None
        problem = checked(asked, secret(source=WHOLE.format(60)))
        assert problem
        assert problem.code == ErrorCode.SOURCE_EXPIRED
        assert "X-Amz" not in problem.message

    def test_an_upload_url_that_expired_in_the_queue_ends_the_job_before_an_attempt(self) -> None:
        """Acceptance 24: known before the separation, not after it."""
        uploads = {
            "manifest": {"url": "https://s3.example.com/m"},
            "vocals": {"url": "https://s3.example.com/v", "secretKey": "upload.vocals"},
        }
        asked = request(model="htdemucs", stems=["vocals"], secretName="s", uploads=uploads)
        whole = "https://s3.example.com/v?X-Amz-Date=20261122T190000Z&X-Amz-Expires={}"
        good = secret(**{"upload.vocals": whole.format(7200)})
        assert checked(asked, good) is None
        problem = checked(asked, secret(**{"upload.vocals": whole.format(60)}))
        assert problem
        assert problem.code == ErrorCode.UPLOAD_FAILED
        assert "uploads.vocals expired at 2026-11-22T19:01:00Z" in problem.message

    def test_an_upload_whose_signed_headers_are_not_given(self) -> None:
        """As the API would have said, of a SplitJob that somebody wrote by hand."""
        uploads = {
            "manifest": {"url": "https://s3.example.com/m"},
            "vocals": {"url": "https://s3.example.com/v", "secretKey": "upload.vocals"},
        }
        asked = request(model="htdemucs", stems=["vocals"], secretName="s", uploads=uploads)
        whole = "https://s3.example.com/v?X-Amz-SignedHeaders=content-type%3Bhost"
        problem = checked(asked, secret(**{"upload.vocals": whole}))
        assert problem
        assert problem.code == ErrorCode.REQUEST_INVALID
        assert "uploads.vocals: its URL signs the header content-type" in problem.message

    def test_rubbish_in_a_secret(self) -> None:
        assert secret_texts({"data": {"a": "/w==", "b": "&", "c": "eA=="}}) == {"c": "x"}
        assert secret_texts({"data": None}) == {}
