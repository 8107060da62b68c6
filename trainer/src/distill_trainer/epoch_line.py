"""The line of an epoch in the log. Called by the loop."""

from __future__ import annotations

import logging

from distill_api.status import pace
from distill_api.training import Metric
from distill_trainer.progress import ProgressBoard
from distill_trainer.snapshot import EpochRecord

log = logging.getLogger(__name__)


def say_epoch(record: EpochRecord, epochs: int, metric: Metric, board: ProgressBoard) -> None:
    """Losses and metrics of an epoch that ended, pace and time left."""
    progress = board.progress
    stage = f"{record.training_stage}: " if record.training_stage else ""
    log.info(
        "%sepoch %d/%d  loss %.4f (labels %.4f, teacher %.4f)  validation %s %.4f (teacher %.4f)  %s samples/s  %ds left",
        stage,
        record.epoch,
        epochs,
        record.loss,
        record.task_loss,
        record.distillation_loss,
        metric.value,
        record.student_metric,
        record.teacher_metric,
        pace(progress.samples_per_second),
        progress.seconds_remaining or 0,
    )
