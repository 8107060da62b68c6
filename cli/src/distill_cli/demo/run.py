"""The demo's story, from an empty machine to a promoted canary. Interrupted at any point, a second run goes on.

Every chapter looks at the cluster first and does only what is missing: state is kept by Kubernetes, not here.
"""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

from distill_cli.demo.follow import comparison, follow
from distill_cli.demo.kubernetes_client import DemoError, Reader, wait_for
from distill_cli.demo.rollout import follow_rollout
from distill_cli.demo.story import Story, picture
from distill_cli.demo.traffic import Client
from distill_local.handle import Cluster

NAMESPACE = "team-a"
SERVICE = "digits"
SYSTEM_NAMESPACE = "distill-system"
RELEASE = "distill"


def repository_root() -> Path:
    """The checkout whose chart and examples the demo uses. Raises DemoError where there is none."""
    root = Path(__file__).resolve().parents[4]
    if not (root / "charts" / "distillation-operator" / "Chart.yaml").is_file():
        raise DemoError(
            "the demo uses the chart and the examples of a checkout: run `make demo` in a clone of the repository"
        )
    return root


def install_chart(story: Story, cluster: Cluster, root: Path) -> None:
    """`helm upgrade --install` of our chart, until its operator is Ready."""
    with story.step("helm install distill charts/distillation-operator"):
        cluster.helm(
            "upgrade", "--install", RELEASE, str(root / "charts" / "distillation-operator"),
            "--namespace", SYSTEM_NAMESPACE, "--create-namespace", "--wait", "--timeout", "120s",
        )  # fmt: skip


def apply(story: Story, cluster: Cluster, manifest: Path) -> None:
    """`kubectl apply -f`, shown as the user would type it."""
    with story.step(f"kubectl apply -f {manifest.parent.parent.name}/{manifest.parent.name}/{manifest.name}"):
        cluster.kubectl("apply", "-f", str(manifest))


def train_teacher(story: Story, cluster: Cluster, reader: Reader, examples: Path) -> None:
    """Namespace, volume and teacher: what a team has before it distils."""
    apply(story, cluster, examples / "1-namespace.yaml")
    apply(story, cluster, examples / "2-teacher.yaml")

    def ended() -> str | None:
        status = (reader.batch_job(NAMESPACE, "digits-teacher") or {}).get("status", {})
        done = [c["type"] for c in status.get("conditions", []) if c["status"] == "True"]
        return next((kind for kind in done if kind in {"Complete", "Failed"}), None)

    with story.step("the teacher is trained (batch/v1 Job digits-teacher)"):
        if wait_for("the teacher's Job", ended, 180) == "Failed":
            raise DemoError(f"the teacher's Job failed: kubectl logs -n {NAMESPACE} job/digits-teacher")


def start_again(story: Story, cluster: Cluster, reader: Reader) -> None:
    """After a demo that came to its end: take both jobs and the service away, so that it can be told anew."""
    second = reader.distillation_job(NAMESPACE, "digits-2") or {}
    if (second.get("status", {}).get("serving") or {}).get("canary") != "Promoted":
        return
    with story.step("the last demo came to its end: its jobs, service and students are taken away"):
        cluster.kubectl("delete", "distillationjobs", "--all", "-n", NAMESPACE, "--wait")
        selector = f"distillation.dev/service={SERVICE}"
        cluster.kubectl("delete", "httproutes,inferenceservices", "-l", selector, "-n", NAMESPACE, "--wait")
        cluster.kubectl(
            "delete", "jobs/digits-teacher", "pvc/models", "-n", NAMESPACE, "--ignore-not-found", "--wait"
        )


def first_student(story: Story, cluster: Cluster, reader: Reader, examples: Path) -> dict[str, Any]:
    """The first job, until its student is served."""
    apply(story, cluster, examples / "3-digits.yaml")
    job = follow(story, reader, NAMESPACE, "digits")
    story.console.print(comparison(job))
    with story.step(f"InferenceService {SERVICE} answers through the gateway"):
        wait_for("the first student to be served", lambda: served(reader, "digits"), 180)
    return job


