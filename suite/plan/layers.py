"""Plan, the modules that placing puts into a model: graphs that keep their hierarchy, layers with quantized weights."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from typing import Any

import torch.nn.functional as F
from torch import Tensor, fx, nn

from suite.plan.attention import SelfAttention, keep_names
from suite.quantizers.quantizer import Quantizer


class Block(fx.GraphModule):
    """A container of the author's model, with the same children and attributes and a graph for a forward.

    torch's own GraphModule keeps only what its graph refers to, and forgets plain attributes when it is copied; the
    block keeps everything, so that paths, state-dict names and their order survive.

    Where the author's container computes attention with one fused kernel, quantizers need the products apart. The
    fused kernel rounds differently, so the block falls back to it whenever none of its quantizers is at work: with
    every site off the model is the author's, bit for bit.
    """

    @classmethod
    def of(cls, module: nn.Module, graph: fx.Graph, fused_graph: fx.Graph | None) -> Block:
        """Turn a module into a block that computes `graph`."""
        block = cls(module, graph, class_name=type(module).__name__)
        own = set(vars(block)) - set(vars(nn.Module()))
        for name, value in vars(module).items():
            if name not in own:
                block.__dict__[name] = value
        block.__dict__["fused_graph"] = fused_graph
        if isinstance(module, SelfAttention):
            keep_names(block)
        block.recompile()
        return block

    def recompile(self) -> Any:
        code = super().recompile()
        fused_graph = self.__dict__.get("fused_graph")
        if fused_graph is not None:
            written = fused_graph.python_code("self")
            namespace = dict(written.globals)
            exec(written.src, namespace)  # the same way fx compiles a graph
            type(self).forward = _either(namespace["forward"], type(self).forward)
        return code

    def __deepcopy__(self, memo: dict[int, Any]) -> Block:
        copied = super().__deepcopy__(memo)
        assert isinstance(copied, Block)
        type(copied).__name__ = type(self).__name__  # every block has a class of its own, named after the author's
        for name, value in vars(self).items():
            if name not in vars(copied):
                copied.__dict__[name] = copy.deepcopy(value, memo)
        copied.recompile()
        return copied


def _either(fused: Callable[..., Any], apart: Callable[..., Any]) -> Callable[..., Any]:
    """A forward that takes the fused kernel in evaluation while no quantizer of the block works or watches."""

    def forward(self: Block, *arguments: Any) -> Any:
        if self.training or at_work(self._modules.get("quantizers")):
            return apart(self, *arguments)
        return fused(self, *arguments)

    return forward


def at_work(quantizers: nn.Module | None) -> bool:
    """Whether any quantizer of a block changes or watches its tensor."""
    return quantizers is not None and any(
        quantizer.enabled or quantizer.observing
        for quantizer in quantizers.modules()  # inside what stands in for them, too
        if isinstance(quantizer, Quantizer)
    )


class Quantizers(nn.Module):
    """The quantizers of one block's tensors, as its child `quantizers`. `sites` maps child names to plan names."""

    def __init__(self) -> None:
        super().__init__()
        self.sites: dict[str, str] = {}

    def hold(self, site: str, container: str, quantizer: nn.Module) -> str:
        """Add a quantizer and return its name among the children."""
        local = site.removeprefix(f"{container}.") if container else site
        key = "".join(character if character.isalnum() else "_" for character in local)
        while hasattr(self, key):
            key += "_"
        self.add_module(key, quantizer)
        self.sites[key] = site
        return key

    def named(self) -> Iterator[tuple[str, nn.Module]]:
        """(name in the plan, quantizer or integer pool)."""
        for key, site in self.sites.items():
            yield site, getattr(self, key)


class SameGrid(nn.Module):
    """Rounds the mean of values that lie on a grid to that grid again: integer average pooling.

    The mean of s (k - z) is s (mean(k) - z), so quantizing it with the quantizer of the pool's input rounds the mean
    of the codes to a code. The quantizer belongs to whoever placed it; here it is only borrowed, hence the tuple,
    which keeps it out of this module's children and of the state dict.
    """

    def __init__(self, quantizer: Quantizer) -> None:
        super().__init__()
        self.borrowed = (quantizer,)

    def forward(self, mean: Tensor) -> Tensor:
        quantizer = self.borrowed[0]
        if quantizer.observing:  # the mean is no value of the tensor that the quantizer watches
            return mean
        lost = quantizer.scale.dim() - mean.dim()
        if lost > 0 and quantizer.spec.channel_axis == 1:
            # The pool dropped the axes it averaged, and scales per channel are [1, C, 1, 1].
            result: Tensor = quantizer(mean.reshape(*mean.shape, *[1] * lost)).reshape(mean.shape)
        else:
            result = quantizer(mean)
        return result


class QuantizedWeight:
    """What the quantized layers share: the name of their weight's site. They stay what isinstance says they were."""

    weight_quantizer: Quantizer
    weight_site: str


class QuantizedConv1d(QuantizedWeight, nn.Conv1d):
    """A convolution that puts its weight on a grid."""

    def forward(self, input: Tensor) -> Tensor:
        weight: Tensor = self.weight_quantizer(self.weight)
        result: Tensor = self._conv_forward(input, weight, self.bias)
        return result


class QuantizedConv2d(QuantizedWeight, nn.Conv2d):
    """A convolution that puts its weight on a grid."""

    def forward(self, input: Tensor) -> Tensor:
        weight: Tensor = self.weight_quantizer(self.weight)
        result: Tensor = self._conv_forward(input, weight, self.bias)
        return result


class QuantizedConv3d(QuantizedWeight, nn.Conv3d):
    """A convolution that puts its weight on a grid."""

    def forward(self, input: Tensor) -> Tensor:
        weight: Tensor = self.weight_quantizer(self.weight)
        result: Tensor = self._conv_forward(input, weight, self.bias)
        return result


class QuantizedLinear(QuantizedWeight, nn.Linear):
    """A linear layer that puts its weight on a grid."""

    def forward(self, input: Tensor) -> Tensor:
        return F.linear(input, self.weight_quantizer(self.weight), self.bias)


QUANTIZED: dict[type[nn.Module], type[nn.Module]] = {
    nn.Conv1d: QuantizedConv1d,
    nn.Conv2d: QuantizedConv2d,
    nn.Conv3d: QuantizedConv3d,
    nn.Linear: QuantizedLinear,
}


def quantize_weight_of(layer: nn.Module, site: str, quantizer: Quantizer) -> None:
    """Turn a layer into its quantized twin in place: same parameters, same names, same hooks."""
    for plain, quantized in QUANTIZED.items():
        if isinstance(layer, plain):
            layer.__class__ = quantized
            layer.add_module("weight_quantizer", quantizer)
            layer.__dict__["weight_site"] = site
            return
    raise TypeError(f"{type(layer).__name__} has no quantized twin")
