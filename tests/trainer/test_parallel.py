"""Several processes train what one would: real processes that talk over gloo."""

import json
import multiprocessing
import os
import socket

import pytest
import torch
from safetensors.torch import load_file
from text_world import write_sentences, write_student, write_teacher

from distill_api.contract import ExitCode, Outcome
from distill_trainer import loop, program, ranks
from distill_trainer.stop import StopSignal

SGD = {"epochs": 2, "optimizer": "SGD", "learningRate": 0.05}
MLP = {"builtin": {"name": "mlp"}}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def one_process(config, rank, world, port, change):
    os.environ |= {
        "RANK": str(rank),
        "WORLD_SIZE": str(world),
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
    }
    torch.set_num_threads(1)
    stop = StopSignal()
    if change:
        change(rank, stop)
    os._exit(int(program.run("train", config, stop)))


def together(workspace, world, change=None, **changes):
    """Exit codes of all, and what the leader said. Forked: torch is imported once for all."""
    config, port = workspace.write(workspace.config(**changes)), free_port()
    fork = multiprocessing.get_context("fork")
    processes = [
        fork.Process(target=one_process, args=(config, rank, world, port, change)) for rank in range(world)
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join(100)
        assert process.exitcode is not None, "a process hangs"
    said = Outcome.model_validate_json((workspace.root / "termination-log").read_bytes())
    return [process.exitcode for process in processes], said


def trained(workspace, name):
    [folder] = (workspace.output.parent / name / "versions").iterdir()
    detail = json.loads((folder / "result.json").read_text())["detail"]
    return load_file(folder / "model.safetensors"), detail["history"]


def assert_same(workspace, world, **changes):
    workspace.train(**changes, output={"uri": "pvc://models/one"})
    codes, said = together(workspace, world, **changes, output={"uri": "pvc://models/many"})
    assert codes == [0] * world, said
    (one, history), (many, histories) = trained(workspace, "one"), trained(workspace, "many")
    torch.testing.assert_close(many, one, atol=1e-5, rtol=1e-4)
    for name in ("loss", "task_loss", "distillation_loss"):
        assert [epoch[name] for epoch in histories] == pytest.approx(
            [epoch[name] for epoch in history], abs=1e-5
        )


def test_two_processes_make_the_student_that_one_makes(workspace):
    assert_same(workspace, 2, student=MLP, training={**SGD, "gradientClip": 0.5})


def few_at_once(_rank, _stop):
    ranks.BUCKET = 700  # the second layer and both biases; the first layer is larger by itself


def test_gradients_are_sent_in_several_pieces(workspace):
    changes = {"student": MLP, "training": {**SGD, "epochs": 1}}
    workspace.train(**changes, output={"uri": "pvc://models/one"})
    codes, said = together(workspace, 2, few_at_once, **changes, output={"uri": "pvc://models/many"})
    assert codes == [0, 0], said
    torch.testing.assert_close(
        trained(workspace, "many")[0], trained(workspace, "one")[0], atol=1e-5, rtol=1e-4
    )


def test_four_processes_that_accumulate_and_store_teacher_outputs(workspace):
    training = {**SGD, "epochs": 1, "batchSize": 24, "gradientAccumulation": 2}
    assert_same(workspace, 4, student=MLP, training=training, teacherOutputs={"mode": "Cached"})


def stop_second_after_three_steps(rank, stop):
    if rank == 1:
        real, steps = loop.train_step, []

        def step(*args, **kwargs):
            steps.append(1)
            if len(steps) == 3:
                stop.request()
            return real(*args, **kwargs)

        loop.train_step = step


def test_a_signal_to_any_process_stops_all_at_one_step_and_the_next_start_ends_alike(workspace):
    changes = {"student": MLP, "training": SGD}
    together(workspace, 2, **changes, output={"uri": "pvc://models/whole"})
    codes, said = together(workspace, 2, stop_second_after_three_steps, **changes)
    assert codes == [ExitCode.DISRUPTED] * 2
    assert "stopped by a signal at step 3 of" in said.message
    assert together(workspace, 2, **changes)[0] == [0, 0]
    (whole, _), (resumed, _) = trained(workspace, "whole"), trained(workspace, "run")
    torch.testing.assert_close(resumed, whole, atol=0, rtol=0)


def fail_second(rank, _stop):
    def step(*_args, **_kwargs):
        raise ValueError("a fault of one process")

    if rank == 1:
        loop.train_step = step


def test_the_fault_of_one_process_ends_all_and_the_leader_says_it(workspace):
    codes, said = together(workspace, 2, fail_second, student=MLP, training=SGD)
    assert codes == [ExitCode.FAILED] * 2
    assert "a process of the training failed unexpectedly (ValueError" in said.message


def vanish_second(rank, _stop):
    if rank == 1:
        loop.train_step = lambda *_args, **_kwargs: os._exit(9)


def test_a_process_that_vanishes_ends_the_others(workspace):
    codes, said = together(workspace, 2, vanish_second, student=MLP, training=SGD)
    assert (codes, said.reason) == ([ExitCode.FAILED, 9], "RankLost")


def test_batches_that_cannot_feed_all_are_refused(workspace):
    codes, said = together(workspace, 2, student=MLP, training={**SGD, "batchSize": 1})
    assert codes == [ExitCode.CONTRACT_BROKEN] * 2
    assert "training.batchSize 1 cannot be cut into 2 parts (processes: 2" in said.message


def test_terms_over_layers_see_the_layers_of_every_process(workspace):
    terms = [{"type": "Hint", "pairs": [{"teacher": "fc", "student": "features.1", "projection": "Linear"}]}]
    assert_same(
        workspace,
        2,
        student=MLP,
        objective={"terms": terms},
        training={**SGD, "epochs": 1, "learningRate": 0.001},
    )


@pytest.mark.parametrize(
    "outputs", [{"mode": "Online"}, {"mode": "Cached"}], ids=lambda outputs: outputs["mode"]
)
def test_texts_whose_padding_differs_between_processes(workspace, tmp_path, outputs):
    teacher = write_teacher(tmp_path / "text-teacher")
    student = write_student(tmp_path / "text-student", hidden_dropout_prob=0, attention_probs_dropout_prob=0)
    assert_same(
        workspace,
        2,
        task="TextClassification",
        teacher={"huggingFace": {"id": f"file://{teacher}"}},
        student={"huggingFace": {"id": f"file://{student}"}},
        dataset={
            "files": {"uri": f"file://{write_sentences(tmp_path / 'sentences')}", "format": "JsonLines"}
        },
        training={**SGD, "epochs": 1, "batchSize": 8},
        teacherOutputs=outputs,
    )
