"""The processes of one training: what each takes, what they add up, and how they end together.

`torchrun` and the operator start them alike, with RANK, WORLD_SIZE, MASTER_ADDR and MASTER_PORT in the environment. One
process is the same code with nothing to add. Rank 0 leads: it validates, writes checkpoints and the version, and speaks.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from functools import cache
from itertools import groupby
from typing import Any, TypeVar

import torch
from torch import Tensor, distributed, nn
from torch.distributed.distributed_c10d import PrefixStore, Store
from torch.distributed.rendezvous import rendezvous

from distill_api.contract import ExitCode
from distill_trainer.errors import ConfigInvalid, Disrupted, UserError
from distill_trainer.stop import StopSignal

PATIENCE = timedelta(minutes=30)
"""How long a process waits for the others: the leader's validation and its last measurements lie in between."""
_LAST_WORDS = timedelta(seconds=5)
_FAILURE = "failure"
BUCKET = 2**25
"""Numbers that are sent at once: 128 MiB in 32 bits."""
T = TypeVar("T")


class RankLost(UserError):  # noqa: N818
    """Another process of the training ended without a word."""

    def __init__(self, detail: str) -> None:
        super().__init__(
            "RankLost",
            f"another process of the training has ended ({detail}): its log says why; the next start goes on from the last "
            "checkpoint",
        )


@dataclass(frozen=True)
class Ranks:
    """This process among `world` ones. `store` is where they leave their last words."""

    rank: int = 0
    world: int = 1
    store: Store | None = None

    @property
    def leads(self) -> bool:
        """Whether this one writes and speaks."""
        return self.rank == 0

    def add(self, tensor: Tensor) -> Tensor:
        """The sum over all processes, in place."""
        if self.world > 1:
            with _talking():
                distributed.all_reduce(tensor)
        return tensor

    def total(self, value: float) -> float:
        """The sum of a number over all processes."""
        return float(self.add(torch.tensor(value, dtype=torch.float64))) if self.world > 1 else value

    def all_of(self, tensor: Tensor, among: int) -> list[Tensor]:
        """The tensors of the first `among` processes, of one shape, in their order; asked by these alone."""
        found = [torch.empty_like(tensor) for _ in range(among)]
        with _talking():
            distributed.all_gather(found, tensor.contiguous(), group=_first(among, self.world))
        return found

    def any(self, flag: bool) -> bool:  # noqa: FBT001
        """Whether it is true anywhere: all processes get the same answer."""
        return self.total(float(flag)) > 0

    def most(self, value: int) -> int:
        """The greatest value that any process has."""
        if self.world == 1:
            return value
        box = torch.tensor(value)
        with _talking():
            distributed.all_reduce(box, distributed.ReduceOp.MAX)
        return int(box)

    def from_leader(self, value: T) -> T:
        """The leader's value, everywhere."""
        if self.world == 1:
            return value
        box: list[Any] = [value if self.leads else None]
        with _talking():
            distributed.broadcast_object_list(box, src=0)
        answer: T = box[0]
        return answer

    def copy_leader(self, module: nn.Module) -> None:
        """Parameters and buffers as the leader has them."""
        if self.world > 1:
            with _talking():
                for tensor in module.state_dict().values():
                    distributed.broadcast(tensor, src=0)

    def add_gradients(self, weights: Sequence[nn.Parameter]) -> None:
        """Gradients summed over all processes, many at once; weights that none of them used keep none."""
        if self.world == 1 or not weights:
            return
        used = self.add(torch.tensor([weight.grad is not None for weight in weights], dtype=torch.float64))
        mine = [weight for weight, count in zip(weights, used.tolist(), strict=True) if count]
        for group in _buckets(mine):
            flat = torch.cat([_gradient(weight).flatten() for weight in group])
            self.add(flat)
            for weight, part in zip(
                group, torch.split(flat, [weight.numel() for weight in group]), strict=True
            ):
                weight.grad = part.view_as(weight)

    def seed(self, seed: int, step: int) -> None:
        """Dropout of its own for each process and step; one process goes on with its generator, which is resumed."""
        if self.world > 1:
            mixed = hashlib.sha256(f"{seed}/{step}/{self.rank}".encode()).digest()[:7]
            torch.manual_seed(int.from_bytes(mixed, "big"))

    def explained(self, error: Exception) -> Exception:
        """Leave last words for the others, or take theirs where a lost connection is all that is known here."""
        if self.store is None:
            return error
        if isinstance(error, RankLost):
            return self._heard() or error
        with suppress(RuntimeError):  # the leader, who keeps them, may be gone already
            self.store.compare_set(_FAILURE, "", json.dumps(_words(error)))
        return error

    def _heard(self) -> Exception | None:
        assert self.store is not None  # noqa: S101 - asked by `explained` alone
        try:
            self.store.wait([_FAILURE], _LAST_WORDS)
            said = json.loads(self.store.get(_FAILURE))
        except (RuntimeError, ValueError):
            return None
        if said["code"] == ExitCode.DISRUPTED:
            return Disrupted(said["message"])
        return UserError(said["reason"], said["message"], ExitCode(said["code"]))


