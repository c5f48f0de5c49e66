"""The audit of single weights: their bits are read off their values, whatever the method and its quantizers say."""

from __future__ import annotations

import pytest
import torch
from honest import digits, dissected
from torch import Tensor, nn

from suite.audit import AuditReport, audit
from suite.axes import Setting
from suite.methods.api import Claims
from suite.plan import Plan, choose_bits, initialize_weights, make_plan, place, weights_of
from suite.tasks import Split

SINGLE = Setting.default().replace(
    weight_precision="mixed", weight_bits=4, bit_width_granularity="per-weight", weight_granularity="per-tensor",
    first_layer_weights="same", last_layer_weights="same", activation_bits=32, last_layer_activations="same",
    network_input="same", pooling="full-precision", residual_connection="full-precision",
)  # fmt: skip
FINEST = 5
LAYERED = SINGLE.replace(bit_width_granularity="per-layer", weight_symmetry="symmetric-without-zero")


def nested_codes(shape: torch.Size, precision: Tensor, random: torch.Generator) -> Tensor:
    """Codes k = odd 2^(P - p) of random sizes, |k| ≤ 2^P - 1; 0 for precision 0. Integers, no grid of the suite."""
    cells = 2 ** (precision - 1).clamp(min=0)
    odd = 2 * (torch.rand(shape, generator=random) * cells).long() + 1
    sign = torch.randint(0, 2, shape, generator=random) * 2 - 1
    return torch.where(precision > 0, sign * odd * 2 ** (FINEST - precision), 0)


def report_of(
    setting: Setting, codes: dict[str, Tensor], bits: int, claims: Claims | None = None, *, known: bool = True
) -> AuditReport:
    """A model whose weights are these codes times a step, on quantizers of `bits` bits."""
    prepared, anatomy = dissected("folded")
    plan: Plan = make_plan(anatomy, setting)
    model = place(prepared, plan).eval()
    chosen = choose_bits(model, plan, dict.fromkeys(plan.chosen_bits, bits))
    with torch.no_grad():
        for name, (quantizer, weight) in weights_of(model).items():
            step = weight.abs().max() / 2**FINEST
            quantizer.set_parameters(step)
            weight.copy_(codes[name] * step)
    images = digits()[0].split(Split.TEST).inputs
    return audit(
        model, anatomy=anatomy, plan=plan, setting=setting, batches=images[:96].split(32),
        chosen=chosen if known else None, claims=claims,
    )  # fmt: skip


def drawn(least: int, most: int, seed: int = 3) -> tuple[dict[str, Tensor], float]:
    """Codes of every layer with random precisions, and their bits on average."""
    random = torch.Generator().manual_seed(seed)
    prepared, anatomy = dissected("folded")
    found, bits, count = {}, 0, 0
    for name, (_, weight) in weights_of(place(prepared, make_plan(anatomy, SINGLE))).items():
        precision = torch.randint(least, most + 1, weight.shape, generator=random)
        precision.view(-1)[:2] = FINEST  # two codes show the scale: the largest, and one that ends on the finest step
        codes = nested_codes(weight.shape, precision, random)
        codes.view(-1)[0] = 2**FINEST - 1
        found[name] = codes
        bits, count = bits + int(precision.sum()), count + precision.numel()
    return found, bits / count


@pytest.mark.parametrize(("least", "most"), [(1, 5), (0, 3), (2, 2)])
@pytest.mark.parametrize("known", [True, False])
def test_bits_of_single_weights_are_counted_as_their_codes_have_them(least: int, most: int, known: bool) -> None:
    codes, average = drawn(least, most)
    report = report_of(SINGLE, codes, FINEST + 1, known=known)
    assert report.contradicted == ()
    assert report.figures.average_weight_bits == pytest.approx(average, rel=1e-12)
    assert report.axes["bit_width_granularity"].verdict.value == "verified"
    assert report.axes["weight_bits"].verdict.value == "verified"
    assert report.figures.precision_map_bytes > 0


def test_the_widest_weight_does_not_decide_for_all() -> None:
    codes, average = drawn(1, 3)
    assert average < 2.5
    bound = SINGLE.replace(weight_bits=2.5)
    assert report_of(bound, codes, FINEST + 1).contradicted == ()
    assert report_of(SINGLE.replace(weight_bits=average - 0.01), codes, FINEST + 1).contradicted == ("weight_bits",)


def test_a_claim_below_what_single_weights_show_is_contradicted() -> None:
    codes, average = drawn(1, 5)
    assert report_of(SINGLE, codes, FINEST + 1, Claims(average_weight_bits=average)).contradicted == ()
    assert "weight_bits" in report_of(SINGLE, codes, FINEST + 1, Claims(average_weight_bits=average - 0.1)).contradicted


class Twice(nn.Module):
    """What another module gives, twice over in one axis."""

    def __init__(self, inner: nn.Module, axis: int) -> None:
        super().__init__()
        self.inner, self.axis = inner, axis

    def forward(self, tensor: Tensor) -> Tensor:
        given: Tensor = self.inner(tensor)
        return torch.cat([given, given], self.axis)


@pytest.mark.parametrize("setting", [SINGLE, LAYERED])
def test_a_weight_that_is_larger_than_its_layer_is_found_and_counted_as_float(setting: Setting) -> None:
    prepared, anatomy = dissected("folded")
    plan = make_plan(anatomy, setting)
    model = place(prepared, plan).eval()
    chosen = choose_bits(model, plan, dict.fromkeys(plan.chosen_bits, 4))
    initialize_weights(model)
    name, (_, weight) = list(weights_of(model).items())[-1]
    head = model.get_submodule(name.removesuffix(":weight"))
    head.weight_quantizer = Twice(head.weight_quantizer, 1)
    head.register_forward_pre_hook(lambda module, inputs: (torch.cat([inputs[0], inputs[0]], 1),))
    images = digits()[0].split(Split.TEST).inputs
    report = audit(model, anatomy=anatomy, plan=plan, setting=setting, batches=images[:96].split(32), chosen=chosen)
    rows, columns = weight.shape
    text = f"{name}: the weight that reached a product is {rows}x{2 * columns}, the layer's is {rows}x{columns}"
    assert any(text in report.axes[axis].evidence for axis in report.contradicted)
    assert {one.site: dict(one.precisions) for one in report.bits.layers}[name] == {32: weight.numel()}


@pytest.mark.parametrize("known", [True, False])
def test_odd_codes_count_their_levels_and_not_what_lies_between(known: bool) -> None:
    codes, _ = drawn(FINEST, FINEST)
    report = report_of(LAYERED.replace(weight_bits=FINEST), codes, FINEST, known=known)
    assert report.contradicted == ()
    assert report.figures.average_weight_bits == FINEST
