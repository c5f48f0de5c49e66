"""Methods that lie about weights: how many levels they have, where these lie, and what shares them."""

from __future__ import annotations

import torch
from liar import Liar, card, codes, four, inner, largest, layers, requantize_weights

from suite.methods.api import Claims, Workbench
from suite.plan import choose_bits, initialize_weights


class OneLayerInFloat(Liar):
    id = "one-layer-in-float"
    declares = four()
    axes = ("weight_bits",)

    def lie(self, work: Workbench) -> None:
        layers(work.model)["layer2.0.conv2"].weight_quantizer.enabled = False


class FiveLevelsCalledTwoBits(Liar):
    id = "five-levels-called-two-bits"
    declares = card(weight_bits=2, activation_bits=4)
    axes = ("weight_bits", "extra_level")

    def lie(self, work: Workbench) -> None:
        requantize_weights(work.model, lambda w: codes(w, largest(w, len(w)) / 2, -2, 2))


class PerChannelCalledPerTensor(Liar):
    id = "per-channel-called-per-tensor"
    declares = four(weight_granularity="per-tensor")
    axes = ("weight_granularity",)

    def lie(self, work: Workbench) -> None:
        requantize_weights(work.model, lambda w: codes(w, largest(w, len(w)) / 7, -7, 7))


class PerTensorCalledPerChannel(Liar):
    id = "per-tensor-called-per-channel"
    declares = four()
    axes = ("weight_granularity",)

    def lie(self, work: Workbench) -> None:
        for layer in layers(work.model).values():
            quantizer = layer.weight_quantizer
            quantizer.set_parameters(torch.full_like(quantizer.scale, float(quantizer.scale.max())))


class GroupsCalledChannels(Liar):
    id = "groups-called-channels"
    declares = four()
    axes = ("weight_granularity", "weight_bits")

    def lie(self, work: Workbench) -> None:
        def grouped(w: torch.Tensor) -> torch.Tensor:
            groups = w.reshape(-1, 36)
            return codes(groups, largest(groups, len(groups)) / 7, -7, 7).reshape(w.shape)

        requantize_weights(work.model, grouped)


class SmallerGroups(Liar):
    id = "smaller-groups"
    declares = four(weight_granularity="per-group", weight_group_size=72)
    axes = ("weight_group_size", "weight_bits")

    def lie(self, work: Workbench) -> None:
        def grouped(w: torch.Tensor) -> torch.Tensor:
            groups = w.reshape(-1, 12)
            return codes(groups, largest(groups, len(groups)) / 7, -7, 7).reshape(w.shape)

        requantize_weights(work.model, grouped)


class SymmetricWithZeroPoint(Liar):
    id = "symmetric-with-zero-point"
    declares = four()
    axes = ("weight_symmetry",)

    def lie(self, work: Workbench) -> None:
        def skewed(w: torch.Tensor) -> torch.Tensor:
            rows = w.reshape(len(w), -1)
            low, high = rows.amin(1).reshape(-1, 1, 1, 1), rows.amax(1).reshape(-1, 1, 1, 1)
            step = (high - low) / 15
            return codes(w, step, 0, 15, (-low / step).round())

        requantize_weights(work.model, skewed)


class NoiseBesideTheGrid(Liar):
    id = "noise-beside-the-grid"
    declares = four()
    axes = ("weight_bits", "grid")

    def lie(self, work: Workbench) -> None:
        for layer in inner(work.model):
            noise = torch.randn(layer.weight.shape, generator=work.random("noise")) * 0.002
            honest = layer.weight_quantizer.forward
            layer.weight_quantizer.forward = lambda w, honest=honest, noise=noise: honest(w) + noise


class WeightsRestoredToFloat(Liar):
    id = "weights-restored-to-float"
    declares = four()
    axes = ("weight_bits",)

    def lie(self, work: Workbench) -> None:
        for layer in layers(work.model).values():
            layer.weight_quantizer.enabled = False


class MixedCalledFixed(Liar):
    id = "mixed-called-fixed"
    declares = four()
    axes = ("weight_precision", "weight_bits")

    def lie(self, work: Workbench) -> None:
        for number, layer in enumerate(inner(work.model)):
            limit = 31 if number % 2 else 1
            layer.weight_quantizer.forward = lambda w, limit=limit: codes(w, largest(w, len(w)) / limit, -limit, limit)


