"""Memory, stored outputs and time of a small plan whose every number is done by hand."""

from dataclasses import replace

import pytest

from distill_trainer.estimate.inputs import Machine, Network, Shape, Work, paper_network
from distill_trainer.estimate.plan import (
    Strategy,
    apart,
    cached_flops,
    encodings,
    online_flops,
    rank_counts,
    rank_memory,
    rows,
    step_bytes,
)

STUDENT = Network(
    "student", parameters=1000, largest=100, flops=2000, saved=50, passing=10, width=8, beside=30
)
TEACHER = Network(
    "teacher", parameters=9000, largest=300, flops=18_000, saved=0, passing=20, width=16, beside=70
)
WORK = Work(samples=64, positions=1, classes=10, epochs=3, batch=8)
BF16 = Work(samples=64, positions=1, classes=10, epochs=3, batch=8, element=2)
MACHINE = Machine(ranks=4, memory=100_000, peak=1000, utilisation=0.5)


def test_one_rank_in_32_bits():
    memory = rank_memory(STUDENT, TEACHER, WORK, 1, Strategy.DDP)
    assert memory.parameters == 4 * 1000
    assert memory.gradients == 4 * 1000
    assert memory.optimizer == 8 * 1000
    assert memory.activations == 8 * 50
    assert memory.teacher == 4 * 9000 + 8 * 20
    assert memory.logits == 3 * 4 * 8 * 10
    assert memory.total == 4000 + 4000 + 8000 + 400 + 36_160 + 960


def test_autocast_keeps_copies_in_16_bits_beside_the_parameters():
    memory = rank_memory(STUDENT, TEACHER, BF16, 1, Strategy.DDP)
    assert memory.parameters == (4 + 2) * 1000
    assert memory.teacher == 4 * 9000 + 8 * 20


def test_ddp_shares_out_the_batch_and_nothing_else():
    memory = rank_memory(STUDENT, TEACHER, WORK, 4, Strategy.DDP)
    assert (memory.parameters, memory.gradients, memory.optimizer) == (4000, 4000, 8000)
    assert memory.activations == 2 * 50
    assert memory.teacher == 36_000 + 2 * 20


def test_fsdp_shares_out_everything_but_two_layers_and_what_is_beside_them():
    memory = rank_memory(STUDENT, TEACHER, BF16, 4, Strategy.FSDP)
    assert memory.parameters == 4 * 1000 / 4 + 2 * (2 * 100 + 30)
    assert memory.gradients == 4 * 1000 / 4 + 2 * (100 + 30)
    assert memory.optimizer == 8 * 1000 / 4
    assert memory.teacher == 4 * 9000 / 4 + 2 * (2 * 300 + 70) + 2 * 20


def test_micro_batch_and_chunk_bound_what_is_there_at_once():
    work = Work(samples=64, positions=100, classes=10, epochs=1, batch=8, micro_batch=2, chunk=64)
    assert (work.micro(1), work.passes(1)) == (2, 4)
    assert (work.micro(8), work.passes(8)) == (1, 1)
    memory = rank_memory(STUDENT, TEACHER, work, 1, Strategy.DDP)
    assert memory.activations == 2 * 50
    assert memory.logits == 10 * 64 * (4 + 4 + 4 * 4)


def test_a_share_of_the_batch_is_cut_as_the_job_says():
    work = Work(samples=64, positions=1, classes=10, epochs=1, batch=24, cuts=3)
    assert (work.micro(1), work.micro(2), work.micro(3)) == (8, 4, 3)
    assert (work.passes(2), replace(work, micro_batch=2).passes(2)) == (3, 6)


def test_a_teacher_apart_makes_its_own_logits_and_nothing_of_the_student():
    memory = rank_memory(None, TEACHER, WORK, 2, Strategy.FSDP)
    assert memory.total == 4 * 9000 / 2 + 4 * (2 * 300 + 70) + 4 * 20 + 4 * 4 * 10


def test_cached_runs_the_teacher_once():
    assert online_flops(STUDENT, TEACHER, WORK) == 64 * 3 * (3 * 2000 + 18_000)
    assert cached_flops(STUDENT, TEACHER, WORK) == 64 * (3 * 3 * 2000 + 18_000)


def test_less_than_an_epoch_asks_the_teacher_less():
    half = Work(samples=64, positions=1, classes=10, epochs=0.5, batch=8)
    assert online_flops(STUDENT, TEACHER, half) == cached_flops(STUDENT, TEACHER, half)


def test_rows_are_powers_of_two_and_the_machine_with_both_strategies():
    assert rank_counts(6) == [1, 2, 4, 6]
    assert rank_counts(4) == [1, 2, 4]
    found = list(rows(STUDENT, TEACHER, WORK, MACHINE))
    assert [(row.ranks, row.strategy.value) for row in found] == [
        (1, "DDP"),
        (2, "DDP"),
        (2, "FSDP"),
        (4, "DDP"),
        (4, "FSDP"),
    ]
    assert found[-1].online_seconds == 64 * 3 * 24_000 / (4 * 1000 * 0.5)
    assert found[-1].sent_per_second == step_bytes(STUDENT, TEACHER, WORK, 4, Strategy.FSDP) * 24 / 2304


