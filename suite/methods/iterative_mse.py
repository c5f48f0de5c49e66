"""Iterative MSE: scales of least squared error by alternating between codes and scale, from several starts."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from typing import ClassVar, Literal

import torch

from suite.methods.api import POST_TRAINING, Claims, Method, Needs, Note, Options, Paper, Workbench, option
from suite.methods.engines.calibration import calibrate
from suite.methods.engines.trajectories import evenly_spread, points_of_each, rounded
from suite.plan import quantizers_of
from suite.quantizers import QuantizerSpec
from suite.quantizers.grids import Parameters
from suite.quantizers.ranges import LSQ_START, STARTS, Rule, Solved, Summary, iterative_mse, parameters_by_rule
from suite.quantizers.search import squared_errors

START_SETS = {"all": (*STARTS, LSQ_START), "largest": ("largest",), "lsq": (LSQ_START,)}
POINTS_OF_ONE = 12


@dataclass(frozen=True)
class IterativeMseOptions(Options):
    """Options of `iterative_mse`."""

    starts: Literal["all", "largest", "lsq"] = option(
        "all",
        doc="where the alternation starts: the step that covers the range, half and a quarter of it and the LSQ start, "
        "keeping the best; or only the first, or only the last of them",
    )
    tolerance: float = option(
        1e-6, doc="the relative change of the scale at which it has converged", minimum=0.0, maximum=0.1
    )
    iterations: int = option(200, doc="at most this many alternations", minimum=1, maximum=10_000)
    batch_size: int = option(128, doc="examples in one calibration pass", minimum=1, maximum=65_536)

    @classmethod
    def quick(cls) -> IterativeMseOptions:
        return cls(iterations=20)


class IterativeMse(Method):
    """min over s of ‖v − s k‖², alternating k ← round(clip(v / s, qmin, qmax)) and s ← ⟨v, k⟩ / ⟨k, k⟩.

    Each half is optimal for the other one held fixed, so the error never rises, and ends in a local optimum; the best
    of several starts is kept. Where all codes are zero the scale is halved. On an asymmetric grid the zero point is
    that of the range. The record's figures hold every quantizer's trajectory.
    """

    id = "iterative_mse"
    title = "Iterative least-squares scales"
    paper = Paper(
        title="Fixed-point Quantization for Vision Transformer",
        authors="Zhexin Li, Peisong Wang, Zhiyuan Wang, Jian Cheng",
        year=2021,
        url="https://doi.org/10.1109/CAC53003.2021.9728246",
    )
    notes = (
        Note(
            about="start of the alternation",
            ours="the largest value on the largest code, half and a quarter of that, and 2 mean|v| / sqrt(qmax); the "
            "best is kept, option starts chooses",
        ),
        Note(about="when it has converged", ours="a relative change of 1e-6, at most 200 times; options say otherwise"),
        Note(about="which elements share a scale", ours="whole tensors; axis weight_granularity", paper="its formula"),
        Note(
            about="how batches of activations combine",
            ours="one sample of a million values of all calibration examples, solved once",
        ),
        Note(
            about="what is quantized",
            ours="operands of products; sums of residual connections stay in floating point, as recommended axes say",
            paper="operands of products, without a word on the sums",
        ),
        Note(
            about="signs",
            ours="signed grids with all codes, unsigned where a softmax or ReLU leaves no negative value",
            paper="signed everywhere but for the attention scores after the softmax",
        ),
    )
    needs = Needs(examples=True)
    supports: ClassVar = {
        **POST_TRAINING,
        "weight_range": ("iterative-mse",),
        "activation_range": ("iterative-mse",),
        "activation_parameters": ("static",),
    }
    recommended: ClassVar = {
        "weight_range": "iterative-mse",
        "activation_range": "iterative-mse",
        "weight_granularity": "per-tensor",
        "activation_symmetry": "symmetric",
        "signed_range": "full",
        "skip_connection": "full-precision",
        "residual_connection": "full-precision",
        "examples": 512,
        "time_limit": 60.0,
    }
    Options = IterativeMseOptions
    options: IterativeMseOptions

    def quantize(self, work: Workbench) -> Claims:
        quantizers = quantizers_of(work.model)
        found = Trajectories(self.options, points_of_each(len(quantizers), POINTS_OF_ONE))
        try:
            for name, quantizer in quantizers.items():
                quantizer.solve = partial(found.solve, name)
            calibrate(work, batch_size=self.options.batch_size)
        finally:
            for quantizer in quantizers.values():
                quantizer.solve = parameters_by_rule
        return Claims(figures=found.figures)


@dataclass
class Trajectories:
    """Solves the ranges of a model one after the other, and keeps how."""

    options: IterativeMseOptions
    points: int
    figures: dict[str, object] = field(default_factory=dict)

    def solve(self, name: str, rule: Rule, seen: Summary, spec: QuantizerSpec) -> Parameters:
        if spec.binary:  # the step of {-s, +s} has a closed form
            return parameters_by_rule(rule, seen, spec)
        assert seen.sample is not None
        solved = iterative_mse(
            seen.sample, seen, spec,
            starts=START_SETS[self.options.starts],
            tolerance=self.options.tolerance,
            largest_iteration_count=self.options.iterations,
        )  # fmt: skip
        self.figures.setdefault(name, self.describe(solved, seen, spec))  # groups left over at the end come second
        return solved.parameters

    def describe(self, solved: Solved, seen: Summary, spec: QuantizerSpec) -> dict[str, object]:
        """How often each start won, and the way of the winners: iterations, mean steps, relative squared errors."""
        assert seen.sample is not None
        names = list(solved.runs)
        wins = torch.bincount(solved.winner, minlength=len(names)).tolist()
        longest = max(len(run.trajectory) for run in solved.runs.values())
        shown = evenly_spread(longest, self.points)
        energy = seen.sample.square().sum(dtype=torch.float64).clamp(min=torch.finfo(torch.float64).tiny)
        steps, errors = [], []
        for iteration in shown:
            tables = [run.trajectory[min(iteration, len(run.trajectory) - 1)] for run in solved.runs.values()]
            step = torch.stack(tables).gather(0, solved.winner[None])[0]
            lost = squared_errors(seen.sample, step, solved.parameters.zero_point, spec.qmin, spec.qmax)
            steps.append(step.double().mean())
            errors.append(lost.sum() / energy)
        return {
            "starts": {name: count for name, count in zip(names, wins, strict=True) if count},
            "iterations": shown,
            "steps": [rounded(step.item()) for step in steps],
            "errors": [rounded(error.item()) for error in errors],
        }


METHOD = IterativeMse
