"""`training.strategy: FSDP`: every process holds a part of each tensor, and the whole of a layer while it computes it.

PyTorch's FSDP2 (https://docs.pytorch.org/docs/stable/distributed.fsdp.fully_shard.html), after ZeRO stage 3 (Rajbhandari et
al., arXiv 1910.02054). Parameters, gradients and optimizer states become DTensors that are split along their first side.
Losses here are sums over the step's rows, divided by the count of all processes: gradients are added up and not averaged.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager

import torch
from torch import Tensor, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import FSDPModule, MixedPrecisionPolicy, fully_shard
from torch.distributed.tensor import DTensor, distribute_tensor

from distill_api.training import Precision
from distill_trainer.layers import bare


def shard(
    network: nn.Module, world: int, device: torch.device, precision: Precision = Precision.FP32
) -> None:
    """Shard in place over all processes, each of which holds the same network; a unit is a layer of a list of layers.

    With BF16 layers are gathered in 16 bits: copies that autocast makes of gathered ones would stay, whole, until the
    backward pass. Gradients are added up in 32 bits.
    """
    mesh = init_device_mesh(device.type, (world,))
    low = precision is Precision.BF16
    policy = MixedPrecisionPolicy(torch.bfloat16, torch.float32) if low else MixedPrecisionPolicy()
    for unit in (*units(bare(network)), network):
        fully_shard(unit, mesh=mesh, mp_policy=policy)
        assert isinstance(unit, FSDPModule)  # noqa: S101 - it changes the class
        unit.set_gradient_divide_factor(1.0)
        unit.set_force_sum_reduction_for_comms(True)


def units(network: nn.Module) -> Iterator[nn.Module]:
    """What is gathered at once beside the rest: the entries of the outermost lists of layers that have parameters."""
    for child in network.children():
        if isinstance(child, nn.ModuleList | nn.Sequential):
            yield from (each for each in child if any(True for _ in each.parameters()))
        else:
            yield from units(child)


def is_sharded(network: nn.Module) -> bool:
    """Whether `shard` was here."""
    return isinstance(network, FSDPModule)


def rest(network: nn.Module) -> None:
    """Let go of what a forward pass left gathered: `parameters()` are the parts again, which an optimizer has to be given."""
    for module in network.modules():
        if isinstance(module, FSDPModule):
            module.reshard()


def forward_alone(networks: Sequence[nn.Module]) -> AbstractContextManager[None]:
    """No gradients: inference mode, but for what is sharded, whose buffers the next training pass uses again."""
    return torch.no_grad() if any(map(is_sharded, networks)) else torch.inference_mode()


def load_whole(network: nn.Module, state: Mapping[str, Tensor]) -> None:
    """Load whole tensors, of which each process that holds a part takes its own."""
    own = network.state_dict()
    network.load_state_dict({name: part_of(tensor, own[name]) for name, tensor in state.items()})


def part_of(tensor: Tensor, like: Tensor) -> Tensor:
    """This process's part of a whole tensor, split as `like`; the tensor itself where that is whole."""
    if not isinstance(like, DTensor) or tensor.shape != like.shape:
        return tensor
    return distribute_tensor(tensor.to(like.device), like.device_mesh, like.placements, src_data_rank=None)


def clip_gradients(weights: Sequence[nn.Parameter], limit: float) -> None:
    """Scale the gradients so that their norm over all weights, whole and sharded, is at most `limit`."""
    sharded: list[nn.Parameter] = []
    sharded += [weight for weight in weights if isinstance(weight, DTensor)]
    if not sharded:
        nn.utils.clip_grad_norm_(weights, limit)
        return
    groups: list[list[nn.Parameter]] = [
        sharded,
        [weight for weight in weights if not isinstance(weight, DTensor)],
    ]
    norms = [_norm(group) for group in groups]
    norm = torch.stack([each for each in norms if each is not None]).norm()
    for group in groups:
        nn.utils.clip_grads_with_norm_(group, limit, norm)


def _norm(weights: Sequence[nn.Parameter]) -> Tensor | None:
    gradients = [weight.grad for weight in weights if weight.grad is not None]
    if not gradients:
        return None
    norm = nn.utils.get_total_norm(gradients)
    return norm.full_tensor() if isinstance(norm, DTensor) else norm
