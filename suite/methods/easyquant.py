"""EasyQuant: scales searched, weights and activations in turn, for the cosine between quantized and float outputs."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar, Literal

import torch
from torch import Tensor

from suite.methods.api import POST_TRAINING, Claims, Method, Needs, Note, Options, Paper, Workbench, option
from suite.methods.engines.calibration import calibrate
from suite.methods.engines.scale_search import (
    Candidates,
    Measure,
    ScaleSearch,
    Units,
    linear_candidates,
    search_scales,
)

ACTIVATION_POINTS = 200  # of the authors' code


@dataclass(frozen=True)
class EasyQuantOptions(Options):
    """Options of `easyquant`."""

    form: Literal["ptq4vit", "paper", "code"] = option(
        "ptq4vit",
        doc="candidates and order: as PTQ4ViT's baseline, 0.5 to 1.2 times the start; as the paper, 0.5 to 2; as the "
        "authors' code, all weights once before all activations, on grids over the inverse of the scale",
    )
    rounds: int = option(
        2, doc="how often weights and activations take turns; the code's form has one round", minimum=1, maximum=100
    )
    candidates: int = option(100, doc="scales tried in one step", minimum=2, maximum=10_000)
    similarity: Literal["cosine", "pearson", "squared-error"] = option(
        "cosine", doc="how outputs are compared; only cosine is EasyQuant, the others are PTQ4ViT's variants"
    )
    examples: int = option(
        32, doc="examples whose outputs are compared; ranges start on all that there are", minimum=1, maximum=100_000
    )
    batch_size: int = option(128, doc="examples in one calibration pass", minimum=1, maximum=65_536)

    @classmethod
    def quick(cls) -> EasyQuantOptions:
        return cls(rounds=1, candidates=8, examples=8)


class EasyQuant(Method):
    """max over s of mean cos(O, Ô(s)), for each product O of the network and each scale s that it reads.

    Scales start at the range of the data, are searched in turn with the others held fixed, and are compared on the
    inputs that the product has in the float network. Where several products read one tensor, its scale is the best for
    their mean; where every output channel has a scale, each channel takes the best of its own. Products are
    convolutions, linear layers and the two products of attention; whatever none of them reads keeps its start.
    """

    id = "easyquant"
    title = "EasyQuant: scales for the cosine of outputs"
    paper = Paper(
        title="EasyQuant: Post-training Quantization via Scale Optimization",
        authors="Di Wu, Qi Tang, Yongle Zhao, Ming Zhang, Ying Fu, Debing Zhang",
        year=2020,
        url="https://arxiv.org/abs/2006.16669",
    )
    notes = (
        Note(
            about="candidates",
            ours="100 from 0.5 to 1.2 times the start, the upper end left out, and the scale as it is; option form",
            paper="100 from 0.5 to 2 times the start, as far as remembered",
            code="the authors' code: weights 100 from 1 to the inverse of the start, activations 200 from 0.8 to 1 "
            "times the inverse of the start; PTQ4ViT: as ours, without the scale as it is",
        ),
        Note(
            about="order",
            ours="the weight of a product, then what it reads, twice; option rounds",
            paper="weights and activations of a layer in turn",
            code="the authors' code: all weights, then all activations; PTQ4ViT: weight, then input, once",
        ),
        Note(
            about="what a weight sees while it is searched",
            ours="quantized inputs; float ones in the code's form, which is our reading",
            code="PTQ4ViT: quantized inputs",
        ),
        Note(
            about="what is one output",
            ours="the features of one position; all outputs of an example in the other forms; where channels have "
            "scales of their own, a channel over all examples",
            code="the authors' code: a channel of an image for weights, a layer for activations; PTQ4ViT: the features "
            "of one position",
        ),
        Note(
            about="tensors that no product reads",
            ours="they keep the range of the data; the recommended axes leave sums of residual connections in floating "
            "point",
        ),
        Note(
            about="examples that are compared",
            ours="32; option examples",
            code="the authors' code: 50; PTQ4ViT: 32",
        ),
    )
    needs = Needs(examples=True)
    supports: ClassVar = {
        **POST_TRAINING,
        "weight_range": ("output-similarity",),
        "activation_range": ("output-similarity",),
        "weight_granularity": ("per-tensor", "per-channel"),
        "activation_granularity": ("per-tensor",),
        "activation_parameters": ("static",),
    }
    recommended: ClassVar = {
        "weight_range": "output-similarity",
        "activation_range": "output-similarity",
        "weight_granularity": "per-tensor",
        "activation_symmetry": "symmetric",
        "symmetric_step": "two-max-over-levels",
        "signed_range": "full",
        "weight_bits": 4,
        "activation_bits": 4,
        "skip_connection": "full-precision",
        "residual_connection": "full-precision",
        "examples": 512,
        "time_limit": 100.0,
    }
    Options = EasyQuantOptions
    options: EasyQuantOptions

    def quantize(self, work: Workbench) -> Claims:
        calibrate(work, batch_size=self.options.batch_size)
        return Claims(figures=search_scales(work, self.search()))

    def search(self) -> ScaleSearch:
        """The search that the options describe."""
        chosen = self.options
        ours = linear_candidates(0.5, 1.2, chosen.candidates, closed=False)
        search = ScaleSearch(
            measure=Measure(chosen.similarity),
            units=Units.POSITIONS,
            weight_candidates=ours,
            activation_candidates=ours,
            rounds=chosen.rounds,
            examples=chosen.examples,
        )
        if chosen.form == "paper":
            wide = linear_candidates(0.5, 2.0, chosen.candidates)
            return replace(search, units=Units.EXAMPLES, weight_candidates=wide, activation_candidates=wide)
        if chosen.form == "code":
            return replace(
                search,
                units=Units.EXAMPLES,
                weight_candidates=inverse_candidates(chosen.candidates),
                activation_candidates=inverse_candidates(ACTIVATION_POINTS, lowest=0.8),
                rounds=1,
                weights_see_float=True,
            )
        return search


def inverse_candidates(count: int, lowest: float | None = None) -> Candidates:
    """Scales whose inverses are evenly spaced from `lowest` times the inverse of the start, or from 1, up to it."""

    def candidates(start: Tensor) -> Tensor:
        highest = start.reciprocal()
        low = torch.ones_like(highest) if lowest is None else lowest * highest
        parts = [low + (highest - low) * (index / (count - 1)) for index in range(count)]
        return torch.stack(parts).reciprocal()

    return candidates


METHOD = EasyQuant