@pytest.mark.parametrize(("memory", "fits"), [(53_520 / 0.9 + 1, True), (53_520 / 0.9 - 1, False)])
def test_a_tenth_of_the_memory_is_not_planned_with(memory, fits):
    machine = Machine(ranks=1, memory=memory, peak=1, utilisation=1)
    (row,) = rows(STUDENT, TEACHER, WORK, machine)
    assert row.memory.total == 53_520
    assert row.memory.fits(memory) is fits


def test_what_a_rank_sends():
    assert step_bytes(STUDENT, TEACHER, BF16, 4, Strategy.DDP) == 2 * 4000 * 3 / 4
    assert step_bytes(STUDENT, TEACHER, BF16, 4, Strategy.FSDP) == (2 * (2000 + 9000) + 4000) * 3 / 4


def test_fsdp_gathers_again_in_each_pass_of_a_step():
    work = Work(samples=64, positions=1, classes=10, epochs=1, batch=8, element=2, micro_batch=1)
    assert step_bytes(STUDENT, TEACHER, work, 4, Strategy.FSDP) == 2 * 26_000 * 3 / 4


def test_encodings_are_written_at_the_teachers_speed_and_read_at_the_students():
    work = Work(samples=64, positions=4, classes=1000, epochs=3, batch=8, top_k=64)
    dense, hidden, top, drawn = encodings(STUDENT, TEACHER, work, MACHINE)
    assert (dense.name, dense.position_bytes, dense.total) == ("Dense", 4000, 64 * 4 * 4000)
    assert (hidden.name, hidden.position_bytes) == ("HiddenState", 64)
    assert (top.name, top.position_bytes) == ("TopK 64", 64 * 4 + 4)
    assert (drawn.name, drawn.position_bytes) == ("Sampled 64", 64 * 2 + 4)
    per_second = 4 * 1000 * 0.5
    assert dense.written_per_second == pytest.approx(4000 * 4 * per_second / 18_000)
    assert dense.read_per_second == pytest.approx(4000 * 4 * per_second / 6000)


def test_what_does_not_make_sense_is_not_offered():
    blind = replace(TEACHER, width=0)
    assert [each.name for each in encodings(STUDENT, blind, WORK, MACHINE)] == ["Dense"]
    assert [each.name for each in encodings(STUDENT, TEACHER, WORK, MACHINE)] == ["Dense", "HiddenState"]


def test_vectors_are_stored_whole():
    vectors = replace(WORK, classes=1000, vectors=True)
    (dense,) = encodings(STUDENT, TEACHER, vectors, MACHINE)
    assert (dense.name, dense.position_bytes) == ("Dense", 4000)


def test_only_adapters_have_gradients_and_optimizer_states():
    """100 of 1000 parameters are trained: 4 and 8 bytes for each of them, and 4 for all; a tenth of the weights' product is left."""
    adapted = replace(STUDENT, adapters=100.0)
    memory = rank_memory(adapted, TEACHER, WORK, 4, Strategy.DDP)
    assert (memory.parameters, memory.gradients, memory.optimizer) == (4000, 400, 800)
    assert adapted.training_flops == pytest.approx(2.1 * 2000)
    assert step_bytes(adapted, TEACHER, WORK, 4, Strategy.DDP) == 2 * 4 * 100 * 3 / 4
    assert {row.strategy for row in rows(adapted, TEACHER, WORK, MACHINE)} == {Strategy.DDP}
    assert (
        apart(adapted, TEACHER, WORK, MACHINE, 1).student_memory.optimizer == 800
    )  # three ranks, each with all


def test_apart_the_slower_side_sets_the_pace():
    """Student 6000 FLOPs a sample, teacher 18 000: of four ranks three are the teacher's, and both take 12 s."""
    found = apart(STUDENT, TEACHER, WORK, MACHINE, None)
    assert (found.teacher_ranks, found.student_ranks) == (3, 1)
    assert found.seconds == 64 * 3 * 6000 / (1 * 1000 * 0.5)
    assert apart(STUDENT, TEACHER, WORK, MACHINE, 1).seconds == 64 * 3 * 18_000 / (1 * 1000 * 0.5)
    assert found.positions_per_second == pytest.approx(500 / 6000)
    assert found.student_memory.teacher == 0
    assert found.teacher_memory.parameters == 0


def test_shapes_of_known_models():
    """8B is 35 × 4352 where Llama is 32 × 4096: near enough to plan with."""
    shape = Shape.of(8e9)
    assert shape.width % 128 == 0
    assert shape.layers * 12 * shape.width**2 == pytest.approx(8e9, rel=0.03)


def test_a_transformer_on_paper():
    shape = Shape(layers=2, width=128)
    network = paper_network("p", 500_000, shape, positions=10, classes=1000, element=2)
    assert network.flops == 2 * 500_000 * 10
    assert network.training_flops == 6 * 500_000 * 10
    assert network.saved == 2 * 34 * 10 * 128
    assert (network.largest, network.beside) == (12 * 128**2, 2 * 1000 * 128)
    wide = paper_network("p", 500_000, shape, positions=10, classes=10_000, element=2, checkpointing=True)
    assert (wide.largest, wide.beside) == (12 * 128**2, 2 * 10_000 * 128)
    assert wide.saved == (2 * 2 + 34) * 10 * 128
    assert wide.training_flops == 8 * 500_000 * 10
