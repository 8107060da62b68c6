"""What an estimate is made from: two networks, the work and the machine. Pure; counted by `count`, or given on paper.

A *sample* is what the data set counts; it has one *position* (a picture, a text that is classified) or as many as it
has tokens (a language model): what the teacher says something about.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil

from distill_trainer.estimate import formulas as f

ASPECT = 128
"""Width ÷ layers and width of a head in transformers of which nothing is said: 4096 wide, 32 layers, 32 heads."""


@dataclass(frozen=True)
class Shape:
    """A transformer on paper."""

    layers: int
    width: int

    @classmethod
    def of(cls, parameters: float) -> Shape:
        """The shape that so many parameters have where width ÷ layers is `ASPECT`: N = 12·L·h² = 12·h³/128."""
        width = ASPECT * max(round((parameters * ASPECT / 12) ** (1 / 3) / ASPECT), 1)
        return cls(max(round(parameters / f.transformer_layer_parameters(width)), 1), width)


@dataclass(frozen=True)
class Network:
    """One model as the formulas need it; `flops`, `saved` and `passing` are of one sample.

    `largest` is the parameters of its largest layer, `beside` those that lie in no list of layers; `flops` those of a forward pass; `saved` the bytes kept for the
    backward pass, `passing` those of the largest step of a pass without one; `repeated` says that activations are
    computed twice; `width` is that of the last hidden state; `adapters` are the parameters that are trained where the others stay
    (`student.lora`), None where all are trained.
    """

    name: str
    parameters: float
    largest: float
    flops: float
    saved: float
    passing: float
    width: int
    repeated: bool = False
    beside: float = 0.0
    adapters: float | None = None

    @property
    def trained(self) -> float:
        """Parameters that have a gradient and optimizer states."""
        return self.parameters if self.adapters is None else self.adapters

    @property
    def training_flops(self) -> float:
        """Forward and backward, with a second forward pass where activations are not kept."""
        passes = f.training_passes(self.trained / self.parameters) if self.parameters else f.TRAINING_PASSES
        return (passes + self.repeated) * self.flops


def paper_network(
    name: str,
    parameters: float,
    shape: Shape,
    *,
    positions: int,
    classes: int,
    element: int,
    checkpointing: bool = False,
) -> Network:
    """A transformer of which only the size is known. Attention is fused: no matrix of s×s is kept."""
    layer = f.layer_activation_bytes(positions, shape.width, element)
    checkpointed = f.checkpointed_bytes(shape.layers, positions, shape.width, element)
    return Network(
        name=name,
        parameters=parameters,
        largest=f.transformer_layer_parameters(shape.width),
        flops=f.forward_flops(parameters, positions),
        saved=checkpointed if checkpointing else shape.layers * layer,
        passing=layer,
        width=shape.width,
        repeated=checkpointing,
        beside=2 * classes * shape.width if positions > 1 else classes * shape.width,
    )


@dataclass(frozen=True)
class Work:
    """What is to be done. `element` is bytes of a number in the passes (2: bfloat16), `moments` those of the optimizer.

    `micro_batch` is samples of one rank and pass; when not given a rank's share of the global `batch` is cut into `cuts`.
    `chunk` is the positions whose logits exist at once; all when not given, as the plain losses have it. `vectors` says that
    outputs are embeddings, which are stored whole: none of their values can stand for the others.
    """

    samples: int
    positions: int
    classes: int
    epochs: float
    batch: int
    element: int = f.FP32
    moments: int = 2
    micro_batch: int | None = None
    chunk: int | None = None
    top_k: int = 64
    cuts: int = 1
    vectors: bool = False

    @property
    def seen(self) -> float:
        """Positions that the student is trained on."""
        return self.samples * self.positions * self.epochs

    @property
    def steps(self) -> float:
        """Optimizer steps."""
        return self.samples * self.epochs / self.batch

    def micro(self, ranks: int) -> int:
        """Samples of one rank in one pass."""
        share = ceil(self.batch / ranks)
        return min(self.micro_batch or ceil(self.batch / (ranks * self.cuts)), share)

    def passes(self, ranks: int) -> int:
        """Passes of one rank in one optimizer step."""
        return ceil(self.batch / (ranks * self.micro(ranks)))


@dataclass(frozen=True)
class Machine:
    """`ranks` devices of `memory` bytes and `peak` FLOP/s, of which the training reaches `utilisation`."""

    ranks: int
    memory: float
    peak: float
    utilisation: float

    def seconds(self, flops: float, ranks: int) -> float:
        """Time of so many FLOPs."""
        return f.seconds(flops, ranks, self.peak, self.utilisation)
