"""After training: both models on the same test batches, then result, report and version folder."""

from __future__ import annotations

import logging
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from distill_api.contract import Outcome, TrainerConfig
from distill_api.naming import short
from distill_api.status import Artifact, Drop, Export, Lineage, MeasuredOn, ModelResult, Result
from distill_trainer import export, latency, metrics, report, student, throughput
from distill_trainer.adapter import Adapter
from distill_trainer.batch import Inputs
from distill_trainer.card import model_card
from distill_trainer.check import Contract
from distill_trainer.checkpoint import Identity
from distill_trainer.cost import forward_flops
from distill_trainer.data import DataSet
from distill_trainer.evaluate import Judged
from distill_trainer.judging import Examined, Figures, Reading
from distill_trainer.models import count_parameters
from distill_trainer.output import REPORT, VersionFiles, Written, write_version
from distill_trainer.parts import Trained
from distill_trainer.progress import ProgressBoard
from distill_trainer.stop import StopSignal
from distill_trainer.tasks import kit_of
from distill_trainer.throughput import Speed

log = logging.getLogger(__name__)
_EXPORT_BATCHES = (2, 1, 3, 17)
"""Sizes of the batches that an export is compared on; the first is the one that is traced."""


@dataclass(frozen=True)
class Finished:
    """A finished training and everything it came from; the student holds its best epoch."""

    config: TrainerConfig
    contract: Contract
    data: DataSet
    teacher: nn.Module
    student: nn.Module
    trained: Trained
    identity: Identity
    device: torch.device
    output: Path
    adapter: Adapter | None = None
    """The student's adapters, which are merged, where they go with a model that lies somewhere."""


@dataclass(frozen=True)
class Measured:
    """Both models on the test split, `validated` on the validation split."""

    examined: Examined
    teacher: ModelResult
    student: ModelResult
    validated: Examined
    measured_on: MeasuredOn


def publish(run: Finished, board: ProgressBoard, stop: StopSignal) -> Outcome:
    """Measure both, write the version folder, and say how it went. Raises Disrupted before anything is written."""
    board.stage("Evaluating")
    measured = measure(run, stop)
    stop.check()
    board.stage("Writing")
    return write_version(
        run.output,
        _student_config(run, measured),
        lambda folder: _write_model(run, folder),
        lambda written: _files(run, measured, written),
    )


def measure(run: Finished, stop: StopSignal) -> Measured:
    """Teacher and student on the same batches of the test split."""
    kit = kit_of(run.config.task)
    at_once = kit.evaluation_batch(run.config.training)
    test, validation = (
        Reading(split, run.device, stop, at_once) for split in (run.data.test, run.data.validation)
    )
    examined, validated = (
        kit.judge.examine(run.teacher, run.student, reading, run.config.evaluation, run.config.training.seed)
        for reading in (test, validation)
    )
    speeds = throughput.compare(run.teacher, run.student, test)
    example, compared = kit.example(run.contract.signature, 1, run.device), examined.comparison
    return Measured(
        examined,
        _model_result(run.teacher, example, compared.teacher, examined.teacher, speeds.teacher),
        _model_result(run.student, example, compared.student, examined.student, speeds.student),
        validated,
        speeds.measured_on,
    )


def _model_result(
    model: nn.Module, example: Inputs, value: metrics.Interval, figures: Figures, speed: Speed
) -> ModelResult:
    taken = latency.measure(model, example)
    size = sum(parameter.numel() * parameter.element_size() for parameter in model.parameters())
    return ModelResult(
        metric=value.value,
        metric_low=value.low,
        metric_high=value.high,
        perplexity=figures.perplexity,
        parameters=count_parameters(model),
        bytes=size,
        latency_p50_seconds=float(f"{taken.p50:.4g}"),
        latency_p99_seconds=float(f"{taken.p99:.4g}"),
        samples_per_second=speed.samples_per_second,
        joules_per_thousand_samples=speed.joules_per_thousand_samples,
        flops=forward_flops(model, example),
        calibration_error=figures.calibration_error,
    )


def _write_model(run: Finished, folder: Path) -> tuple[Export, ...]:
    sources = run.contract.sources
    sources.student.write(run.student, folder)
    kit_of(run.config.task).write(folder, run.config, sources)
    if run.adapter:
        run.adapter.write(folder)
    batches = [
        run.data.test.batch(torch.arange(size) % len(run.data.test)).inputs for size in _EXPORT_BATCHES
    ]
    longest = sources.student.longest_input()
    return export.export(run.config.output.formats, run.student, batches, longest, folder)


