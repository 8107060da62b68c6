"""KLDivergence of embeddings: by hand, against an independent formula, at its limits, and whatever the padding."""

import pytest
import torch
from embedding_world import write_encoder
from text_world import tokenizer

from distill_api.sources import HuggingFaceModel
from distill_api.terms import KLVariant, Term, TermType
from distill_api.training import Task
from distill_trainer.losses import Outputs, Targets, TermPlan, embedding_objective
from distill_trainer.losses.similarity import SimilarityTerm, similarities
from distill_trainer.models import Signature
from distill_trainer.models.huggingface import HuggingFaceSource


def term(temperature=1.0, variant=None):
    return SimilarityTerm.of(TermPlan("KL", Term(type=TermType.KL_DIVERGENCE, variant=variant), temperature))


def loss(student, teacher, **settings):
    targets = Targets(torch.zeros(len(student), dtype=torch.int64), count=float(len(student)))
    return term(**settings).compare(Outputs(student), Outputs(teacher), targets)


def test_three_texts_by_hand():
    """Teacher at right angles: p = ½ each. Student: the first two equal, the third at right angles.

    Rows 1 and 2 have cosines (1, 0): q = e/(e+1), 1/(e+1), KL = −½·log(4·e/(e+1)²) = 0.120115; row 3 has (0, 0): 0.
    """
    student = torch.tensor([[1.0, 0], [1, 0], [0, 2]])
    assert similarities(student).tolist() == [[1, 0], [1, 0], [0, 0]]
    assert loss(student, torch.eye(3)).item() == pytest.approx(2 * 0.1201145 / 3, abs=1e-6)


@pytest.mark.parametrize("temperature", [0.05, 1.0, 4.0])
def test_it_is_kl_of_the_masked_matrix(temperature):
    torch.manual_seed(0)
    student, teacher = torch.randn(6, 5).double(), torch.randn(6, 9).double()
    rows = []
    for place in range(6):
        others = [other for other in range(6) if other != place]
        q, p = (
            (torch.cosine_similarity(v[place][None], v[others]) / temperature).softmax(0)
            for v in (student, teacher)
        )
        rows.append((p * (p / q).log()).sum())
    wanted = temperature**2 * torch.stack(rows).mean()
    assert loss(student, teacher, temperature=temperature).item() == pytest.approx(wanted.item(), rel=1e-9)


def test_a_high_temperature_is_the_squared_error_of_centred_cosines():
    torch.manual_seed(1)
    student, teacher = torch.randn(5, 4).double(), torch.randn(5, 4).double()
    s, t = (similarities(v) - similarities(v).mean(1, keepdim=True) for v in (student, teacher))
    wanted = (s - t).square().sum(1).mean() / (2 * 4)
    assert loss(student, teacher, temperature=1e4).item() == pytest.approx(wanted.item(), rel=1e-3)


def test_turned_and_scaled_vectors_are_the_same_and_cost_nothing():
    torch.manual_seed(2)
    teacher = torch.randn(7, 4).double()
    turn, _ = torch.linalg.qr(torch.randn(4, 4).double())
    student = (3 * teacher @ turn).requires_grad_()
    value = loss(student, teacher, temperature=0.1)
    value.backward()
    assert value.item() == pytest.approx(0, abs=1e-12)
    assert student.grad.abs().max().item() < 1e-9


@pytest.mark.parametrize("variant", list(KLVariant))
def test_gradients(variant):
    torch.manual_seed(3)
    student, teacher = torch.randn(4, 3).double().requires_grad_(), torch.randn(4, 3).double()
    assert torch.autograd.gradcheck(lambda v: loss(v, teacher, temperature=0.5, variant=variant), (student,))


def test_one_text_alone_gives_nothing_and_no_fault():
    student = torch.randn(1, 3, requires_grad=True)
    value = loss(student, torch.randn(1, 3))
    value.backward()
    assert value.item() == 0
    assert student.grad.abs().max() == 0


def test_parts_compare_their_own_texts_and_add_up_to_the_mean_over_all():
    torch.manual_seed(4)
    student, teacher = torch.randn(5, 3).double(), torch.randn(5, 3).double()
    none = torch.zeros(0, dtype=torch.int64)
    parts = [
        term(0.5).compare(Outputs(student[part]), Outputs(teacher[part]), Targets(none, share=share)).item()
        for part, share in ((slice(0, 3), 0.6), (slice(3, 5), 0.4))
    ]
    alone = [
        loss(student[part], teacher[part], temperature=0.5).item() for part in (slice(0, 3), slice(3, 5))
    ]
    assert sum(parts) == pytest.approx((3 * alone[0] + 2 * alone[1]) / 5)


def test_there_is_no_part_of_labels():
    plan = TermPlan("KL", Term(type=TermType.KL_DIVERGENCE), 1.0)
    student, teacher = torch.randn(4, 3, requires_grad=True), torch.randn(4, 3)
    parts = embedding_objective([plan])(
        Outputs(student), Outputs(teacher), Targets(torch.zeros(4, dtype=torch.int64), count=4.0)
    )
    assert parts.task == 0
    assert parts.total == parts.distillation > 0


def test_the_loss_does_not_know_how_far_texts_are_padded(tmp_path):
    folder = write_encoder(tmp_path / "encoder")
    source = HuggingFaceSource.of(HuggingFaceModel(id=f"file://{folder}"), None, "teacher")
    network = source.build(Signature(Task.EMBEDDING, 0))
    source.load(network)
    texts, teacher = ["the cat", "an oak of it", "jade", "the elm and the dog"], torch.randn(4, 6)
    values = []
    for length in (8, 33):
        batch = tokenizer()(texts, padding="max_length", max_length=length, return_tensors="pt")
        with torch.no_grad():
            values.append(loss(network.eval()(dict(batch)), teacher, temperature=0.1).item())
    assert values[0] == pytest.approx(values[1], abs=1e-6)
