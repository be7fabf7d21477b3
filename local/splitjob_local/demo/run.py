"""`track-tree-audio local demo`: the whole path on a real cluster, checked step by step."""

import argparse
import json
import shutil
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx

from splitjob_client import SplitFields
from splitjob_local.cluster.lifetime import EndRequested, keep_running
from splitjob_local.cluster.local_cluster import ClusterOptions, LocalCluster
from splitjob_local.demo import outcome
from splitjob_local.demo.audio import UnreadableError
from splitjob_local.demo.examine import Separation, examine_stems, examine_webhook
from splitjob_local.demo.models import Choice, choose
from splitjob_local.demo.narrator import Narrator
from splitjob_local.demo.receiver import Receiver
from splitjob_local.demo.song import Song, synthesise, take
from splitjob_local.demo.stray_processes import processes_of
from splitjob_local.demo.submit import submit
from splitjob_local.demo.watch import Watch, wait_for
from splitjob_local.node_kinds import cluster_class

STEPS = 8
INTERRUPTED = 130  # as shells report SIGINT
# The longest wait for a job: the start, plus this many seconds per second of the song.
START_SECONDS = 120.0
SECONDS_PER_SECOND = 20.0


class DemoAbortedError(Exception):
    """The demo cannot go on; the failed check has been recorded."""


def run(arguments: argparse.Namespace) -> int:
    """Run the demo.

    Args:
        arguments: `song`, `out`, `keep`, `containers`, and `values` and `set` for the chart.

    Returns:
        The exit status: 0 if every check held.
    """
    narrator = Narrator(STEPS - arguments.keep)
    out: Path = arguments.out.absolute()
    out.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        demo = Demo(narrator, out, stack, arguments)
        try:
            demo.run()
        except UnreadableError as error:
            print(f"track-tree-audio: {error}", file=sys.stderr)
            return 1
        except EndRequested:
            return INTERRUPTED
        except DemoAbortedError:
            pass
        holds = narrator.end()
        if arguments.keep:
            demo.keep()
    return 0 if holds else 1


