"""`distill estimate`: the figures of a plan on paper against sums by hand, and a job whose networks are counted."""

import argparse
import itertools
import shlex
from pathlib import Path

import pytest

from distill_api.contract import ExitCode
from distill_cli.estimating import quantities as q

PAPER = [
    "estimate",
    *("--teacher-parameters", "70B", "--teacher-shape", "80x8192"),
    *("--student-parameters", "8B", "--student-shape", "32x4096"),
    *("--samples", "5M", "--sequence", "4096", "--vocabulary", "128256"),
    *("--batch-size", "1024", "--micro-batch", "2", "--gpus", "64"),
]


def rows(answer, title):
    """The rows below a table's title, as lists of words."""
    lines = answer.out.split(title)[1].splitlines()[1:]
    return [line.split() for line in itertools.takewhile(str.strip, lines)]


def test_a_plan_on_paper(distill):
    """8B on 64 ranks: 4·8e9/64 + 2·(2·128256·4096 + 2·12·4096²) bytes are 3.2 GiB of parameters; the rest in the same way."""
    answer = distill(*PAPER)
    assert answer.code == 0, answer.error
    assert "3.85e21 with the teacher online" in answer.out  # (6·8e9 + 2·70e9)·5e6·4096
    assert "989TFLOP/s (H100 SXM by its data sheet), of which 40% are reached" in answer.out
    (last,) = [row for row in rows(answer, "Each rank") if row[:2] == ["64", "FSDP"]]
    assert " ".join(last) == (
        "64 FSDP 3.2 GiB 2.8 GiB 954 MiB 34.0 GiB 13.1 GiB 380 MiB 54.4 GiB yes 42.2 h 42.2 h 48.0 GiB/s"
    )
    assert ["HiddenState", "32,768", "B", "610", "TiB"] in [row[:5] for row in rows(answer, "stored once")]
    assert "The teacher on ranks of its own, sharded: 48 of 64" in answer.out


def test_the_page_about_scale_shows_what_the_tool_says(distill):
    page = (Path(__file__).parents[2] / "docs" / "scale.md").read_text(encoding="utf-8")
    shown = page.split("```")[1].strip()
    command, _, output = shown.replace("\\\n", "").partition("\n")
    assert command.startswith("$ distill estimate ")
    answer = distill(*shlex.split(command)[2:])
    assert [line.rstrip() for line in answer.out.splitlines()] == output.splitlines()


def test_checkpointing_trades_memory_for_a_third_more_work(distill):
    """2·(32·4096·4096·2 + 34·4096·4096) bytes, and 8·N instead of 6·N."""
    answer = distill(*PAPER, "--checkpointing")
    (last,) = [row for row in rows(answer, "Each rank") if row[:2] == ["64", "FSDP"]]
    assert last[8:10] == ["3.1", "GiB"]
    assert "4.18e21 with the teacher online" in answer.out


def test_the_jobs_own_networks_are_counted(distill, job):
    answer = distill("estimate", job)
    assert answer.code == 0, answer.error
    assert "student  convnet-tiny: 6.14K parameters" in answer.out
    assert "teacher  convnet-small: 26K parameters" in answer.out
    assert "200 samples × 1 position × 1 epoch, batch 32, 32 bits" in answer.out
    assert [row[0] for row in rows(answer, "stored once")][1:] == ["Dense", "HiddenState"]


def test_measured_on_this_machine(distill, job):
    answer = distill("estimate", job, "--measure", "--micro-batch", "4")
    assert answer.code == 0, answer.error
    assert "measured here on " in answer.out
    assert "FLOP/s in a matrix product, of which distilling reaches" in answer.out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["estimate"], "name a job.yaml, or plan on paper"),
        (["estimate", "--teacher-parameters", "7B"], "on paper both are needed"),
        (
            ["estimate", "--teacher-parameters", "7B", "--student-parameters", "1B", "--samples", "5"],
            "give --sequence, --vocabulary, --batch-size, too",
        ),
        ([*PAPER, "--measure"], "on paper there are none: give --flops and --mfu"),
        ([*PAPER, "--teacher-gpus", "64"], "--teacher-gpus 64 leaves none of 64 ranks to the student"),
    ],
)
def test_what_cannot_be_planned(distill, arguments, said):
    answer = distill(*arguments)
    assert (answer.code, said in answer.error) == (ExitCode.CONFIG_INVALID, True), answer.error


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--student-shape", "2x128"], "--student-shape is for a plan on paper"),
        (["--sequence", "128"], "--sequence is the length of texts"),
        (["--checkpointing"], "--checkpointing is for a plan on paper"),
        (["--measure", "--flops", "1T"], "--flops and --mfu are what --measure finds out"),
    ],
)
def test_options_without_an_effect_are_refused(distill, job, options, said):
    answer = distill("estimate", job, *options)
    assert (answer.code, said in answer.error) == (ExitCode.CONFIG_INVALID, True), answer.error


