"""The operator's own check of a request, and of the Secret that holds its URLs."""

import base64
from typing import Any

import pytest
from tests.support.operator_samples import (
    NOW,
    splitjob,
)

from splitjob.allowlist import Allowlist
from splitjob.errors import ErrorCode
from splitjob.models import load_registry
from splitjob.request_policy import RequestPolicy
from splitjob.resource import SECRET_TYPE, Request
from splitjob_operator.core.check_before_start import check_before_start, secret_texts

POLICY = RequestPolicy(
    Allowlist.parse("https://hooks.example.com", local=False), load_registry(None), local=False
)


WHOLE = "https://audio.example.com/song.wav?X-Amz-Date=20261122T190000Z&X-Amz-Expires={}"


def request(**changed: Any) -> Request:
    spec = splitjob(**changed).spec
    assert spec
    return spec.request


def secret(kind: str = SECRET_TYPE, **urls: str) -> dict[str, Any]:
    data = {key: base64.b64encode(url.encode()).decode() for key, url in urls.items()}
    return {"type": kind, "data": data}


class TestCheck:
    source = {"url": "https://audio.example.com/song.wav", "secretKey": "source"}  # noqa: RUF012

    def test_a_request_that_can_be_served(self) -> None:
        assert check_before_start(request(), None, POLICY, NOW) is None

    def test_what_the_api_would_have_refused(self) -> None:
        """Acceptance 19, 21."""
        for changed in (
            {"model": "nothing"},
            {"stems": ["kazoo"]},
            {"webhook": {"url": "https://hooks.example.com.evil.com/x"}},
            {"format": "mp3", "bitDepth": 24},
        ):
            problem = check_before_start(request(**changed), None, POLICY, NOW)
            assert problem
            assert problem.code == ErrorCode.REQUEST_INVALID

    def test_the_secret_must_be_of_the_type(self) -> None:
        asked = request(secretName="s", source=self.source)
        problem = check_before_start(asked, secret("Opaque", source=WHOLE.format(9)), POLICY, NOW)
        assert problem
        assert problem.code == ErrorCode.REQUEST_INVALID
        missing = check_before_start(asked, None, POLICY, NOW)
        assert missing
        assert (missing.code, missing.missing) == (ErrorCode.WORKER_CONFIG, "s")

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
        assert check_before_start(asked, secret(source=WHOLE.format(7200)), POLICY, NOW) is None
        problem = check_before_start(asked, secret(source=WHOLE.format(60)), POLICY, NOW)
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
        assert check_before_start(asked, good, POLICY, NOW) is None
        problem = check_before_start(
            asked, secret(**{"upload.vocals": whole.format(60)}), POLICY, NOW
        )
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
        problem = check_before_start(asked, secret(**{"upload.vocals": whole}), POLICY, NOW)
        assert problem
        assert problem.code == ErrorCode.REQUEST_INVALID
        assert "uploads.vocals: its URL signs the header content-type" in problem.message

    def test_rubbish_in_a_secret(self) -> None:
        assert secret_texts({"data": {"a": "/w==", "b": "&", "c": "eA=="}}) == {"c": "x"}
        assert secret_texts({"data": None}) == {}
