"""The dashboard "Distillation: jobs": what runs, what waits, how each student does, and whether the operator is well.

Series of jobs come from the operator (labels `namespace`, `name`), those of a training from its pod, with the same
two labels by the PodMonitor. `max by` over them counts two operators' replicas once.
"""

from __future__ import annotations

from grafana_foundation_sdk.builders import dashboard as grafana
from grafana_foundation_sdk.builders import stat, table, timeseries
from grafana_foundation_sdk.builders.dashboard import Dashboard

from dashboards.panels import About, Query, datasource_variable, label_variable, lines, numbers, rows

FLEET = 'namespace=~"$namespace"'
JOB = f'{FLEET},name=~"$job"'
BY_JOB = "by (namespace, name)"
OF_JOB = "{{namespace}}/{{name}}"


def dashboard() -> Dashboard:
    """The dashboard, not yet encoded."""
    board = (
        Dashboard("Distillation: jobs")
        .uid("distillation-jobs")
        .description("DistillationJobs, their trainings, the rollouts of their students, and the operator.")
        .tags(["distillation"])
        .timezone("browser")
        .time("now-3h", "now")
        .refresh("30s")
        .with_variable(datasource_variable())
        .with_variable(label_variable("namespace", "Namespace", "label_values(distill_job_info, namespace)"))
        .with_variable(label_variable("job", "Job", f"label_values(distill_job_info{{{FLEET}}}, name)"))
    )
    for section in (_fleet, _training, _serving, _operator):
        section(board)
    return board


def _fleet(board: Dashboard) -> None:
    by_phase = Query(
        f"count by (phase) (max by (namespace, name, phase) (distill_job_info{{{FLEET}}}))", "{{phase}}"
    )
    board.with_row(grafana.Row("Fleet"))
    board.with_panel(
        numbers(About("Jobs now", "DistillationJobs that exist, by phase.", "short", 8), by_phase)
    )
    board.with_panel(
        lines(About("Jobs by phase", "DistillationJobs over time.", "short"), by_phase, stacked=True)
    )
    board.with_panel(_queue_time())
    board.with_panel(_job_table())
    board.with_panel(_failures())
    board.with_panel(_gpu_hours())
    board.with_panel(_gpus_held())


def _queue_time() -> timeseries.Panel:
    return lines(
        About("Time until training starts", "From acceptance of a job to its first running pod.", "s"),
        _quantile(0.5, "distill_job_queue_seconds"),
        _quantile(0.95, "distill_job_queue_seconds"),
    )


def _job_table() -> table.Panel:
    return rows(
        About("Jobs", "Each job with its phase; figures while it trains.", "short", 16, 9),
        {
            "namespace": "Namespace",
            "name": "Job",
            "task": "Task",
            "phase": "Phase",
            "Value #B": "Step",
            "Value #C": "Samples/s",
            "Value #D": "Student",
            "Value #E": "Teacher",
        },
        Query(f"max by (namespace, name, task, phase) (distill_job_info{{{JOB}}})"),
        Query(f"max {BY_JOB} (distill_train_step{{{JOB}}})"),
        Query(f"sum {BY_JOB} (distill_train_samples_per_second{{{JOB}}})"),
        Query(f"max {BY_JOB} (distill_eval_student_metric{{{JOB}}})"),
        Query(f"max {BY_JOB} (distill_eval_teacher_metric{{{JOB}}})"),
    )


def _failures() -> timeseries.Panel:
    return lines(
        About(
            "What went wrong",
            "Jobs that failed, training pods that were retried or evicted, rollouts that were taken back.",
            "short",
            8,
            9,
        ),
        Query(
            'sum(increase(distill_job_duration_seconds_count{phase="Failed"}[$__rate_interval]))',
            "jobs failed",
        ),
        Query("sum(increase(distill_job_restarts_total[$__rate_interval]))", "pods retried"),
        Query("sum(increase(distill_job_disruptions_total[$__rate_interval]))", "pods evicted"),
        Query("sum(increase(distill_canary_rollbacks_total[$__rate_interval]))", "rollouts taken back"),
    )


def _gpu_hours() -> stat.Panel:
    return numbers(
        About(
            "GPU hours",
            "GPUs that training pods held, times hours, over the time that is shown. A restart of the operator loses its own down time.",
            "h",
        ),
        Query(
            f"sum by (namespace, resource) (increase(distill_gpu_seconds_total{{{FLEET}}}[$__range])) / 3600",
            "{{namespace}} {{resource}}",
        ),
    )


