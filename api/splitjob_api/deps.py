"""What routes are handed: the app's services."""

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated

from fastapi import Depends, Request

from splitjob.request_policy import RequestPolicy
from splitjob_api.cluster_limit import ClusterLimit
from splitjob_api.job_cache import JobCache
from splitjob_api.kubernetes import Cluster, ClusterUnavailableError
from splitjob_api.metrics import Metrics
from splitjob_api.queue_stats import QueueStats
from splitjob_api.readiness import Readiness
from splitjob_api.settings import Settings
from splitjob_api.storage_links import StorageLinks
from splitjob_api.stored_files import StoredFiles
from splitjob_api.streams import Streams

if TYPE_CHECKING:
    from splitjob_io.otlp import OtlpSpans

CURRENT_PAUSE_SECONDS = 0.05
CURRENT_TRIES = 40
FIRST_PAUSE_SECONDS = 0.005  # the watch is moments behind what this replica has written


@dataclass(frozen=True)
class Services:
    """Everything one app holds.

    Attributes:
        settings: as it was started with.
        policy: what the installation allows.
        cluster: the way to Kubernetes.
        queue_stats: what waits, runs and has ended.
        jobs: the SplitJobs, from memory where they may be told from there.
        streams: who follows their changes.
        readiness: whether requests can be served.
        metrics: what Prometheus is told.
        storage_links: signs URLs of the bucket; None where the API has no access to it.
        cluster_limit: for the requests that ask the cluster.
        spans: where spans go; None: nobody is told any.
        stored_files: gives callers small files of the bucket.
    """

    settings: Settings
    policy: RequestPolicy
    cluster: Cluster
    queue_stats: QueueStats
    jobs: JobCache
    streams: Streams
    readiness: Readiness
    metrics: Metrics
    storage_links: StorageLinks | None = None
    spans: "OtlpSpans | None" = None
    cluster_limit: ClusterLimit = field(default_factory=ClusterLimit)
    stored_files: StoredFiles = field(default_factory=StoredFiles)

    def link(self, path: str) -> str:
        """Return a path of this API as callers must ask for it, before a gateway strips its prefix.

        Args:
            path: as it reaches us: `/jobs/a`.
        """
        return self.settings.root_path + path


async def services(request: Request) -> Services:
    """Return the services of the app that serves a request."""
    found: Services = request.app.state.services
    return found


async def current_jobs(request: Request) -> JobCache:
    """Return the cache of jobs once it may be told from.

    That takes a moment right after a start, and where the watch has not come yet to what somebody
    was told or has changed through this replica.

    Raises:
        ClusterUnavailableError: it may not.
    """
    jobs = (await services(request)).jobs
    told, pause = jobs.told, FIRST_PAUSE_SECONDS
    for _ in range(CURRENT_TRIES):
        if jobs.current and (jobs.version >= told or jobs.told < told):
            return jobs
        await asyncio.sleep(pause)
        pause = min(2 * pause, CURRENT_PAUSE_SECONDS)
    raise ClusterUnavailableError("has not told of all changes up to now")


ServicesDep = Annotated[Services, Depends(services)]
CurrentJobsDep = Annotated[JobCache, Depends(current_jobs)]
