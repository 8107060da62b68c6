"""What of the teacher's output is stored, one file an encoding: both directions, and how many bytes it takes.

An encoding knows nothing of files or samples; it turns rows (an image, or a token of a text) into tensors and back.
"""

from distill_trainer.teacher_outputs.encodings.dense import Dense
from distill_trainer.teacher_outputs.encodings.encoding import Decoded, Encoding, Rows, Tensors
from distill_trainer.teacher_outputs.encodings.hidden_state import Head, HiddenState
from distill_trainer.teacher_outputs.encodings.sampled import Sampled
from distill_trainer.teacher_outputs.encodings.top_k import TopK

__all__ = [
    "Decoded",
    "Dense",
    "Encoding",
    "Head",
    "HiddenState",
    "Rows",
    "Sampled",
    "Tensors",
    "TopK",
]