class AgreedStop(StopSignal):
    """True everywhere as soon as it is anywhere: for what all processes do in step, which none may leave alone."""

    def __init__(self, own: StopSignal, ranks: Ranks) -> None:
        super().__init__()
        self._own, self._ranks = own, ranks

    @property
    def requested(self) -> bool:
        """Asked by all processes together, as often by each."""
        return self._ranks.any(self._own.requested)


@contextmanager
def joined() -> Iterator[Ranks]:
    """All processes together, until one of them ends. Raises ConfigInvalid and RankLost."""
    world = _number("WORLD_SIZE", 1)
    if world == 1:
        yield Ranks()
        return
    ranks = _join(_number("RANK", None), world)
    try:
        yield ranks
    except Exception as error:
        raise ranks.explained(error) from error
    finally:
        _first.cache_clear()
        distributed.destroy_process_group()


def leads() -> bool:
    """Whether this process speaks for the training, known before the others are met."""
    return os.environ.get("RANK", "0") == "0" or os.environ.get("WORLD_SIZE", "1") == "1"


def _join(rank: int, world: int) -> Ranks:
    backend = "gloo"
    if torch.cuda.is_available():
        backend = "cpu:gloo,cuda:nccl"
        torch.cuda.set_device(_number("LOCAL_RANK", 0) % torch.cuda.device_count())
    try:
        store, rank, world = next(iter(rendezvous("env://", rank, world, timeout=PATIENCE)))
        distributed.init_process_group(backend, store=store, rank=rank, world_size=world, timeout=PATIENCE)
    except (RuntimeError, ValueError) as error:
        where = f"{os.environ.get('MASTER_ADDR')}:{os.environ.get('MASTER_PORT')}"
        raise RankLost(f"process {rank} of {world} did not meet the others at {where}") from error
    return Ranks(rank, world, PrefixStore("distill", store))


def _number(name: str, default: int | None) -> int:
    text = os.environ.get(name, "" if default is None else str(default))
    if not text.isdecimal():
        raise ConfigInvalid(
            f"the environment's {name} is {text!r}: it must be a number, as torchrun sets it; unset WORLD_SIZE for one process"
        )
    return int(text)


def _words(error: Exception) -> dict[str, Any]:
    match error:
        case UserError():
            return {"reason": error.reason, "message": error.message, "code": int(error.exit_code)}
        case Disrupted():
            return {"reason": "Disrupted", "message": str(error), "code": int(ExitCode.DISRUPTED)}
        case _:
            message = f"a process of the training failed unexpectedly ({type(error).__name__}); its log has the details"
            return {"reason": "Unexpected", "message": message, "code": int(ExitCode.FAILED)}


@cache
def _first(among: int, world: int) -> distributed.ProcessGroup | None:
    """The group of the first processes, made once; None stands for all."""
    if among == world:
        return None
    group = distributed.new_group(list(range(among)), use_local_synchronization=True)
    assert isinstance(group, distributed.ProcessGroup)  # noqa: S101 - asked by members alone
    return group


@contextmanager
def _talking() -> Iterator[None]:
    try:
        yield
    except RuntimeError as error:
        raise RankLost((str(error).splitlines() or [""])[0][:200]) from error


def _buckets(weights: Sequence[nn.Parameter]) -> list[list[nn.Parameter]]:
    """Of one type each, and no larger than `BUCKET` where one weight alone is not: what is sent is a copy."""
    buckets: list[list[nn.Parameter]] = []
    of_type = groupby(sorted(weights, key=_type_of), _type_of)
    for _, group in of_type:
        room = 0
        for weight in group:
            if weight.numel() > room:
                buckets.append([])
                room = BUCKET
            buckets[-1].append(weight)
            room -= weight.numel()
    return buckets


def _type_of(weight: nn.Parameter) -> str:
    return f"{weight.dtype} {weight.device}"


def _gradient(weight: nn.Parameter) -> Tensor:
    return torch.zeros_like(weight) if weight.grad is None else weight.grad
