"""Train again with the precisions that were learned before, each at its weight, or dealt anew inside its layer."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import ClassVar, Literal, Self

from suite.methods.api import Claims, Method, Needs, Note, Workbench, option
from suite.methods.engines.noise_precision import (
    SmolOptions,
    claims_of,
    fine_tune,
    learn_precisions,
    leave,
    mixed_weights,
)
from suite.methods.engines.noise_precision.declarations import COMMON_NOTES, PAPER, RECOMMENDED, SUPPORTS
from suite.methods.engines.noise_precision.renewing import at_precisions, renew, shuffle_each
from suite.methods.engines.noise_precision.saved_maps import MODEL, read_map
from suite.quantizers.noise_precision import Span


@dataclass(frozen=True)
class RetrainOptions(SmolOptions):
    """Options of `retrain_precision_map`; those named after fine-tuning are about the training that keeps the map."""

    map_from: str | None = option(
        None,
        doc="folder of a run with its saved model, or that file: its map is kept, and options of the precision phase "
        "have no effect; none: learn a map first, as smol does",
        file=MODEL,
    )
    shuffle: bool = option(False, doc="deal the precisions of every layer anew to its weights")
    weights: Literal["new", "pretrained"] = option(
        "new", doc="what the training starts from: parameters drawn anew, or those of the float model"
    )
    fine_tuning_epochs: int = option(
        25, doc="passes of the training that keeps the map; 0 leaves it out", minimum=0, maximum=100_000
    )
    fine_tuning_steps: int | None = option(
        None, doc="steps of the training that keeps the map, which replace its passes", minimum=1, maximum=100_000_000
    )
    fine_tuning_rate: float = option(0.05, doc="rate of the first step of the training that keeps the map", minimum=0.0)

    @classmethod
    def quick(cls) -> Self:
        return dataclasses.replace(super().quick(), weights="pretrained")


class MapRetraining(Method):
    """ŵᵢ = α Q(wᵢ / α, pᵢ), trained straight through in w from the start, with precisions pᵢ of an earlier model.

    Q(θ, p) is the odd multiple of 2^(1 − p) in whose cell θ lies. The map p is read off the weights of a saved model,
    or learned first; a weight keeps its pᵢ, or the precisions of every layer are permuted among its weights. If kept
    maps win over shuffled ones, it does not only count how many weights have how many bits, but which.
    """

    id = "retrain_precision_map"
    title = "Training again with a map of precisions"
    paper = PAPER
    notes = (
        *COMMON_NOTES,
        Note(
            about="where the map comes from",
            ours="from the weights of a saved model, which show it (option map_from); without one it is learned first",
            paper="from a network that was trained and fine-tuned",
        ),
        Note(
            about="weights at the start",
            ours="drawn anew, as modules do when they are made; option weights",
            paper="drawn anew, from another seed",
        ),
        Note(about="scale of a layer's weights", ours="α = max|w| / 2 of the weights that the training starts from"),
        Note(about="how long the training is", ours="25 passes; option fine_tuning_epochs", paper="300 passes"),
    )
    needs = Needs(gradients=True, labels=True)
    supports: ClassVar = SUPPORTS
    recommended: ClassVar = RECOMMENDED
    Options = RetrainOptions
    options: RetrainOptions

    def quantize(self, work: Workbench) -> Claims:
        options = self.options
        weights = {name: weight for name, (_, weight) in mixed_weights(work).items()}
        start = {name: value.clone() for name, value in work.model.state_dict().items()}
        learned, origin = None, {}
        if options.map_from is None:
            learned = learn_precisions(
                work, options.precision_phase(per_layer=False, allocate_zero=options.allocate_zero)
            )
            precisions = dict(learned.precisions)
        else:
            saved = read_map(options.files()["map_from"], weights)
            precisions, origin = dict(saved.precisions), {"map_sha256": saved.sha256}
        if options.shuffle:
            precisions = shuffle_each(work, precisions)
        work.model.load_state_dict(start)
        if options.weights == "new":
            renew(work)
        layers = at_precisions(weights, precisions, Span(options.span))
        trained = fine_tune(work, options.fine_tuning(), layers, batch_size=options.batch_size)
        return claims_of(work, leave(work, layers), precisions, learned, trained, origin)


METHOD = MapRetraining
