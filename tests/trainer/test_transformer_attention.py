"""Attention transfer between transformers, and padding in every term that looks at layers."""

import json

import pytest
import torch
import torch.nn.functional as F
from text_world import bert_config, sentences, tokenizer, write_sentences, write_teacher
from transformers import (
    BertForSequenceClassification,
    DistilBertConfig,
    DistilBertForSequenceClassification,
    ElectraConfig,
    ElectraForSequenceClassification,
    RobertaConfig,
    RobertaForSequenceClassification,
)

from distill_api.contract import ExitCode
from distill_api.terms import AttentionMode, Term
from distill_api.training import Objective
from distill_trainer.attention_layers import attention_layer
from distill_trainer.batch import Batch
from distill_trainer.errors import ContractBroken
from distill_trainer.layers import watch
from distill_trainer.losses import Outputs, Targets, build_objective
from distill_trainer.losses.transformer_attention import (
    relations_divergence,
    scaled_products,
    scores_difference,
)
from distill_trainer.models.text_network import TextNetwork
from distill_trainer.plan import Networks, plan_terms
from distill_trainer.tasks.text_classification import token_example

LENGTHS = (5, 2, 3)
HEADS = 2


def projections(seed, *, width, dtype=torch.float64, length=5):
    return torch.randn(
        len(LENGTHS), length, width, generator=torch.Generator().manual_seed(seed), dtype=torch.float64
    ).to(dtype)


def there(length=5):
    return torch.arange(length)[None, :] < torch.tensor(LENGTHS)[:, None]


def scores(seed, *, width=6, **settings):
    q, k = (projections(seed + part, width=width, **settings) for part in (0, 100))
    return scaled_products(q, k, HEADS, there(q.shape[1]))


def one_head(seed, sample, head, *, width=6):
    """QKᵀ/√d of one head among a sample's own tokens, from slices alone."""
    size, n = width // HEADS, LENGTHS[sample]
    q, k = (
        projections(seed + part, width=width)[sample, :n, head * size : (head + 1) * size]
        for part in (0, 100)
    )
    return q @ k.T / size**0.5


class TestValues:
    def test_tinybert_is_the_mean_square_of_each_head_among_a_samples_own_tokens(self):
        expected = 0.0
        for sample in range(3):
            for head in range(HEADS):
                expected += F.mse_loss(one_head(1, sample, head, width=4), one_head(7, sample, head)) / (
                    3 * HEADS
                )
        found = scores_difference(scores(1, width=4), scores(7), tokens=there())
        assert float(found) == pytest.approx(float(expected), abs=1e-12)

    def test_minilm_is_the_divergence_of_each_row_among_a_samples_own_tokens(self):
        expected = 0.0
        for sample, length in enumerate(LENGTHS):
            for head in range(HEADS):
                p = one_head(7, sample, head).softmax(-1)
                q = one_head(1, sample, head, width=4).log_softmax(-1)
                expected += F.kl_div(q, p, reduction="sum") / (3 * HEADS * length)
        found = relations_divergence(scores(1, width=4), scores(7), tokens=there())
        assert float(found) == pytest.approx(float(expected), abs=1e-12)

    def test_by_hand(self):
        """One head, two tokens: differences 1, 0, 0, 2; and a teacher that is even where the student is 3 : 1."""
        student, teacher = torch.tensor([[[[1.0, 0], [0, 2]]]]), torch.zeros(1, 1, 2, 2)
        assert float(scores_difference(student, teacher)) == pytest.approx((1 + 4) / 4)
        uneven = torch.tensor([3.0, 1.0]).log().expand(1, 1, 2, 2)
        by_hand = 0.5 * torch.tensor([0.5 / 0.75, 0.5 / 0.25]).log().sum()
        assert float(relations_divergence(uneven, teacher)) == pytest.approx(float(by_hand))

    def test_negative_scores_count(self):
        """Scores of −200 are legitimate: setting them to 0 would hide a difference of 100."""
        student, teacher = torch.full((1, 1, 2, 2), -200.0), torch.full((1, 1, 2, 2), -100.0)
        assert float(scores_difference(student, teacher)) == pytest.approx(10_000)

    @pytest.mark.parametrize("loss", [scores_difference, relations_divergence])
    def test_nothing_to_learn_where_both_are_equal(self, loss):
        student = scores(1).requires_grad_()
        value = loss(student, scores(1), tokens=there())
        (gradient,) = torch.autograd.grad(value, student)
        assert float(value.detach()) == pytest.approx(0, abs=1e-15)
        assert gradient.abs().max() < 1e-12

    @pytest.mark.parametrize("loss", [scores_difference, relations_divergence])
    def test_other_shapes_are_no_broadcast(self, loss):
        with pytest.raises(
            ValueError, match=r"student's attention is \[3, 2, 5, 5\], teacher's \[3, 1, 5, 5\]"
        ):
            loss(scores(1), scores(1)[:, :1])