class Demo:
    """The steps of the demo.

    Args:
        narrator: prints them.
        out: the folder for the results.
        stack: ends what was started, however the demo ends.
        arguments: of the command line.

    Attributes:
        cluster: once it is up.
        job: the job's id, once it is accepted.
    """

    def __init__(
        self, narrator: Narrator, out: Path, stack: ExitStack, arguments: argparse.Namespace
    ) -> None:
        self.narrator = narrator
        self.out = out
        self.stack = stack
        self.arguments = arguments
        self.cluster: LocalCluster | None = None
        self.cluster_class = cluster_class(containers=arguments.containers)
        self.kind = "containers" if arguments.containers else "processes"
        self.job = ""

    def run(self) -> None:
        """Run all steps.

        Raises:
            UnreadableError: the user's song cannot be used; nothing was started.
            DemoAbortedError: a step failed, so that the next one is impossible.
        """
        own: Path | None = self.arguments.song
        song = take(own, self.out) if own else None
        model = choose(own is not None)
        cluster, song = self.start(song, model)
        self.cluster = cluster
        source = self.upload(cluster, song)
        receiver = self.stack.enter_context(
            Receiver(cluster.service.webhook_base, cluster.service.receiver_identity)
        )
        self.job = self.ask(cluster, source, receiver, model)
        splitjob = self.follow(cluster, self.job, song)
        body = self.receive(cluster, receiver, splitjob)
        separation = self.examine(cluster, body, song)
        self.leave(cluster, song, separation, splitjob, source)
        if not self.arguments.keep:
            self.end(cluster)

    def start(self, song: Song | None, model: Choice) -> tuple[LocalCluster, Song]:
        """Start the cluster, and compose the song in the meantime."""
        options = ClusterOptions(
            values=self.arguments.values,
            settings=[*model.chart_settings, *self.arguments.set],
            shared=model.folders,
        )
        with (
            self.narrator.step(
                "Start a Kubernetes cluster on this machine, with the service on it",
                "A real control plane (etcd, kube-apiserver, scheduler, controllers), an S3 "
                f"server and one node that runs pods as {self.kind} of this machine. The "
                "service comes onto it as onto any cluster: helm install.",
            ),
            ThreadPoolExecutor(1) as pool,
        ):
            composing = None if song else pool.submit(synthesise, self.out)
            cluster = self.stack.enter_context(self.cluster_class(options, self.narrator.say))
            namespace = cluster.service.namespace
            self.narrator.show("$ kubectl get deployments")
            self.narrator.show(cluster.kubectl("get", "deployments", "-n", namespace))
            ready = cluster.service.api_urls()
            self.narrator.check(len(ready) >= 1, f"the API answers at {', '.join(ready)}")
            return cluster, song or (composing.result() if composing else synthesise(self.out))

    def upload(self, cluster: LocalCluster, song: Song) -> str:
        """Put the song into the bucket; returns its presigned URL."""
        with self.narrator.step(
            "Put a song where the service can fetch it",
            "A request names its song by a URL, as of a file that lies in a bucket already. A "
            "presigned one lets whoever has it read this one object for an hour, so its query is "
            "a secret.",
        ):
            storage = cluster.s3.service()
            key = f"songs/{song.file.name}"
            storage.upload_file(song.file, key)
            url = storage.generate_presigned_get_url(key)
            origin = "composed by the synthesiser" if song.stems else "yours"
            self.narrator.say(f"{song.title}, {song.seconds:.1f} s, {origin}: {song.file}")
            self.narrator.show(f"{url.partition('?')[0]}?X-Amz-Signature=...")
            return url

    def ask(self, cluster: LocalCluster, source: str, receiver: Receiver, model: Choice) -> str:
        """Ask for the separation; returns the job's id."""
        with self.narrator.step(
            "Ask for the separation: a signed POST /split",
            "Only who knows the shared token can ask. The answer comes once the work is durable "
            "in the cluster, and asking again does not make a second job.",
        ):
            request: SplitFields = {
                "version_id": f"demo-{time.strftime('%Y%m%d-%H%M%S')}",
                "audio_url": source,
                "ai_model": model.name,
                "webhook": f"{receiver.url}/demo",
                "correlation_id": "make-demo",
            }
            self.narrator.say(model.words)
            service = cluster.service
            with httpx.Client(timeout=30, trust_env=False) as http:  # past any proxy
                name = submit(self.narrator, service.api_urls(), service.token, request, http)
            if name is None:
                raise DemoAbortedError
            return name

    def follow(self, cluster: LocalCluster, name: str, song: Song) -> dict[str, Any]:
        """Watch the job until its final event is delivered; returns the SplitJob."""
        with self.narrator.step(
            "Watch it: kubectl get splitjobs --watch",
            "The operator sees the SplitJob and makes a Job of it; its pod fetches the song, runs "
            "the model, uploads the stems. Progress comes back into the resource.",
        ):
            namespace = cluster.service.namespace
            patience = START_SECONDS + SECONDS_PER_SECOND * song.seconds
            log = self.out / "worker.log"
            with Watch(cluster.cluster, namespace, name, self.narrator.show, log):
                wait_for(cluster.cluster, namespace, name, "Notified", patience)
            splitjob = cluster.objects.get("splitjob", name, namespace=namespace)
            self.narrator.say("Its conditions at the end (kubectl describe splitjob):")
            conditions = splitjob.get("status", {}).get("conditions", [])
            for one in conditions:
                self.narrator.show(
                    f"{one['type']:<10} {one['status']:<8} {one['reason']}: {one.get('message')}"
                )
            done = {one["type"] for one in conditions if one["status"] == "True"}
            if not self.narrator.check("Succeeded" in done, "the SplitJob succeeded"):
                self.narrator.show(outcome.failure_report(cluster, splitjob))
                raise DemoAbortedError
            self.narrator.check("Notified" in done, "and its receiver was notified")
            return splitjob

    def receive(
        self, cluster: LocalCluster, receiver: Receiver, splitjob: dict[str, Any]
    ) -> dict[str, Any]:
        """Check the webhook; returns its body."""
        with self.narrator.step(
            "Receive the webhook",
            "A small web server of this demo got it. It checks the signatures as any receiver "
            "would, with HMAC from the standard library and nothing of the service.",
        ):
            receiver.wait(1, 5)
            token = cluster.service.token
            body = examine_webhook(self.narrator, receiver.deliveries, token, splitjob)
            if body is None or not self.narrator.check(
                body["status"] == "completed", "it says: completed"
            ):
                raise DemoAbortedError
            # The raw bytes, so that the signature can be verified against the file.
            (self.out / "webhook.json").write_bytes(receiver.deliveries[0].body)
            return body

    def examine(self, cluster: LocalCluster, body: dict[str, Any], song: Song) -> Separation:
        """Download the stems and check them."""
        with self.narrator.step(
            "Check the stems",
            "They are downloaded from the bucket, decoded again and held against the song.",
        ):
            separation = Separation(body)
            stems = self.out / "stems"
            shutil.rmtree(stems, ignore_errors=True)
            examine_stems(self.narrator, separation, cluster.s3.service(), song, stems)
            return separation

    def leave(
        self,
        cluster: LocalCluster,
        song: Song,
        separation: Separation,
        splitjob: dict[str, Any],
        source: str,
    ) -> None:
        """Write all results into a folder, with a page to listen to."""
        with self.narrator.step(
            "Leave everything in a folder", "To listen, and to read at leisure."
        ):
            name = splitjob["metadata"]["name"]
            namespace = cluster.service.namespace
            document = cluster.kubectl("get", "splitjob", name, "-n", namespace, "-o", "yaml")
            (self.out / "splitjob.yaml").write_text(document)
            (self.out / "manifest.json").write_text(
                json.dumps(separation.manifest, indent=2) + "\n"
            )
            signature = parse_qs(urlsplit(source).query)["X-Amz-Signature"][0]
            secrets = [cluster.service.token, signature]
            log = (self.out / "worker.log").read_text(errors="replace")
            texts = [document, json.dumps(separation.body), log, *outcome.logs(cluster)]
            self.narrator.check(
                '"progress":true' in log, "kubectl logs showed the worker's progress"
            )
            self.narrator.check(
                not any(secret in text for secret in secrets for text in texts),
                "no secret anywhere: neither token nor URL signature stands in the SplitJob, the "
                "webhook or the logs of API, operator and worker",
            )
            page = self.out / "index.html"
            page.write_text(outcome.page(song, separation, document, self.narrator.checks))
            self.narrator.say(f"Open {page} in a browser; it plays by itself, also offline.")
            self.narrator.show(outcome.listing(self.out))

    def keep(self) -> None:
        """Keep the cluster running until Ctrl-C, and print how to explore it."""
        if self.cluster is None:
            return
        print(outcome.tour(self.cluster, self.job), flush=True)
        with suppress(EndRequested):
            keep_running(self.cluster)

    def end(self, cluster: LocalCluster) -> None:
        """End the cluster and check that nothing of it is left."""
        with self.narrator.step(
            "End the cluster", "Everything ran below one folder and one process, and goes with it."
        ):
            cluster.close()
            left = processes_of(cluster.folder)
            self.narrator.check(
                not left and not cluster.folder.exists(),
                f"no process and no file is left ({len(left)} processes)",
            )
