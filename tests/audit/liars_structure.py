"""Methods that change what is computed: blocks and layers replaced, and models that know when they are watched."""

from __future__ import annotations

import copy

import torch
from liar import Does, Liar, card, four, layers
from torch import Tensor, nn
from torch.overrides import _get_current_function_mode_stack

from suite.methods.api import Workbench
from suite.plan import quantizers_of


class BlockReplaced(Liar):
    id = "block-replaced-by-a-float-one"
    declares = four()
    axes = ("weight_bits", "activation_bits", "skip_connection")

    def lie(self, work: Workbench) -> None:
        work.model.get_submodule("layer2").register_module("1", copy.deepcopy(work.reference.get_submodule("layer2.1")))


class CorrectedInFloat(nn.Module):
    """A quantized layer, and beside it what it lost."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer
        self.lost = nn.Parameter((layer.weight - layer.weight_quantizer(layer.weight)).detach())

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(x) + torch.nn.functional.conv2d(x, self.lost, padding=1)


class ErrorAddedBack(Liar):
    id = "error-added-back"
    declares = four()
    axes = ("weight_bits",)

    def lie(self, work: Workbench) -> None:
        layer = work.model.get_submodule("layer2.1.conv2")
        work.model.get_submodule("layer2.1").register_module("conv2", CorrectedInFloat(layer))


class ProductOfItsOwn(nn.Module):
    """A linear layer that multiplies where nobody looks."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.weight, self.bias = layer.weight, layer.bias

    def forward(self, x: Tensor) -> Tensor:
        return torch.einsum("ni,oi->no", x, self.weight) + self.bias


class HiddenProduct(Liar):
    id = "hidden-product"
    declares = four()
    axes = ("last_layer_weights",)

    def lie(self, work: Workbench) -> None:
        work.model.register_module("linear", ProductOfItsOwn(work.model.get_submodule("linear")))


class KnowsWhenItIsWatched(Liar):
    """Quantizes as declared while somebody intercepts its operations, and not otherwise."""

    id = "knows-when-it-is-watched"
    declares = four()
    axes = ("weight_bits", "activation_bits")

    def lie(self, work: Workbench) -> None:
        for layer in layers(work.model).values():
            honest = layer.weight_quantizer.forward
            layer.weight_quantizer.forward = lambda w, honest=honest: (
                honest(w) if _get_current_function_mode_stack() else w
            )


class KnowsAnAuditBySize(Liar):
    """Quantizes small batches only: audits look at few images, evaluations at many."""

    id = "knows-an-audit-by-its-size"
    declares = card(weight_bits=2, activation_bits=2)
    axes = ("activation_bits",)

    def lie(self, work: Workbench) -> None:
        for quantizer in quantizers_of(work.model).values():
            if not quantizer.is_weight:
                honest = quantizer.forward
                quantizer.forward = lambda x, honest=honest: honest(x) if len(x) <= 32 else x


class ForgetsItsGraph(Liar):
    """The graph shows quantizers; the code that runs does not have them."""

    id = "code-unlike-its-graph"
    declares = four()
    axes = ("activation_bits", "weight_bits")

    def lie(self, work: Workbench) -> None:
        block = work.model.get_submodule("layer2.1")
        hidden = copy.deepcopy(work.reference.get_submodule("layer2.1"))
        block.__dict__["forward"] = hidden.forward


class StillNormalizes(Liar):
    id = "batch-norm-called-folded"
    declares = four()
    axes = ("batch_norm",)

    def lie(self, work: Workbench) -> None:
        work.model.get_submodule("layer2.1").register_module("bn1", nn.BatchNorm2d(32).eval())


class WeightsThatMove(Liar):
    """A weight that follows the batch has no codes to store."""

    id = "weights-that-follow-the-batch"
    declares = four()
    axes = ("weight_bits",)

    def lie(self, work: Workbench) -> None:
        layer = layers(work.model)["layer2.0.conv2"]
        seen = {"contrast": 1.0}
        honest_input = quantizers_of(work.model)["layer2.0.conv2:input"].forward
        honest = layer.weight_quantizer.forward

        def watching(x: Tensor) -> Tensor:
            seen["contrast"] = 1.0 + float(x.mean())
            return honest_input(x)

        quantizers_of(work.model)["layer2.0.conv2:input"].forward = watching
        layer.weight_quantizer = Does(lambda w: honest(w) * seen["contrast"])


class StatisticsCalledFrozen(Liar):
    """One normalization follows what passed, and the card says that all rest."""

    id = "statistics-called-frozen"
    declares = four(batch_norm="float", batch_norm_statistics="frozen")
    axes = ("batch_norm_statistics",)

    def lie(self, work: Workbench) -> None:
        norm = work.model.get_submodule("layer2.1.bn1")
        norm.running_mean += 1e-3


class StatisticsOfTheBatch(Liar):
    """Its buffers are those of the float model, but it normalizes with the batch's own mean and variance."""

    id = "statistics-of-the-batch-called-frozen"
    declares = four(batch_norm="float", batch_norm_statistics="frozen")
    axes = ("batch_norm_statistics",)

    def lie(self, work: Workbench) -> None:
        norm = work.model.get_submodule("layer2.1.bn1")
        norm.forward = lambda x: nn.functional.batch_norm(
            x, norm.running_mean, norm.running_var, norm.weight, norm.bias, training=True, momentum=0.0
        )


class StatisticsNeverEstimated(Liar):
    id = "statistics-called-re-estimated"
    declares = four(batch_norm="float", batch_norm_statistics="re-estimated")
    axes = ("batch_norm_statistics",)

    def lie(self, work: Workbench) -> None:
        """Every statistic stays what it was."""
