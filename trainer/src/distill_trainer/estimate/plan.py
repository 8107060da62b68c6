"""From networks, work and machine to memory, stored outputs and time. Pure; the formulas are in `formulas`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from distill_api.training import Strategy
from distill_trainer.estimate import formulas as f
from distill_trainer.estimate.inputs import Machine, Network, Work

USABLE = 0.9
"""Share of a device's memory that is planned with: the rest is the CUDA context, NCCL's buffers and fragmentation."""


@dataclass(frozen=True)
class RankMemory:
    """Bytes on each rank at the worst moment."""

    parameters: float = 0.0
    gradients: float = 0.0
    optimizer: float = 0.0
    activations: float = 0.0
    teacher: float = 0.0
    logits: float = 0.0

    def fits(self, memory: float) -> bool:
        """Whether it is within what is planned with of a rank's memory."""
        return self.total <= USABLE * memory

    @property
    def total(self) -> float:
        """All of it."""
        return (
            self.parameters + self.gradients + self.optimizer + self.activations + self.teacher + self.logits
        )


@dataclass(frozen=True)
class Row:
    """One way to run the job: student and teacher on the same ranks. Seconds are for the whole job."""

    strategy: Strategy
    ranks: int
    memory: RankMemory
    online_seconds: float
    cached_seconds: float
    sent_per_second: float
    """Bytes that each rank has to send to keep that pace, with the teacher online."""


@dataclass(frozen=True)
class Encoding:
    """One way to store what the teacher says; bytes a second at the speed of all ranks together."""

    name: str
    position_bytes: int
    total: float
    written_per_second: float
    read_per_second: float


@dataclass(frozen=True)
class Apart:
    """Teacher and student on ranks of their own, at work at the same time."""

    teacher_ranks: int
    student_ranks: int
    teacher_memory: RankMemory
    student_memory: RankMemory
    seconds: float
    positions_per_second: float


def rank_memory(
    student: Network | None, teacher: Network | None, work: Work, ranks: int, strategy: Strategy
) -> RankMemory:
    """What lies on one of `ranks`; either model may be somewhere else."""
    shards = ranks if strategy is Strategy.FSDP else 1
    micro = work.micro(ranks)
    logits = _logits(work, micro, alone=student is None)
    held = _teacher(teacher, work, shards, micro)
    if student is None:
        return RankMemory(teacher=held, logits=logits)
    return RankMemory(
        parameters=f.FP32 * student.parameters / shards + _in_passes(student, work, shards),
        gradients=f.FP32 * student.trained / shards
        + ((student.largest + student.beside) * work.element if shards > 1 else 0),
        optimizer=f.optimizer_bytes(student.trained, work.moments) / shards,
        activations=micro * student.saved,
        teacher=held,
        logits=logits,
    )


def rows(student: Network, teacher: Network, work: Work, machine: Machine) -> Iterator[Row]:
    """Every count of ranks that is a power of two, and the machine's own; DDP, and FSDP where it can be."""
    for ranks in rank_counts(machine.ranks):
        for strategy in Strategy if _sharded(student, ranks) else (Strategy.DDP,):
            memory = rank_memory(student, teacher, work, ranks, strategy)
            online = machine.seconds(online_flops(student, teacher, work), ranks)
            yield Row(
                strategy,
                ranks,
                memory,
                online,
                machine.seconds(cached_flops(student, teacher, work), ranks),
                step_bytes(student, teacher, work, ranks, strategy) * work.steps / online,
            )


def rank_counts(ranks: int) -> list[int]:
    """1, 2, 4 … up to `ranks`, which is always among them."""
    powers = [2**power for power in range(ranks.bit_length())]
    return [count for count in powers if count < ranks] + [ranks]


def online_flops(student: Network, teacher: Network, work: Work) -> float:
    """The whole job with the teacher run in each epoch."""
    return work.samples * work.epochs * (student.training_flops + teacher.flops)