def _gpus_held() -> timeseries.Panel:
    return lines(
        About(
            "GPUs held", "GPUs of training pods that have a node, whether they are busy or not.", "short", 16
        ),
        Query(
            f"sum by (namespace, resource) (rate(distill_gpu_seconds_total{{{FLEET}}}[$__rate_interval]))",
            "{{namespace}} {{resource}}",
        ),
        stacked=True,
    )


def _training(board: Dashboard) -> None:
    board.with_row(grafana.Row("Training of $job"))
    board.with_panel(
        lines(
            About("Losses", "Distillation loss (T²·KL to the teacher) and hard-label loss.", "none"),
            Query(f"max {BY_JOB} (distill_train_kd_loss{{{JOB}}})", f"{OF_JOB} distillation"),
            Query(f"max {BY_JOB} (distill_train_task_loss{{{JOB}}})", f"{OF_JOB} hard label"),
        )
    )
    board.with_panel(
        lines(
            About("Student against teacher", "Their metric on the validation split.", "percentunit"),
            Query(
                f"max by (namespace, name, metric) (distill_eval_student_metric{{{JOB}}})",
                f"{OF_JOB} student {{{{metric}}}}",
            ),
            Query(
                f"max by (namespace, name, metric) (distill_eval_teacher_metric{{{JOB}}})",
                f"{OF_JOB} teacher {{{{metric}}}}",
            ),
        )
    )
    board.with_panel(
        lines(
            About("Throughput", "Training samples per second, all nodes of a job together.", "reqps"),
            Query(f"sum {BY_JOB} (rate(distill_train_samples_total{{{JOB}}}[$__rate_interval]))", OF_JOB),
        )
    )


def _serving(board: Dashboard) -> None:
    board.with_row(grafana.Row("Serving"))
    board.with_panel(
        lines(
            About("Canary weight", "Share of the requests that a new student is given.", "percentunit"),
            Query(
                f"max by (namespace, service) (distill_canary_weight_ratio{{{FLEET}}})",
                "{{namespace}}/{{service}}",
            ),
        )
    )
    board.with_panel(
        lines(
            About("Requests", "Requests that each version of a student answered, by HTTP status.", "reqps"),
            Query(
                "sum by (namespace, inferenceservice, code) "
                f"(rate(distill_student_requests_total{{{FLEET}}}[$__rate_interval]))",
                "{{namespace}}/{{inferenceservice}} {{code}}",
            ),
        )
    )
    board.with_panel(
        lines(
            About("Latency, 99th percentile", "Time in which each version answers 99 of 100 requests.", "s"),
            Query(
                "histogram_quantile(0.99, sum by (namespace, inferenceservice, le) "
                f"(rate(distill_student_request_seconds_bucket{{{FLEET}}}[$__rate_interval])))",
                "{{namespace}}/{{inferenceservice}}",
            ),
        )
    )


def _operator(board: Dashboard) -> None:
    board.with_row(grafana.Row("Operator"))
    board.with_panel(
        lines(
            About("Reconciliations", "By result; errors are tried again with growing pauses.", "ops"),
            Query("sum by (result) (rate(distill_reconcile_total[$__rate_interval]))", "{{result}}"),
        )
    )
    board.with_panel(
        lines(
            About("Reconciliation time", "How long one takes, and how long its key waited before.", "s"),
            _quantile(0.99, "distill_reconcile_seconds", "work "),
            _quantile(0.99, "distill_workqueue_queue_seconds", "wait "),
        )
    )
    board.with_panel(
        lines(
            About("Queue", "Keys that wait for a worker, and keys that are tried again.", "short"),
            Query("max(distill_workqueue_depth)", "waiting"),
            Query("sum(rate(distill_workqueue_retries_total[$__rate_interval]))", "retries/s"),
        )
    )
    board.with_panel(_api_requests())
    board.with_panel(
        numbers(
            About("Leaders", "Operators that reconcile: 1 is right, 0 means that nobody does.", "short"),
            Query("sum(distill_leader)", "leaders"),
        )
    )


def _api_requests() -> timeseries.Panel:
    return lines(
        About(
            "Requests to the API server",
            "Without watches; a code other than 2xx names the trouble.",
            "reqps",
            16,
        ),
        Query(
            "sum by (verb, resource, code) (rate(distill_api_requests_total[$__rate_interval]))",
            "{{verb}} {{resource}} {{code}}",
        ),
    )


def _quantile(share: float, histogram: str, prefix: str = "") -> Query:
    return Query(
        f"histogram_quantile({share}, sum by (le) (rate({histogram}_bucket[$__rate_interval])))",
        f"{prefix}p{share * 100:.0f}",
    )
