"""Ranking-aware quantization of attention: scales that keep outputs alike and attention scores in their order."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from suite.errors import SuiteError
from suite.methods.api import POST_TRAINING, Claims, Method, Needs, Note, Options, Paper, Workbench, option
from suite.methods.engines.calibration import calibrate
from suite.methods.engines.scale_search import (
    Measure,
    Ranking,
    ScaleSearch,
    Units,
    linear_candidates,
    search_scales,
)


@dataclass(frozen=True)
class RaqOptions(Options):
    """Options of `raq`. The paper's values are not known for certain: see the notes."""

    lowest: float = option(0.5, doc="the smallest factor on the start of a scale", minimum=0.01, maximum=100.0)
    highest: float = option(1.2, doc="the largest factor on the start of a scale", minimum=0.01, maximum=100.0)
    candidates: int = option(100, doc="scales tried in one step", minimum=2, maximum=10_000)
    rounds: int = option(2, doc="how often weights and activations take turns", minimum=1, maximum=100)
    ranking_weight: float = option(0.1, doc="the weight of the ranking penalty; 0 leaves it out", minimum=0.0)
    ranking_margin: float = option(0.2, doc="how far apart two scores have to stay", minimum=0.0)
    bias_correction: bool = option(True, doc="take the mean error of every output channel off the bias of its layer")
    examples: int = option(
        32, doc="examples whose outputs are compared; ranges start on all that there are", minimum=1, maximum=100_000
    )
    batch_size: int = option(128, doc="examples in one calibration pass", minimum=1, maximum=65_536)

    @classmethod
    def quick(cls) -> RaqOptions:
        return cls(rounds=1, candidates=8, examples=8)


class RankingAware(Method):
    """max over s of mean_n Γ(O_n, Ô_n(s)) − γ L(A, Â(s)), Γ the correlation of all that one example n gives.

    L is there where a softmax turns the product A into attention: the mean over rows k and pairs of columns i < j of
    max(0, θ − (Â_ki − Â_kj) sign(A_ki − A_kj)). Afterwards every bias takes up the mean error of its output channel.

    Our reading of the paper, of which no code is public: results are no reproduction of its numbers.
    """

    id = "raq"
    title = "Ranking-aware quantization of attention (our reading)"
    paper = Paper(
        title="Post-Training Quantization for Vision Transformer",
        authors="Zhenhua Liu, Yunhe Wang, Kai Han, Siwei Ma, Wen Gao",
        year=2021,
        url="https://arxiv.org/abs/2106.14156",
    )
    notes = (
        Note(
            about="candidates, weight and margin of the ranking",
            ours="100 candidates from 0.5 to 1.2 times the start, weight 0.1, margin 0.2; options say otherwise",
            paper="not known for certain: these are remembered values",
        ),
        Note(
            about="the matrix whose order is kept",
            ours="the product of queries and keys as it leaves the product, before scaling, mask and softmax",
            paper="scores of attention",
        ),
        Note(
            about="size of the ranking penalty",
            ours="a mean over rows and pairs, of at most 64 rows and 64 columns of every matrix, so that its weight "
            "means the same for every number of tokens",
            paper="a sum over all rows and pairs, as far as remembered",
        ),
        Note(
            about="rounds of the alternation",
            ours="2, weight before input; option rounds",
            paper="alternately, without a number that is remembered",
        ),
        Note(
            about="bias correction",
            ours="once, after all scales are found, from the float network's inputs; layers without a bias keep their "
            "error",
            paper="the expected error is taken off",
        ),
        Note(
            about="tensors that no product reads",
            ours="they keep the range of the data; the recommended axes leave sums of residual connections in floating "
            "point",
        ),
        Note(about="mixed precision by nuclear norms", ours="left out: every layer has the bits of the card"),
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
    Options = RaqOptions
    options: RaqOptions

    def quantize(self, work: Workbench) -> Claims:
        search = self.search()
        calibrate(work, batch_size=self.options.batch_size)
        return Claims(figures=search_scales(work, search))

    def search(self) -> ScaleSearch:
        """The search that the options describe."""
        chosen = self.options
        if chosen.lowest >= chosen.highest:
            raise SuiteError(
                f"lowest = {chosen.lowest:g} is not below highest = {chosen.highest:g}",
                hint="factors run from lowest to highest",
            )
        candidates = linear_candidates(chosen.lowest, chosen.highest, chosen.candidates)
        return ScaleSearch(
            measure=Measure.PEARSON,
            units=Units.EXAMPLES,
            weight_candidates=candidates,
            activation_candidates=candidates,
            rounds=chosen.rounds,
            ranking=Ranking(chosen.ranking_weight, chosen.ranking_margin) if chosen.ranking_weight > 0 else None,
            correct_bias=chosen.bias_correction,
            examples=chosen.examples,
        )


METHOD = RankingAware
