"""A pod's processes: started alike, stopped together, and one exit code for all."""

import os
import signal
import subprocess
import sys
import time

import pytest
import torch
from test_parallel import free_port, trained

from distill_api.contract import ExitCode, Outcome
from distill_trainer.launch import Layout, layout, planned_world, spoken

MLP = {"builtin": {"name": "mlp"}}
TRAINING = {"epochs": 1, "optimizer": "SGD", "learningRate": 0.05}


def test_processes_are_numbered_through_all_pods():
    found = Layout(nodes=2, processes=3, node=1, address="first", port=7).environments(
        {"OMP_NUM_THREADS": "8"}
    )
    assert [each["RANK"] for each in found] == ["3", "4", "5"]
    assert [each["LOCAL_RANK"] for each in found] == ["0", "1", "2"]
    expected = {"WORLD_SIZE": "6", "LOCAL_WORLD_SIZE": "3", "MASTER_ADDR": "first", "MASTER_PORT": "7"}
    assert expected.items() <= found[0].items()
    assert found[0]["OMP_NUM_THREADS"] == "2"


def test_the_first_pod_needs_no_name_for_itself():
    assert Layout(2, 1, address="first").environments({})[0]["MASTER_ADDR"] == "127.0.0.1"


@pytest.mark.parametrize(
    ("environment", "world"),
    [({}, 1), ({"DISTILL_PROCESSES": "4"}, 4), ({"DISTILL_NODES": "2", "DISTILL_PROCESSES": "4"}, 8)],
)
def test_what_is_planned(environment, world):
    assert planned_world(environment) == world
    found = layout(environment)
    assert (found.world if found else 1) == world
    assert layout({**environment, "WORLD_SIZE": "2"}) is None


@pytest.mark.parametrize(
    ("codes", "code"), [([0, 0], 0), ([75, 75], 75), ([1, -9], 1), ([0, 65], 65), ([0, -9], 137)]
)
def test_one_code_for_all(codes, code):
    assert spoken(codes) == code


def pod(config, **environment):
    """A pod's first process, as the operator's manifest starts it."""
    command = [sys.executable, "-m", "distill_trainer", "train", "--config", str(config)]
    return subprocess.Popen(command, env={**os.environ, "OMP_NUM_THREADS": "1", **environment})


def test_two_pods_of_two_processes_make_the_student_that_one_process_makes(workspace):
    changes = {"student": MLP, "training": TRAINING}
    workspace.train(**changes, output={"uri": "pvc://models/one"})
    config = workspace.write(workspace.config(**changes, output={"uri": "pvc://models/many"}))
    port = str(free_port())
    meeting = {
        "DISTILL_NODES": "2",
        "DISTILL_PROCESSES": "2",
        "MASTER_ADDR": "localhost",
        "MASTER_PORT": port,
    }
    pods = [pod(config, **meeting, JOB_COMPLETION_INDEX=str(index)) for index in range(2)]
    assert [each.wait(500) for each in pods] == [0, 0]
    torch.testing.assert_close(
        trained(workspace, "many")[0], trained(workspace, "one")[0], atol=1e-5, rtol=1e-4
    )


def test_a_signal_to_the_pod_is_one_to_all_its_processes(workspace):
    config = workspace.write(workspace.config(student=MLP, training={**TRAINING, "epochs": 5000}))
    started = pod(config, DISTILL_PROCESSES="2", MASTER_PORT=str(free_port()))
    while not list(workspace.output.glob("checkpoints/*/*/step-*")):
        assert started.poll() is None
        time.sleep(0.1)
    started.send_signal(signal.SIGTERM)
    assert started.wait(300) == ExitCode.DISRUPTED
    said = Outcome.model_validate_json((workspace.root / "termination-log").read_bytes())
    assert "stopped by a signal at step" in said.message


def test_a_batch_that_cannot_feed_all_is_refused_by_the_check(workspace, monkeypatch):
    monkeypatch.setenv("DISTILL_NODES", "2")
    monkeypatch.setenv("DISTILL_PROCESSES", "8")
    ended = workspace.check(training={"batchSize": 12})
    assert (ended.code, ended.outcome.reason) == (ExitCode.CONTRACT_BROKEN, "BatchTooSmall")
    assert "training.batchSize 12 cannot be cut into 16 parts" in ended.outcome.message
