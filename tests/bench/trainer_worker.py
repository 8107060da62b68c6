"""One way to compute the loss, in a process of its own: `trainer_losses.py` tells it when, and reads what it took.

Each line of standard input is one forward and backward pass; the answer is a line of JSON with seconds of the clock and
of the processors, the peak of memory beyond what there was before, the share of the machine that other processes took,
loss and gradient norm. Run with the project's Python for ours and with that of the peers for theirs, which therefore
needs nothing but PyTorch.

Memory is the kernel's own high-water mark of resident pages (VmHWM, reset before each pass), less what was resident
before: it counts what the allocator really touched, temporary buffers of the matrix library included. Hidden states and
heads are there before, and so are not counted; gradients are.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass

import torch
import torch.nn.functional as F
from machine import CORES, busy, reset_peak, resident
from torch import Tensor


@dataclass(frozen=True)
class Sizes:
    """Of the task; `chunk` are rows of ours and of peers that can be told, `k` words of the stored teacher."""

    tokens: int
    student: int
    teacher: int
    words: int
    chunk: int
    k: int


@dataclass(frozen=True)
class Inputs:
    """Two last hidden states and heads. Logits have standard deviation 2."""

    student: Tensor
    student_head: Tensor
    teacher: Tensor
    teacher_head: Tensor
    labels: Tensor

    @classmethod
    def of(cls, sizes: Sizes) -> Inputs:
        """The same in every process."""
        torch.manual_seed(0)
        student, teacher = torch.randn(sizes.tokens, sizes.student), torch.randn(sizes.tokens, sizes.teacher)
        heads = [
            torch.randn(sizes.words, width).mul_(2 / width**0.5) for width in (sizes.student, sizes.teacher)
        ]
        labels = torch.randint(sizes.words, (sizes.tokens,))
        return cls(student.requires_grad_(), heads[0].requires_grad_(), teacher, heads[1], labels)


Loss = Callable[[], Tensor]


def naive(it: Inputs, _: Sizes) -> Loss:
    """What one writes first."""

    def loss() -> Tensor:
        z_s = F.linear(it.student, it.student_head)
        with torch.no_grad():
            z_t = F.linear(it.teacher, it.teacher_head)
        return F.kl_div(
            F.log_softmax(z_s, -1), F.log_softmax(z_t, -1), reduction="batchmean", log_target=True
        )

    return loss


def trl_gkd(it: Inputs, _: Sizes) -> Loss:
    """TRL's GKD trainer, β = 0: KL(p ‖ q)."""
    from trl.experimental.gkd.gkd_trainer import GKDTrainer

    def loss() -> Tensor:
        z_s = F.linear(it.student, it.student_head)
        with torch.no_grad():
            z_t = F.linear(it.teacher, it.teacher_head)
        return GKDTrainer.generalized_jsd_loss(z_s[None], z_t[None], labels=it.labels[None], beta=0)

    return loss


def trl_chunked(it: Inputs, sizes: Sizes) -> Loss:
    """The loss of TRL's DistillationTrainer, as it is without Triton."""
    from trl.kernels.chunked_divergence import ChunkedDivergenceFunction

    def loss() -> Tensor:
        rows, _ = ChunkedDivergenceFunction.apply(
            it.student, it.student_head, None, it.teacher, it.teacher_head, None, 0.0, 1.0
        )
        return rows.sum() / sizes.tokens

    return loss


def liger(it: Inputs, chunk: int) -> Loss:
    """Liger's chunked loss, not compiled, without its cross-entropy."""
    from liger_kernel.chunked_loss.jsd_loss import LigerFusedLinearJSDLoss

    made = LigerFusedLinearJSDLoss(
        weight_hard_loss=0.0, weight_soft_loss=1.0, beta=0, compiled=False, chunk_size=chunk
    )
    return lambda: made(it.student, it.student_head, it.teacher, it.teacher_head, it.labels)


