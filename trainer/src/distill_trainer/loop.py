"""The training loop: epochs of steps, validation, checkpoints; stops when asked to, goes on where it stopped.

Called by `run`. What changes the student is in `step`; when and in which order is here.
"""

from __future__ import annotations

import logging
import time
from dataclasses import asdict, replace

import torch
from torch import Tensor

from distill_api.status import Losses, TermLoss
from distill_trainer.checkpoint import CheckpointStore
from distill_trainer.curriculum import Settings
from distill_trainer.divergence import diverged, going_back, is_lost, slowed
from distill_trainer.epoch_line import say_epoch
from distill_trainer.errors import Disrupted, Diverged
from distill_trainer.order import epoch_batches
from distill_trainer.ordering import ordered_samples
from distill_trainer.parts import Parts, Trained, course, examples, smallest_part
from distill_trainer.progress import ProgressBoard
from distill_trainer.sharding import is_sharded, rest
from distill_trainer.snapshot import (
    Best,
    EpochRecord,
    Position,
    Snapshot,
    optimizer_tensors,
    random_states,
    restore,
)
from distill_trainer.step import make_optimizer, train_step
from distill_trainer.stop import StopSignal
from distill_trainer.weights import plain_tensors

DRAIN_EVERY = 10
"""Steps between readings of the losses: each reading waits for the GPU."""
log = logging.getLogger(__name__)


