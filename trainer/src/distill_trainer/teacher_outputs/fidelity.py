"""How far an encoding is from the whole output, measured on some rows when they are stored. Pure.

The loss is what the student sees of the teacher, so it is the loss that is compared, for two students: one that knows
nothing yet (all classes alike), and one near the teacher (the teacher's logits halved).
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from distill_trainer.losses.kl_divergence import kl_rows
from distill_trainer.losses.precision import at_least_float32
from distill_trainer.teacher_outputs.encodings import Decoded

MEASURED_ROWS = 256


@dataclass(frozen=True)
class Fidelity:
    """`kl_error` is the mean of |KL of the encoding − KL of the whole output| over rows, in nats, for the worse student.

    `bytes_per_row` and `bytes_per_sample` are those of the encoding; layers count into the latter.
    """

    kl_error: float
    rows: int
    bytes_per_row: float
    bytes_per_sample: float

    def sentence(self, rows_are: str = "row") -> str:
        """For the log and the report."""
        each = f"{self.bytes_per_row:.4g} bytes a {rows_are}"
        sample = (
            "" if self.bytes_per_sample == self.bytes_per_row else f", {self.bytes_per_sample:.4g} a sample"
        )
        return f"{each}{sample}, KL error {self.kl_error:.2g} nats (mean of {self.rows} {rows_are}s)"


def kl_error(logits: Tensor, decoded: Decoded, temperature: float) -> float:
    """Logits [R, C] against what was made of them again, in nats."""
    whole = at_least_float32(logits)
    students = (whole * 0.0, whole * 0.5)
    return max(
        float((kl_rows(student, whole, temperature) - kl_rows(student, decoded, temperature)).abs().mean())
        for student in students
    )