def served(reader: Reader, name: str) -> dict[str, Any] | None:
    """A job's status.serving once its student is promoted (or was followed by another). Raises DemoError on a roll-back."""
    job = reader.distillation_job(NAMESPACE, name) or {}
    serving: dict[str, Any] = job.get("status", {}).get("serving") or {}
    if serving.get("phase") == "RolledBack":
        raise DemoError(f"the student of {name} was rolled back: {serving.get('message')}")
    return serving if serving.get("phase") in {"Promoted", "Superseded"} else None


def service_client(cluster: Cluster, reader: Reader) -> Client:
    """A client for the service, by the host name that its HTTPRoute carries."""
    route = wait_for("the HTTPRoute", lambda: reader.route(NAMESPACE, SERVICE))
    return Client(cluster.gateway_url, route["spec"]["hostnames"][0], SERVICE)


def ask_once(story: Story, client: Client) -> None:
    """One picture, and what the student says it is."""
    images, labels = pictures()
    chosen = random.Random(7).randrange(len(images))
    answer = client.predict([[[value / 16 for value in row] for row in images[chosen]]])
    if answer.status != 200:
        raise DemoError(f"the student answered with status {answer.status}: {answer.body}")
    story.console.print(picture(images[chosen], 16), highlight=False)
    said = answer.body["predictions"][0]
    story.say(
        f"the student says [bold]{said['label']}[/bold] ({100 * said['confidence']:.1f} %); it is a {labels[chosen]}"
    )


def pictures() -> tuple[list[list[list[float]]], list[int]]:
    """The pictures of digits as lists, values 0–16, and what they show."""
    from sklearn.datasets import load_digits  # noqa: PLC0415 - slow to import, and only the demo needs it

    digits = load_digits()
    return digits.images.tolist(), digits.target.tolist()


def second_student(story: Story, cluster: Cluster, reader: Reader, examples: Path, client: Client) -> None:
    """A better student for the same service: as a canary, under load, until it is promoted."""
    apply(story, cluster, examples / "4-digits-2.yaml")
    job = follow(story, reader, NAMESPACE, "digits-2")
    story.console.print(comparison(job))
    instances = [[[value / 16 for value in row] for row in image] for image in pictures()[0][:200]]
    follow_rollout(story, reader, NAMESPACE, "digits-2", SERVICE, client, instances)


def report_path(reader: Reader, job: dict[str, Any]) -> str:
    """Where the job's report lies on this machine: the local cluster's volumes are folders."""
    uri: str = job["status"]["result"]["report"]
    claim, path = uri.removeprefix("pvc://").split("/", 1)
    return str(reader.volume_folder(NAMESPACE, claim) / path)


def tell(story: Story, cluster: Cluster, root: Path) -> None:
    """The whole demo on a cluster that is up."""
    reader = Reader(Path(cluster.kubeconfig))
    examples = root / "examples" / "digits"
    story.chapter("The operator")
    install_chart(story, cluster, root)
    start_again(story, cluster, reader)
    story.chapter("A teacher, a student, one YAML")
    train_teacher(story, cluster, reader, examples)
    job = first_student(story, cluster, reader, examples)
    client = service_client(cluster, reader)
    ask_once(story, client)
    story.console.print(f"  report: [bold]{report_path(reader, job)}[/bold]", highlight=False, soft_wrap=True)
    story.chapter("A better student takes over: canary")
    second_student(story, cluster, reader, examples, client)
    finish(story)


def finish(story: Story) -> None:
    """What to type next."""
    minutes, seconds = divmod(round(story.elapsed()), 60)
    story.chapter(f"Done in {minutes} min {seconds} s. What to type next")
    for command, meaning in (
        ('eval "$(.venv/bin/distill env)"', "kubectl and helm for this cluster"),
        (f"kubectl get dj -n {NAMESPACE}", "the jobs; add -o wide, or describe dj digits"),
        ("kubectl explain dj.spec.objective", "the API teaches itself"),
        (f"kubectl get inferenceservices,httproutes -n {NAMESPACE}", "who serves, and who gets how much"),
        ("charts/distillation-operator/dashboards/*.json", "the Grafana dashboard"),
        ("make down", "end it; nothing stays"),
    ):
        story.console.print(f"  [bold]{command}[/bold]  [dim]{meaning}[/dim]", highlight=False)
