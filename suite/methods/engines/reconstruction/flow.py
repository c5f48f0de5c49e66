"""Methods, reconstruction engine: the values of one network for all examples, carried from unit to unit once.

Every operation outside the units and every unit is computed once for each example, so that a whole reconstruction
costs as much in passes as one pass through the network, however deep it is.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, fx
from torch.utils._pytree import TreeSpec, tree_flatten, tree_unflatten

from suite.errors import Unsupported
from suite.methods.engines.reconstruction.rows import Rows, RowStore
from suite.methods.engines.reconstruction.units import Unit, Walk


@dataclass(frozen=True)
class Same:
    """A value that does not depend on the examples: a size, a position embedding, a mask."""

    value: Any


@dataclass(frozen=True)
class PerChunk:
    """A value that depends on the examples and has no row for each, one for every chunk of examples."""

    values: tuple[Any, ...]


Leaf = Rows | Same | PerChunk


@dataclass(frozen=True)
class Stored:
    """The value of one node for all examples; its leaves stand in the structure that `spec` describes."""

    leaves: tuple[Leaf, ...]
    spec: TreeSpec

    @classmethod
    def of_rows(cls, rows: Rows) -> Stored:
        """The value of a node that is one tensor."""
        return cls((rows,), tree_flatten(0)[1])

    def part(self, index: int, chunk: slice) -> Any:
        """The value for the examples of one chunk."""
        return tree_unflatten([_part(leaf, index, chunk) for leaf in self.leaves], self.spec)

    def take(self, chosen: Tensor) -> Any:
        """The value for the examples at the positions `chosen`."""
        return tree_unflatten([_taken(leaf, chosen) for leaf in self.leaves], self.spec)


def _part(leaf: Leaf, index: int, chunk: slice) -> Any:
    if isinstance(leaf, Rows):
        return leaf.slice(chunk.start, chunk.stop)
    return leaf.value if isinstance(leaf, Same) else leaf.values[index]


def _taken(leaf: Leaf, chosen: Tensor) -> Any:
    if isinstance(leaf, Rows):
        return leaf.take(chosen)
    if isinstance(leaf, Same):
        return leaf.value
    raise Unsupported(
        "a unit reads a value that depends on several examples together, so it cannot learn from a few of them",
        hint="choose another unit",
    )


class Flow:
    """One network, walked along its units. Values are dropped as soon as nothing ahead reads them."""

    def __init__(self, walk: Walk, inputs: Sequence[Tensor], store: RowStore) -> None:
        """`inputs` are the network's inputs in chunks; every chunk but the last has as many examples as the first."""
        self.walk = walk
        self.store = store
        self.passes = 0
        """Forward computations of whole chunks through units, for whoever wants to count."""
        inputs = _telling(inputs)
        self._chunks = list(_chunks(inputs))
        self._device = store.device
        self._unit_of = {node: unit for unit in walk.units for node in unit.nodes}
        self._readers: dict[fx.Node, set[object]] = {
            node: {self._unit_of.get(user, user) for user in node.users} for node in walk.graph.nodes
        }
        self._values: dict[fx.Node, Stored] = {}
        placeholder = next(node for node in walk.graph.nodes if node.op == "placeholder")
        self._values[placeholder] = self._collected(inputs)

    @property
    def examples(self) -> int:
        return int(self._chunks[-1].stop)

    def inputs_of(self, unit: Unit) -> tuple[Stored, ...]:
        """What enters a unit, for all examples."""
        return tuple(self._value(node) for node in unit.inputs)

    @torch.no_grad()
    def run(self, unit: Unit) -> Stored:
        """What leaves a unit as it is now, for all examples. Whatever only this unit reads is dropped."""
        inputs = self.inputs_of(unit)
        results = []
        for index, chunk in enumerate(self._chunks):
            results.append(unit.module(*(value.part(index, chunk) for value in inputs)))
            self.passes += 1
        found = self._collected(results)
        self._keep(unit.output, found, unit, unit.inputs)
        return found

    def _keep(self, node: fx.Node, value: Stored, reader: object, read: Sequence[fx.Node]) -> None:
        self._values[node] = value
        for source in read:
            self._readers[source].discard(reader)
            if not self._readers[source]:
                self._values.pop(source, None)

    def _value(self, node: fx.Node) -> Stored:
        """The value of a node outside the units, computed when it is first asked for."""
        pending = [node]
        while pending:
            current = pending[-1]
            if current in self._values:
                pending.pop()
                continue
            missing = [source for source in current.all_input_nodes if source not in self._values]
            if missing:
                pending.extend(missing)
                continue
            if current in self._unit_of:
                raise Unsupported(f"'{self._unit_of[current].name}' is read before it was reconstructed")
            self._keep(current, self._computed(current), current, current.all_input_nodes)
            pending.pop()
        return self._values[node]

    @torch.no_grad()
    def _computed(self, node: fx.Node) -> Stored:
        results = []
        for index, chunk in enumerate(self._chunks):

            def part(source: fx.Node, index: int = index, chunk: slice = chunk) -> Any:
                return self._values[source].part(index, chunk)

            arguments, keywords = fx.node.map_arg((node.args, node.kwargs), part)
            results.append(operation(self.walk, node, arguments, keywords))
        return self._collected(results)

    def _collected(self, results: Sequence[Any]) -> Stored:
        """The results of all chunks, leaf by leaf: rows where there is one an example, one value where all agree."""
        flat = [tree_flatten(result) for result in results]
        leaves = tuple(
            self._leaf([values[position] for values, _ in flat]) for position in range(flat[0][1].num_leaves)
        )
        return Stored(leaves, flat[0][1])

    def _leaf(self, parts: list[Any]) -> Leaf:
        lengths = [chunk.stop - chunk.start for chunk in self._chunks]
        tensors = all(isinstance(part, Tensor) for part in parts)
        fitting = tensors and all(
            part.ndim and part.shape[0] == length for part, length in zip(parts, lengths, strict=True)
        )
        # As many positions as examples: a table of positions is no rows, and the same for all examples.
        table = fitting and len(lengths) > 1 and len(set(lengths)) == 1 and all(_equal(parts[0], one) for one in parts)
        if fitting and not table:
            rows = self.store.rows(self.examples, parts[0])
            for chunk, part in zip(self._chunks, parts, strict=True):
                rows.put(chunk.start, part)
            return rows
        first = parts[0]
        alike = all(_equal(first, part) for part in parts[1:])
        if alike:
            return Same(first.to(self._device) if isinstance(first, Tensor) else first)
        return PerChunk(tuple(part.to(self._device) if isinstance(part, Tensor) else part for part in parts))


