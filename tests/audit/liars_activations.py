"""Methods that lie about activations and operations: what is on a grid, on which, and whether it stays there."""

from __future__ import annotations

import torch
from liar import Liar, card, change, codes, four, largest
from torch import Tensor

from suite.methods.api import Workbench
from suite.plan import quantizers_of
from suite.plan.layers import SameGrid


class DynamicCalledStatic(Liar):
    id = "dynamic-called-static"
    declares = four()
    axes = ("activation_parameters",)

    def lie(self, work: Workbench) -> None:
        for name in ("layer1.0.conv2:input", "layer2.0.conv2:input", "layer2.1.conv2:input"):
            change(work.model, name, lambda x: codes(x, largest(x) / 15, 0, 15))


class StaticCalledDynamic(Liar):
    id = "static-called-dynamic"
    declares = four(activation_parameters="dynamic")
    axes = ("activation_parameters",)

    def lie(self, work: Workbench) -> None:
        for quantizer in quantizers_of(work.model).values():
            if not quantizer.is_weight:
                quantizer.forward = lambda x: codes(x, 0.21, 0, 15, 6)


class SkipPathUnquantized(Liar):
    id = "skip-path-unquantized"
    declares = four()
    axes = ("skip_connection",)

    def lie(self, work: Workbench) -> None:
        quantizers_of(work.model)["layer2.0.add:skip"].enabled = False


class SkipPathRewired(Liar):
    """The tensor is quantized for the convolution, and the addition is made to read it before that."""

    id = "skip-path-rewired"
    declares = four()
    axes = ("skip_connection",)

    def lie(self, work: Workbench) -> None:
        block = work.model.get_submodule("layer1.0")
        addition = next(node for node in block.graph.nodes if node.name == "add")
        for operand in addition.all_input_nodes:
            if operand.op == "call_module" and operand.args[0].op == "placeholder":
                addition.replace_input_with(operand, operand.args[0])
        block.recompile()


class ResidualInFloat(Liar):
    id = "residual-in-float"
    declares = four()
    axes = ("residual_connection",)

    def lie(self, work: Workbench) -> None:
        quantizers_of(work.model)["layer2.1.add:residual"].enabled = False


class ResidualQuantizedBehindTheCard(Liar):
    id = "residual-quantized-behind-the-card"
    declares = four(residual_connection="full-precision", skip_connection="full-precision")
    axes = ("residual_connection", "skip_connection")

    def lie(self, work: Workbench) -> None:
        for path in ("layer1.0", "layer2.0", "layer2.1"):
            block = work.model.get_submodule(path)
            addition = next(node for node in block.graph.nodes if node.name == "add")
            for number, operand in enumerate(list(addition.all_input_nodes)):
                with block.graph.inserting_before(addition):
                    rounded = block.graph.call_function(torch.fake_quantize_per_tensor_affine, (operand, 0.5, 8, 0, 15))
                    rounded.name = f"rounded_{number}"
                addition.replace_input_with(operand, rounded)
            block.recompile()


class PoolingInFloat(Liar):
    id = "pooling-in-float"
    declares = card(weight_bits=4, activation_bits=8)
    axes = ("pooling",)

    def lie(self, work: Workbench) -> None:
        quantizers_of(work.model)["avgpool:pool-output"].enabled = False


class IntegerPoolingInFloat(Liar):
    id = "integer-pooling-in-float"
    declares = four(pooling="low-precision-integer", last_layer_activations="same")
    axes = ("pooling",)

    def lie(self, work: Workbench) -> None:
        for module in work.model.modules():
            if isinstance(module, SameGrid):
                module.forward = lambda mean: mean


class IntegerPoolingOnAFinerGrid(Liar):
    id = "integer-pooling-on-a-finer-grid"
    declares = four(pooling="low-precision-integer", last_layer_activations="same")
    axes = ("pooling",)

    def lie(self, work: Workbench) -> None:
        for module in work.model.modules():
            if isinstance(module, SameGrid):
                step = float(module.borrowed[0].scale) * 0.371
                module.forward = lambda mean, step=step: codes(mean, step, 0, 15)


class RawNetworkInput(Liar):
    id = "raw-network-input"
    declares = four()
    axes = ("network_input",)

    def lie(self, work: Workbench) -> None:
        quantizers_of(work.model)["network:input"].enabled = False


class SixBitsCalledFour(Liar):
    id = "six-bits-called-four"
    declares = four()
    axes = ("activation_bits", "activation_precision")

    def lie(self, work: Workbench) -> None:
        top = float(quantizers_of(work.model)["layer2.0.conv2:input"].scale) * 15
        change(work.model, "layer2.0.conv2:input", lambda x: codes(x, top / 63, 0, 63))


class ChannelsCalledTensor(Liar):
    id = "activation-channels-called-tensor"
    declares = four()
    axes = ("activation_granularity",)

    def lie(self, work: Workbench) -> None:
        steps = torch.linspace(0.05, 0.4, 32).reshape(1, -1, 1, 1) ** 1.1
        change(work.model, "layer2.0.conv2:input", lambda x: codes(x, steps, 0, 15))


class ActivationsWithZeroPoint(Liar):
    id = "activations-with-zero-point"
    declares = four(activation_symmetry="symmetric")
    axes = ("activation_symmetry",)

    def lie(self, work: Workbench) -> None:
        change(work.model, "layer2.0.add:residual", lambda x: codes(x, 0.37, 0, 15, 11))


class SignBitDroppedSilently(Liar):
    id = "sign-bit-dropped-silently"
    declares = four(activation_symmetry="symmetric", unsigned_activations="never")
    axes = ("unsigned_activations",)

    def lie(self, work: Workbench) -> None:
        top = float(quantizers_of(work.model)["layer2.0.conv2:input"].scale) * 7
        change(work.model, "layer2.0.conv2:input", lambda x: codes(x, top / 15, 0, 15))


class FirstOutputAtEight(Liar):
    id = "first-output-at-eight"
    declares = four()
    axes = ("first_layer_activations",)

    def lie(self, work: Workbench) -> None:
        top = float(quantizers_of(work.model)["layer1.0.conv1:input"].scale) * 15
        change(work.model, "layer1.0.conv1:input", lambda x: codes(x, top / 255, 0, 255))


class LastInputInFloat(Liar):
    id = "last-input-in-float"
    declares = card(weight_bits=4, activation_bits=8, pooling="full-precision")
    axes = ("last_layer_activations",)

    def lie(self, work: Workbench) -> None:
        quantizers_of(work.model)["linear:input"].enabled = False


class OutputQuantizedBehindTheCard(Liar):
    id = "output-quantized-behind-the-card"
    declares = four()
    axes = ("network_output",)

    def lie(self, work: Workbench) -> None:
        graph = work.model.graph
        output = next(node for node in graph.nodes if node.op == "output")
        logits = output.all_input_nodes[0]
        with graph.inserting_before(output):
            rounded = graph.call_function(torch.fake_quantize_per_tensor_affine, (logits, 1.5, 8, 0, 15))
        output.replace_input_with(logits, rounded)
        work.model.recompile()


class NoiseOnActivations(Liar):
    id = "noise-on-activations"
    declares = four()
    axes = ("activation_bits",)

    def lie(self, work: Workbench) -> None:
        quantizer = quantizers_of(work.model)["layer2.1.conv2:input"]
        honest = quantizer.forward

        def noisy(x: Tensor) -> Tensor:
            # The same noise for the same tensor, so that the model still repeats itself.
            return honest(x) + 0.05 * torch.sin(x * 1000)

        quantizer.forward = noisy
