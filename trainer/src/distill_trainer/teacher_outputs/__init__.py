"""Where the teacher's outputs come from. The loop asks by sample and never knows which implementation answers.

`online.Online` runs the teacher beside the student; `cached.Cached` reads what it said once from a store on disk. The
contract check plans which (`planning`), `run` makes the plan true before the first epoch (`prepare`). A teacher that is
served elsewhere is another file here with the same one method.
"""

from __future__ import annotations

from typing import Protocol

from distill_trainer.batch import Batch
from distill_trainer.losses import Outputs
from distill_trainer.teacher_outputs.online import Online

__all__ = ["Online", "TeacherOutputs"]


class TeacherOutputs(Protocol):
    """What the teacher says about samples."""

    def outputs(self, batch: Batch) -> Outputs:
        """Logits [B, …, C], and the layers that the objective compares; on the batch's device, without gradients."""
