"""Plan, lineage: which operand of an addition is the skip, what is fused to what, who descends from whom."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from suite.plan.anatomy import Kind, Operation

_PRODUCTS = (Kind.WEIGHTED, Kind.MATMUL)


class Lineage:
    """Ancestry in a data flow given in execution order. Sets of operations are bit masks: bit i is operation i."""

    def __init__(self, ops: Sequence[Operation]) -> None:
        self.ops = tuple(ops)
        self.index = {op.name: position for position, op in enumerate(self.ops)}
        self.readers: dict[str, list[Operation]] = {op.name: [] for op in self.ops}
        self._ancestors: list[int] = []  # of operation i, including itself
        for position, op in enumerate(self.ops):
            mask = 1 << position
            for operand in op.operands:
                mask |= self._ancestors[self.index[operand.tensor]]
                self.readers[operand.tensor].append(op)
            self._ancestors.append(mask)

    def paths(self, addition: Operation) -> tuple[list[Operation], list[Operation]]:
        """The operations from the nearest common ancestor of an addition's operands to each of them."""
        left, right = (self.index[operand.tensor] for operand in addition.operands)
        common = self._ancestors[left] & self._ancestors[right]
        nearest = common.bit_length() - 1
        return self._between(nearest, left), self._between(nearest, right)

    def _between(self, nearest: int, end: int) -> list[Operation]:
        if nearest < 0:
            return [self.ops[end]]
        mask = self._ancestors[end] & ~self._ancestors[nearest]
        return [
            self.ops[position]
            for position in range(nearest + 1, end + 1)
            if mask >> position & 1 and self._ancestors[position] >> nearest & 1
        ]

    def skip_and_residual(self, addition: Operation) -> tuple[int, int]:
        """Positions of the skip and the residual operand: the skip passes fewer products, then fewer operations."""
        lengths = [
            (_count(path, _PRODUCTS), len(path) - _count(path, (Kind.TRANSPARENT,))) for path in self.paths(addition)
        ]
        return (0, 1) if lengths[0] <= lengths[1] else (1, 0)

    def shortcut_layers(self) -> Iterator[str]:
        """1x1 convolutions on the skip path of an addition, in order."""
        for op in self.ops:
            if op.kind is Kind.ADD:
                for step in self.paths(op)[self.skip_and_residual(op)[0]]:
                    if _is_pointwise(step):
                        yield step.name

    def sum_of(self, addition: Operation) -> str:
        """The tensor that leaves an addition: the output of the activation function fused to it, if there is one."""
        readers = self.readers[addition.name]
        if len(readers) == 1 and readers[0].kind is Kind.ACTIVATION:
            return readers[0].name
        return addition.name

    def end_of_layer(self, layer: Operation) -> str:
        """The tensor that leaves a layer after its batch norm, added constants and activation function.

        A positional embedding is such a constant. What belongs to the layer ends where a second reader appears.
        """
        end = layer
        while len(self.readers[end.name]) == 1:
            following = self.readers[end.name][0]
            if following.kind is Kind.CONCAT and len(following.operands) > 1:
                break
            if following.kind not in (Kind.BATCH_NORM, Kind.AFFINE, Kind.TRANSPARENT, Kind.CONCAT, Kind.ACTIVATION):
                break
            end = following
            if end.kind is Kind.ACTIVATION:
                break
        while end.kind is Kind.TRANSPARENT:
            end = self.ops[self.index[end.operands[0].tensor]]
        return end.name

    def batch_norms(self) -> tuple[tuple[str, str], ...]:
        """(layer, batch norm) pairs by module path, where nobody else reads the layer and both are called once."""
        calls: dict[str, int] = {}
        for op in self.ops:
            if op.module is not None:
                calls[op.module] = calls.get(op.module, 0) + 1
        pairs = []
        for op in self.ops:
            following = self.readers[op.name]
            if op.kind is Kind.WEIGHTED and len(following) == 1 and following[0].kind is Kind.BATCH_NORM:
                layer, norm = op.module, following[0].module
                if layer is not None and norm is not None and calls[layer] == calls[norm] == 1:
                    pairs.append((layer, norm))
        return tuple(pairs)


def _count(path: Sequence[Operation], kinds: tuple[Kind, ...]) -> int:
    return sum(op.kind in kinds for op in path)


def _is_pointwise(op: Operation) -> bool:
    return (
        op.kind is Kind.WEIGHTED
        and op.weight_shape is not None
        and len(op.weight_shape) > 2
        and all(size == 1 for size in op.weight_shape[2:])
    )
