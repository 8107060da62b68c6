"""`distill validate`: every fault with its line and what to do; then whether the parts fit."""

import io
import sys
from pathlib import Path

import pytest

from distill_api.contract import ExitCode

TEACHER = "teacher: {builtin: {name: convnet-small}, weights: {uri: pvc://models/teacher.safetensors}}"

# Nine anchors, each a list of ten of the one before: a thousand million entries.
BOMB = "[&a0 [x], " + ", ".join(f"&a{at} [{', '.join([f'*a{at - 1}'] * 10)}]" for at in range(1, 10)) + "]"
# (what stands in the job, what is written instead, line, what is said about it)
FAULTS = {
    "value out of range": (
        "alpha: 0.1",
        "alpha: 1.5",
        10,
        "spec.objective.alpha: 1.5: must be between 0 (teacher only) and 1 (labels only)",
    ),
    "unknown field": (
        "temperature: 4",
        "temprature: 4",
        11,
        'spec.objective.temprature: unknown field; did you mean "temperature"?',
    ),
    "unknown field of the spec": (
        "  dataset:",
        "  datasets:",
        8,
        'spec.datasets: unknown field; did you mean "dataset"?',
    ),
    "missing field is at what is around it": (
        TEACHER,
        "",
        4,
        "spec.teacher: required, but not given. The trained model whose outputs the student learns.",
    ),
    "text for a number, as the API server refuses it": (
        "alpha: 0.1",
        'alpha: "0.1"',
        10,
        'spec.objective.alpha: "0.1": must be between 0',
    ),
    "given twice": (
        "temperature: 4",
        "alpha: 0.2",
        11,
        '"alpha" is given a second time; the first stands in line 10',
    ),
    "kind misspelt": (
        "kind: DistillationJob",
        "kind: DistilationJob",
        2,
        'kind: "DistilationJob": must be DistillationJob',
    ),
    "another version": (
        "distillation.dev/v1alpha1",
        "distillation.dev/v1",
        1,
        'apiVersion: "distillation.dev/v1": must be distillation.dev/v1alpha1',
    ),
    "field at the top": ("spec:", "spce:", 4, 'spce: unknown field; did you mean "spec"?'),
    "no name": (
        "name: digits, namespace",
        "namespace",
        3,
        "metadata.name: required, but not given. Name of the job.",
    ),
    "name in capitals": (
        "name: digits, ",
        "name: Digits, ",
        3,
        'metadata.name: "Digits": must be the name of a Kubernetes object',
    ),
    "no YAML": ("metadata: {name", "metadata: {name: {", 3, "no YAML: "),
    "a loop": (
        "metadata: {name: digits",
        "metadata: &m {name: digits, labels: *m",
        3,
        "an alias that contains itself",
    ),
    "aliases of aliases": (
        "metadata: {name: digits",
        f"metadata: {{labels: {BOMB}, name: digits",
        3,
        "aliases make more than 100,000 fields of it",
    ),
    "deep": (
        "metadata: {name: digits",
        f"metadata: {{labels: {'[' * 150}{']' * 150}, name: digits",
        3,
        "nested more than 100 deep",
    ),
    "deeper than the reader goes": (
        "apiVersion",
        f"deep: {'[' * 3000}{']' * 3000}\napiVersion",
        1,
        "nested more than 100 deep",
    ),
    "a time, which is no number of seconds": (
        "epochs: 1",
        "epochs: 1:30",
        12,
        'spec.training.epochs: "1:30": ',
    ),
}


@pytest.mark.parametrize(("old", "new", "line", "said"), FAULTS.values(), ids=FAULTS.keys())
def test_a_fault_has_file_line_field_value_and_remedy(distill, write, job_text, old, new, line, said):
    assert old in job_text
    file = write(job_text.replace(old, new))
    answer = distill("validate", "--offline", file)
    assert answer.code == ExitCode.CONFIG_INVALID
    assert f"✗ {file}:{line}: {said}" in answer.out
    assert "Traceback" not in answer.out + answer.error


def test_every_fault_is_named_at_once(distill, write, job_text):
    text = (
        job_text.replace("alpha: 0.1", "alpha: 2")
        .replace("epochs: 1", "epochs: 0")
        .replace("spec:", "Spec: 1\nspec:")
    )
    said = [
        line
        for line in distill("validate", "--offline", write(text)).out.splitlines()
        if line.startswith("✗")
    ]
    assert [
        words in "\n".join(said)
        for words in ("spec.objective.alpha", "spec.training.epochs", "Spec: unknown")
    ] == [True] * 3
    assert len(said) == 3


