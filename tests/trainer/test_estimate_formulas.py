"""The formulas of cost against figures of the papers they come from, and against sums done by hand."""

import pytest

from distill_trainer.estimate import formulas as f


def test_zero_figure_1_seven_and_a_half_billion_parameters():
    """ZeRO, figure 1: Ψ = 7.5B, K = 12, 64 ranks: 120 GB replicated, 1.9 GB sharded."""
    states = 4 * 7.5e9 + 4 * 7.5e9 + f.optimizer_bytes(7.5e9, moments=2)
    assert states == 120e9
    assert round(states / 64 / 1e9, 1) == 1.9


def test_sgd_keeps_one_moment():
    assert f.optimizer_bytes(1000, moments=1) == 4000


def test_korthikanti_equation_1_is_34_and_the_matrix_is_80_for_gpt_3():
    """GPT-3: s = 2048, h = 12 288, a = 96; section 5 says that 5·as/h is 80 for it."""
    tokens, width = 2048, 12_288
    fused = f.layer_activation_bytes(tokens, width, 2)
    whole = f.layer_activation_bytes(tokens, width, 2, heads=96, sequence=2048)
    assert fused == 34 * tokens * width
    assert whole - fused == 80 * tokens * width


def test_in_32_bits_values_double_and_masks_do_not():
    assert f.layer_activation_bytes(10, 8, 4) == 10 * 8 * (32 * 2 + 2)
    assert f.layer_activation_bytes(10, 8, 4, heads=2, sequence=5) == 10 * 8 * 66 + 2 * 10 * 5 * 9


def test_checkpointing_keeps_each_layers_input_and_one_layer():
    assert f.checkpointed_bytes(96, 2048, 12_288, 2) == (2 * 96 + 34) * 2048 * 12_288


def test_gpt_3_has_its_parameters_and_its_flops():
    """96 layers 12 288 wide are 174B without embeddings; GPT-3's paper (appendix D) says 3.14e23 FLOPs for 300B tokens."""
    parameters = 96 * f.transformer_layer_parameters(12_288)
    assert parameters == 173_946_175_488
    assert f.distillation_flops(174.6e9, 0, 300e9) == pytest.approx(3.14e23, rel=2e-3)


def test_distilling_is_six_n_of_the_student_and_two_n_of_the_teacher():
    assert f.distillation_flops(student=8, teacher=70, positions=10) == 6 * 8 * 10 + 2 * 70 * 10


def test_seconds():
    assert f.seconds(flops=1e18, ranks=10, peak=1e14, utilisation=0.5) == 2000


def test_a_ring_all_reduce_is_two_halves():
    assert f.all_reduce_bytes(100, 4) == 150
    assert f.gather_bytes(100, 4) == 75
    assert f.all_reduce_bytes(100, 1) == 0


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        (f.dense_bytes(128_256, 2), 256_512),
        (f.top_k_bytes(64, 128_256), 64 * (2 + 3) + 4),
        (f.top_k_bytes(64, 32_000), 64 * (2 + 2) + 4),
        (f.sampled_bytes(64, 128_256), 64 * 3 + 4),
        (f.class_bytes(65_536), 2),
        (f.class_bytes(65_537), 3),
        (f.hidden_state_bytes(8192, 2), 16_384),
        (f.logits_bytes(256, 128_256), 3 * 4 * 256 * 128_256),
        (f.gathered_bytes(1000, 300, 2), 2 * (2 * 1000 + 300)),
        # 130 rows of this vocabulary are a block on a GPU.
        (f.fused_logits_bytes(256, 128_256, 2), 128_256 * (256 * 2 * 2 + 4 * 4 * 130)),
        (f.fused_logits_bytes(256, 128_256, 2, models=1), 128_256 * (256 * 2 + 4 * 4 * 130)),
        (f.fused_logits_bytes(5, 100, 4), 100 * (5 * 8 + 4 * 4 * 5)),
    ],
)
def test_sizes(size, expected):
    assert size == expected


@pytest.mark.parametrize(
    ("ranks", "student", "teacher", "expected"),
    [(64, 6 * 8, 2 * 70, 48), (64, 1, 10**6, 63), (64, 10**6, 1, 1), (2, 1, 1, 1)],
)
def test_the_teachers_ranks_are_its_share_of_the_flops(ranks, student, teacher, expected):
    """For 70B → 8B: 140 of 188 parts of 64 are 47.66."""
    assert f.teacher_ranks(ranks, student, teacher) == expected


def test_one_rank_cannot_be_shared_out():
    with pytest.raises(ValueError, match="at least two ranks"):
        f.teacher_ranks(1, 1, 1)