def fused(it: Inputs, sizes: Sizes, *, alpha: float | None = None) -> Loss:
    """Ours, with labels where there is an α."""
    from distill_trainer.losses.fused import Head, fused_kl

    labels = {} if alpha is None else {"labels": it.labels, "alpha": alpha}
    return lambda: (
        fused_kl(
            it.student,
            Head(it.student_head),
            it.teacher,
            Head(it.teacher_head),
            1.0,
            chunk=sizes.chunk,
            **labels,
        ).total
    )


def top_k(it: Inputs, sizes: Sizes) -> Loss:
    """Ours, of a stored teacher."""
    from distill_trainer.losses.fused import Head, fused_topk_kl
    from distill_trainer.losses.sparse import TopKTeacher

    parts = []
    for rows in it.teacher.split(64):
        log_p = F.log_softmax(F.linear(rows, it.teacher_head), -1)
        top = log_p.topk(sizes.k)
        tail = log_p.scatter(-1, top.indices, -torch.inf).logsumexp(-1)
        parts.append((top.indices, top.values, tail))
    indices, log_p, tail = (torch.cat(each) for each in zip(*parts, strict=True))
    known = TopKTeacher(indices, log_p, {1.0: tail})
    return lambda: fused_topk_kl(it.student, Head(it.student_head), known, 1.0, chunk=sizes.chunk).total


def cross_entropy(it: Inputs, sizes: Sizes) -> Loss:
    """Ours, labels alone: what training the student costs without any teacher."""
    from distill_trainer.losses.fused import Head, chunked_cross_entropy

    return lambda: (
        chunked_cross_entropy(it.student, Head(it.student_head), it.labels, chunk=sizes.chunk).total
    )


LOSSES: dict[str, Callable[[Inputs, Sizes], Loss]] = {
    "fused KL": fused,
    "fused CE + KL": lambda it, sizes: fused(it, sizes, alpha=0.5),
    "cached top-k": top_k,
    "chunked CE": cross_entropy,
    "naive KL": naive,
    "TRL GKD": trl_gkd,
    "TRL chunked": trl_chunked,
    "Liger": lambda it, sizes: liger(it, sizes.chunk),
    "Liger as it comes": lambda it, _: liger(it, 1024),
}


def gemm(side: int = 2048, repeats: int = 4) -> dict[str, float]:
    """Seconds of a square product in 32 bits, the best of some: what the matrix library can do here, and its FLOP."""
    a, b = torch.randn(2, side, side)
    out, clock, cpu = torch.empty(side, side), float("inf"), float("inf")
    for _ in range(repeats):
        begin, used = time.perf_counter(), time.process_time()
        torch.mm(a, b, out=out)
        clock, cpu = min(clock, time.perf_counter() - begin), min(cpu, time.process_time() - used)
    return {"clock": clock, "cpu": cpu, "flop": 2 * side**3}


def measured(it: Inputs, loss: Loss) -> dict[str, float]:
    """One pass."""
    it.student.grad = it.student_head.grad = None
    reset_peak()
    before, own, all_of_it, begin = resident("VmRSS"), time.process_time(), busy(), time.perf_counter()
    value = loss()
    value.backward()
    clock, cpu = time.perf_counter() - begin, time.process_time() - own
    return {
        "clock": clock,
        "cpu": cpu,
        "others": max(0.0, busy() - all_of_it - cpu) / (clock * CORES),
        "bytes": resident("VmHWM") - before,
        "loss": value.item(),
        "norm": it.student_head.grad.norm().item(),
    }


def main() -> None:
    """Arguments: name of the loss, and Sizes as JSON."""
    name, sizes = sys.argv[1], Sizes(**json.loads(sys.argv[2]))
    it = Inputs.of(sizes)
    small = Inputs.of(Sizes(**{**asdict(sizes), "words": 256, "k": 8}))
    loss, warm = (LOSSES[name](each, sizes) for each in (it, small))
    warm().backward()
    answer = sys.stdout
    sys.stdout = sys.stderr
    print(json.dumps({"ready": name}), file=answer, flush=True)
    for line in sys.stdin:
        print(json.dumps(gemm() if line.strip() == "gemm" else measured(it, loss)), file=answer, flush=True)


if __name__ == "__main__":
    main()
