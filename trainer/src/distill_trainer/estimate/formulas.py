"""The arithmetic of cost, one formula a function. Pure numbers: bytes, FLOPs (a multiply-add is 2), seconds.

Sources: ZeRO, Rajbhandari et al. 2020 (https://arxiv.org/abs/1910.02054); activations, Korthikanti et al. 2022
(https://arxiv.org/abs/2205.05198); FLOPs, Kaplan et al. 2020 (https://arxiv.org/abs/2001.08361, section 2.1) and
Hoffmann et al. 2022, Chinchilla (https://arxiv.org/abs/2203.15556, appendix F); FlashAttention, Dao et al. 2022
(https://arxiv.org/abs/2205.14135).
"""

from __future__ import annotations

from math import ceil

from distill_trainer.chunks import WORK_TENSORS, block_rows

FP32 = 4
"""Bytes of a number in 32 bits: parameters, gradients, moments and the loss are kept in it whatever the precision, and so are
a teacher's parameters and stored outputs."""
GATHERED_LAYERS = 2
"""FSDP holds the layer that is computed and the next one, which is fetched meanwhile (ZeRO section 7.2.2)."""
LOSS_BUFFERS = 3
"""Student's logits, teacher's logits, and their gradient."""
TRAINING_PASSES = 3
"""A backward pass costs two forward passes: one product for the input, one for the weights (Kaplan, section 2.1)."""


def training_passes(share: float) -> float:
    """Forward, the product for the input, and the one for the weights of which a `share` is trained: 3 where it is 1.

    Adapters need the input's gradient through layers that stay (LoRA, Hu et al., https://arxiv.org/abs/2106.09685, section 4.2).
    """
    return TRAINING_PASSES - 1 + share


def optimizer_bytes(parameters: float, moments: int) -> float:
    """Optimizer states: 4 bytes a moment and parameter; 2 moments for Adam, 1 for SGD with momentum.

    With parameters and gradients in 32 bits Adam makes 4 + 4 + 8 = 16 bytes a parameter. ZeRO (section 3.1) counts the
    same 16 as 2 + 2 + 12: a 16-bit parameter and gradient, and the 32-bit parameter among the optimizer's states.
    """
    return FP32 * moments * parameters


def gathered_bytes(layer: float, beside: float, element: int) -> float:
    """What FSDP has whole during a pass: two layers of at most `layer` parameters, and what lies `beside` the lists of layers.

    That is embedding and head, which the losses need after the pass and whose gradient comes first.
    """
    return (GATHERED_LAYERS * layer + beside) * element


def transformer_layer_parameters(width: float) -> float:
    """12·h²: 4h² of attention (query, key, value, output) and 8h² of an MLP four times as wide (Kaplan, table 1)."""
    return 12 * width**2


def layer_activation_bytes(
    tokens: float, width: float, element: int, *, heads: float = 0.0, sequence: float = 0.0
) -> float:
    """What one transformer layer keeps for its backward pass (Korthikanti, equation 1: sbh·(34 + 5·as/h) in 16 bits).

    `tokens` is s·b. 32 of the 34 are sixteen values of 2 bytes, 2 are dropout masks of 1 byte; of the 5 for each
    entry of the attention matrix 4 are values. `heads` = 0 leaves the matrix out: fused attention never writes it.
    """
    matrix = heads * tokens * sequence * (2 * element + 1)
    return tokens * width * (16 * element + 2) + matrix


def checkpointed_bytes(layers: float, tokens: float, width: float, element: int) -> float:
    """With activation checkpointing: each layer's input, and one layer whole while it is computed again.

    Korthikanti, section 5: 2·sbh·L in 16 bits.
    """
    return layers * tokens * width * element + layer_activation_bytes(tokens, width, element)


def logits_bytes(positions: float, classes: float, buffers: int = LOSS_BUFFERS) -> float:
    """Buffers of the loss in 32 bits for so many positions at once."""
    return buffers * FP32 * positions * classes


def fused_logits_bytes(positions: float, classes: int, element: int, models: int = 2) -> float:
    """Buffers of the fused losses: a chunk of each model's logits as it computes them, and the work on a block of them.

    The student's gradient takes its logits' place. `chunks` says how many rows are
    a chunk and, on a GPU, a block.
    """
    block = min(block_rows(ceil(positions), classes, "cuda"), positions)
    chunks = models * positions * classes * element
    return chunks + WORK_TENSORS * FP32 * block * classes


def forward_flops(parameters: float, positions: float) -> float:
    """2·N·D: a multiply-add for each parameter and position; attention's own products are left out (Kaplan, 2.1)."""
    return 2 * parameters * positions


def distillation_flops(student: float, teacher: float, positions: float) -> float:
    """6·N_student·D + 2·N_teacher·D (Chinchilla, appendix F, for the student; the teacher runs forward alone)."""
    return TRAINING_PASSES * forward_flops(student, positions) + forward_flops(teacher, positions)


def seconds(flops: float, ranks: int, peak: float, utilisation: float) -> float:
    """Time on `ranks` devices of `peak` FLOP/s of which `utilisation` is reached (MFU, PaLM appendix B, arXiv 2204.02311)."""
    return flops / (ranks * peak * utilisation)


def all_reduce_bytes(size: float, ranks: int) -> float:
    """What a rank sends of a tensor of `size` bytes in a ring all-reduce: 2·(R−1)/R (ZeRO, section 7.1)."""
    return 2 * size * (ranks - 1) / ranks


def gather_bytes(size: float, ranks: int) -> float:
    """The same for an all-gather or a reduce-scatter, half of it: (R−1)/R."""
    return size * (ranks - 1) / ranks


def dense_bytes(classes: int, element: int) -> int:
    """Stored outputs of one position: every logit, in the precision of the teacher's pass."""
    return classes * element


def top_k_bytes(k: int, classes: int) -> int:
    """The k greatest: a log-probability in 16 bits and a class each, and the mass of all others in 32 bits."""
    return k * (2 + class_bytes(classes)) + FP32


def sampled_bytes(k: int, classes: int) -> int:
    """k classes drawn by their probability, and the entropy in 32 bits (arXiv 2503.16870)."""
    return k * class_bytes(classes) + FP32


def hidden_state_bytes(width: int, element: int) -> int:
    """The last hidden state, in the precision of the teacher's pass; its head makes the same logits of it again."""
    return width * element


def class_bytes(classes: int) -> int:
    """Two bytes name one of 65 536 classes, three one of more."""
    return 2 if classes <= 2**16 else 3


def teacher_ranks(ranks: int, student_flops: float, teacher_flops: float) -> int:
    """How many of `ranks` to give to the teacher alone so that neither waits: its share of the FLOPs, at least 1."""
    if ranks < 2:
        raise ValueError("a teacher apart needs at least two ranks: one for it, one for the student")
    share = teacher_flops / (student_flops + teacher_flops)
    return min(max(round(ranks * share), 1), ranks - 1)
