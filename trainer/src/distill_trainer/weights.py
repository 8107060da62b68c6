"""Safetensors files: what is in them by their header alone, whether they fit a network, and their digest.

A pickle runs code when it is read, so it is refused by its first bytes, never opened.
Format: 8 bytes little-endian length of the header, JSON header, tensors (https://huggingface.co/docs/safetensors).
"""

from __future__ import annotations

import hashlib
import json
import struct
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.distributed.tensor import DTensor

from distill_trainer.errors import ContractBroken

FILE = "model.safetensors"
_HEADER_LIMIT = 100_000_000
CONVERT = (
    'convert it where you trust it: python -c "import torch, safetensors.torch as s; '
    "s.save_file(torch.load('IN.pt', weights_only=True), 'OUT.safetensors')\""
)


def read_header(path: Path, *, field: str) -> dict[str, tuple[int, ...]]:
    """Shape of every tensor by name. Raises ContractBroken: missing, a pickle, torn, or no safetensors file."""
    if not path.is_file():
        raise ContractBroken("WeightsNotFound", f"{field}: there is no file {path}; {_nearby(path)}")
    size = path.stat().st_size
    with path.open("rb") as file:
        first = file.read(9)
        _refuse_pickle(first, path, field)
        length = struct.unpack("<Q", first[:8])[0] if len(first) == 9 else 0
        file.seek(8)
        if not 2 <= length <= _HEADER_LIMIT:
            raise _not_safetensors(path, field)
        if 8 + length > size:
            raise _torn(path, field, 8 + length, size)
        header = _parse(file.read(length), path, field)
    header.pop("__metadata__", None)
    try:
        needed = 8 + length + max((int(entry["data_offsets"][1]) for entry in header.values()), default=0)
        shapes = {name: tuple(int(side) for side in entry["shape"]) for name, entry in header.items()}
    except (TypeError, ValueError, LookupError) as error:
        raise _not_safetensors(path, field) from error
    if needed != size:
        raise _torn(path, field, needed, size)
    return shapes


def load_into(module: nn.Module, path: Path, *, field: str, but: Sequence[str] = ()) -> None:
    """Fill `module` from the file, all `but` some tensors; names and shapes must be the module's own. Raises ContractBroken."""
    shapes = as_own(module, read_header(path, field=field), but)
    compare_shapes(module, shapes, path.name, field=field)
    kept = {name: tensor for name, tensor in module.state_dict().items() if name in but}
    module.load_state_dict({**load_file(path), **kept})


def as_own(
    module: nn.Module, shapes: Mapping[str, tuple[int, ...]], names: Sequence[str]
) -> dict[str, tuple[int, ...]]:
    """The shapes, with the module's own for the tensors `names`, which are not read."""
    own = module.state_dict()
    return {**shapes, **{name: tuple(own[name].shape) for name in names}}


def write(module: nn.Module, path: Path) -> None:
    """Every tensor of `module`; one that several names share is written for each, so that no reader misses a name."""
    save_file(plain_tensors(module.state_dict()), path)


def compare_shapes(
    module: nn.Module, shapes: Mapping[str, tuple[int, ...]], file: str, *, field: str
) -> None:
    """Raise ContractBroken (WeightsMismatch) that names the first tensors that do not fit."""
    wanted = {name: tuple(tensor.shape) for name, tensor in module.state_dict().items()}
    faults = [f"{name} is missing" for name in wanted if name not in shapes]
    faults += [f"{name} is unknown to it" for name in shapes if name not in wanted]
    faults += [
        f"{name} is {list(shapes[name])} instead of {list(shape)}"
        for name, shape in wanted.items()
        if name in shapes and shapes[name] != shape
    ]
    if faults:
        more = f" and {len(faults) - 3} more" if len(faults) > 3 else ""
        raise ContractBroken(
            "WeightsMismatch",
            f"{field}: {file} does not fit the model: {'; '.join(faults[:3])}{more}; name the model that it was trained for",
        )


def input_layer_fault(module: nn.Module, shapes: Mapping[str, tuple[int, ...]]) -> str:
    """What is wrong where the tensors are named as the module's and its first layer has another shape; else empty."""
    wanted = {name: tuple(tensor.shape) for name, tensor in module.state_dict().items()}
    first = next((name for name, shape in wanted.items() if name.endswith("weight") and len(shape) > 1), None)
    if first is None or set(shapes) != set(wanted) or shapes[first] == wanted[first]:
        return ""
    return f"an input layer {list(shapes[first])} instead of {list(wanted[first])}"


def plain_tensors(state: Mapping[str, Tensor], *, keep: bool = True) -> dict[str, Tensor]:
    """A state dict as safetensors takes it: on the CPU, contiguous, no two names sharing memory.

    Tensors that processes share are put together, one after the other, by all of them; where `keep` is false to be let go.
    """
    plain: dict[str, Tensor] = {}
    for name, tensor in state.items():
        whole = tensor.full_tensor() if isinstance(tensor, DTensor) else tensor
        if keep:
            plain[name] = whole.detach().cpu().contiguous().clone()
    return plain


def file_digest(path: Path) -> str:
    """`sha256:…` of a file's bytes."""
    with path.open("rb") as file:
        return "sha256:" + hashlib.file_digest(file, "sha256").hexdigest()


def state_digest(module: nn.Module) -> str:
    """`sha256:…` of names, types, shapes and bytes of a module's whole state, buffers too."""
    digest = hashlib.sha256()
    for name, tensor in sorted(module.state_dict().items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        digest.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes())
    return "sha256:" + digest.hexdigest()


def _refuse_pickle(first: bytes, path: Path, field: str) -> None:
    """A length may have the first byte of a pickle, \x80: what tells them apart is where a header begins, with `{`."""
    length = int.from_bytes(first[:8], "little")
    header = first[8:9] == b"{" and length <= _HEADER_LIMIT
    starts_so = not header and (first[:2] == b"PK" or first[:1] == b"\x80")
    if starts_so or path.suffix in {".pt", ".pth", ".bin", ".pkl", ".ckpt"}:
        raise ContractBroken(
            "WeightsArePickle",
            f"{field}: {path.name} is a pickle, which can run code when it is read; {CONVERT}",
        )


def _parse(raw: bytes, path: Path, field: str) -> dict[str, Any]:
    try:
        header = json.loads(raw)
    except ValueError as error:
        raise _not_safetensors(path, field) from error
    if not isinstance(header, dict):
        raise _not_safetensors(path, field)
    return header


def _not_safetensors(path: Path, field: str) -> ContractBroken:
    return ContractBroken(
        "WeightsNotSafetensors",
        f"{field}: {path.name} is no safetensors file; save it with safetensors.torch.save_file",
    )


def _torn(path: Path, field: str, needed: int, size: int) -> ContractBroken:
    return ContractBroken(
        "WeightsTorn",
        f"{field}: {path.name} is torn: its header says {needed} bytes, the file has {size}; copy it again",
    )


def _nearby(path: Path) -> str:
    """What lies where the file should lie: the usual fault is a typing error."""
    if not path.parent.is_dir():
        return f"the folder {path.parent} does not exist either"
    names = sorted(entry.name for entry in path.parent.iterdir())[:5]
    return f"the folder holds {', '.join(names)}" if names else "the folder is empty"