def cached_flops(student: Network, teacher: Network, work: Work) -> float:
    """The whole job with the teacher run once over the data."""
    return work.samples * (work.epochs * student.training_flops + min(work.epochs, 1) * teacher.flops)


def step_bytes(student: Network, teacher: Network, work: Work, ranks: int, strategy: Strategy) -> float:
    """What a rank sends for one optimizer step (ZeRO, section 7: 2Ψ for DDP, 3Ψ for FSDP, which gathers in each pass)."""
    gradients = f.FP32 * student.trained
    if strategy is Strategy.DDP:
        return f.all_reduce_bytes(gradients, ranks)
    gathered = work.element * (2 * student.parameters + teacher.parameters)
    return work.passes(ranks) * f.gather_bytes(gathered + gradients, ranks)


def encodings(student: Network, teacher: Network, work: Work, machine: Machine) -> Iterator[Encoding]:
    """Each encoding's size, and how fast it is written in the first epoch and read in the others."""
    sizes = {"Dense": f.dense_bytes(work.classes, f.FP32)}
    if teacher.width and not work.vectors:
        sizes["HiddenState"] = f.hidden_state_bytes(teacher.width, f.FP32)
    if work.top_k < work.classes and not work.vectors:
        sizes[f"TopK {work.top_k}"] = f.top_k_bytes(work.top_k, work.classes)
        sizes[f"Sampled {work.top_k}"] = f.sampled_bytes(work.top_k, work.classes)
    written = work.positions / machine.seconds(teacher.flops, machine.ranks)
    read = work.positions / machine.seconds(student.training_flops, machine.ranks)
    for name, size in sizes.items():
        total = work.samples * work.positions * min(work.epochs, 1) * size
        yield Encoding(name, size, total, written * size, read * size)


def apart(
    student: Network, teacher: Network, work: Work, machine: Machine, teacher_ranks: int | None
) -> Apart:
    """Some ranks hold the teacher alone, sharded; as many as keep both busy when not given. The slower one sets the pace."""
    theirs = teacher_ranks or f.teacher_ranks(machine.ranks, student.training_flops, teacher.flops)
    mine = machine.ranks - theirs
    strategy = Strategy.FSDP if _sharded(student, mine) else Strategy.DDP
    pace = max(machine.seconds(student.training_flops, mine), machine.seconds(teacher.flops, theirs))
    return Apart(
        theirs,
        mine,
        rank_memory(None, teacher, work, theirs, Strategy.FSDP if theirs > 1 else Strategy.DDP),
        rank_memory(student, None, work, mine, strategy),
        pace * work.samples * work.epochs,
        work.positions / pace,
    )


def _sharded(student: Network, ranks: int) -> bool:
    """Whether ranks can share the student's tensors: adapters are not trained with FSDP."""
    return ranks > 1 and student.adapters is None


def _in_passes(network: Network, work: Work, shards: int) -> float:
    """Parameters in the precision of the passes: FSDP's gathered units, or the 16-bit copies that autocast makes."""
    if shards > 1:
        return f.gathered_bytes(network.largest, network.beside, work.element)
    return work.element * network.parameters if work.element < f.FP32 else 0.0


def _logits(work: Work, micro: int, *, alone: bool) -> float:
    """Of a chunk with the fused losses, else of all; a teacher `alone` makes its own and no gradient."""
    positions = micro * work.positions
    if work.chunk is None:
        return f.logits_bytes(positions, work.classes, 1 if alone else f.LOSS_BUFFERS)
    positions = min(positions, work.chunk)
    if alone:
        return f.logits_bytes(positions, work.classes, 1)
    return f.fused_logits_bytes(positions, work.classes, work.element)


def _teacher(teacher: Network | None, work: Work, shards: int, micro: int) -> float:
    """Frozen parameters in 32 bits, and in the precision of the passes what FSDP gathers and the largest step of a pass."""
    if teacher is None:
        return 0.0
    gathered = f.gathered_bytes(teacher.largest, teacher.beside, work.element) if shards > 1 else 0.0
    return f.FP32 * teacher.parameters / shards + gathered + micro * teacher.passing
