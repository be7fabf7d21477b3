"""Where the API server keeps objects of each kind."""

import pytest

from splitjob_kube.paths import JOBS, SECRETS, SPLITJOBS, Kind


@pytest.mark.parametrize(
    ("kind", "path", "resource"),
    [
        (SECRETS, "/api/v1/namespaces/audio/secrets", "secrets"),
        (JOBS, "/apis/batch/v1/namespaces/audio/jobs", "batch/jobs"),
        (
            SPLITJOBS,
            "/apis/audio.track-tree.com/v1alpha1/namespaces/audio/splitjobs",
            "audio.track-tree.com/splitjobs",
        ),
    ],
)
def test_the_core_group_has_a_path_of_its_own_and_no_name(
    kind: Kind, path: str, resource: str
) -> None:
    assert (kind.path("audio"), kind.resource) == (path, resource)
