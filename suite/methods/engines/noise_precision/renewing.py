"""Methods, engine of precisions learned by noise: weights that begin anew, while precisions stay."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import torch
from torch import Tensor, nn

from suite.errors import Unsupported
from suite.methods.api import Workbench
from suite.quantizers import Quantizer
from suite.quantizers.noise_precision import NoisyWeight, PrecisionQuantizer, Span, shuffled


def renew(work: Workbench) -> None:
    """Draw all parameters anew, as their modules do when they are made, from a stream of the run's seed."""
    modules = list(_resettable(work.model))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(work.random("new weights").initial_seed())
        for module in modules:
            module.cpu().reset_parameters()  # type: ignore[operator]
    work.model.to(work.device)


def _resettable(model: nn.Module) -> Iterator[nn.Module]:
    for path, module in model.named_modules():
        if isinstance(module, Quantizer) or not any(True for _ in module.parameters(recurse=False)):
            continue
        if not callable(getattr(module, "reset_parameters", None)):
            raise Unsupported(
                f"nothing says how the parameters of {path or 'the network'} begin",
                hint="set the option weights to pretrained",
            )
        yield module


def shuffle_each(work: Workbench, precisions: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The precisions of every layer, dealt anew to its weights."""
    random = work.random("shuffled precisions")
    return {name: shuffled(precisions[name], random) for name in sorted(precisions)}


def at_precisions(
    weights: Mapping[str, Tensor], precisions: Mapping[str, Tensor], span: Span
) -> dict[str, PrecisionQuantizer]:
    """Grids of these precisions, with scales α = max|w| / 2c of the weights as they are."""
    return {
        name: PrecisionQuantizer(NoisyWeight(weight, per_layer=True, span=span).scale, precisions[name], span).to(
            weight.device
        )
        for name, weight in weights.items()
    }
