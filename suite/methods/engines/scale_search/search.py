"""Methods, scale search engine: every scale times the best of many factors, for what its products give."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from suite.errors import Unsupported
from suite.methods.api import Diverged, Workbench
from suite.methods.engines.calibration import first_examples
from suite.methods.engines.scale_search.products import Captured, Product, Products, quantizers_in
from suite.methods.engines.scale_search.similarity import Comparison, Measure, Ranking, Units
from suite.quantizers import Granularity, Quantizer
from suite.quantizers.fake_quantization import fake_quantize

CAPTURE_BYTES = 512 * 2**20
CHUNK_ELEMENTS = 1 << 21  # values of one tensor of candidates: a few megabytes stay near the processor
PASS_BATCH = 32


Candidates = Callable[[Tensor], Tensor]
"""From the start of a scale [...] to its candidates [K, ...]."""


@dataclass(frozen=True)
class ScaleSearch:
    """What is searched, and how candidates are judged.

    Candidates of a scale follow from its start; with `keep_current` the scale as it is is one more, so that no step of
    the search makes a score worse. A product's weight is searched before what it reads; all of it `rounds` times.
    `weights_see_float`: while weights are searched, what they multiply is not yet quantized. `ranking` is subtracted
    from the score of products that become attention. `units` is what is compared under scales of whole tensors; where
    output channels have scales of their own, channels are. Outputs in single precision agree to about `smallest_gain`
    however they are computed, so that a smaller gain is none: two features, for one, always correlate fully.
    """

    measure: Measure
    units: Units
    weight_candidates: Candidates
    activation_candidates: Candidates
    rounds: int = 2
    weights_see_float: bool = False
    keep_current: bool = True
    ranking: Ranking | None = None
    correct_bias: bool = False
    smallest_gain: float = 1e-7
    examples: int = 32


@dataclass(frozen=True)
class Found:
    """What a search did to one quantizer: the mean factor on its start, and its score before and after."""

    factor: float
    before: float
    after: float


def linear_candidates(lowest: float, highest: float, count: int, *, closed: bool = True) -> Candidates:
    """The start times `count` factors from `lowest` to `highest`, evenly spaced; without `highest` if not `closed`."""
    gaps = count - 1 if closed else count
    factors = [lowest + index * (highest - lowest) / gaps for index in range(count)]
    return lambda start: torch.stack([start * factor for factor in factors])


def search_scales(work: Workbench, search: ScaleSearch) -> dict[str, object]:
    """Search all scales of `work.model` that a product reads; they have to have a start. Returns figures.

    Every product is compared with the float model on the same inputs, which it reads from the float model: results
    depend on no order among components. With `correct_bias`, the bias of a layer takes up the mean of its error.
    """
    model = work.model.eval()
    products = Products(model)
    if not products.all:
        raise Unsupported(
            "no scale to search: this setting puts no grid on what a layer or a matrix product reads",
            hint="lower weight_bits or activation_bits",
        )
    inputs = torch.cat(list(first_examples(work.data, min(search.examples, work.data.size), PASS_BATCH)))
    inputs = inputs.to(work.device)
    found: dict[Quantizer, Found] = {}
    corrections: dict[Product, Tensor] = {}
    compared = len(inputs)
    with torch.no_grad(), work.progress(len(products.all), "searching scales") as progress:
        for together, fitting in products.passes(inputs, CAPTURE_BYTES):
            compared = min(compared, fitting)
            members = [product for component in together for product in component]
            captured = products.capture(inputs[:fitting], members, PASS_BATCH)
            for component in together:
                found |= ComponentSearch(component, captured, search).run()
                if search.correct_bias:
                    corrections |= _corrections(component, captured)
                progress.advance(len(component))
            captured.clear()  # before the next pass fills its own
    # Only now: until the last capture the model has to be the float model where its quantizers are off.
    _apply(corrections)
    return _figures(products, found, corrections, compared)


class ComponentSearch:
    """The search among products that share activations, over what was captured of them."""

    def __init__(
        self, component: Sequence[Product], captured: Mapping[Product, Captured], search: ScaleSearch
    ) -> None:  # fmt: skip
        self.products = component
        self.captured = captured
        self.search = search
        self.weights = list(quantizers_in(component, weights=True))
        self.activations = list(quantizers_in(component, weights=False))
        self.starts = {one: one.scale.detach().clone() for one in (*self.weights, *self.activations)}
        self.found: dict[Quantizer, Found] = {}

    def run(self) -> dict[Quantizer, Found]:
        """Search all scales, and leave the best ones in their quantizers."""
        for _ in range(self.search.rounds):
            for quantizer in self.weights:
                self._step(quantizer, self.search.weight_candidates)
            for quantizer in self.activations:
                self._step(quantizer, self.search.activation_candidates)
        return self.found

    def _step(self, quantizer: Quantizer, candidates_of: Candidates) -> None:
        start = self.starts[quantizer]
        candidates = torch.cat([candidates_of(start), quantizer.scale[None]])  # the last one is the scale as it is
        readers = [product for product in self.products if quantizer in (product.left, product.right)]
        scores = torch.stack([self._scores(product, quantizer, candidates) for product in readers]).mean(0)
        if not bool(scores.isfinite().all()):
            raise Diverged("the outputs that a scale search compares are not finite")
        best = self._best(scores)
        chosen = candidates[best] if best.dim() == 0 else candidates.flatten(1).gather(0, best[None]).view_as(start)
        quantizer.set_parameters(chosen, quantizer.zero_point)
        after = scores.gather(0, best[None])[0]
        earlier = self.found.get(quantizer)
        self.found[quantizer] = Found(
            factor=float((chosen / start).mean()),
            before=float(scores[-1].mean()) if earlier is None else earlier.before,
            after=float(after.mean()),
        )

    def _best(self, scores: Tensor) -> Tensor:
        """The candidate to take: the first that is as good as the best; the last one where it is and may be kept."""
        usable = scores if self.search.keep_current else scores[:-1]
        good = usable >= usable.max(0).values - self.search.smallest_gain
        first = good.int().argmax(0)
        return torch.where(good[-1], len(scores) - 1, first) if self.search.keep_current else first

    def _scores(self, product: Product, quantizer: Quantizer, candidates: Tensor) -> Tensor:
        """The score of each candidate at one product: [K], or [K, channels] for a weight with a scale per channel."""
        seen = self.captured[product]
        own_channels = quantizer.is_weight and quantizer.spec.granularity is Granularity.PER_CHANNEL
        units = Units.CHANNELS if own_channels else self.search.units
        comparison = Comparison(seen.output, self.search.measure, units)
        ranking = self.search.ranking if product.ranks else None
        found = []
        for part in torch.split(candidates, self._candidates_at_once(product, quantizer)):
            comparison.start()
            penalty = torch.zeros(len(part), dtype=torch.float64, device=part.device)
            for examples, outputs in self._outputs(product, quantizer, part):
                comparison.add(outputs, examples)
                if ranking is not None:
                    penalty += ranking.penalties(seen.output[examples], outputs)
            found.append(comparison.scores() - (penalty / len(seen.output) if ranking is not None else 0.0))
        return torch.cat(found)

    def _candidates_at_once(self, product: Product, quantizer: Quantizer) -> int:
        seen = self.captured[product]
        one = max(seen.output[:1].numel(), seen.left[:1].numel())
        if quantizer.is_weight:
            one = max(one, seen.right.numel())
        return max(1, CHUNK_ELEMENTS // one)

    def _outputs(
        self, product: Product, quantizer: Quantizer, candidates: Tensor
    ) -> Iterator[tuple[slice, Tensor]]:  # fmt: skip
        """What the product gives for each candidate, features last, in chunks of examples."""
        seen, count = self.captured[product], len(candidates)
        examples = len(seen.output)
        apart = len(seen.left) == examples and (product.layer is not None or len(seen.right) == examples)
        one = max(seen.output[:1].numel(), seen.left[:1].numel())
        at_once = max(1, CHUNK_ELEMENTS // (one * count)) if apart else examples
        weights = _quantized(quantizer, seen.right, candidates) if quantizer.is_weight else None
        right = None if product.layer is None else self._now(product.right, seen.right)
        for first in range(0, examples, at_once):
            part = slice(first, min(first + at_once, examples)) if apart else slice(0, examples)
            left = seen.left[part] if apart else seen.left
            if weights is not None:
                x = left if self.search.weights_see_float else self._now(product.left, left)
                yield part, product.features_last(product.run_weights(x, weights))
            elif right is not None:
                lefts = _quantized(quantizer, left, candidates)
                outputs = torch.unflatten(product.run(lefts.flatten(0, 1), right), 0, (count, -1))
                yield part, product.features_last(outputs)
            else:
                other = seen.right[part] if apart else seen.right
                yield part, torch.stack([self._matrix_product(product, quantizer, left, other, s) for s in candidates])

    def _matrix_product(
        self, product: Product, quantizer: Quantizer, left: Tensor, right: Tensor, scale: Tensor
    ) -> Tensor:  # fmt: skip
        """One product of two activations, where `quantizer`, of either or of both, has another scale."""
        operands = []
        for placed, values in ((product.left, left), (product.right, right)):
            if placed is quantizer:
                operands.append(_quantized(quantizer, values, scale[None])[0])
            else:
                operands.append(self._now(placed, values))
        return product.run(operands[0], operands[1])

    @staticmethod
    def _now(quantizer: Quantizer | None, values: Tensor) -> Tensor:
        """Values on the grid as it is now."""
        return values if quantizer is None else _quantized(quantizer, values, quantizer.scale[None])[0]


def _quantized(quantizer: Quantizer, values: Tensor, scales: Tensor) -> Tensor:
    """Values under each of the scales [K, ...]: [K, *values.shape], exactly what the quantizer would give."""
    spec = quantizer.spec
    scales = scales.reshape(len(scales), *[1] * (values.dim() - scales.dim() + 1), *scales.shape[1:])
    zero_point = None if spec.symmetric else quantizer.zero_point
    low, high = spec.clip_limits
    return fake_quantize(values[None], scales, zero_point, low, high, mask=spec.mask, binary=spec.binary)


def _corrections(component: Sequence[Product], captured: Mapping[Product, Captured]) -> dict[Product, Tensor]:
    """By layer: the mean of what quantization adds to each of its output channels."""
    found = {}
    for product in component:
        if product.layer is None or getattr(product.layer, "bias", None) is None:
            continue
        seen = captured[product]
        weight = ComponentSearch._now(product.right, seen.right)
        at_once = max(1, CHUNK_ELEMENTS // max(1, seen.output[:1].numel()))
        total = torch.zeros(seen.output.shape[-1], dtype=torch.float64, device=weight.device)
        for left, output in zip(torch.split(seen.left, at_once), torch.split(seen.output, at_once), strict=True):
            given = product.features_last(product.run(ComponentSearch._now(product.left, left), weight))
            total += (given - output).flatten(0, -2).sum(0).double()
        found[product] = total / (seen.output.numel() // seen.output.shape[-1])
    return found


def _apply(corrections: Mapping[Product, Tensor]) -> None:
    """Take the corrections off; a layer that is called more than once has one bias for their mean."""
    by_layer: dict[nn.Module, list[Tensor]] = {}
    for product, correction in corrections.items():
        assert product.layer is not None
        by_layer.setdefault(product.layer, []).append(correction)
    with torch.no_grad():
        for layer, several in by_layer.items():
            bias = layer.bias
            assert isinstance(bias, Tensor)
            bias.sub_(torch.stack(several).mean(0).to(bias.dtype))


def _figures(
    products: Products, found: Mapping[Quantizer, Found], corrections: Mapping[Product, Tensor], compared: int
) -> dict[str, object]:  # fmt: skip
    """Plain numbers for the record."""
    searched = {
        products.names[quantizer]: {
            "factor": _short(one.factor),
            "score": [_short(one.before), _short(one.after)],
        }
        for quantizer, one in found.items()
    }
    figures: dict[str, object] = {"examples_compared": compared, "scales": searched}
    if corrections:
        figures["bias_corrections"] = {
            product.name: _short(float(correction.abs().mean())) for product, correction in corrections.items()
        }
    return figures


def _short(value: float) -> float:
    return float(f"{value:.6g}")
