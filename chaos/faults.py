"""Carries the planned faults out, each against whoever is there at that moment."""

import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from functools import partial
from typing import TypeVar

import psutil

from chaos import cluster as programs
from chaos.cluster import StormyCluster
from chaos.plan import PlannedFault
from chaos.proxy import CALM
from chaos.receiver import WELL, Receiver
from chaos.timeline import Timeline
from splitjob.resource import LABEL_SPLITJOB
from splitjob_local.cluster.objects import ClusterError
from splitjob_local.processes.supervised import ProcessError

Found = TypeVar("Found")

AT_ONCE = 16
STOP_SECONDS = 20.0
PROXY_SHARE = 0.6  # of the requests that a mood of the proxy spoils
PODS = {"operator": (programs.OPERATOR,), "API": (programs.API,), "worker": programs.WORKER}
MACHINE = (
    "kube-apiserver",
    "etcd",
    "kube-controller-manager",
    "kube-scheduler",
    "node",
    "s3",
)
DEEDS = {
    "killed": signal.SIGKILL,
    "restarted": signal.SIGTERM,
    "told to stop": signal.SIGTERM,
    "frozen": signal.SIGSTOP,
}
# Whom a second fault would leave in a state that the first one does not expect.
ONE_AT_A_TIME = {*MACHINE, "proxy", "receiver", "second"}
OPERATOR_LABEL = "app.kubernetes.io/component=operator"