@pytest.mark.parametrize("loss", [scores_difference, relations_divergence])
class TestInvariances:
    def test_gradient(self, loss):
        teacher = scores(7)

        def of(query, key):
            return loss(scaled_products(query, key, HEADS, there()), teacher, tokens=there())

        given = [projections(seed, width=4).requires_grad_() for seed in (1, 2)]
        assert torch.autograd.gradcheck(of, given)

    def test_padding(self, loss):
        """Further, and with numbers in it that would spoil any sum."""
        short = loss(scores(1), scores(7), tokens=there())
        spoilt = []
        for seed in (1, 7):
            parts = [F.pad(projections(seed + part, width=6), (0, 0, 0, 4)) for part in (0, 100)]
            for part in parts:
                part[~there(9)] = float("nan")
            spoilt.append(scaled_products(*parts, HEADS, there(9)))
        assert float(loss(*spoilt, tokens=there(9))) == pytest.approx(float(short), abs=1e-12)

    def test_padding_gets_no_gradient(self, loss):
        query, key = (projections(seed, width=6).requires_grad_() for seed in (1, 2))
        value = loss(scaled_products(query, key, HEADS, there()), scores(7), tokens=there())
        for gradient in torch.autograd.grad(value, [query, key]):
            assert gradient[~there()].abs().max() == 0
            assert gradient[there()].abs().min() > 0

    def test_order_of_samples_and_of_heads(self, loss):
        plain = loss(scores(1), scores(7), tokens=there())
        order = torch.tensor([2, 0, 1])
        for turned in (
            loss(scores(1)[order], scores(7)[order], tokens=there()[order]),
            loss(scores(1).flip(1), scores(7).flip(1), tokens=there()),
        ):
            assert float(turned) == pytest.approx(float(plain), abs=1e-12)

    def test_parts_of_a_step_add_up(self, loss):
        whole = loss(scores(1), scores(7), tokens=there())
        parts = [
            loss(scores(1)[part], scores(7)[part], tokens=there()[part], count=3)
            for part in (slice(0, 1), slice(1, 3))
        ]
        assert float(sum(parts)) == pytest.approx(float(whole), abs=1e-12)

    def test_half_precision_is_computed_in_32_bits(self, loss):
        half = [scores(seed, dtype=torch.bfloat16) for seed in (1, 7)]
        rounded = [
            scaled_products(
                *(projections(seed + part, width=6, dtype=torch.bfloat16).double() for part in (0, 100)), HEADS, there()
            )
            for seed in (1, 7)
        ]  # fmt: skip
        assert half[0].dtype is torch.float32
        assert float(loss(*half, tokens=there())) == pytest.approx(
            float(loss(*rounded, tokens=there())), rel=1e-5
        )


