"""`distill run`: a job on this machine, from the first epoch to the verdict; stopped, gone on with, killed."""

import io
import json
import os
import signal
import subprocess
import sys

import pytest
from rich.console import Console

from distill_api.contract import ExitCode
from distill_api.status import Losses, Progress, pace
from distill_cli.errors import CommandError
from distill_cli.training.ending import Ended, without_a_word
from distill_cli.training.processes import gpus_here, processes_here, refuse_shared_gpus
from distill_cli.training.show import display
from distill_cli.training.words import duration, figures, share, where


def test_a_run_ends_with_figures_places_and_the_verdict(distill, write, job_text, claim, tmp_path):
    text = (
        job_text
        + "  gate: {minValue: 0.99}\n  policy: {backoffLimit: 1}\n  resources: {gpusPerNode: 8, cpu: '1'}\n"
    )
    out = tmp_path / "out"
    answer = distill("run", write(text), "--claim", claim, "--output", out, "--set", "spec.training.seed=7")
    assert answer.code == ExitCode.FAILED, answer.error
    assert "without a cluster these have no effect: spec.policy, spec.resources.cpu" in answer.out
    if not gpus_here():
        assert "gpusPerNode is 8, and this machine has no GPU: one process trains, on the CPU; " in answer.out
    assert "epoch 1/1  loss " in answer.out
    assert "on 359 test samples" in answer.out
    (version,) = (out / "versions").iterdir()
    assert f"student  {version}\n" in answer.out
    assert f"report   {version}/report.html\n" in answer.out
    assert "gate     not passed (ValueTooSmall): accuracy: student " in answer.out
    assert "epoch 1/1" in (out / "run.log").read_text()

    again = distill("report", out)
    assert again.code == 0
    assert f"report   {version}/report.html\n" in again.out
    assert again.out.splitlines()[1] in answer.out


def test_stopped_it_writes_a_checkpoint_and_the_same_command_goes_on(write, job_text, claim, tmp_path):
    file = write(job_text.replace("epochs: 1", "epochs: 400"))
    command = [sys.executable, "-m", "distill_cli.main", "run", str(file), "--claim", claim, "--json"]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment, text=True) as first:
        for line in first.stdout:
            if json.loads(line).get("step", 0) > 0:
                first.send_signal(signal.SIGINT)
                break
        events = [json.loads(line) for line in first.stdout]
    assert first.returncode == ExitCode.DISRUPTED
    assert (events[-1]["event"], events[-1]["reason"]) == ("outcome", "Disrupted")
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment, text=True) as second:
        steps = (event["step"] for line in second.stdout if (event := json.loads(line)).get("totalSteps"))
        resumed_at = next(steps)
        second.send_signal(signal.SIGTERM)
        second.stdout.read()
    assert second.returncode == ExitCode.DISRUPTED
    assert f"at step {resumed_at} of " in events[-1]["message"]
    assert (tmp_path / "models" / "students" / "digits" / "checkpoints").is_dir()


def test_several_processes_train_one_student_and_the_first_speaks(distill, write, job_text, claim, tmp_path):
    if gpus_here():
        pytest.skip("processes on a CPU are tried where there is no GPU")
    out = tmp_path / "out"
    answer = distill("run", write(job_text), "--claim", claim, "--output", out, "--processes", 2, "--json")
    assert answer.code == 0, answer.error
    events = [json.loads(line) for line in answer.out.splitlines()]
    assert [event["event"] for event in events].count("outcome") == 1
    assert [event.get("message", "").startswith("epoch 1/1") for event in events].count(True) == 1
    assert (out / "run.log").read_text().count("epoch 1/1") == 2  # each has trained
    assert len(list((out / "versions").iterdir())) == 1