def operation(walk: Walk, node: fx.Node, arguments: tuple[Any, ...], keywords: dict[str, Any]) -> Any:
    """One node of a flat graph, computed."""
    target: Any = node.target
    if node.op == "call_module":
        return walk.model.get_submodule(target)(*arguments, **keywords)
    if node.op == "call_function":
        return target(*arguments, **keywords)
    if node.op == "call_method":
        return getattr(arguments[0], target)(*arguments[1:], **keywords)
    assert node.op == "get_attr", node.op
    path, _, name = target.rpartition(".")
    return getattr(walk.model.get_submodule(path), name)


def _telling(inputs: Sequence[Tensor]) -> Sequence[Tensor]:
    """The same examples, a single chunk of them cut in two unequal ones, which tell rows from other sizes."""
    if len(inputs) == 1 and len(inputs[0]) > 2:
        return inputs[0][:-1], inputs[0][-1:]
    return inputs


def _chunks(inputs: Sequence[Tensor]) -> Iterator[slice]:
    start = 0
    for chunk in inputs:
        yield slice(start, start + len(chunk))
        start += len(chunk)


def _equal(left: Any, right: Any) -> bool:
    if isinstance(left, Tensor) and isinstance(right, Tensor):
        return left.shape == right.shape and bool(torch.equal(left, right))
    return type(left) is type(right) and bool(left == right)