def test_a_model_that_is_unknown_is_a_sentence(distill, write, job_text):
    answer = distill("estimate", write(job_text.replace("convnet-tiny", "convnet-tinny")))
    assert answer.code == ExitCode.CONTRACT_BROKEN
    assert "UnknownModel: student.builtin.name is 'convnet-tinny'" in answer.error


@pytest.mark.parametrize(
    ("read", "text", "value"),
    [
        (q.count, "70B", 70e9),
        (q.count, "1.5T", 1.5e12),
        (q.count, "350m", 350e6),
        (q.count, "12", 12),
        (q.whole, "5M", 5_000_000),
        (q.memory, "80GiB", 80 * 2**30),
        (q.memory, "80Gi", 80 * 2**30),
        (q.memory, "80GB", 80e9),
        (q.memory, "512M", 512e6),
        (q.flops, "989T", 989e12),
        (q.flops, "312TFLOPS", 312e12),
        (q.flops, "67TFLOP/s", 67e12),
        (q.share, "0.4", 0.4),
        (q.shape, "32x4096", (32, 4096)),
    ],
)
def test_quantities_are_read(read, text, value):
    assert read(text) == value


@pytest.mark.parametrize(
    ("read", "text"),
    [
        (q.count, "70X"),
        (q.count, "0"),
        (q.count, "-1"),
        (q.memory, "lots"),
        (q.memory, "80XiB"),
        (q.flops, "fast"),
        (q.share, "1.1"),
        (q.share, "40%"),
        (q.shape, "32"),
        (q.shape, "0x1"),
    ],
)
def test_quantities_that_are_none(read, text):
    with pytest.raises(argparse.ArgumentTypeError, match="must be"):
        read(text)


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (0.0004, "0.4 ms"),
        (12, "12 s"),
        (200, "3.33 min"),
        (7200, "2 h"),
        (151_920, "42.2 h"),
        (864_000, "10.0 d"),
    ],
)
def test_spans(value, said):
    assert q.span(value) == said


@pytest.mark.parametrize(
    ("value", "said"), [(8.03e9, "8.03B"), (999.4, "999"), (999.6, "1K"), (292_010, "292K")]
)
def test_short_numbers(value, said):
    assert q.short(value) == said


def test_numbers_without_a_name():
    assert (q.science(3.8502e21), q.science(9.44e9)) == ("3.85e21", "9.44e9")


def test_a_claim_with_a_model_that_has_to_be_opened_is_named(distill):
    answer = distill("estimate", "examples/embedding/minilm.yaml")
    assert answer.code == ExitCode.CONFIG_INVALID
    assert "spec.teacher.huggingFace.id: pvc://models/minilm-l6: claim models has no folder" in answer.error
    assert "add --claim models=DIR" in answer.error


EMBEDDING = """\
apiVersion: distillation.dev/v1alpha1
kind: DistillationJob
metadata: {name: sentences, namespace: team-a}
spec:
  task: Embedding
  teacher: {huggingFace: {id: pvc://models/encoder}}
  student: {initFromTeacher: {count: 1}, lora: {rank: 2, targetModules: [query, value]}}
  dataset: {files: {uri: pvc://models/texts, format: Text}}
  objective: {alpha: 0}
  evaluation: {metric: spearman}
  training: {batchSize: 4}
  output: {uri: pvc://models/student}
"""


def test_vectors_and_adapters_of_a_job(distill, write, tmp_path):
    """Embedding stores vectors whole; 1 layer 128 wide with rank 2 on two maps trains 2·(2·128 + 128·2) parameters."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import BertConfig, PreTrainedTokenizerFast

    folder = tmp_path / "models"
    words = Tokenizer(models.WordLevel({"[PAD]": 0, "[UNK]": 1, "cat": 2}, unk_token="[UNK]"))
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    PreTrainedTokenizerFast(tokenizer_object=words, pad_token="[PAD]", unk_token="[UNK]").save_pretrained(
        folder / "encoder"
    )
    sizes = {"hidden_size": 128, "num_attention_heads": 2, "intermediate_size": 128}
    BertConfig(vocab_size=8, num_hidden_layers=2, **sizes).save_pretrained(folder / "encoder")
    (folder / "texts").mkdir()
    for split in ("train", "test"):
        (folder / "texts" / f"{split}.txt").write_text("cat\n" * 40)
    answer = distill("estimate", write(EMBEDDING), "--claim", f"models={folder}", "--gpus", "2")
    assert answer.code == 0, answer.error
    assert [row[0] for row in rows(answer, "stored once")][1:] == ["Dense"]
    assert "1.02K of them trained (adapters)" in answer.out
    assert [row[1] for row in rows(answer, "Each rank")][1:3] == ["–", "DDP"]
    assert " FSDP" not in answer.out.split("Each rank")[1].split("stored once")[0]
    paper = ["--teacher-parameters", "1B", "--student-parameters", "1B", "--samples", "9", "--sequence", "9"]
    refused = distill("estimate", write(EMBEDDING), *paper, "--vocabulary", "9")
    assert "spec.student.lora: adapters are counted in the job's own networks" in refused.error