def test_documents_of_other_kinds_are_skipped_with_a_word(distill, write, job_text):
    file = write(
        f"apiVersion: v1\nkind: Namespace\nmetadata: {{name: team-a}}\n---\n{job_text}---\n---\n{job_text}"
    )
    answer = distill("validate", "--offline", file)
    assert answer.code == 0
    assert f"– {file}:1: Namespace team-a: skipped, it is no DistillationJob" in answer.out
    assert f"✓ {file}:7: digits: the schema accepts it; the contract is not checked (--offline)" in answer.out
    assert answer.out.count("✓") == 2


def test_a_good_job_does_not_hide_a_bad_one(distill, write, job_text):
    file = write(f"{job_text.replace('epochs: 1', 'epochs: 0')}---\n{job_text}")
    answer = distill("validate", "--offline", file)
    assert answer.code == ExitCode.CONFIG_INVALID
    assert answer.out.count("✗") == answer.out.count("✓") == 1


def test_numbers_are_read_as_kubernetes_reads_them(distill, write, job_text):
    assert (
        distill(
            "validate", "--offline", write(job_text.replace("learningRate: 0.01", "learningRate: 1e-3"))
        ).code
        == 0
    )


def test_anchors_and_merged_keys_keep_their_lines(distill, write, job_text):
    text = job_text.replace("objective:\n    alpha: 0.1", "objective:\n    <<: &base {alpha: 7}")
    file = write(text)
    assert f"{file}:10: spec.objective.alpha: 7: " in distill("validate", "--offline", file).out


def test_a_file_without_a_job_is_a_fault(distill, write):
    file = write("apiVersion: v1\nkind: List\nitems: []\n")
    answer = distill("validate", file)
    assert answer.code == ExitCode.CONFIG_INVALID
    assert f"no DistillationJob in {file}" in answer.error


@pytest.mark.parametrize(
    ("text", "said"), [("[1, 2]", "a list: must be an object"), ("just words", "a str: must be an object")]
)
def test_what_is_no_object_is_a_fault(distill, write, text, said):
    answer = distill("validate", "--offline", write(text))
    assert (answer.code, said in answer.out) == (ExitCode.CONFIG_INVALID, True)


def test_a_file_that_is_not_there(distill, tmp_path):
    answer = distill("validate", tmp_path / "none.yaml")
    assert answer.code == ExitCode.CONFIG_INVALID
    assert "none.yaml cannot be read: No such file or directory" in answer.out


def test_standard_input(distill, job_text, monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.StringIO(job_text))
    assert "standard input:3: digits: the schema accepts it" in distill("validate", "--offline", "-").out


def test_the_contract_is_checked(distill, job, claim, tmp_path):
    answer = distill("validate", job, "--claim", claim)
    assert answer.code == 0, answer.out
    assert f"✓ {job}:3: digits: teacher convnet-small" in answer.out
    assert "fit digits: 10 classes, 200 training samples" in answer.out
    assert not (tmp_path / "models" / "students").exists()


def test_a_broken_contract_has_its_reason_and_its_code(distill, write, job_text, claim, tmp_path):
    (tmp_path / "models" / "torn.safetensors").write_bytes(b"\x10" + b"\0" * 7 + b"{}")
    file = write(job_text.replace("teacher.safetensors", "torn.safetensors"))
    answer = distill("validate", file, "--claim", claim)
    assert answer.code == ExitCode.CONTRACT_BROKEN
    assert "digits: WeightsTorn: teacher.weights.uri: torn.safetensors is torn" in answer.out


def test_a_claim_without_a_folder_says_how_to_give_it_one(distill, job):
    answer = distill("validate", job)
    assert answer.code == ExitCode.CONFIG_INVALID
    assert (
        "spec.teacher.weights.uri: pvc://models/teacher.safetensors: claim models has no folder" in answer.out
    )
    assert "add --claim models=DIR" in answer.out
    assert "--offline for the schema alone" in answer.out


@pytest.mark.parametrize("option", ["models", "models=", "=x", "models=/no/such/folder"])
def test_a_claim_that_is_written_wrongly(distill, job, option):
    answer = distill("validate", job, "--claim", option)
    assert (answer.code, f"--claim {option}: " in answer.error) == (ExitCode.CONFIG_INVALID, True)


def test_the_examples_are_right(distill):
    files = sorted((Path(__file__).parents[2] / "examples").rglob("*.yaml"))
    answer = distill("validate", "--offline", *files)
    assert answer.code == 0, answer.out
    assert answer.out.count("✓") >= 2
