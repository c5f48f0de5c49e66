"""Plan, the anatomy of a model: its operations in data-flow order, their tensors and the sites. Free of torch.

Operations and tensors share their names: a tensor is named after the operation that produces it, and an operation is
named by the path of its module (`layer1.0.conv1`) or, for a function, by the path of the container whose forward
calls it and the function's local name (`layer1.0.add`). A site is an edge: `operation:role`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from math import prod

from suite.errors import UnknownName
from suite.registry import suggestion

NETWORK = "network"  # the pseudo-operation whose output is the network's input and whose operand is its output


class Kind(StrEnum):
    """What an operation does to grids: which sites it has, and whether it keeps a tensor on its grid."""

    INPUT = "input"
    TOKENS = "tokens"  # the network's input where it is integers that name table entries: nothing to put on a grid
    EMBEDDING = "embedding"  # looks up tokens in a table: where the activations of a language model begin
    WEIGHTED = "weighted"  # convolution or linear layer
    BATCH_NORM = "batch-norm"
    ADD = "add"  # of two activations of equal shape: a residual addition
    PRODUCT = "product"  # elementwise product of two activations
    MATMUL = "matmul"
    AVERAGE_POOL = "average-pool"
    ACTIVATION = "activation"
    SOFTMAX = "softmax"
    NORMALIZATION = "normalization"
    CONCAT = "concat"
    TRANSPARENT = "transparent"  # moves or selects values, so a tensor on a grid stays on it
    AFFINE = "affine"  # sum or product with a constant: positional embedding, layer scale, attention scale
    OTHER = "other"
    OUTPUT = "output"


class Role(StrEnum):
    """What a site is to its operation."""

    WEIGHT = "weight"
    INPUT = "input"
    SKIP = "skip"
    RESIDUAL = "residual"
    SUM = "sum"
    POOL_INPUT = "pool-input"
    POOL_OUTPUT = "pool-output"
    MATMUL_LEFT = "matmul-left"
    MATMUL_RIGHT = "matmul-right"
    PRODUCT_LEFT = "product-left"
    PRODUCT_RIGHT = "product-right"
    SOFTMAX_OUTPUT = "softmax-output"
    NORMALIZATION_OUTPUT = "normalization-output"
    ACTIVATION_OUTPUT = "activation-output"
    NETWORK_INPUT = "network-input"
    NETWORK_OUTPUT = "network-output"

    @property
    def suffix(self) -> str:
        """How the role is written in the name of a site, where the operation already says the rest."""
        return _SUFFIXES.get(self, self.value)


SWITCHES: Mapping[Role, str] = {
    Role.SKIP: "skip_connection",
    Role.RESIDUAL: "residual_connection",
    Role.SUM: "residual_connection",
    Role.POOL_INPUT: "pooling",
    Role.POOL_OUTPUT: "pooling",
    Role.PRODUCT_LEFT: "elementwise_product",
    Role.PRODUCT_RIGHT: "elementwise_product",
    Role.SOFTMAX_OUTPUT: "softmax",
    Role.NORMALIZATION_OUTPUT: "normalization",
    Role.ACTIVATION_OUTPUT: "activation_function",
}
"""The axis that decides whether a site of this role is on a grid at all. Operands of matrix products always are."""


_SUFFIXES = {
    Role.MATMUL_LEFT: "left",
    Role.MATMUL_RIGHT: "right",
    Role.PRODUCT_LEFT: "left",
    Role.PRODUCT_RIGHT: "right",
    Role.SOFTMAX_OUTPUT: "output",
    Role.NORMALIZATION_OUTPUT: "output",
    Role.ACTIVATION_OUTPUT: "output",
    Role.NETWORK_INPUT: "input",
    Role.NETWORK_OUTPUT: "output",
}


@dataclass(frozen=True)
class InputForm:
    """The form of a network's input: its type as torch names it (`int64`) and its shape, examples first."""

    dtype: str
    shape: tuple[int, ...]

    @property
    def tokens(self) -> bool:
        """Whether the values are numbers of tokens, not measurements."""
        return self.dtype in ("int64", "int32")

    def __str__(self) -> str:
        return f"{self.dtype} [{', '.join(['N', *map(str, self.shape[1:])])}]"


