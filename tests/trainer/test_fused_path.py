"""Language models train without logits over the whole vocabulary, and as if they were there."""

import json
from contextlib import nullcontext

import pytest
import torch
from language_world import gpt2, llama, write_language_teacher, write_texts
from safetensors.torch import load_file
from test_parallel import together
from torch.utils._python_dispatch import TorchDispatchMode
from transformers import AutoModelForCausalLM, CohereConfig, Gemma2Config, GPTJConfig, GraniteConfig

from distill_api.contract import ExitCode
from distill_api.teacher_outputs import OutputsMode
from distill_api.terms import LayerPair, Term
from distill_api.training import Precision, Training
from distill_trainer import chunks, loop, run
from distill_trainer.batch import Batch
from distill_trainer.fused_path import fused_path
from distill_trainer.last_layer import last_layer
from distill_trainer.losses import PlannedPair, Targets, TermPlan, build_objective
from distill_trainer.losses.fused import NotFused
from distill_trainer.models.text_network import TextNetwork
from distill_trainer.step import Example, make_optimizer, train_step
from distill_trainer.teacher_outputs import Online
from distill_trainer.teacher_outputs.choose import Choice

WORDS = 60
ONLINE = Choice(OutputsMode.ONLINE, None, None, "")
SMALL = {"vocab_size": 64, "hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2}
HEADS = {"num_attention_heads": 2, "num_key_value_heads": 2, "head_dim": 8, "pad_token_id": 1}
MODELS = {
    "tied": gpt2(),
    "own head": llama(),
    "padded further": llama(vocab_size=72),
    "soft-capped": Gemma2Config(**SMALL, **HEADS, final_logit_softcapping=1.5),
    "scaled": CohereConfig(**SMALL, **HEADS, logit_scale=0.25, bos_token_id=0, eos_token_id=1),
    "divided": GraniteConfig(**SMALL, **HEADS, logits_scaling=4.0),
    "biased": GPTJConfig(
        vocab_size=64, n_embd=16, n_layer=2, n_head=2, rotary_dim=4, n_positions=64, resid_pdrop=0.0
    ),
}


def network(config, seed):
    torch.manual_seed(seed)
    return TextNetwork(AutoModelForCausalLM.from_config(config), columns=WORDS, use_cache=False)


def batch():
    """Three texts of up to 9 tokens, of which 14 count."""
    tokens = torch.randint(WORDS, (3, 10), generator=torch.Generator().manual_seed(5))
    there = torch.arange(9)[None] < torch.tensor([9, 4, 6])[:, None]
    inputs = {"input_ids": tokens[:, :-1], "attention_mask": there.long()}
    mask = there & (torch.arange(9) > 0)
    mask[0, 3:5] = False
    return Batch(list("abc"), torch.arange(3), inputs, tokens[:, 1:], mask)


def plan(term, temperature=1.0):
    return TermPlan(term.type.value, term, temperature)


def one_step(
    config,
    terms,
    *,
    fused,
    alpha=0.3,
    precision=Precision.FP32,
    parts=((0, 1, 2),),
    watched=None,
    changed=None,
):
    """Losses and gradients of one step of a student against a teacher with a head of another width."""
    student, teacher = (
        network(config, 1),
        network(llama(vocab_size=160, hidden_size=24, intermediate_size=48), 2),
    )
    objective, found, whole = build_objective(alpha, terms), None, batch()
    if fused:
        found = fused_path([terms], ONLINE, teacher, student, whole.inputs, columns=WORDS)
        objective = found.objective(objective)
    objective.set(**changed or {})
    source = Online(teacher, last_layer=found.teacher if found else None)
    examples = []
    for rows in map(list, parts):
        inputs = {name: tensor[rows] for name, tensor in whole.inputs.items()}
        part = Batch(whole.ids, whole.rows[rows], inputs, whole.labels[rows], whole.mask[rows])
        targets = Targets(
            part.labels, mask=part.mask, count=float(whole.mask.sum()), samples=3.0, share=len(rows) / 3
        )
        with watched or nullcontext():
            examples.append(Example(inputs, source.outputs(part), targets))
    optimizer = make_optimizer(student, Training(optimizer="SGD"))
    with watched or nullcontext():
        losses = train_step(
            student,
            optimizer,
            objective,
            examples,
            rate=0.0,
            clip=None,
            precision=precision,
            last_layer=found.student if found else None,
        )
    return losses.stacked(), {name: weight.grad for name, weight in student.named_parameters()}


def assert_equal(config, terms, *, atol=1e-6, rtol=1e-4, **settings):
    plain, fused = (one_step(config, terms, fused=fused, **settings) for fused in (False, True))
    torch.testing.assert_close(fused, plain, atol=atol, rtol=rtol)


KL = [plan(Term(type="KLDivergence"), 2.0)]


@pytest.mark.parametrize("name", MODELS)
def test_whatever_a_model_does_to_its_logits(name):
    assert_equal(MODELS[name], KL)


@pytest.mark.parametrize("alpha", [0.0, 1.0])
@pytest.mark.parametrize(
    "term",
    [
        Term(type="KLDivergence", weight=2.5),
        Term(type="KLDivergence", variant="Reverse"),
        Term(type="KLDivergence", variant="JensenShannon", beta=0.1),
        Term(type="KLDivergence", variant="Skewed"),
        Term(type="SoftTargetCrossEntropy", weight=0.5),
    ],
    ids=lambda term: f"{term.type.value}-{term.variant}",
)
def test_every_term_over_a_distribution(term, alpha):
    assert_equal(gpt2(), [plan(term, 1.5)], alpha=alpha)


def test_terms_over_layers_stand_beside_it():
    pair = PlannedPair("model.model.layers.1.mlp", "model.model.layers.1.mlp", (9, 32), (9, 32))
    hint = Term(type="Hint", weight=3.0, pairs=[LayerPair(teacher=pair.teacher, student=pair.student)])
    hinted = TermPlan("Hint", hint, 1.0, (pair,))
    student, teacher = network(llama(), 1), network(llama(), 2)
    for terms in ([hinted, *KL], [hinted]):
        got = []
        for fused in (False, True):
            student.zero_grad()
            path = (
                fused_path([terms], ONLINE, teacher, student, batch().inputs, columns=WORDS)
                if fused
                else None
            )
            objective = build_objective(0.3, terms)
            targets = Targets(
                batch().labels, mask=batch().mask, tokens=batch().tokens, count=14.0, samples=3.0
            )
            said = Online(teacher, [pair.teacher], path.teacher if path else None).outputs(batch())
            losses = train_step(
                student,
                make_optimizer(student, Training(optimizer="SGD")),
                path.objective(objective) if path else objective,
                [Example(batch().inputs, said, targets)],
                rate=0.0,
                clip=None,
                last_layer=path.student if path else None,
            )
            got.append((losses.stacked(), [weight.grad for weight in student.parameters()]))
        torch.testing.assert_close(got[1], got[0], atol=1e-6, rtol=1e-4)


def test_micro_batches_with_padding_of_their_own():
    assert_equal(gpt2(), KL, parts=((0,), (1, 2)))
    whole, cut = (one_step(gpt2(), KL, fused=True, parts=parts) for parts in (((0, 1, 2),), ((0,), (1, 2))))
    torch.testing.assert_close(cut, whole, atol=1e-6, rtol=1e-4)


def test_a_curriculum_changes_alpha_and_temperature():
    terms = [TermPlan("KLDivergence", Term(type="KLDivergence"), 2.0, follows=True)]
    changed = {"alpha": 0.7, "temperature": 3.0}
    assert_equal(gpt2(), terms, changed=changed)
    assert (
        one_step(gpt2(), terms, fused=True)[0][2]
        != one_step(gpt2(), terms, fused=True, changed=changed)[0][2]
    )


def test_bf16_rounds_the_passes_in_both():
    # Logits of 8 bits: their differences are off by 2⁻⁸ of the logits themselves.
    assert_equal(llama(), KL, precision=Precision.BF16, atol=4e-3, rtol=2e-2)


class Widest(TorchDispatchMode):
    """The most rows over the vocabulary that any tensor has; a head's weight, turned over, is none."""

    def __init__(self):
        super().__init__()
        self.rows = 0

    def __torch_dispatch__(self, func, _types, args=(), kwargs=None):
        made = func(*args, **(kwargs or {}))
        for each in made if isinstance(made, tuple | list) else (made,):
            if isinstance(each, torch.Tensor) and each.dim() > 1 and each.shape[-1] in {WORDS, 64, 160}:
                rows = each.shape[:-1].numel()
                self.rows = max(self.rows, 0 if rows in {24, 32} else rows)

        return made


@pytest.mark.parametrize(("fused", "rows"), [(True, 4 * 2), (False, 3 * 9)])
def test_no_tensor_holds_more_than_a_chunk_of_the_vocabulary(fused, rows, monkeypatch):
    monkeypatch.setattr(chunks, "CHUNK_ELEMENTS", 2 * WORDS)
    widest = Widest()  # rows of a chunk are two, and four tensors are worked with
    one_step(llama(intermediate_size=48), KL, fused=fused, watched=widest)
    assert widest.rows == rows


@pytest.mark.parametrize(
    ("terms", "words"),
    [
        ([plan(Term(type="MSELogits"))], r"objective.terms\[0\] \(MSELogits\) needs whole logits"),
        ([*KL, *KL], "2 of objective.terms look at logits"),
    ],
)
def test_objectives_that_need_whole_logits_say_so(terms, words):
    with pytest.raises(NotFused, match=words):
        fused_path([terms], ONLINE, network(llama(), 1), network(llama(), 2), batch().inputs, columns=WORDS)


def test_a_model_that_does_something_else_to_its_logits_is_found():
    student = network(llama(), 1)
    student.model.lm_head.register_forward_hook(lambda _module, _inputs, logits: logits * 1.01)
    with pytest.raises(NotFused, match="the student's logits are not those of its last layer"):
        last_layer(student, batch().inputs, "student")


def test_a_pair_that_names_the_last_layer_keeps_it():
    pair = PlannedPair("model.lm_head", "model.lm_head", (9, 64), (9, 64))
    hint = Term(type="Hint", pairs=[LayerPair(teacher=pair.teacher, student=pair.student)])
    terms = [TermPlan("Hint", hint, 1.0, (pair,))]
    with pytest.raises(NotFused, match=r"names the student's layer 'model\.lm_head'"):
        fused_path([terms], ONLINE, network(llama(), 1), network(llama(), 2), batch().inputs, columns=WORDS)


@pytest.fixture(scope="module")
def language_teacher(tmp_path_factory):
    return write_language_teacher(tmp_path_factory.mktemp("language") / "teacher")


@pytest.fixture
def job(workspace, language_teacher):
    write_texts(workspace.root / "data", train=40, test=8)
    gpt2().save_pretrained(workspace.root / "student")
    return {
        "task": "CausalLM",
        "teacher": {"huggingFace": {"id": f"file://{language_teacher}"}},
        "student": {"huggingFace": {"id": f"file://{workspace.root / 'student'}"}},
        "dataset": {"files": {"uri": f"file://{workspace.root / 'data'}", "format": "Text"}},
        "objective": {"temperature": 2.0},
        "training": {"epochs": 2, "batchSize": 8, "optimizer": "SGD", "learningRate": 0.05},
    }


def ended(workspace, name):
    [folder] = (workspace.output.parent / name / "versions").iterdir()
    history = json.loads((folder / "result.json").read_text())["detail"]["history"]
    return load_file(folder / "model.safetensors"), [epoch["loss"] for epoch in history]


@pytest.mark.parametrize(
    "outputs",
    [
        {"mode": "Online"},
        {"mode": "Cached", "encoding": "HiddenState"},
        {"mode": "Cached", "encoding": "TopK", "topK": 5},
    ],
    ids=lambda outputs: outputs.get("encoding", "Online"),
)
def test_whole_runs_end_alike_in_one_process_and_in_two(workspace, job, outputs, monkeypatch):
    job = {**job, "teacherOutputs": outputs}
    fused = workspace.train(**job)
    assert fused.code is ExitCode.SUCCEEDED
    assert "losses: fused with the last layer" in (workspace.version(fused) / "report.html").read_text()
    codes, said = together(workspace, 2, **job, output={"uri": "pvc://models/two"})
    assert codes == [0, 0], said
    monkeypatch.setattr(run, "_fused_path", lambda *_: (None, ()))
    assert workspace.train(**job, output={"uri": "pvc://models/plain"}).code is ExitCode.SUCCEEDED
    plain, losses = ended(workspace, "plain")
    for name in ("run", "two"):
        weights, found = ended(workspace, name)
        torch.testing.assert_close(weights, plain, atol=1e-5, rtol=1e-4)
        assert found == pytest.approx(losses, abs=1e-5)


def test_stored_whole_logits_take_the_plain_losses_and_the_report_says_so(workspace, job):
    done = workspace.train(**{**job, "teacherOutputs": {"mode": "Cached", "encoding": "Dense"}})
    assert done.code is ExitCode.SUCCEEDED
    words = "losses: plain, with logits over the whole vocabulary in memory, since teacher outputs are stored as Dense"
    assert words in (workspace.version(done) / "report.html").read_text()


def test_stopped_and_started_again_ends_bit_for_bit_alike_in_two_processes(workspace, job):
    def stop_after_three(rank, stop):
        if rank == 0:
            real, steps = loop.train_step, []

            def step(*args, **kwargs):
                steps.append(1)
                if len(steps) == 3:
                    stop.request()
                return real(*args, **kwargs)

            loop.train_step = step

    job = {**job, "teacherOutputs": {"mode": "Cached", "encoding": "HiddenState"}}
    together(workspace, 2, **job, output={"uri": "pvc://models/whole"})
    codes, _ = together(workspace, 2, stop_after_three, **job)
    assert codes == [ExitCode.DISRUPTED] * 2
    assert together(workspace, 2, **job)[0] == [0, 0]
    torch.testing.assert_close(ended(workspace, "run")[0], ended(workspace, "whole")[0], atol=0, rtol=0)
