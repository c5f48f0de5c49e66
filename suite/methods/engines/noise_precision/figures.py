"""Methods, engine of precisions learned by noise: what its methods say of their result, and what a record keeps."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence

from torch import Tensor

from suite.methods.api import Claims, Workbench
from suite.methods.engines.noise_precision.learning import LearnedPrecisions, average_bits
from suite.methods.engines.step_learning import training_figures
from suite.methods.engines.training import Trained
from suite.methods.engines.trajectories import evenly_spread, points_of_each, rounded
from suite.plan import Plan

log = logging.getLogger("suite.noise_precision")

POINTS_OF_ONE = 25


def claims_of(
    work: Workbench,
    plan: Plan,
    precisions: Mapping[str, Tensor],
    learned: LearnedPrecisions | None,
    fine_tuning: Trained | None,
    more: Mapping[str, object] | None = None,
) -> Claims:
    """The claims of a method whose weights have these precisions; `more` are figures of its own."""
    target, average = float(str(work.setting["weight_bits"])), average_of_all(plan, precisions, floats=False)
    if average > target:
        log.warning(
            "weights have %.3f bits on average, above the declared %g: raise the penalty, or its rate, or train longer",
            average,
            target,
        )
    by_layer = {name: average_bits({name: one}) for name, one in precisions.items()}
    figures: dict[str, object] = {
        "average_bits": rounded(average),
        "within_bound": average <= target,
        "ends_above_late_layers": ends_above_late_layers(list(by_layer.values())),
        "layers": {
            name: {"average_bits": rounded(by_layer[name]), "histogram": histogram(one)}
            for name, one in precisions.items()
        },
        **(more or {}),
    }
    if learned is not None:
        figures["rounding"] = {name: rounded(value) for name, value in learned.averages.items()}
        figures["precision"] = precision_figures(learned)
        figures["training"] = training_figures(learned.training)
    if fine_tuning is not None:
        figures["fine_tuning"] = training_figures(fine_tuning)
    return Claims(average_weight_bits=average_of_all(plan, precisions, floats=True), figures=figures)


def ends_above_late_layers(bits: Sequence[float]) -> float | None:
    """How many bits the first and the last layer have more, on average, than the later third of those between them."""
    inner = bits[1:-1]
    late = inner[-max(1, len(inner) // 3) :]
    return rounded((bits[0] + bits[-1]) / 2 - sum(late) / len(late)) if late else None


def histogram(precision: Tensor) -> dict[str, int]:
    """Bits -> number of weights."""
    bits, counts = precision.unique(return_counts=True)  # type: ignore[no-untyped-call]
    return {str(int(one)): int(count) for one, count in zip(bits.tolist(), counts.tolist(), strict=True)}


def average_of_all(plan: Plan, precisions: Mapping[str, Tensor], *, floats: bool) -> float:
    """Bits of a weight over all weights on grids, also those with fixed bits; with `floats` over all weights."""
    bits, elements = 0.0, 0
    for tensor in plan.counted:
        if not tensor.is_weight or not (floats or plan.quantizers_on(tensor)):
            continue
        elements += tensor.elements
        names = [one.name for one in plan.quantizers_on(tensor) if one.name in precisions]
        if names:
            bits += float(precisions[names[0]].double().sum())
        else:
            bits += tensor.elements * plan.bits_on(tensor)
    return bits / max(1, elements)


def precision_figures(learned: LearnedPrecisions) -> dict[str, object]:
    """The learned precisions along the first phase, thinned: of every weight, and of all of them together."""
    way, places = learned.training.watched, learned.training.looked_at
    shown = evenly_spread(len(places), points_of_each(len(way), POINTS_OF_ONE))
    counts = {name: learned.precisions[name].numel() for name in way}
    return {
        "after": [places[place] for place in shown],
        "average": [
            rounded(sum(counts[name] * way[name][place] for name in way) / sum(counts.values())) for place in shown
        ],
        "layers": {name: [rounded(means[place]) for place in shown] for name, means in way.items()},
    }