def _student_config(run: Finished, measured: Measured) -> dict[str, Any]:
    """student.json of the version; see `student` for the format."""
    metric = run.config.evaluation.metric
    return {
        "format": student.FORMAT,
        "task": run.config.task.value,
        "model": run.contract.student.config(),
        "classes": list(run.data.classes),
        "input": kit_of(run.config.task).reads(run.config, run.contract.sources, run.data),
        "metric": {
            "name": metric.value,
            "value": measured.student.metric,
            "samples": measured.examined.samples,
        },
        "lineage": {
            "teacherDigest": run.identity.teacher,
            "datasetDigest": run.identity.dataset,
            "recipeDigest": run.identity.recipe,
        },
    }


def _files(run: Finished, measured: Measured, written: Written) -> VersionFiles:
    result = _result(run, measured, written)
    lineage = Lineage(
        teacher_digest=run.identity.teacher,
        dataset_digest=run.identity.dataset,
        recipe_digest=run.identity.recipe,
        student_digest=written.digest,
    )
    outcome = Outcome(reason="Succeeded", message=_sentence(run, result), result=result, lineage=lineage)
    page = report.Page(
        config=run.config,
        contract=run.contract,
        data=run.data,
        history=run.trained.history,
        best_epoch=run.trained.best.epoch,
        result=result,
        lineage=lineage,
        judged=measured.examined.judged,
        device=_device_words(run.device),
    )
    names = (run.contract.student.name, run.contract.teacher.name)
    card = model_card(run.config, names, run.data.name, result, lineage)
    return VersionFiles(outcome, _detail(run, measured), report.render(page), card)


def _device_words(device: torch.device) -> str:
    return torch.cuda.get_device_name(device) if device.type == "cuda" else "CPU"


def _result(run: Finished, measured: Measured, written: Written) -> Result:
    uri = f"{run.config.output.uri.rstrip('/')}/versions/{short(written.digest, 12)}"
    comparison, teacher, pupil = measured.examined.comparison, measured.teacher, measured.student
    drop = comparison.drop
    return Result(
        metric=run.config.evaluation.metric,
        samples=measured.examined.samples,
        student=pupil,
        teacher=teacher,
        drop=Drop(
            value=drop.value, low=drop.low, high=drop.high, confidence=run.config.evaluation.confidence
        ),
        agreement=comparison.agreement,
        compression=round(teacher.parameters / pupil.parameters, 3),
        retained=pupil.metric / teacher.metric if teacher.metric else 0.0,
        measured_on=measured.measured_on,
        artifact=Artifact(uri=uri, digest=written.digest, bytes=written.weights_bytes),
        report=f"{uri}/{REPORT}",
        exports=list(written.exports) or None,
    )


def _sentence(run: Finished, result: Result) -> str:
    warnings = "".join(f"; {warning}" for warning in run.contract.warnings)
    return (
        f"student {run.contract.student.name} reaches {result.metric.value} {result.student.metric:.4f} on {result.samples} "
        f"test samples, teacher {run.contract.teacher.name} {result.teacher.metric:.4f}: {100 * result.retained:.1f} % "
        f"of it with 1/{result.compression:.1f} of the parameters{_perplexities(result)}{warnings}"
    )


def _perplexities(result: Result) -> str:
    mine, theirs = result.student.perplexity, result.teacher.perplexity
    return "" if mine is None or theirs is None else f"; perplexity {mine:.4g}, teacher's {theirs:.4g}"


def _detail(run: Finished, measured: Measured) -> dict[str, Any]:
    """What result.json has beyond the outcome: curves, and confusion matrices where they can be looked through.

    `validation` is the kept student on the split that it was chosen by: what to choose between recipes by, since a test split
    that is chosen by measures nothing any more.
    """
    judged, classes = measured.examined.judged, len(run.data.classes)
    curves = {
        "bestEpoch": run.trained.best.epoch,
        "validation": {
            "student": asdict(measured.validated.comparison.student),
            "drop": asdict(measured.validated.comparison.drop),
            "samples": measured.validated.samples,
        },
        "history": [asdict(record) for record in run.trained.history],
    }
    if classes > metrics.CONFUSED_UP_TO or not isinstance(judged, Judged):
        return curves
    return {
        "classes": list(run.data.classes),
        **curves,
        "confusion": {
            name: metrics.confusion(said.classes, judged.labels, classes).tolist()
            for name, said in zip(("teacher", "student"), judged.models, strict=True)
        },
    }
