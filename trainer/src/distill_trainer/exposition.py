"""The board as Prometheus metrics, made anew for each scrape. Names are the contract with the dashboards."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4 as CONTENT_TYPE
from prometheus_client.registry import Collector

from distill_trainer.progress import ProgressBoard

__all__ = ["CONTENT_TYPE", "exposition"]


def exposition(board: ProgressBoard, metric: str) -> bytes:
    """The text of /metrics; `metric` is the label of the evaluation's values."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Board(board, metric))
    return generate_latest(registry)


class _Board(Collector):
    def __init__(self, board: ProgressBoard, metric: str) -> None:
        self._board = board
        self._metric = metric

    def collect(self) -> Iterator[Metric]:
        """What is known by now; a value that is not known yet is absent, never 0."""
        now = self._board.progress
        if now.losses:
            yield _gauge("distill_train_loss", "Mean loss of the last logged steps.", now.losses.total)
            yield _gauge("distill_train_task_loss", "Cross-entropy with the labels.", now.losses.task)
            yield _gauge("distill_train_kd_loss", "Distillation loss, T² included.", now.losses.distillation)
            terms = GaugeMetricFamily("distill_train_term_loss", "Each term, not weighted.", labels=["term"])
            for term in now.losses.terms or ():
                terms.add_metric([term.name], term.value)
            yield terms
        for name, text, value in (
            ("sample_share", "Share of the samples that the epoch takes.", now.sample_share),
            ("alpha", "α of the last logged step, where a curriculum changes it.", now.alpha),
            ("temperature", "T of the last logged step, where a curriculum changes it.", now.temperature),
        ):
            if value is not None:
                yield _gauge(f"distill_train_{name}", text, value)
        if now.training_stage is not None:
            stage = GaugeMetricFamily("distill_train_stage", "1 for the stage that runs.", labels=["stage"])
            stage.add_metric([now.training_stage], 1)
            yield stage
        yield _gauge("distill_train_step", "Optimizer steps done.", now.step)
        yield _gauge("distill_train_steps", "Optimizer steps in all.", now.total_steps)
        yield _gauge("distill_train_epoch", "The epoch that runs, from 1.", now.epoch)
        yield _gauge("distill_train_samples_per_second", "Training throughput.", now.samples_per_second)
        yield CounterMetricFamily(
            "distill_train_samples", "Samples trained on by this process.", value=self._board.samples_total
        )
        for who, value in (("student", now.student_metric), ("teacher", now.teacher_metric)):
            if value is not None:
                family = GaugeMetricFamily(
                    f"distill_eval_{who}_metric", f"The {who} on the validation split.", labels=["metric"]
                )
                family.add_metric([self._metric], value)
                yield family


def _gauge(name: str, text: str, value: float) -> Metric:
    return GaugeMetricFamily(name, text, value=value)