def test_several_processes_stop_with_a_checkpoint(write, job_text, claim):
    file = write(job_text.replace("epochs: 1", "epochs: 400"))
    command = [sys.executable, "-m", "distill_cli.main", "run", str(file), "--claim", claim, "--json"]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    with subprocess.Popen(
        [*command, "--processes", "2"], stdout=subprocess.PIPE, env=environment, text=True
    ) as run:
        for line in run.stdout:
            if json.loads(line).get("step", 0) > 0:
                run.send_signal(signal.SIGINT)
                break
        events = [json.loads(line) for line in run.stdout]
    assert run.returncode == ExitCode.DISRUPTED
    assert (events[-1]["event"], events[-1]["reason"]) == ("outcome", "Disrupted")


@pytest.mark.parametrize(
    ("asked", "here", "count", "said"),
    [
        (1, 4, 1, ""),
        (0, 4, 1, ""),
        (4, 4, 4, "4 processes train, one on each GPU"),
        (2, 4, 2, "2 processes train, one on each GPU"),
        (8, 2, 2, "gpusPerNode is 8, and this machine has 2 GPUs: 2 processes train"),
        (8, 1, 1, "this machine has one GPU: one process trains"),
        (8, 0, 1, "this machine has no GPU: one process trains, on the CPU"),
    ],
)
def test_processes_of_a_job_on_a_machine(asked, here, count, said):
    found, sentence = processes_here(asked, here)
    assert (found, said in sentence) == (count, True)
    assert bool(sentence) == bool(said)


def test_more_processes_than_gpus_are_refused():
    refuse_shared_gpus(4, 0)
    refuse_shared_gpus(2, 2)
    with pytest.raises(CommandError, match="--processes 3: this machine has 2 GPUs"):
        refuse_shared_gpus(3, 2)


@pytest.mark.parametrize("text", ["0", "-1", "two"])
def test_a_number_of_processes_that_is_none(distill, job, capsys, text):
    with pytest.raises(SystemExit):
        distill("run", job, f"--processes={text}")
    assert "is no number of processes: give 1 or more" in capsys.readouterr().err


def test_a_broken_contract_ends_with_its_reason_and_its_code(distill, write, job_text, claim):
    file = write(job_text.replace("convnet-tiny", "convnet-tinny"))
    answer = distill("run", file, "--claim", claim)
    assert answer.code == ExitCode.CONTRACT_BROKEN
    assert "Error: UnknownModel: student.builtin.name is 'convnet-tinny'" in answer.error
    assert "the trainer's log: " in answer.error
    assert "Traceback" not in answer.out + answer.error


def test_a_wrong_file_is_told_before_anything_starts(distill, write, job_text, claim):
    file = write(job_text.replace("alpha: 0.1", "alpha: 2").replace("epochs: 1", "epochs: 0"))
    answer = distill("run", file, "--claim", claim)
    assert answer.code == ExitCode.CONFIG_INVALID
    assert f"{file}:10: spec.objective.alpha: 2: must be between 0" in answer.error
    assert f"{file}:12: spec.training.epochs: 0: " in answer.error


def test_claims_of_inputs_and_output_are_named(distill, job):
    answer = distill("run", job)
    assert answer.code == ExitCode.CONFIG_INVALID
    assert "spec.output.uri: pvc://models/students/digits: claim models has no folder" in answer.error
    assert "add --claim models=DIR, or --output DIR" in answer.error
    assert "spec.teacher.weights.uri: pvc://models/teacher.safetensors: claim models has no" in answer.error


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("training.epochs=3", "write it as spec.<field>=<value>"),
        ("spec.training.epochs", "write it as spec.<field>=<value>"),
        ("spec.training.epochs=0", "--set spec.training.epochs: spec.training.epochs: 0: must be greater"),
        ("spec.training.epoch=3", 'spec.training.epoch: unknown field; did you mean "epochs"?'),
        ("spec.objective.terms[0].weight=2", "the job has no 'terms' there that could be set"),
        ("spec.task.kind=x", "the job has no 'kind' there that could be set"),
        ("spec.training.epochs={", "no YAML"),
    ],
)
def test_a_setting_that_is_wrong(distill, job, claim, setting, said):
    answer = distill("run", job, "--claim", claim, "--set", setting)
    assert (answer.code, said in answer.error) == (ExitCode.CONFIG_INVALID, True), answer.error


