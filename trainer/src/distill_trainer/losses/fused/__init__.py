"""Losses of a language model from the last hidden states and the head: the logits never exist as a whole.

With 1024 tokens and 128 256 words the logits of both models take 1 GB, and their softmax, its logarithm and the gradient
as much again each. Here a chunk of rows is projected, compared, turned into its gradient in place and multiplied back,
before the next chunk: memory is that of one chunk, and the backward pass has nothing left to do.

    from distill_trainer.losses.fused import Head, fused_kl

    parts = fused_kl(
        student_hidden, Head(student.lm_head.weight), teacher_hidden, Head(teacher.lm_head.weight), 2.0,
        labels=labels, alpha=0.3, mask=mask, count=tokens_of_the_step, columns=len(tokenizer),
    )
    parts.total.backward()

For tasks that predict tokens; causal shift and mask are theirs. `objective` is the API's objective made of them, and
`fused_path` decides which training takes it. `fused_topk_kl` takes a stored teacher, and
`chunked_cross_entropy` none.
"""

from distill_trainer.losses.fused.divergences import Divergence, divergence_of, forward
from distill_trainer.losses.fused.head import Head
from distill_trainer.losses.fused.losses import chunked_cross_entropy, fused_kl, fused_topk_kl
from distill_trainer.losses.fused.objective import FusedObjective, FusedTerm, NotFused, fused_term

__all__ = [
    "Divergence",
    "FusedObjective",
    "FusedTerm",
    "Head",
    "NotFused",
    "chunked_cross_entropy",
    "divergence_of",
    "forward",
    "fused_kl",
    "fused_term",
    "fused_topk_kl",
]
