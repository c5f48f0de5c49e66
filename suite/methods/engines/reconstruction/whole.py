"""Methods, reconstruction engine: a whole network, from scales to the last unit, and on after an interruption."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import cast

import torch
from torch import Tensor, nn

from suite.errors import SuiteError
from suite.methods.api import Claims, Fact, Workbench
from suite.methods.engines.acceleration import channels_last
from suite.methods.engines.calibration import calibrate_activations
from suite.methods.engines.reconstruction.compiling import Compiler
from suite.methods.engines.reconstruction.fisher import importance_of_outputs
from suite.methods.engines.reconstruction.flow import Flow, Stored
from suite.methods.engines.reconstruction.in_place import (
    RoundingOf,
    dropping,
    in_place_of_quantizers,
    layers_of,
    round_to_nearest,
    steps_of,
)
from suite.methods.engines.reconstruction.layerwise import learn_from_gram
from suite.methods.engines.reconstruction.learning import Examples, Falling, Learnable, Learned, Stage, learn
from suite.methods.engines.reconstruction.losses import Distance
from suite.methods.engines.reconstruction.rows import MEBIBYTE, RowStore
from suite.methods.engines.reconstruction.settings import ReconstructionOptions, Regularizer
from suite.methods.engines.reconstruction.units import Unit, Walk, walk_of
from suite.plan import initialize_weights, quantizers_of
from suite.quantizers import Quantizer
from suite.quantizers.ranges import Rule

LearnUnit = Callable[[Unit, Examples, Callable[..., None]], dict[str, Fact]]


def reconstruct(
    work: Workbench, options: ReconstructionOptions, rounding: RoundingOf, regularizer: Regularizer | None = None
) -> Claims:
    """Learn the rounding of all weights of `work.model`, and the steps of its activations as the options say.

    At the end every weight lies on its grid, and the ordinary quantizers reproduce it.
    """
    model = work.model.to(work.device).eval()
    _check(work, options)
    for parameter in model.parameters():
        parameter.requires_grad_(False)
    weights = [one for one in quantizers_of(model).values() if one.is_weight]
    activations = [one for one in quantizers_of(model).values() if not one.is_weight]
    for quantizer in weights:
        quantizer.start_rule = cast(Rule, options.weight_start)
    for quantizer in activations:
        if learns_steps(work):
            quantizer.start_rule = cast(Rule, options.activation_start)
    initialize_weights(model)
    floating = copy.deepcopy(model)
    for quantizer in quantizers_of(floating).values():
        quantizer.enabled = False
    compiler = Compiler(options.compile)
    run = _Reconstruction(work, options, rounding, regularizer, model, floating, activations, compiler)
    with channels_last(model), channels_last(floating):
        if options.activation_steps == "joint":
            calibrate_activations(work)
            run.weights(with_activations=True)
        else:
            run.weights(with_activations=False)
            calibrate_activations(work)
            if activations and learns_steps(work):
                run.activation_stage()
    names = {id(quantizer): name for name, quantizer in quantizers_of(model).items()}
    kept = [names[id(one)] for one in activations if not one.learns_step]
    return Claims(figures={"units": run.figures, "activation_steps_not_learned": kept})


def _check(work: Workbench, options: ReconstructionOptions) -> None:
    """Refuse what cannot work before anything is computed."""
    if work.data.size < 1:
        raise SuiteError("reconstruction needs examples", hint="raise the axis examples")
    broken = [name for name, value in work.model.named_parameters() if not bool(torch.isfinite(value).all())]
    if broken:
        raise SuiteError(f"{broken[0]} holds values that are not finite", hint="check the weights of the float model")


def learns_steps(work: Workbench) -> bool:
    """The axis decides whether steps are learned; the option `activation_steps` only when."""
    return work.setting["activation_range"] == "learned-step"


@dataclass
class _Reconstruction:
    """The state of one reconstruction: the two networks, and what the units left to say."""

    work: Workbench
    options: ReconstructionOptions
    rounding: RoundingOf
    regularizer: Regularizer | None
    model: nn.Module
    floating: nn.Module
    activations: list[Quantizer]
    compiler: Compiler
    figures: list[dict[str, Fact]] = field(default_factory=list)
    _first: Unit | None = None

    def weights(self, *, with_activations: bool) -> None:
        """Learn the rounding of every unit; `with_activations`: among quantized activations, dropped at random."""
        options = self.options
        stage = Stage(
            "rounding",
            "rounding",
            int(options.iterations or 0),
            options.batch_size,
            self.work.setting["sampling"] == "with-replacement",
            str(options.unit_input),
            float(options.keep_quantized or 0.0),
            cast(Distance, options.loss),
            self.regularizer,
        )
        for quantizer in self.activations:
            quantizer.enabled = with_activations

        def learn_unit(unit: Unit, examples: Examples, advance: Callable[..., None]) -> dict[str, Fact]:
            return self._learn_rounding(unit, examples, stage, joint=with_activations, advance=advance)

        self._walk(stage, learn_unit)
        for quantizer in self.activations:
            quantizer.enabled = True

    def activation_stage(self) -> None:
        """Learn the steps of activations alone, on float inputs, when all weights are done."""
        options = self.options
        stage = Stage(
            "steps",
            "activation steps",
            int(options.activation_iterations or 0),
            options.batch_size,
            self.work.setting["sampling"] == "with-replacement",
            "float",
            1.0,
            cast(Distance, options.activation_loss),
            None,
        )
        weights = [one for one in quantizers_of(self.model).values() if one.is_weight]
        for quantizer in weights:  # the weights lie on their grids
            quantizer.enabled = False

        def learn_unit(unit: Unit, examples: Examples, advance: Callable[..., None]) -> dict[str, Fact]:
            steps = [] if self._stays_nearest(unit) else steps_of(unit)
            if not steps:
                advance(stage.iterations)
                return {}
            learnable = Learnable((), steps, self._step_groups(steps))
            return _facts(learn(self.work, unit, examples, stage, learnable, self.compiler, advance), learnable)

        self._walk(stage, learn_unit)
        for quantizer in weights:
            quantizer.enabled = True

    def _walk(self, stage: Stage, learn_unit: LearnUnit) -> None:
        """Go from unit to unit; each learns from what all before it have become."""
        work, options = self.work, self.options
        walk, float_walk = self._units(self.model), self._units(self.floating)
        self._first = walk.units[0]
        chunks = self._chunks()
        if not chunks:
            raise SuiteError(
                f"incomplete batches are dropped, and {work.data.size} examples fill none of {options.batch_size}",
                hint="lower batch_size, or set the axis incomplete_batches to kept",
            )
        with (
            RowStore(options.memory_mebibytes * MEBIBYTE, work.device) as store,
            work.progress(stage.iterations * len(walk.units), stage.label) as progress,
        ):
            floating = Flow(float_walk, chunks, store)
            quantized = None if stage.unit_input == "float" else Flow(walk, chunks, store)
            importance: dict[str, Stored] = {}
            if stage.distance == "fisher":
                importance = importance_of_outputs(float_walk, chunks, store, work.random("Fisher labels"))
            del chunks
            for index, (unit, twin) in enumerate(zip(walk.units, float_walk.units, strict=True)):
                given = floating.inputs_of(twin)
                examples = Examples(
                    quantized=None if quantized is None else quantized.inputs_of(unit),
                    floating=given if stage.unit_input != "quantized" or options.solver == "gram" else None,
                    targets=floating.run(twin),
                    importance=importance.pop(unit.name, None),
                    count=floating.examples,
                )
                del given
                self._one(f"{stage.key}-{index}", unit, examples, stage, learn_unit, progress.advance)
                del examples
                if quantized is not None and index + 1 < len(walk.units):
                    quantized.run(unit)

    def _chunks(self) -> list[Tensor]:
        """Every example once, in batches; iterations draw from them as the axis `sampling` says."""
        data, size = self.work.data, self.options.batch_size
        if self.work.setting["sampling"] == "with-replacement":
            return [part.to(self.work.device) for part in torch.split(data.fixed(data.size), size)]
        return [batch.inputs.to(self.work.device) for batch in data.batches(size)]

    def _units(self, model: nn.Module) -> Walk:
        options = self.options
        return walk_of(
            model,
            self.work.plan,
            blocks=options.unit == "block",
            final_activation=options.final_activation == "inside",
        )

    def _one(
        self,
        name: str,
        unit: Unit,
        examples: Examples,
        stage: Stage,
        learn_unit: LearnUnit,
        advance: Callable[..., None],
    ) -> None:
        """Learn one unit, or take it over from a run that was interrupted later than here."""
        kept = self.work.checkpoints.load(name)
        if kept is not None:
            unit.module.load_state_dict(dict(kept.tensors))
            facts = dict(kept.facts)
            for quantizer in steps_of(unit) if facts.get("steps_learned") else []:
                quantizer.learn_step()
            advance(stage.iterations)
        else:
            facts = learn_unit(unit, examples, advance)
            self.work.checkpoints.save(name, unit.module.state_dict(), facts)
        if facts:
            self.figures.append({"unit": unit.name, "stage": stage.label, **facts})

    def _learn_rounding(
        self, unit: Unit, examples: Examples, stage: Stage, *, joint: bool, advance: Callable[..., None]
    ) -> dict[str, Fact]:
        """One unit of the weight stage."""
        options = self.options
        learned = bool(layers_of(unit)) and not self._stays_nearest(unit)
        dropped = steps_of(unit) if joint else []
        steps = dropped if learns_steps(self.work) else []
        if not learned:
            round_to_nearest(unit)
        if not learned and not steps:
            advance(stage.iterations)
            return {}
        with (
            in_place_of_quantizers(unit, self.rounding if learned else None) as roundings,
            dropping(dropped, stage.keep_quantized),
        ):
            groups = [
                Falling(group, options.schedule == "cosine")
                for one in roundings
                for group in one.parameter_groups(options.learning_rate)
            ]
            learnable = Learnable(roundings, steps, [*groups, *self._step_groups(steps)])
            if options.solver == "gram":
                result = learn_from_gram(self.work, unit, examples, stage, learnable, advance)
            else:
                result = learn(self.work, unit, examples, stage, learnable, self.compiler, advance)
        return _facts(result, learnable)

    def _stays_nearest(self, unit: Unit) -> bool:
        """Whether it is the first layer, by itself. A block that the network begins with is learned in every frame."""
        return unit is self._first and len(layers_of(unit)) == 1 and self.options.first_layer == "nearest"

    def _step_groups(self, steps: list[Quantizer]) -> list[Falling]:
        if not steps:
            return []
        rate = float(self.options.activation_learning_rate or 0.0)
        return [Falling({"params": [quantizer.learn_step() for quantizer in steps], "lr": rate}, cosine=True)]


def _facts(result: Learned, learnable: Learnable) -> dict[str, Fact]:
    """What a unit leaves to say: its losses, and the figures of its roundings."""
    facts: dict[str, Fact] = {
        "first_loss": result.first_loss,
        "last_loss": result.last_loss,
        "steps_learned": bool(learnable.steps),
    }
    for index, one in enumerate(learnable.roundings):
        facts |= {f"layer_{index}_{name}": value for name, value in one.figures().items()}
    return facts