def test_of_several_jobs_one_has_to_be_chosen(distill, write, job_text, claim):
    file = write(f"{job_text}---\n{job_text.replace('name: digits, ', 'name: other, ')}")
    answer = distill("run", file, "--claim", claim)
    assert answer.code == ExitCode.CONFIG_INVALID
    assert f"{file} holds 2 jobs (there are: digits, other); choose one with --job NAME" in answer.error
    wrong = distill("run", file, "--claim", claim, "--job", "third")
    assert "holds 0 jobs called third" in wrong.error


def test_a_folder_that_cannot_be_written(distill, job, claim, tmp_path):
    (tmp_path / "file").touch()
    answer = distill("run", job, "--claim", claim, "--output", tmp_path / "file" / "out")
    assert answer.code == ExitCode.CONTRACT_BROKEN
    assert "cannot be written: Not a directory; choose another with --output DIR" in answer.error


@pytest.mark.parametrize(
    ("code", "asked", "said"),
    [
        (-9, False, "was killed, most often because memory ran out"),
        (-11, False, "was ended by signal SIGSEGV"),
        (1, False, "ended with 1 and said nothing"),
        (-15, True, "stopped before there was anything to save"),
    ],
)
def test_a_trainer_that_says_nothing(tmp_path, code, asked, said):
    sentence = without_a_word(Ended(code, None, asked, tmp_path / "run.log"))
    assert said in sentence
    assert "run the same command again" in sentence


@pytest.mark.parametrize(
    ("progress", "expected"),
    [
        (Progress(), (0, None)),
        (Progress(stage="Caching", percent=30), (30, 100)),
        (Progress(stage="Training"), (0, None)),
        (Progress(stage="Training", step=3, total_steps=12), (3, 12)),
        (Progress(stage="Evaluating", step=12, total_steps=12), (1, 1)),
    ],
)
def test_the_bar_is_as_far_as_the_stage(progress, expected):
    assert share(progress) == expected


def test_on_a_terminal_there_is_a_bar_with_warnings_above():
    shown = io.StringIO()
    progress = Progress(stage="Training", step=3, total_steps=12, epoch=2, epochs=5, student_metric=0.5)
    with display(Console(file=shown, force_terminal=True, width=100), as_json=False) as terminal:
        terminal.show({"event": "progress", **progress.wire()})
        terminal.show(
            {"event": "log", "level": "INFO", "logger": "distill_trainer.loop", "message": "epoch 1/5"}
        )
        terminal.show({"event": "log", "level": "INFO", "logger": "distill_trainer.run", "message": "a note"})
        terminal.show({"event": "log", "level": "WARNING", "logger": "x", "message": "odd"})
    text = shown.getvalue()
    for words in (
        "going on from the checkpoint at step 3 of 12",
        "25 %",
        "epoch 2/5",
        "student 0.500",
        "a note",
        "Warning: odd",
    ):
        assert words in text
    assert "epoch 1/5" not in text


def test_progress_says_only_what_is_known():
    assert where(Progress()) == figures(Progress()) == ""
    known = Progress(
        epoch=2,
        epochs=5,
        samples_per_second=1234.4,
        seconds_remaining=75,
        losses=Losses(total=1.5, task=0.5, distillation=1.6),
        student_metric=0.9,
    )
    assert where(known) == "epoch 2/5  1m15s left  1,234 samples/s"
    assert figures(known) == "loss 1.500 (labels 0.500, teacher 1.600)  student 0.900"


@pytest.mark.parametrize(
    ("rate", "said"), [(1234.4, "1,234"), (99.96, "100"), (6.44, "6.44"), (0.05, "0.05")]
)
def test_paces_of_slow_models_are_not_rounded_to_nothing(rate, said):
    assert pace(rate) == said


@pytest.mark.parametrize(("seconds", "said"), [(0, "0s"), (59.6, "1m00s"), (75, "1m15s"), (7300, "2h01m")])
def test_durations(seconds, said):
    assert duration(seconds) == said
