"""Ground floor, bits: the account of one quantized model, layer by layer, and the sums over it.

model bytes = for each weight the bits of its values, packed and rounded up to bytes
            + for each weight whose width varies inside of it the map of its precisions, rounded up to bytes
            + 4 bytes a scale and 4 bytes a zero point, of weights and of static activation grids
            + 4 bytes for every other number that the model keeps (biases, normalization).

The map counts because nobody can decode the weights without it; it is not compressed, as the weights are not. Averages
of bits are over the weights alone, as papers give them, and `map_bytes` shows what they leave out.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from math import prod
from typing import Any

from suite.bits.counting import (
    FLOAT_BITS,
    NUMBER_BYTES,
    Convention,
    Widths,
    average,
    map_bits,
    packed_bytes,
    total,
)


@dataclass(frozen=True)
class LayerBits:
    """The weight of one layer: how many of its values have how many bits, and what is stored beside them.

    convention: what its codes are; None where no value is on a grid. levels: the most different values that were seen
    to share one grid; None where there is none. widths: what has a bit-width of its own, where they vary.
    """

    site: str
    shape: tuple[int, ...]
    convention: Convention | None
    precisions: Mapping[int, int]
    levels: int | None = None
    scales: int = 0
    zero_points: int = 0
    widths: Widths = Widths.PER_LAYER

    def __post_init__(self) -> None:
        counted = {bits: count for bits, count in sorted(self.precisions.items()) if count}
        if sum(counted.values()) != self.elements:
            raise ValueError(f"{self.site}: {sum(counted.values())} precisions for {self.elements} weights")
        if len(counted) > 1 and self.widths is Widths.PER_LAYER:
            raise ValueError(f"{self.site}: {len(counted)} bit-widths, but one for the layer")
        object.__setattr__(self, "precisions", counted)

    @property
    def elements(self) -> int:
        return prod(self.shape)

    @property
    def varies(self) -> bool:
        """Whether its weights have different bit-widths."""
        return len(self.precisions) > 1

    @property
    def bits(self) -> float:
        """Bits of a weight on average, signs counted."""
        return average((count, bits) for bits, count in self.precisions.items())

    @property
    def widest(self) -> int:
        return max(self.precisions, default=0)

    @property
    def histogram(self) -> dict[int, float]:
        """Bits -> share of the weights, ascending."""
        return {bits: count / self.elements for bits, count in self.precisions.items()}

    def counted(self, convention: Convention) -> dict[int, int]:
        """Its precisions as a convention counts them."""
        found: dict[int, int] = {}
        for bits, count in self.precisions.items():
            told = convention.of_code(bits, signed=self.convention is Convention.SIGNED)
            found[told] = found.get(told, 0) + count
        return found

    @property
    def weight_bytes(self) -> int:
        """Its values alone, packed."""
        return packed_bytes(total(self.precisions))

    @property
    def map_bytes(self) -> int:
        """The map that says which weight has which width; nothing where all have one."""
        entries = {Widths.PER_LAYER: 1, Widths.PER_CHANNEL: self.shape[0] if self.shape else 1}
        return packed_bytes(map_bits(entries.get(self.widths, self.elements), len(self.precisions)))

    @property
    def scale_bytes(self) -> int:
        return NUMBER_BYTES * (self.scales + self.zero_points)

    @property
    def bytes(self) -> int:
        """All that this weight takes: values, map, scales and zero points."""
        return self.weight_bytes + self.map_bytes + self.scale_bytes

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON. Elements, bits and bytes follow from the rest: they are there for readers."""
        return {
            "site": self.site,
            "shape": list(self.shape),
            "elements": self.elements,
            "bits": self.bits,
            "precisions": {str(bits): count for bits, count in self.precisions.items()},
            "widths": self.widths.value,
            "convention": None if self.convention is None else self.convention.value,
            "levels": self.levels,
            "scales": self.scales,
            "zero_points": self.zero_points,
            "map_bytes": self.map_bytes,
            "bytes": self.bytes,
        }


@dataclass(frozen=True)
class FeatureMap:
    """A tensor that operations read, for one example; the widest reader decides its bits.

    One that is read only as the grid of another tensor has 0.
    """

    tensor: str
    elements: int
    bits: int

    @property
    def bytes(self) -> int:
        return packed_bytes(self.elements * self.bits)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {"tensor": self.tensor, "elements": self.elements, "bits": self.bits, "bytes": self.bytes}


@dataclass(frozen=True)
class BitAccount:
    """Everything that is counted of one model. Feature maps are not stored, and so not in its size."""

    layers: tuple[LayerBits, ...]
    feature_maps: tuple[FeatureMap, ...] = ()
    activation_scales: int = 0
    activation_zero_points: int = 0
    other_numbers: int = 0

    @cached_property
    def elements(self) -> int:
        return sum(layer.elements for layer in self.layers)

    def average_weight_bits(self, convention: Convention = Convention.SIGNED) -> float:
        """Bits of a weight as a convention counts them: without scales and without the map of precisions."""
        return average((count, bits) for layer in self.layers for bits, count in layer.counted(convention).items())

    @property
    def stored_weight_bits(self) -> float:
        """The same with the map, scales and zero points of weights: all that the weights take, for each of them."""
        return 8 * sum(layer.bytes for layer in self.layers) / max(1, self.elements)

    @cached_property
    def weight_bytes(self) -> int:
        return sum(layer.weight_bytes for layer in self.layers)

    @cached_property
    def map_bytes(self) -> int:
        return sum(layer.map_bytes for layer in self.layers)

    @cached_property
    def scale_bytes(self) -> int:
        """Scales and zero points, of weights and of activations; those of dynamic grids are not stored."""
        of_activations = NUMBER_BYTES * (self.activation_scales + self.activation_zero_points)
        return of_activations + sum(layer.scale_bytes for layer in self.layers)

    @property
    def other_bytes(self) -> int:
        return NUMBER_BYTES * self.other_numbers

    def model_bytes(self, *, scales: bool = True) -> int:
        """Size of the model; `scales` as the axis scales_in_size has it."""
        return self.weight_bytes + self.map_bytes + self.other_bytes + (self.scale_bytes if scales else 0)

    @property
    def float_bytes(self) -> int:
        """Size of the same model before it was quantized: as many numbers, 4 bytes each."""
        return NUMBER_BYTES * (self.elements + self.other_numbers)

    @property
    def average_activation_bits(self) -> float:
        """Bits of a value over all feature maps."""
        return average((one.elements, one.bits) for one in self.feature_maps)

    @property
    def feature_map_largest_bytes(self) -> int:
        return max((one.bytes for one in self.feature_maps), default=0)

    @property
    def feature_map_total_bytes(self) -> int:
        return sum(one.bytes for one in self.feature_maps)

    @property
    def widest_grid(self) -> int:
        """The most bits of a weight that is on a grid; 0 where none is."""
        return max((bits for one in self.layers for bits in one.precisions if bits < FLOAT_BITS), default=0)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON; `suite.bits.read_account` is the inverse."""
        return {
            "layers": [layer.to_dict() for layer in self.layers],
            "feature_maps": [one.to_dict() for one in self.feature_maps],
            "activation_scales": self.activation_scales,
            "activation_zero_points": self.activation_zero_points,
            "other_numbers": self.other_numbers,
        }
