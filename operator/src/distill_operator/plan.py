"""From a DistillationJob's spec and the settings to what is to be made of it: names, image, claims, trainer.json.

Pure. `manifests` turns a plan into Kubernetes objects, `decide` asks it for names and deadlines.
"""

from __future__ import annotations

from dataclasses import dataclass

from distill_api.contract import JobReference, TrainerConfig, trainer_config
from distill_api.job import DistillationJobSpec
from distill_api.naming import child_name, digest, short
from distill_operator.kinds import Owner
from distill_operator.settings import Settings

CLAIM_SCHEME = "pvc://"
DEFAULT_SHARED_MEMORY = "1Gi"


@dataclass(frozen=True)
class Claim:
    """A PersistentVolumeClaim that the pods mount at `/mnt/pvc/<name>`."""

    name: str
    read_only: bool


@dataclass(frozen=True)
class TrainingPlan:
    """Everything that the manifests of one job are made from."""

    owner: Owner
    spec: DistillationJobSpec
    config: TrainerConfig
    config_name: str
    check_name: str
    training_name: str
    image: str
    pull_policy: str
    service_account: str
    claims: tuple[Claim, ...]
    shared_memory: str | None
    grace_seconds: int

    @property
    def gpus(self) -> int:
        """GPUs of each training pod."""
        return self.spec.resources.gpus_per_node

    @property
    def nodes(self) -> int:
        """Training pods."""
        return self.spec.resources.nodes

    @property
    def processes(self) -> int:
        """Processes of each training pod: one for each GPU."""
        return max(self.gpus, 1)


def training_plan(owner: Owner, spec: DistillationJobSpec, settings: Settings) -> TrainingPlan:
    """The plan of one job; the same for the same arguments, whenever it is asked for."""
    config = trainer_config(JobReference(namespace=owner.namespace, name=owner.name), spec)
    content = short(digest(config.wire()))
    return TrainingPlan(
        owner=owner,
        spec=spec,
        config=config,
        config_name=child_name(owner.name, owner.uid, f"config-{content}"),
        check_name=child_name(owner.name, owner.uid, "check"),
        training_name=child_name(owner.name, owner.uid),
        image=spec.resources.template.image or settings.trainer_image,
        pull_policy=settings.image_pull_policy,
        service_account=settings.service_account,
        claims=claims(spec),
        shared_memory=_shared_memory(spec),
        grace_seconds=settings.termination_grace,
    )


def claims(spec: DistillationJobSpec) -> tuple[Claim, ...]:
    """The claims that a spec's URIs name, ordered; only those of output and stored outputs may be written to."""
    written = _claims_of(_written_uris(spec))
    named = written | _claims_of(_read_uris(spec))
    return tuple(Claim(name, read_only=name not in written) for name in sorted(named))


def _written_uris(spec: DistillationJobSpec) -> list[str]:
    store = spec.teacher_outputs.store
    return [spec.output.uri] + ([store.uri] if store else [])


def _read_uris(spec: DistillationJobSpec) -> list[str]:
    found = []
    for model in (spec.teacher, spec.student):
        found += [model.weights.uri] if model.weights else []
        found += [model.hugging_face.id] if model.hugging_face else []
        found += [model.python.tokenizer] if model.python and model.python.tokenizer else []
    found += [spec.dataset.files.uri] if spec.dataset.files else []
    found += [spec.dataset.hugging_face.id] if spec.dataset.hugging_face else []
    return found


def _claims_of(uris: list[str]) -> set[str]:
    return {uri.removeprefix(CLAIM_SCHEME).partition("/")[0] for uri in uris if uri.startswith(CLAIM_SCHEME)}


def _shared_memory(spec: DistillationJobSpec) -> str | None:
    """Data loader workers and NCCL need more /dev/shm than the 64 MiB of a container's default."""
    resources = spec.resources
    return resources.shared_memory or (DEFAULT_SHARED_MEMORY if resources.gpus_per_node else None)