class Trainer:
    """One training, from its last checkpoint to its last epoch."""

    def __init__(
        self, parts: Parts, checkpoints: CheckpointStore, board: ProgressBoard, stop: StopSignal
    ) -> None:
        self._parts = parts
        self._checkpoints = checkpoints
        self._board = board
        self._stop = stop
        self._smallest = smallest_part(parts.student)
        self._sharded = is_sharded(parts.student)
        self._position = Position()
        self._history: tuple[EpochRecord, ...] = ()
        self._best: Best | None = None
        self._start: Snapshot | None = None
        self._order: Tensor | None = None
        self._course = course(parts)
        self._total, self._epochs = self._course.table.total, len(self._course.table.epochs)
        self._enter(0)

    def run(self) -> Trained:
        """Train to the end. Raises Disrupted (after a checkpoint) when asked to stop, Diverged when the loss is lost."""
        self._resume()
        self._board.begin(step=self._position.step, total_steps=self._total, epochs=self._epochs)
        while self._position.epoch <= self._epochs:
            try:
                self._epoch()
            except Diverged as end:
                self._go_back(end)
        if self._best is None:
            raise RuntimeError("no epoch was trained")
        if not self._sharded:
            self._parts.student.load_state_dict(self._best.state)
        return Trained(self._history, self._best, self._says())

    def _resume(self) -> None:
        """From the last checkpoint of the leader, which all processes are given."""
        ranks = self._parts.ranks
        snapshot = ranks.from_leader(self._checkpoints.latest() if ranks.leads else None)
        if snapshot is not None:
            self._restore(snapshot)
            log.info("going on from the checkpoint at step %d of %d", self._position.step, self._total)
        else:
            if not self._sharded:
                ranks.copy_leader(self._parts.student)
            for objective in self._parts.objectives:
                ranks.copy_leader(objective)
            self._order = ordered_samples(self._parts, self._stop)
        self._start = snapshot or self._snapshot()

    def _enter(self, stage: int) -> None:
        """Begin a stage: its objective, and an optimizer without a past."""
        self._stage = stage
        self._parts = replace(self._parts, objective=self._parts.objectives[stage])
        self._names = self._parts.objective.names
        rest(self._parts.student)
        self._optimizer = make_optimizer(
            self._parts.student, self._parts.training, self._parts.objective.parameters()
        )

    def _restore(self, snapshot: Snapshot) -> None:
        self._enter(self._stage_of(snapshot.position.epoch))
        restore(snapshot, self._parts.student, self._parts.objective, self._optimizer)
        self._position, self._history, self._best = snapshot.position, snapshot.history, snapshot.best
        self._order = snapshot.samples.get("order")

    def _go_back(self, end: Diverged) -> None:
        """To the last checkpoint, or to where this start began, once in the life of a training."""
        if self._position.lost_at is not None:
            raise end
        lost_at, ranks = self._position.step, self._parts.ranks
        safe = ranks.from_leader((self._checkpoints.latest() or self._start) if ranks.leads else None)
        if safe is None:
            raise end
        self._restore(replace(safe, position=slowed(lost_at, safe.position)))
        log.warning("%s", *self._says())

    def _says(self) -> tuple[str, ...]:
        if self._position.lost_at is None:
            return ()
        return (going_back(self._position, self._total, self._parts.training),)

    def _epoch(self) -> None:
        began = time.monotonic()
        training, epoch = self._parts.training, self._position.epoch
        count = self._course.table.samples[epoch - 1]
        taken = None if self._order is None or count == len(self._order) else self._order[:count]
        order = epoch_batches(count, training.batch_size, seed=training.seed, epoch=epoch, taken=taken)
        sums = torch.tensor(self._sums(self._position), dtype=torch.float64, device=self._parts.device)
        self._parts.student.train()
        drained, samples = self._position, 0
        for indices in order.after(self._position.batches_done):
            sums += self._step(indices)
            samples += len(indices)
            done = self._position.batches_done + 1
            self._position = replace(self._position, batches_done=done, step=self._position.step + 1)
            stopping = self._parts.ranks.any(self._stop.requested)
            if done % DRAIN_EVERY == 0 or done == len(order) or stopping:
                self._drain(sums, drained, samples)
                drained, samples = self._position, 0
            if stopping:
                raise self._disrupted()
        self._finish_epoch(time.monotonic() - began)

    def _step(self, indices: Tensor) -> Tensor:
        """One step; its losses as float64 [3 + terms], of all processes together."""
        parts = self._parts
        parts.ranks.seed(parts.training.seed, self._position.step)
        settings = self._course.settings(self._position.step)
        parts.objective.set(alpha=settings.alpha, temperature=settings.temperature)
        losses = train_step(
            parts.student,
            self._optimizer,
            parts.objective,
            examples(parts, indices, self._smallest),
            rate=self._rate(self._position.step),
            clip=parts.training.gradient_clip,
            ranks=parts.ranks,
            precision=parts.training.precision,
            last_layer=parts.last_layer,
        )
        if losses is not None:
            return parts.ranks.add(losses.stacked())
        return parts.ranks.add(torch.zeros(3 + len(self._names), dtype=torch.float64, device=parts.device))

    def _stage_of(self, epoch: int) -> int:
        """The stage of an epoch; the last one's for the epoch after the end."""
        return self._course.table.stage_of[min(epoch, self._epochs) - 1]

    def _rate(self, step: int) -> float:
        return self._position.rate_scale * self._course.rate(step)

    def _drain(self, sums: Tensor, since: Position, samples: int) -> None:
        """Read the losses, tell the board, and stop where they are no numbers any more."""
        values = sums.tolist()
        self._position = replace(self._position, sums=tuple(values))
        steps = self._position.step - since.step
        total, task, distillation, *terms = (
            (now - before) / steps for now, before in zip(values, self._sums(since), strict=True)
        )
        if is_lost(
            values, total, [each for each in self._history if self._stage_of(each.epoch) == self._stage]
        ):
            raise diverged(since.step + 1, self._position.step, self._total, self._parts.training)
        named = [TermLoss(name=name, value=value) for name, value in zip(self._names, terms, strict=True)]
        losses = Losses(total=total, task=task, distillation=distillation, terms=named)
        self._board.steps(
            step=self._position.step,
            epoch=self._position.epoch,
            samples=samples,
            losses=losses,
            settings=self._last_settings(),
        )

    def _finish_epoch(self, seconds: float) -> None:
        metric = self._validate()
        record = self._record(metric, seconds)
        self._history = (*self._history, record)
        last = self._stage == len(self._parts.objectives) - 1
        if last and (self._best is None or metric > self._best.metric):
            self._best = Best(record.epoch, metric, self._model())
        self._position = replace(self._position, epoch=self._position.epoch + 1, batches_done=0, sums=())
        self._board.metrics(student=metric, teacher=self._parts.validation.teacher)
        if self._stage_of(self._position.epoch) != self._stage:
            self._enter(self._stage + 1)
        self._save()
        say_epoch(record, self._epochs, self._parts.validation.metric, self._board)
        if self._parts.ranks.any(self._stop.requested):
            raise self._disrupted(saved=True)

    def _sums(self, position: Position) -> tuple[float, ...]:
        """The position's sums; zeros at an epoch's start."""
        return position.sums or (0.0,) * (3 + len(self._names))

    def _validate(self) -> float:
        """The leader's metric, which the others wait for. Raises Disrupted in all of them, after a checkpoint.

        A sharded student is run by all, whose passes are the same and end together.
        """
        measures = self._parts.ranks.leads or self._sharded
        metric = self._parts.ranks.from_leader(self._measured() if measures else None)
        if metric is None:
            raise self._disrupted()
        return metric

    def _measured(self) -> float | None:
        """None where it was asked to stop."""
        try:
            return self._parts.validation.score(self._parts.student)
        except Disrupted:
            return None

    def _last_settings(self) -> Settings:
        """Those of the last step that was done."""
        return self._course.settings(self._position.step - 1)

    def _record(self, metric: float, seconds: float) -> EpochRecord:
        loss, task, distillation, *terms = (
            value / self._position.batches_done for value in self._position.sums
        )
        return EpochRecord(
            epoch=self._position.epoch,
            loss=loss,
            task_loss=task,
            distillation_loss=distillation,
            student_metric=metric,
            teacher_metric=self._parts.validation.teacher,
            learning_rate=self._rate(self._position.step - 1),
            seconds=round(seconds, 3),
            terms=dict(zip(self._names, terms, strict=True)),
            **asdict(self._last_settings()),
        )

    def _snapshot(self) -> Snapshot:
        return Snapshot(
            position=self._position,
            history=self._history,
            best=self._best,
            model=self._model(),
            optimizer=optimizer_tensors(self._optimizer, keep=self._keeps),
            random=random_states(),
            objective=plain_tensors(self._parts.objective.state_dict()),
            samples={} if self._order is None else {"order": self._order},
        )

    @property
    def _keeps(self) -> bool:
        """Whether whole tensors stay here: of a sharded student only the leader has memory for them."""
        return self._parts.ranks.leads or not self._sharded

    def _model(self) -> dict[str, Tensor]:
        return plain_tensors(self._parts.student.state_dict(), keep=self._keeps)

    def _disrupted(self, *, saved: bool = False) -> Disrupted:
        if not saved:
            self._save()
        return Disrupted(
            f"stopped by a signal at step {self._position.step} of {self._total}; a checkpoint is written and the next start goes on from it"
        )

    def _save(self) -> None:
        """A checkpoint, by the leader; the others take its word for it at the next meeting."""
        if self._parts.ranks.leads or self._sharded:
            snapshot = self._snapshot()
        if self._parts.ranks.leads:
            self._checkpoints.save(snapshot)
