"""The application, built from its settings."""

import asyncio
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from functools import partial
from importlib.metadata import version

from fastapi import FastAPI
from fastapi.telemetry import TelemetryConfig

from splitjob.signing import Signer
from splitjob.storage_settings import LOCALSTACK
from splitjob_api.deps import Services
from splitjob_api.job_cache import JobCache
from splitjob_api.kubernetes import Cluster
from splitjob_api.kubernetes_tokens import KubernetesTokens
from splitjob_api.metrics import Metrics
from splitjob_api.middleware.access_log import AccessLogMiddleware
from splitjob_api.middleware.head import HeadMiddleware
from splitjob_api.middleware.rate_limit import RateLimiter, RateLimitMiddleware
from splitjob_api.middleware.request_target import RequestTargetMiddleware
from splitjob_api.middleware.signature import OPEN_PATHS, SignatureMiddleware
from splitjob_api.middleware.trace import TraceMiddleware
from splitjob_api.openapi import describe
from splitjob_api.problems import install_handlers
from splitjob_api.queue_stats import QueueStats
from splitjob_api.readiness import Readiness
from splitjob_api.routes import (
    actions,
    data,
    events,
    files,
    health,
    jobs,
    models,
    queue,
    resource,
    split,
    stems,
    uploads,
)
from splitjob_api.routes.web import web_files, web_router
from splitjob_api.settings import Settings
from splitjob_api.storage_links import StorageLinks
from splitjob_api.storage_origins import storage_origins
from splitjob_api.streams import Streams
from splitjob_api.watcher import Watcher
from splitjob_io.tracing import open_spans

QUEUE_STATUS = "/queue/status"
# Of FastAPI's own, which would tell what callers sent, also where an environment asks for it.
NO_TELEMETRY = TelemetryConfig(
    tracing=False, metrics=False, logs=False, operation_spans=False, auto_configure=False
)


def create_app(settings: Settings) -> FastAPI:
    """Return the API.

    Args:
        settings: `Settings.from_environment()`, or others.

    Raises:
        splitjob.signing.TokenError: there is no token; nothing could be let in.
        splitjob_kube.errors.UnconfiguredError: there is no way to a cluster.
    """
    signer = Signer(settings.tokens)
    services = _services(settings)
    app = FastAPI(
        title="Track Tree Audio",
        version=version("track-tree-audio"),
        docs_url=None,  # ours needs nothing from elsewhere
        redoc_url=None,
        redirect_slashes=False,
        generate_unique_id_function=lambda route: route.name,  # what generated clients call it
        lifespan=_lifespan,
        telemetry=NO_TELEMETRY,
    )
    app.state.services = services
    web = web_files(console=settings.console_enabled)
    open_paths = OPEN_PATHS | web.keys()
    app.openapi = partial(  # type: ignore[method-assign]
        describe,
        app,
        OPEN_PATHS,
        root_path=settings.root_path,
        kubernetes_tokens=settings.kubernetes_tokens,
    )
    for module in (
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
        health,
    ):
        app.include_router(module.router)
    app.include_router(web_router(web, _storage_origins(settings)))
    install_handlers(app)
    public = open_paths | {QUEUE_STATUS} if settings.queue_status_public else open_paths
    _add_middleware(app, signer, services, public)
    return app


def _storage_origins(settings: Settings) -> list[str]:
    local = LOCALSTACK if settings.environment == "local" else ""
    endpoint = settings.s3_endpoint or local
    return storage_origins(endpoint, settings.s3_region, settings.s3_bucket)


def _add_middleware(
    app: FastAPI, signer: Signer, services: Services, open_paths: Collection[str]
) -> None:
    """Put what every request passes around an app; the last one added is the outermost."""
    settings = services.settings
    if services.spans:
        app.add_middleware(TraceMiddleware, spans=services.spans)
    app.add_middleware(HeadMiddleware)  # behind the signature, which is over the method as sent
    if settings.rate_limit_per_second:
        limiter = RateLimiter(settings.rate_limit_per_second, settings.rate_limit_burst)
        app.add_middleware(RateLimitMiddleware, limiter=limiter)
    app.add_middleware(
        SignatureMiddleware,
        signer=signer,
        open_paths=open_paths,
        body_seconds=settings.body_timeout_seconds,
        tokens=_tokens(settings, services.cluster),
    )
    app.add_middleware(AccessLogMiddleware, metrics=services.metrics)
    app.add_middleware(RequestTargetMiddleware)


def _services(settings: Settings) -> Services:
    stats = QueueStats()
    cluster = Cluster(
        settings.namespace,
        settings.totals_configmap,
        settings.release,
        reviews=settings.kubernetes_tokens,
    )
    jobs = JobCache(stats, cluster.get)
    streams = Streams(jobs, settings.max_streams)
    metrics = Metrics(stats, streams)
    return Services(
        settings=settings,
        policy=settings.request_policy(),
        cluster=cluster,
        queue_stats=stats,
        jobs=jobs,
        streams=streams,
        readiness=Readiness(cluster.probe, cluster.unmet, stats, metrics.unready),
        metrics=metrics,
        storage_links=StorageLinks.from_settings(settings),
        spans=open_spans("api"),
    )


def _tokens(settings: Settings, cluster: Cluster) -> KubernetesTokens | None:
    if not settings.kubernetes_tokens:
        return None
    return KubernetesTokens(cluster, settings.kubernetes_token_audience)


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    services: Services = app.state.services
    watcher = Watcher(services.cluster, services.jobs)
    services.streams.start()
    watcher.start()
    try:
        yield
    finally:
        watcher.stop()
        await services.cluster.submissions.close()
        if services.spans:
            await asyncio.to_thread(services.spans.close)
