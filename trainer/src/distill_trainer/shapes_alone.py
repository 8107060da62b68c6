"""Passes on the meta device of networks that look at values on their way, as into a mask to see whether anything is masked."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode

_READS_A_VALUE = {torch.ops.aten._local_scalar_dense.default, torch.ops.aten.item.default}  # noqa: SLF001 - an operator


@contextmanager
def shapes_alone() -> Iterator[None]:
    """Within it the value of a meta tensor is 1, or True: that of an example of whole texts, in which every token counts.

    Without it PyTorch refuses: there is no value.
    """
    with _Ones():  # type: ignore[no-untyped-call]
        yield


class _Ones(TorchDispatchMode):  # type: ignore[no-untyped-call]
    def __torch_dispatch__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        if func in _READS_A_VALUE and args[0].is_meta:
            return args[0].dtype is torch.bool or 1
        return func(*args, **(kwargs or {}))