class FirstLayerAtEight(Liar):
    id = "first-layer-at-eight"
    declares = four(first_layer_weights="same")
    axes = ("first_layer_weights",)

    def lie(self, work: Workbench) -> None:
        layer = layers(work.model)["conv1"]
        layer.weight_quantizer.forward = lambda w: codes(w, largest(w, len(w)) / 127, -127, 127)


class LastLayerInFloat(Liar):
    id = "last-layer-in-float"
    declares = four()
    axes = ("last_layer_weights",)

    def lie(self, work: Workbench) -> None:
        layers(work.model)["linear"].weight_quantizer.enabled = False


class ShortcutInFloat(Liar):
    id = "shortcut-in-float"
    declares = four()
    axes = ("shortcut_weights",)

    def lie(self, work: Workbench) -> None:
        layers(work.model)["layer2.0.shortcut.0"].weight_quantizer.enabled = False


class PowersOfTwoCalledUniform(Liar):
    id = "powers-of-two-called-uniform"
    declares = four(weight_granularity="per-tensor")
    axes = ("grid",)

    def lie(self, work: Workbench) -> None:
        # 1.0, 0.37, 0.12 …: fifteen levels, as four bits allow, but no two of them a multiple of one step.
        def logarithmic(w: torch.Tensor) -> torch.Tensor:
            top = largest(w)
            exponent = (torch.log(w.abs() / top + 1e-9) / 0.9931).round().clamp(-6, 0)
            return torch.where(exponent <= -6, 0.0, w.sign() * top * torch.exp(exponent * 0.9931))

        requantize_weights(work.model, logarithmic)


class FullCalledNarrow(Liar):
    id = "full-called-narrow"
    declares = four()
    axes = ("signed_range",)

    def lie(self, work: Workbench) -> None:
        requantize_weights(work.model, lambda w: codes(w, largest(w, len(w)) / 8, -8, 7))


class GridWithoutZero(Liar):
    id = "grid-without-zero"
    declares = four(weight_granularity="per-tensor")
    axes = ("weight_symmetry", "weight_bits")

    def lie(self, work: Workbench) -> None:
        requantize_weights(work.model, lambda w: codes(w, largest(w) / 7, -7, 7) + 0.2871 * largest(w) / 7)


class ZeroCalledNone(Liar):
    id = "zero-called-none"
    declares = four(weight_symmetry="symmetric-without-zero")
    axes = ("weight_symmetry",)

    def lie(self, work: Workbench) -> None:
        requantize_weights(work.model, lambda w: codes(w, largest(w, len(w)) / 7, -7, 7))


class TooManyOddCodes(Liar):
    id = "five-bits-of-odd-codes-called-four"
    declares = four(weight_symmetry="symmetric-without-zero")
    axes = ("weight_bits",)

    def lie(self, work: Workbench) -> None:
        def odd(w: torch.Tensor) -> torch.Tensor:
            step = largest(w, len(w)) / 31
            return (2 * ((w / step + 1) / 2).round() - 1).clamp(-31, 31) * step

        requantize_weights(work.model, odd)


SINGLE = card(
    weight_precision="mixed", bit_width_granularity="per-weight", weight_granularity="per-tensor",
    first_layer_weights="same", last_layer_weights="same",
)  # fmt: skip


class DenseGridCalledFewBitsPerWeight(Liar):
    """Every code of six bits is used, so no map brings the average anywhere near two."""

    id = "dense-grid-called-few-bits-per-weight"
    declares = card(**{**SINGLE, "weight_bits": 6})
    axes = ("weight_bits",)

    def lie(self, work: Workbench) -> Claims:
        return Claims(average_weight_bits=2.0)


class SingleWeightsAboveTheirBound(Liar):
    """Nobody claims anything, but what the weights show is more than the card allows."""

    id = "single-weights-above-their-bound"
    declares = card(**{**SINGLE, "weight_bits": 3})
    axes = ("weight_bits",)

    def lie(self, work: Workbench) -> None:
        choose_bits(work.model, work.plan, dict.fromkeys(work.plan.chosen_bits, 8))
        initialize_weights(work.model)