@dataclass(frozen=True)
class Operand:
    """One activation that an operation reads: its place among the operation's node operands, and the tensor."""

    index: int
    tensor: str


@dataclass(frozen=True)
class Operation:
    """One step of the data flow. `container` and `node` lead back to the traced graph it stands in."""

    name: str
    kind: Kind
    container: str
    node: str
    function: str  # "Conv2d", "add", "relu", …: for people
    operands: tuple[Operand, ...]
    module: str | None = None  # path of the leaf module, where the operation is one
    weight_shape: tuple[int, ...] | None = None
    several: bool = False  # the value is a tuple of tensors (chunk, unbind): it has no site of its own


@dataclass(frozen=True)
class Tensor:
    """The result of one operation; the shape is of one example, without the batch.

    `axes` counts those of the tensor as it flows: one more than the shape has, for the batch, or as many where the
    tokens of all examples stand in one axis (T examples of [C] each are written [T, C], and flow as [N T, C]).
    `channel_axis` is the one among them that holds the channels.
    """

    name: str
    shape: tuple[int, ...]
    non_negative: bool
    axes: int
    channel_axis: int

    @property
    def elements(self) -> int:
        return prod(self.shape)


@dataclass(frozen=True)
class Site:
    """One place where a tensor can be put on a grid.

    `operand` is the index of the operand that the operation reads there; None where the tensor is one that the
    operation produces, or a weight. For a sum the tensor is the output of the activation function fused to the add.
    """

    name: str
    role: Role
    op: str
    operand: int | None
    tensor: str
    shape: tuple[int, ...]

    @property
    def elements(self) -> int:
        return prod(self.shape)

    @property
    def reads(self) -> bool:
        """Whether the site is an operand, as opposed to a result or a weight."""
        return self.operand is not None


@dataclass(frozen=True)
class Anatomy:
    """Everything a plan needs to know about a model. Operations and sites are in data-flow order."""

    model: str
    ops: tuple[Operation, ...]
    tensors: Mapping[str, Tensor]
    sites: tuple[Site, ...]
    first_layer: str
    last_layer: str
    first_output: str  # the first layer's output after batch norm, positional embedding and activation function
    shortcut_layers: tuple[str, ...]  # 1x1 convolutions on skip paths
    batch_norms: tuple[tuple[str, str], ...]  # (layer, batch norm) pairs that can be folded
    exported: InputForm | None = None  # the form of input torch.export wrote the graphs for; None: torch.fx traced them

    @cached_property
    def _ops_by_name(self) -> Mapping[str, Operation]:
        return {op.name: op for op in self.ops}

    @cached_property
    def _sites_by_name(self) -> Mapping[str, Site]:
        return {site.name: site for site in self.sites}

    @cached_property
    def _edges(self) -> Mapping[str, tuple[tuple[Operation, int], ...]]:
        found: dict[str, list[tuple[Operation, int]]] = {}
        for op in self.ops:
            for operand in op.operands:
                found.setdefault(operand.tensor, []).append((op, operand.index))
        return {name: tuple(edges) for name, edges in found.items()}

    def op(self, name: str) -> Operation:
        """The operation of this name."""
        if name not in self._ops_by_name:
            raise UnknownName(f"{self.model} has no operation '{name}'", hint=suggestion(name, list(self._ops_by_name)))
        return self._ops_by_name[name]

    def site(self, name: str) -> Site:
        """The site of this name."""
        if name not in self._sites_by_name:
            raise UnknownName(f"{self.model} has no site '{name}'", hint=suggestion(name, list(self._sites_by_name)))
        return self._sites_by_name[name]

    def sites_of(self, op: str) -> tuple[Site, ...]:
        """The sites of one operation."""
        return tuple(site for site in self.sites if site.op == op)

    def of_kind(self, kind: Kind) -> tuple[Operation, ...]:
        """All operations of one kind."""
        return tuple(op for op in self.ops if op.kind is kind)

    def edges(self, tensor: str) -> tuple[tuple[Operation, int], ...]:
        """Who reads a tensor: (operation, operand index)."""
        return self._edges.get(tensor, ())

    def root(self, tensor: str) -> str:
        """The tensor whose values these are, before all transparent operations."""
        op = self._ops_by_name[tensor]
        while op.kind is Kind.TRANSPARENT:
            op = self._ops_by_name[op.operands[0].tensor]
        return op.name