class Faults:
    """The faults of one storm.

    Args:
        cluster: that they happen to.
        receiver: of the webhooks.
        timeline: told of each.
    """

    def __init__(self, cluster: StormyCluster, receiver: Receiver, timeline: Timeline) -> None:
        self._cluster, self._receiver, self._timeline = cluster, receiver, timeline
        self._calm = threading.Event()
        self._busy: set[str] = set()
        self._lock = threading.Lock()
        self._pool = ThreadPoolExecutor(AT_ONCE, "faults")

    def run(self, planned: Sequence[PlannedFault], seconds: float) -> None:
        """Carry a plan out; returns after so many seconds, with everything as it was before."""
        watch = self._pool.submit(self._start_what_has_ended)
        running = [watch, *self._begin(planned)]
        time.sleep(max(0.0, seconds - self._timeline.now()))
        self._calm.set()
        for one in running:
            one.result()
        self._pool.shutdown()

    def _begin(self, planned: Sequence[PlannedFault]) -> Iterator[Future[None]]:
        for fault in planned:
            time.sleep(max(0.0, fault.at - self._timeline.now()))
            yield self._pool.submit(self._carry_out, fault)

    def _carry_out(self, fault: PlannedFault) -> None:
        whom, deed = _whom_and_deed(fault.name)
        with self._only_one(whom if whom in ONE_AT_A_TIME else f"{fault.at}") as free:
            if not free:
                self._timeline.note(f"({fault.name})", "is in trouble already")
                return
            try:
                self._deed(whom, deed)(fault)
            except (ClusterError, ProcessError, psutil.Error) as error:
                self._timeline.note(f"({fault.name})", str(error).splitlines()[-1][:120])

    def _deed(self, whom: str, deed: str) -> Callable[[PlannedFault], None]:
        if whom in MACHINE:
            return partial(self._hit_machine, whom, deed)
        if whom in PODS and deed in DEEDS:
            return partial(self._hit_program, whom, deed)
        if whom == "proxy":
            return partial(self._spoil, deed)
        if whom == "receiver":
            return partial(self._upset, deed)
        others: dict[str, Callable[[PlannedFault], None]] = {
            "operator pod deleted": self._delete_operator,
            "second operator": self._second_operator,
            "Job deleted": partial(self._delete, "jobs", ()),
            "Job deleted, pods left": partial(self._delete, "jobs", ("--cascade=orphan",)),
            "pod deleted": partial(self._delete, "pods", ()),
            "pod deleted by force": partial(self._delete, "pods", ("--grace-period=0", "--force")),
        }
        return others[f"{whom} {deed}".strip()]

    def _hit_machine(self, name: str, deed: str, fault: PlannedFault) -> None:
        """Kill, stop or freeze one of the cluster's own processes for a while."""
        processes = self._cluster.processes
        self._timeline.fault(fault.name, f"for {fault.seconds:.1f} s")
        if deed == "frozen":
            processes.send_signal(name, signal.SIGSTOP)
            self._calm.wait(fault.seconds)
            processes.send_signal(name, signal.SIGCONT)
            return
        with suppress(ProcessError):  # one that does not stop in time is killed
            processes.stop(name, DEEDS[deed], STOP_SECONDS)
        if processes.exit_code(name) is None:
            processes.stop(name, signal.SIGKILL)
        self._calm.wait(fault.seconds)
        processes.restart(name)

    def _hit_program(self, name: str, deed: str, fault: PlannedFault) -> None:
        """Send a signal to one process of a pod, such as a worker's decoder."""
        found = self._cluster.processes_of(*PODS[name])
        process = _chosen(found, fault.choice)
        if process is None:
            self._timeline.note(f"({fault.name})", "there is none")
            return
        process.send_signal(DEEDS[deed])
        self._timeline.fault(fault.name, f"process {process.pid}, one of {len(found)}")
        if deed == "frozen":
            self._calm.wait(fault.seconds)
            process.send_signal(signal.SIGCONT)

    def _spoil(self, mood: str, fault: PlannedFault) -> None:
        """Let the proxy do something to requests for a while."""
        proxy = self._cluster.proxy
        before = proxy.spoilt
        self._timeline.fault(fault.name, f"for {fault.seconds:.1f} s")
        proxy.be(mood, PROXY_SHARE)
        self._calm.wait(fault.seconds)
        proxy.be(CALM)
        self._timeline.note("proxy is calm", f"{proxy.spoilt - before} requests were met")

    def _upset(self, mood: str, fault: PlannedFault) -> None:
        """Let the receiver misbehave for a while."""
        self._timeline.fault(fault.name, f"for {fault.seconds:.1f} s")
        self._receiver.be(mood)
        self._calm.wait(fault.seconds)
        self._receiver.be(WELL)

    def _delete(self, kind: str, how: Sequence[str], fault: PlannedFault) -> None:
        """Delete a worker's Job or pod by hand."""
        namespace = self._cluster.namespace
        names = self._cluster.objects.names(kind, namespace=namespace, selector=LABEL_SPLITJOB)
        name = _chosen(names, fault.choice)
        if name is None:
            self._timeline.note(f"({fault.name})", "there is none")
            return
        self._cluster.kubectl("delete", kind, name, "-n", namespace, "--wait=false", *how)
        self._timeline.fault(fault.name, name)

    def _delete_operator(self, fault: PlannedFault) -> None:
        namespace = self._cluster.namespace
        pods = self._cluster.objects.names("pods", namespace=namespace, selector=OPERATOR_LABEL)
        if name := _chosen(pods, fault.choice):
            self._cluster.objects.delete("pod", name, namespace=namespace)
            self._timeline.fault(fault.name, name)

    def _second_operator(self, fault: PlannedFault) -> None:
        """Have one operator more than there should be, for a while."""
        [deployment] = self._cluster.objects.get(
            "deployments", namespace=self._cluster.namespace, selector=OPERATOR_LABEL
        )["items"]
        name, replicas = deployment["metadata"]["name"], deployment["spec"]["replicas"]
        self._scale(name, replicas + 1)
        self._timeline.fault(fault.name, f"for {fault.seconds:.1f} s")
        self._calm.wait(fault.seconds)
        while True:
            try:
                return self._scale(name, replicas)
            except ClusterError:  # the API server is away
                time.sleep(1)

    def _scale(self, deployment: str, replicas: int) -> None:
        change, namespace = {"spec": {"replicas": replicas}}, self._cluster.namespace
        self._cluster.objects.patch("deployment", deployment, change, namespace=namespace)

    def _start_what_has_ended(self) -> None:
        """Start processes of the machine that ended by themselves, as an init system would."""
        while not self._calm.wait(1):
            self.start_what_has_ended()

    def start_what_has_ended(self) -> None:
        """Start each process of the cluster that has ended and that no fault is about."""
        for name in self._cluster.processes.ended():
            with self._only_one(name) as free:
                if free and self._cluster.processes.exit_code(name) is not None:
                    self._timeline.note(f"{name} had ended", "and is started again")
                    self._cluster.processes.restart(name)

    @contextmanager
    def _only_one(self, whom: str) -> Iterator[bool]:
        """Keep two faults from the same victim; gives whether this one may begin."""
        with self._lock:
            free = whom not in self._busy
            self._busy.add(whom)
        try:
            yield free
        finally:
            if free:
                with self._lock:
                    self._busy.discard(whom)


def _whom_and_deed(name: str) -> tuple[str, str]:
    """Return whom a fault meets, and what happens to it."""
    whom, _, deed = name.partition(" ")
    return whom, deed


def _chosen(found: Sequence[Found], choice: float) -> Found | None:
    return found[int(choice * len(found))] if found else None
