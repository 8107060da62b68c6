"""Texts and conversations as a language model learns them: each token is predicted from those before it.

`DocumentEncoder` and `ChatEncoder` say which tokens there are and which of them count; `LanguageContent` keeps them and
makes batches. Called by the task CausalLM.
"""

from distill_trainer.language.chat import ChatEncoder
from distill_trainer.language.content import LanguageContent, source_splits
from distill_trainer.language.documents import DocumentEncoder
from distill_trainer.language.encoded import Encoded, Encoder

__all__ = ["ChatEncoder", "DocumentEncoder", "Encoded", "Encoder", "LanguageContent", "source_splits"]
