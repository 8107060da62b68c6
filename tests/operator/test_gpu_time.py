"""GPU seconds: what is held from the node to the end, once, by whoever leads."""

from datetime import UTC, datetime, timedelta

import pytest
from operator_builders import NOW, ago, pod

from distill_operator.gpu_time import Ask, GpuTime
from distill_operator.metrics import Metrics
from distill_operator.observe import observe_pod

JOB, KIND = ("team-a", "digits"), ("team-a", "nvidia.com/gpu")
TWO = Ask("nvidia.com/gpu", 2)


def counting(since=3600):
    time = GpuTime()
    time.begin(ago(since))
    return time


@pytest.mark.parametrize(
    ("pods", "since", "seconds"),
    [
        ([], 3600, 0),
        ([pod(phase="Pending")], 3600, 0),
        ([pod(scheduled=ago(100))], 3600, 2 * 100),
        ([pod(scheduled=ago(100), ended=ago(40))], 3600, 2 * 60),
        ([pod(scheduled=ago(100), ended=ago(40)), pod(uid="pod-2", scheduled=ago(30))], 3600, 2 * 90),
        # What went before this process led was counted by the one before it.
        ([pod(scheduled=ago(100))], 10, 2 * 10),
        ([pod(scheduled=ago(100), ended=ago(40))], 10, 0),
    ],
)
def test_a_pod_counts_from_its_node_to_its_end(pods, since, seconds):
    time = counting(since)
    time.seen(JOB, TWO, pods, NOW)
    assert time.totals(NOW) == {KIND: seconds}


def test_seen_again_it_is_not_counted_again_and_gone_it_stays_counted():
    time, held = counting(), [pod(scheduled=ago(100))]
    for _ in range(3):
        time.seen(JOB, TWO, held, NOW)
    time.seen(JOB, TWO, [], NOW)
    assert time.totals(NOW + timedelta(hours=1)) == {KIND: 200}
    time.seen(JOB, TWO, [pod(uid="pod-2", scheduled=NOW)], NOW)
    later = NOW + timedelta(seconds=5)
    time.gone(JOB, later)
    assert time.totals(later + timedelta(hours=1)) == {KIND: 210}


def test_a_job_without_gpus_has_no_series():
    time = counting()
    time.seen(JOB, Ask("nvidia.com/gpu", 0), [pod(scheduled=ago(100))], NOW)
    assert time.totals(NOW) == {}


def test_prometheus_sees_the_present_sum_without_an_event():
    moment = [NOW]
    metrics = Metrics(clock=lambda: moment[0])
    metrics.leads()
    metrics.gpu_time.seen(JOB, TWO, [pod(scheduled=NOW)], NOW)
    series = 'distill_gpu_seconds_total{namespace="team-a",resource="nvidia.com/gpu"}'
    assert f"{series} 0.0\n" in metrics.exposition().decode()
    moment[0] += timedelta(minutes=1)
    assert f"{series} 120.0\n" in metrics.exposition().decode()


def test_when_a_pod_got_its_node_and_when_it_gave_it_back():
    def at(minute):
        return f"2026-01-02T03:{minute:02}:00Z"

    raw = {
        "metadata": {"name": "digits-0", "uid": "u", "creationTimestamp": at(0)},
        "status": {
            "phase": "Running",
            "conditions": [{"type": "PodScheduled", "status": "True", "lastTransitionTime": at(1)}],
            "containerStatuses": [{"state": {"running": {"startedAt": at(2)}}}],
        },
    }
    seen = observe_pod(raw)
    assert (seen.scheduled, seen.ended) == (datetime(2026, 1, 2, 3, 1, tzinfo=UTC), None)
    raw["status"]["containerStatuses"] = [{"state": {"terminated": {"exitCode": 1, "finishedAt": at(3)}}}]
    assert observe_pod(raw).ended == datetime(2026, 1, 2, 3, 3, tzinfo=UTC)
    # A node that is lost says nothing of containers.
    raw["status"] = {
        "phase": "Failed",
        "conditions": [
            {"type": "PodScheduled", "status": "True", "lastTransitionTime": at(1)},
            {"type": "DisruptionTarget", "status": "True", "lastTransitionTime": at(9)},
        ],
    }
    assert observe_pod(raw).ended == datetime(2026, 1, 2, 3, 9, tzinfo=UTC)
    raw["status"]["phase"] = "Pending"
    raw["status"]["conditions"] = [
        {"type": "PodScheduled", "status": "False", "lastTransitionTime": at(1), "message": "no GPU"}
    ]
    assert (observe_pod(raw).scheduled, observe_pod(raw).ended) == (None, None)
