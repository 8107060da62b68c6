"""Where the teacher's outputs come from. The loop asks by sample and never knows which implementation answers.

`online.Online` runs the teacher beside the student. A store on disk, keyed by sample id, or a teacher served elsewhere
is another file here with the same one method.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from torch import Tensor

from distill_trainer.losses import Outputs
from distill_trainer.teacher_outputs.online import Online

__all__ = ["Online", "TeacherOutputs"]


class TeacherOutputs(Protocol):
    """What the teacher says about samples."""

    def outputs(self, ids: Sequence[str], images: Tensor) -> Outputs:
        """Logits [B, C], and the layers that the objective compares, for the samples `ids` with inputs `images` [B, C, H, W].

        On the images' device, without gradients.
        """