SIZES = {
    "hidden_size": 16,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 16,
    "vocab_size": 64,
}
MODELS = {
    "bert": lambda: BertForSequenceClassification(bert_config(attn_implementation="eager")),
    "roberta": lambda: RobertaForSequenceClassification(
        RobertaConfig(**SIZES, attn_implementation="eager", pad_token_id=0)
    ),
    "electra": lambda: ElectraForSequenceClassification(
        ElectraConfig(**SIZES, embedding_size=16, attn_implementation="eager")
    ),
    "distilbert": lambda: DistilBertForSequenceClassification(
        DistilBertConfig(dim=16, n_layers=1, n_heads=2, hidden_dim=16, vocab_size=64, attn_implementation="eager")
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", MODELS)
@torch.no_grad()
def test_scores_are_those_that_the_model_attends_by(kind):
    torch.manual_seed(0)
    model = MODELS[kind]().eval()
    names = [name for name, _ in model.named_modules() if name.endswith((".self", "attention"))]
    layer = attention_layer(model, min(names, key=len), "pairs", "teacher")
    words = tokenizer()(["the cat of the oak", "a cat"], padding=True, return_tensors="pt")
    inputs = {name: words[name] for name in ("input_ids", "attention_mask")}
    with watch(model, layer.projections) as seen:
        attended = model(**inputs, output_attentions=True).attentions[0]
    tokens = inputs["attention_mask"].bool()
    made = scaled_products(*(seen[name] for name in layer.projections[:2]), layer.heads, tokens)
    made = made.masked_fill(~tokens[:, None, None, :], -torch.inf).softmax(-1)
    rows = tokens[:, None, :].expand(made.shape[:3])
    torch.testing.assert_close(made[rows], attended[rows], atol=1e-6, rtol=1e-5)


LAYER = "model.bert.encoder.layer.0"
TERMS = {
    "TinyBERT": {"type": "AttentionTransfer", "mode": "TinyBERT", "pairs": [{"teacher": LAYER, "student": LAYER}]},
    "MiniLM": {"type": "AttentionTransfer", "mode": "MiniLM", "pairs": [{"teacher": LAYER, "student": LAYER}]},
    "Hint": {"type": "Hint", "pairs": [{"teacher": f"{LAYER}.output", "student": f"{LAYER}.output", "projection": "Linear"}]},
    "Relational": {"type": "Relational", "pairs": [{"teacher": LAYER, "student": LAYER}]},
    "Contrastive": {"type": "Contrastive", "negatives": 4, "pairs": [{"teacher": LAYER, "student": LAYER}]},
    "KLDivergence": {"type": "KLDivergence"},
}  # fmt: skip


def network(**changes):
    return TextNetwork(BertForSequenceClassification(bert_config(**changes))).eval()


@torch.no_grad()
def test_padding_counts_in_no_term():
    """The same three texts, as long as the longest and eleven positions longer: each term by itself is the same."""
    torch.manual_seed(0)
    teacher, student = network(), network(hidden_size=16)
    objective = Objective(alpha=0.3, terms=[Term(**term) for term in TERMS.values()])
    pair = Networks(teacher, student, token_example(2, torch.device("cpu")))
    combined = build_objective(0.3, plan_terms(objective, pair, widths=(3, 3), samples=8)).eval()
    texts = [row["text"] for row in sentences(3, seed=1)]
    values = []
    for length in (12, 23):
        words = tokenizer()(texts, padding="max_length", max_length=length, return_tensors="pt")
        batch = Batch(["a", "b", "c"], torch.arange(3), dict(words), torch.tensor([0, 1, 2]))
        said = []
        for model, layers in ((student, combined.student_layers), (teacher, combined.teacher_layers)):
            with watch(model, layers) as seen:
                said.append(Outputs(model(batch.inputs), dict(seen)))
        torch.manual_seed(1)  # the negatives that Contrastive draws
        targets = Targets(batch.labels, rows=batch.rows, tokens=batch.tokens)
        values.append(combined(*said, targets).terms)
    for name, short, long in zip(TERMS, *values, strict=True):
        assert float(short) > 0, name
        assert float(long) == pytest.approx(float(short), rel=1e-5, abs=1e-7), name


def planned(term, *, teacher=None, student=None):
    pair = Networks(teacher or network(), student or network(), token_example(2, torch.device("cpu")))
    return plan_terms(Objective(terms=[Term(**term)]), pair, widths=(3, 3), samples=8)


def attention(mode="TinyBERT", teacher=f"{LAYER}.attention.self", student=f"{LAYER}.attention.self"):
    return {"type": "AttentionTransfer", "mode": mode, "pairs": [{"teacher": teacher, "student": student}]}


class TestPlan:
    def test_patterns_find_the_projections_of_each_layer(self):
        everywhere = "model.bert.encoder.layer.*.attention.self"
        [plan] = planned(attention("MiniLM", everywhere, everywhere))
        assert [pair.teacher.removeprefix("model.bert.encoder.") for pair in plan.pairs] == [
            f"layer.{layer}.attention.self.{part}" for layer in (0, 1) for part in ("query", "key", "value")
        ]
        assert {pair.heads for pair in plan.pairs} == {2}

    def test_heads_of_another_number_are_refused(self):
        with pytest.raises(
            ContractBroken, match=r"has 2 heads and .* of the student 4: TinyBERT compares head with head"
        ):
            planned(attention(), student=network(num_attention_heads=4))

    def test_a_layer_without_attention_is_refused_with_those_that_there_are(self):
        with pytest.raises(
            ContractBroken, match=r"is no attention layer.*model\.bert\.encoder\.layer\.0\.attention\.self, "
        ) as fault:
            planned(attention(student="model.bert.pooler"))
        assert fault.value.message.startswith(
            "objective.terms[0].pairs[0].student: layer 'model.bert.pooler'"
        )

    def test_more_than_one_attention_layer_is_refused(self):
        with pytest.raises(ContractBroken, match="holds 2 attention layers, and one is compared"):
            planned(attention(teacher="model.bert.encoder"))

    def test_an_unknown_kind_is_refused_with_the_known_ones(self):
        plain = torch.nn.Sequential(torch.nn.Linear(2, 2))
        with pytest.raises(ContractBroken, match=r"has none of a known kind \(BERT, MiniLM, RoBERTa"):
            attention_layer(plain, "0", "pairs[0].teacher", "teacher")

    def test_a_decoder_is_refused(self):
        with pytest.raises(ContractBroken, match="sees earlier tokens alone"):
            planned(attention(), teacher=network(is_decoder=True))

    def test_modes_of_maps_name_the_ones_for_attention_layers(self):
        with pytest.raises(ContractBroken, match="or set mode to TinyBERT or MiniLM for attention layers"):
            planned(attention("Paper", f"{LAYER}.output", f"{LAYER}.output"))


@pytest.mark.parametrize("mode", [mode for mode in AttentionMode if mode.of_transformers])
def test_a_student_learns_where_its_teacher_looks(workspace, tmp_path, mode):
    write_sentences(tmp_path / "data", train=48, test=12)
    bert_config(num_hidden_layers=1, hidden_size=16).save_pretrained(tmp_path / "student")
    teacher = write_teacher(tmp_path / "teacher", steps=20)
    last = attention(mode.value, "model.bert.encoder.layer.1", LAYER)
    ended = workspace.train(
        task="TextClassification",
        teacher={"huggingFace": {"id": f"file://{teacher}"}},
        student={"huggingFace": {"id": f"file://{tmp_path / 'student'}"}},
        dataset={"files": {"uri": f"file://{tmp_path / 'data'}", "format": "JsonLines"}},
        objective={"alpha": 0.0, "terms": [last]},
        training={"epochs": 4, "batchSize": 16, "learningRate": 0.01},
    )
    assert ended.code is ExitCode.SUCCEEDED, ended.outcome.message
    history = json.loads((workspace.version(ended) / "result.json").read_text())["detail"]["history"]
    first, last = (history[epoch]["terms"]["AttentionTransfer"] for epoch in (0, -1))
    assert last < 0.8 * first
