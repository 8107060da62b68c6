"""Series of what is no more: none is left, and the text that Prometheus scrapes does not grow."""

import re

from distill_api.status import Phase, RolloutPhase
from distill_operator.gpu_time import Ask
from distill_operator.metrics import Metrics


def lives(metrics, count, *, gone):
    """So many jobs and services go through all their phases."""
    for number in range(count):
        job, service = f"digits-{number}", f"service-{number}"
        for phase in Phase:
            metrics.set_phase("team-a", job, "ImageClassification", phase.value)
        for rollout in RolloutPhase:
            metrics.set_rollout("team-a", service, 0.25, rollout.value)
        if gone:
            metrics.forget_job("team-a", job)
            metrics.forget_rollout("team-a", service)


def test_a_hundred_deleted_jobs_leave_nothing():
    metrics = Metrics()
    before = metrics.exposition()
    lives(metrics, 100, gone=True)
    assert metrics.exposition() == before


def test_a_job_is_in_one_phase_and_a_service_in_one_too():
    metrics = Metrics()
    lives(metrics, 2, gone=False)
    text = metrics.exposition().decode()
    assert len(re.findall(r"^distill_job_info\{", text, re.MULTILINE)) == 2
    assert len(re.findall(r"^distill_canary_phase\{", text, re.MULTILINE)) == 2
    last = list(Phase)[-1].value
    assert f'distill_jobs{{phase="{last}"}} 2.0' in text
    assert sum(float(n) for n in re.findall(r"^distill_jobs\{.*\} (\S+)$", text, re.MULTILINE)) == 2


def test_no_label_holds_a_name_that_lives_shorter_than_its_series():
    """GPU seconds outlive their jobs, and so are told by namespace."""
    metrics = Metrics()
    metrics.leads()
    for number in range(3):
        metrics.gpu_time.seen(("team-a", f"digits-{number}"), Ask("nvidia.com/gpu", 1), (), metrics._clock())
    series = re.findall(r"^distill_gpu_seconds_total.*$", metrics.exposition().decode(), re.MULTILINE)
    assert series == ['distill_gpu_seconds_total{namespace="team-a",resource="nvidia.com/gpu"} 0.0']
