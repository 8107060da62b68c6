"""Two small language models' last steps, and the plain loss on whole logits that the fused ones must equal."""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from distill_trainer.losses import cross_entropy
from distill_trainer.losses.fused import Head

ROWS, WORDS, STUDENT_WIDTH, TEACHER_WIDTH = 7, 11, 3, 4
LABELS = torch.tensor([0, 3, 10, 2, 2, 0, 7])


def numbers(seed, *shape, dtype=torch.float64):
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed)).to(dtype)


@dataclass(frozen=True)
class World:
    """Hidden states and heads of both; the student's may want gradients."""

    student: Tensor
    student_head: Head
    teacher: Tensor
    teacher_head: Head

    def leaves(self):
        """What the student trains."""
        return [
            each
            for each in (self.student, self.student_head.weight, self.student_head.bias)
            if each is not None and each.requires_grad
        ]

    def logits(self):
        """Of both, written out."""
        return whole_logits(self.student, self.student_head), whole_logits(self.teacher, self.teacher_head)


def whole_logits(hidden, head):
    z = hidden @ head.weight.T
    z = head.scale * (z if head.bias is None else z + head.bias)
    return z if head.softcap is None else head.softcap * torch.tanh(z / head.softcap)


def world(
    dtype=torch.float64,
    *,
    biases=False,
    student_padding=0,
    teacher_padding=0,
    size=1.0,
    student_does=None,
    teacher_does=None,
):
    """Random; `student_does` and `teacher_does` are scale and softcap, `size` that of the weights."""

    def made(seed, *shape):
        return size * numbers(seed, *shape, dtype=dtype)

    def leaf(seed, *shape):
        return made(seed, *shape).requires_grad_()

    s, t = WORDS + student_padding, WORDS + teacher_padding
    return World(
        leaf(1, ROWS, STUDENT_WIDTH),
        Head(leaf(2, s, STUDENT_WIDTH), leaf(3, s) if biases else None, **(student_does or {})),
        made(4, ROWS, TEACHER_WIDTH),
        Head(made(5, t, TEACHER_WIDTH), made(6, t) if biases else None, **(teacher_does or {})),
    )


def gradients(total, leaves):
    return torch.autograd.grad(total, leaves)


def plain(loss, world, temperature, alpha=0.0, words=WORDS, **rows):
    """α·CE + (1−α)·loss on whole logits cut to the real words."""
    z_s, z_t = (z[..., :words] for z in world.logits())
    task = cross_entropy(z_s, LABELS, **rows)
    return alpha * task + (1 - alpha) * loss(z_s, z_t, temperature, **rows)


def with_student(world, hidden, weight, bias=None):
    """The same with other tensors to train, as gradcheck gives them."""
    return replace(world, student=hidden, student_head=replace(world.student_head, weight=weight, bias=bias))
