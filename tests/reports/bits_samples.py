"""Accounts of networks that nobody trained: widths that differ between layers, inside of them, and not at all."""

from __future__ import annotations

from suite.bits import BitAccount, Convention, FeatureMap, LayerBits, Widths

MAPS = (FeatureMap("conv1", 16 * 32 * 32, 4), FeatureMap("layer1.0.add", 16 * 32 * 32, 8))


def per_weight(count: int = 20, *, first: LayerBits | None = None) -> BitAccount:
    """Weights of each layer have 0 to 5 bits, fewer towards the end of the network."""
    layers = [first] if first is not None else []
    for index in range(len(layers), count):
        many = 2304 * (1 + index // 7)
        least = max(0, 3 - index // 5)
        shares = {least: 5, least + 1: 8, least + 2: 2, least + 3: 1}
        precisions = {bits: many * share // 16 for bits, share in shares.items()}
        layers.append(
            LayerBits(
                f"layer{1 + index // 7}.{index % 7}.conv1:weight", (many // 9, 9), Convention.SIGNED, precisions,
                levels=2 ** (least + 3) - 1, scales=1, widths=Widths.PER_WEIGHT,
            )
        )  # fmt: skip
    return BitAccount(tuple(layers), MAPS, activation_scales=20, activation_zero_points=20, other_numbers=698)


def per_layer(bits: tuple[int, ...] = (8, 4, 3, 3, 2, 0, 8)) -> BitAccount:
    """One width a layer; a layer without bits is all zeros."""
    layers = (
        LayerBits(
            f"blocks.{index}.mlp:weight", (64, 32), Convention.SIGNED, {width: 2048},
            levels=2**width - 1 if width else None, scales=64 if width else 0,
        )
        for index, width in enumerate(bits)
    )  # fmt: skip
    return BitAccount(tuple(layers), MAPS, activation_scales=9, other_numbers=70)


FLOAT_FIRST = LayerBits("conv1:weight", (16, 3, 3, 3), None, {32: 432})
ASYMMETRIC_FIRST = LayerBits(
    "conv1:weight", (16, 3, 3, 3), Convention.UNSIGNED, {8: 432}, levels=211, scales=16, zero_points=16
)
