"""Values that the chart refuses, each with a sentence that names it."""

import re

import pytest
from tests.support.chart import CHART, OWN_REGISTRY, Render, refusal
from tests.support.chart_pods import DEMO, DIGEST, DOWNLOADS, READER, ROLE, UPLOADS, env_of, worker

from splitjob import workload
from splitjob.resource import LABEL_SPLITJOB
from splitjob_operator.core import additions


def test_the_chart_refuses_what_the_operator_would_refuse(
    render: Render, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = (CHART / "templates" / "_refusals.tpl").read_text()
    listed = re.search(r"workerEnv\" -}}\n\[(.*)\]", text)
    assert listed
    assert set(listed[1].split(", ")) == additions.OWN_VARIABLES
    everything = worker(render(OWN_REGISTRY, "storage.prefix=p"), monkeypatch, secretName="one")
    assert env_of(everything).keys() <= additions.OWN_VARIABLES
    assert {v["name"] for v in everything["spec"]["volumes"]} <= additions.OWN_VOLUMES
    assert workload.ENV_SECRET_DIR in env_of(everything)


TOKEN = "worker.extraVolumes[0].projected.sources[0].serviceAccountToken"

REFUSED = {
    READER: "api.storage.enabled is not",
    UPLOADS: "api.storage.enabled is not",
    "api.storage.uploads.urlSeconds=59": "at '/api/storage/uploads/urlSeconds'",
    "api.storage.publicEndpoint=https://a.example.com": "api.storage.enabled is not",
    f"{DOWNLOADS},secrets.apiS3AccessKeyId=reader": "set both, or neither",
    f"{DOWNLOADS},{READER},storage.podIdentity=true": "keep one of them",
    f"{DOWNLOADS},{READER},storage.region=auto": "is none of its regions",
    "api.storage.urlSeconds=59": "at '/api/storage/urlSeconds'",
    "api.image.tag=1@sha256:aa": "at '/api/image/tag'",
    f"worker.image.repository=r.example/w@{DIGEST}": "at '/worker/image/repository'",
    "worker.image.digest=sha256:aa": "at '/worker/image/digest'",
    "worker.image.repository=a.example:5000/w,worker.image.registry=b.example": "only the path",
    "api.image.repository=a.example:5000/w,global.imageRegistry=b.example": "only the path",
    "api.extraEnv[0].name=LOG_LEVEL": "api.extraEnv has LOG_LEVEL, which the chart sets itself",
    "operator.extraEnv[0].name=HOST": "operator.extraEnv has HOST, which the chart sets itself",
    "worker.extraEnv[0].name=DEVICE": "worker.extraEnv has DEVICE, which the chart sets itself",
    "worker.extraEnv[0].name=A,worker.extraEnv[1].name=A": "has A more than once",
    "caBundle.secret=x,worker.extraEnv[0].name=SSL_CERT_FILE": "which the chart sets itself",
    "worker.extraVolumes[0].name=scratch,worker.extraVolumes[0].emptyDir.medium=": "is taken",
    "api.extraVolumes[0].name=root,api.extraVolumes[0].hostPath.path=/": "at '/api/extraVolumes/0'",
    "api.extraVolumeMounts[0].name=x,api.extraVolumeMounts[0].mountPath=/x": "not in api.extraV",
    "operator.extraVolumes[0].name=x,operator.extraVolumes[0].emptyDir.medium="
    ",operator.extraVolumeMounts[0].name=x,operator.extraVolumeMounts[0].mountPath=/tmp/": (
        "/tmp/, where something is mounted already"
    ),
    f"worker.extraVolumes[0].name=t,{TOKEN}.path=token": "a token for the API server",
    "api.podSecurityContext.runAsNonRoot=false": "at '/api/podSecurityContext/runAsNonRoot'",
    "worker.podSecurityContext.runAsUser=0": "at '/worker/podSecurityContext/runAsUser'",
    "worker.containerSecurityContext.privileged=true": "/worker/containerSecurityContext/privil",
    "operator.containerSecurityContext.capabilities=null": "/operator/containerSecurityContext",
    "commonLabels.app\\.kubernetes\\.io/name=x": "commonLabels has app.kubernetes.io/name",
    f"worker.podLabels.{LABEL_SPLITJOB.replace('.', chr(92) + '.')}=x": "worker.podLabels has",
    "api.podLabels.pod-template-hash=x": "api.podLabels has pod-template-hash",
    "caBundle.secret=x,caBundle.configMap=y": "name one of the two",
    "storage.kmsKeyId=alias/x": "storage.serverSideEncryption is not aws:kms",
    "storage.storageClass=GLACIER": "can be read at once",
    "storage.checksum=crc64": "at '/storage/checksum'",
    "proxy.noProxy=10.0.0.0/8": "but no proxy is",
    "proxy.resolvesNames=true": "but no proxy is",
    "networkPolicy.proxy.ports[0]=3128": "say where the proxy is",
    "tracing.existingSecret=x": "say where the collector is",
    "networkPolicy.tracing.to[0].ipBlock.cidr=10.0.0.0/8": "tracing.endpoint is not",
    "networkPolicy.tracing.ports[0]=4318": "networkPolicy.tracing.to is not",
    "tracing.endpoint=collector:4318": "at '/tracing/endpoint'",
    "proxy.existingSecret=x,proxy.httpsProxy=http://proxy:3128": "keep one of them",
    "proxy.httpsProxy=http://me:do-not-tell@proxy:3128": "put the whole URL into a Secret",
    "proxy.httpsProxy=proxy:3128": "at '/proxy/httpsProxy'",
    f"{ROLE},storage.podIdentity=true": "keep one of them",
    f"{ROLE},storage.region=auto": "is none of its regions",
    "storage.webIdentity.roleArn=stems": "at '/storage/webIdentity/roleArn'",
    "api.autoscaling.enabled=true,api.autoscaling.minReplicas=7": "swap them",
    "api.autoscaling.enabled=true,api.resources.requests.cpu=null": "missing property 'cpu'",
    "api.podDisruptionBudget.maxUnavailable=0": "at '/api/podDisruptionBudget/maxUnavailable'",
    "api.podDisruptionBudget.maxUnavailable=0%": "at '/api/podDisruptionBudget/maxUnavailable'",
    "api.service.ipFamilies={IPv4,IPv6}": "set api.service.ipFamilyPolicy",
    "api.service.ipFamilies={IPv5}": "at '/api/service/ipFamilies/0'",
    "ingress.enabled=true": "set ingress.hosts",
    "httpRoute.enabled=true": "set httpRoute.parentRefs",
    "metrics.serviceMonitor.enabled=true,metrics.podMonitor.enabled=true": "enable one",
    "api.rootPath=stems/": "at '/api/rootPath'",
    "api.rateLimit.perSecond=-1": "at '/api/rateLimit/perSecond'",
    "api.keepAliveSeconds=0": "at '/api/keepAliveSeconds'",
    "api.kubernetesTokens.audience=a b": "at '/api/kubernetesTokens/audience'",
    "kueue.priorityClasses[0].name=high": "kueue.localQueue is not",
    "kueue.localQueue=a,kueue.priorityClasses[0].name=b,kueue.priorityClasses[0].at_most=-101": (
        "at '/kueue/priorityClasses/0/at_most'"
    ),
    "worker.podLabels.kueue\\.x-k8s\\.io/queue-name=a": "set kueue.localQueue in its place",
    "models.resources.nope.cpu=1": "models.resources has nope, which the registry has not",
    f"{DEMO}.memory=8Gi,{DEMO}.memoryRetry=7Gi": f"Set {DEMO}.memoryRetry to more",
    f"{DEMO}.memoryRetry=5Gi": "The memory of demo (6Gi) is above that of its retry (5Gi)",
    f"{DEMO}.memory=512m": "write the unit",
    f"{DEMO}.cpuLimit=1": "The cpu of demo (2) is above its cpuLimit (1)",
    f"{DEMO}.scratchSize=30Gi,worker.ephemeralStorage=25Gi": "The scratchSize of demo (30Gi)",
    f"{DEMO}.device=cuda,{DEMO}.gpu.count=0": "The device of demo is cuda, but its gpu.count is 0",
    f"{DEMO}.gpu.claimTemplate=a,{DEMO}.gpu.count=1": "in the place of resourceName and count",
    f"{DEMO}.gpu.resourceName=gpu": "at '/models/resources/demo/gpu/resourceName'",
    f"{DEMO}.image=x": "additional properties 'image' not allowed",
    "queue.keepFinishedJobsSeconds=-1": "at '/queue/keepFinishedJobsSeconds'",
}


@pytest.mark.parametrize("setting", REFUSED)
def test_what_cannot_work_is_refused_with_a_reason(render: Render, setting: str) -> None:
    assert REFUSED[setting] in refusal(render, setting)
