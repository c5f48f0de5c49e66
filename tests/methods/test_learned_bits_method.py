"""Learned bit-widths: never above a target, ordinary quantizers at the end, and clear refusals."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from toys import ToyBench, toy_bench

from suite.axes import Setting
from suite.cards import load_card
from suite.cli.main import run
from suite.errors import SuiteError, Unsupported
from suite.harness.evaluate import Evaluation, evaluate
from suite.harness.request import resolve
from suite.methods.api import Claims, Diverged
from suite.methods.engines.bit_learning.widths import WidthChoice, allowed_widths
from suite.methods.learned_bits import LearnedBitsOptions, LearnedBitWidths
from suite.plan import chosen_plan, quantizers_of
from suite.quantizers import Quantizer
from suite.quantizers.learned_bits import BitForm
from suite.records import Status

CARD = Path(__file__).parents[2] / "cards" / "learned_bits.yaml"
FAST = {"steps": 40, "batch_size": 16, "learning_rate": 0.1}


def setting_for(**changes: Any) -> Setting:
    return Setting.default().replace(**{**LearnedBitWidths.recommended, **changes})


def learned(setting: Setting | None = None, **options: Any) -> tuple[ToyBench, Claims]:
    bench = toy_bench(setting_for() if setting is None else setting)
    method = LearnedBitWidths(LearnedBitsOptions.from_mapping({**FAST, **options}))
    return bench, method.quantize(bench)


def average_of(bench: ToyBench, *, weights: bool) -> float:
    """Counted from the quantizers that stand in the model, tensor by tensor."""
    bits = {name: quantizer.spec.bits for name, quantizer in quantizers_of(bench.model).items()}
    found = []
    for tensor in bench.plan.counted:
        names = [bench.plan.row(site).quantizer for site in tensor.sites]
        if tensor.is_weight is weights:
            found.append((tensor.elements, max(bits[name] for name in names if name is not None)))
    return sum(count * width for count, width in found) / sum(count for count, _ in found)


@pytest.mark.parametrize("form", ["log2", "linear"])
@pytest.mark.parametrize(("weight_bits", "activation_bits"), [(3, 5), (2.5, 4), (4.3, 3), (8, 8), (5, 2)])
def test_no_average_is_ever_above_its_target(form: str, weight_bits: float, activation_bits: float) -> None:
    setting = setting_for(weight_bits=weight_bits, activation_bits=activation_bits, network_input="same")
    bench, claims = learned(setting, form=form)
    weights, activations = average_of(bench, weights=True), average_of(bench, weights=False)
    assert weights <= weight_bits
    assert activations <= activation_bits
    assert claims.average_weight_bits == pytest.approx(weights)
    assert claims.average_activation_bits == pytest.approx(activations)


@pytest.mark.parametrize("steps", [1, 3])
def test_where_no_state_met_the_targets_the_last_one_is_narrowed_and_says_so(
    steps: int, caplog: pytest.LogCaptureFixture
) -> None:
    bench, claims = learned(setting_for(weight_bits=3, activation_bits=3, network_input="same"), steps=steps)
    assert average_of(bench, weights=True) <= 3
    assert average_of(bench, weights=False) <= 3
    assert claims.figures["kept_step"] is None
    assert claims.figures["steps_within_targets"] == 0
    narrowed = claims.figures["narrowed_after_learning"]
    assert isinstance(narrowed, list)
    assert set(narrowed) <= set(bench.plan.chosen_bits)
    assert narrowed
    assert narrowed[0] in caplog.text


def test_a_state_within_the_targets_is_kept_as_it_was() -> None:
    _, claims = learned()
    assert claims.figures["narrowed_after_learning"] == []
    kept, within = claims.figures["kept_step"], claims.figures["steps_within_targets"]
    assert isinstance(kept, int)
    assert isinstance(within, int)
    assert 1 <= within < 40
    assert 40 - within < kept <= 40


def test_the_last_state_is_another_than_the_best() -> None:
    _, best = learned()
    _, last = learned(setting_for(checkpoint="last"))
    assert last.figures["kept_step"] == 40
    assert isinstance(best.figures["kept_step"], int)
    assert best.figures["kept_step"] < 40


def test_only_allowed_widths_are_chosen() -> None:
    bench, _ = learned(setting_for(allowed_bit_widths=(2, 4, 8), weight_bits=5, activation_bits=5))
    chosen = chosen_plan(bench.model, bench.plan)
    assert chosen is not None
    assert set(chosen.chosen_bits.values()) <= {2, 4, 8}


@pytest.mark.parametrize("symmetry", ["asymmetric", "symmetric"])
def test_what_asymmetric_weights_save_is_counted_from_the_weights_themselves(symmetry: str) -> None:
    bench, claims = learned(setting_for(weight_symmetry=symmetry, network_input="same"), steps=1)
    total, count = 0.0, 0
    for name, quantizer in quantizers_of(bench.model).items():
        if quantizer.is_weight:
            weight = bench.model.get_submodule(name.partition(":")[0]).weight.detach().flatten(1)  # type: ignore[union-attr,operator]
            rows = weight.double().tolist()
            ratios = [2 * max(abs(value) for value in row) / (max(*row, 0.0) - min(*row, 0.0)) for row in rows]
            total += weight.numel() * sum(map(math.log2, ratios)) / len(ratios)
            count += weight.numel()
    assert 0.0 < total / count < 1.0
    assert claims.figures["bits_saved_by_asymmetric_weights"] == pytest.approx(total / count, rel=1e-6)


def test_ordinary_quantizers_are_left_on_untouched_weights() -> None:
    setting = setting_for(weight_bits=3, activation_bits=3, network_input="same")
    bench, fresh = learned(setting)[0], toy_bench(setting)
    before = dict(fresh.model.named_parameters())
    assert all(torch.equal(value, before[name]) for name, value in bench.model.named_parameters())
    assert all(value.requires_grad for value in bench.model.parameters())
    assert not any("forward" in vars(module) for module in bench.model.modules())
    for name, quantizer in quantizers_of(bench.model).items():
        assert type(quantizer) is Quantizer
        assert quantizer.spec == chosen_plan(bench.model, bench.plan).quantizer(name).spec  # type: ignore[union-attr]
    layer = bench.model.get_submodule("middle")
    quantizer = quantizers_of(bench.model)["middle:weight"]
    rows = quantizer(layer.weight).detach().reshape(4, -1)  # type: ignore[operator,union-attr]
    assert all(len(row.unique()) <= 2**quantizer.spec.bits for row in rows)


def test_learned_ranges_move_and_fixed_ones_do_not() -> None:
    def scales(rule: str, rate: float) -> Mapping[str, torch.Tensor]:
        setting = setting_for(
            activation_precision="fixed", activation_bits=8, activation_range=rule,
            gradient_mask="clip-then-round" if rule == "learned-min-max" else "not-applicable",
        )  # fmt: skip
        bench, _ = learned(setting, range_rate=rate)
        return {name: one.scale for name, one in quantizers_of(bench.model).items() if not one.is_weight}

    fixed, frozen, moved = scales("min-max", 0.1), scales("learned-min-max", 0.0), scales("learned-min-max", 0.1)
    assert all(torch.equal(fixed[name], frozen[name]) for name in fixed)
    assert all(not torch.equal(fixed[name], moved[name]) for name in fixed)


def test_the_same_run_twice_gives_the_same_model() -> None:
    first, second = (learned()[0].model.state_dict() for _ in range(2))
    assert all(torch.equal(value, second[name]) for name, value in first.items())


class Killed(BaseException):
    pass


@pytest.mark.parametrize("dies_after", [1, 17, 39])
def test_a_killed_run_continues_to_the_end_of_an_unbroken_one(dies_after: int, monkeypatch: pytest.MonkeyPatch) -> None:
    unbroken, claims = learned()
    bench = toy_bench(setting_for())
    bench.checkpoints.eager = True
    save = bench.checkpoints.save

    def deadly(*arguments: Any) -> None:
        save(*arguments)
        if bench.checkpoints.saves == dies_after:
            raise Killed

    monkeypatch.setattr(bench.checkpoints, "save", deadly)
    method = LearnedBitWidths(LearnedBitsOptions.from_mapping(FAST))
    with pytest.raises(Killed):
        method.quantize(bench)
    again = toy_bench(setting_for())
    again.checkpoints.kept = bench.checkpoints.kept
    continued = method.quantize(again)
    assert again.displays["learning bits"].steps == 40
    assert continued == claims
    found, expected = again.model.state_dict(), unbroken.model.state_dict()
    assert all(torch.equal(value, expected[name]) for name, value in found.items())
    assert again.data.presented == unbroken.data.presented


def test_another_recipe_does_not_continue() -> None:
    bench = toy_bench(setting_for())
    bench.checkpoints.eager = True
    LearnedBitWidths(LearnedBitsOptions.from_mapping(FAST)).quantize(bench)
    other, fresh = toy_bench(setting_for()), learned(learning_rate=0.05)[0]
    other.checkpoints.kept = bench.checkpoints.kept
    LearnedBitWidths(LearnedBitsOptions.from_mapping({**FAST, "learning_rate": 0.05})).quantize(other)
    expected = fresh.model.state_dict()
    assert all(torch.equal(value, expected[name]) for name, value in other.model.state_dict().items())


def test_pseudo_labels_are_asked_of_the_door_as_labels_are() -> None:
    bench, _ = learned(setting_for(labels="pseudo-labeled"))
    assert bench.data.presented


def test_a_target_out_of_reach_is_refused_before_anything_is_learned() -> None:
    with pytest.raises(Unsupported, match="no allowed widths bring the average to 2; with the tensors"):
        learned(setting_for(weight_bits=2, first_layer_weights="8-bit"))


def test_a_bound_on_all_feature_maps_counts_those_in_float() -> None:
    changes = {"activation_constraint": "average-feature-map", "network_input": "full-precision"}
    with pytest.raises(Unsupported, match="activation_bits: no allowed widths bring the average to 2"):
        learned(setting_for(activation_bits=2, **changes))
    bench, _ = learned(setting_for(activation_bits=2, network_input="full-precision"))
    assert bench.plan.average_bits(weights=False) <= 2


def test_a_range_that_runs_away_is_a_divergence() -> None:
    with pytest.raises(Diverged, match="the loss is nan after"):
        learned(range_rate=1e38)


def test_a_network_that_ends_by_guessing_with_bits_to_spare_has_diverged(tmp_path: Path) -> None:
    """A rate that takes every width to its least in one step leaves finite losses, and far fewer bits than allowed."""

    def ended(rate: str) -> Evaluation:
        request = resolve(load_card(CARD), options=["steps=40", f"learning_rate={rate}"])
        return evaluate(request, tmp_path)

    found = ended("1e30").record
    assert found.status is Status.DIVERGED
    assert "which guessing reaches too" in found.message
    assert ended("0.05").record.status is Status.COMPLETED


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"weight_precision": "fixed", "activation_precision": "fixed"}, "no bits to learn"),
        ({"weight_range": "mse"}, "does not support weight_range = mse, weight_precision = mixed"),
        ({"activation_parameters": "dynamic", "activation_range": "min-max"}, "activation_parameters = dynamic"),
        ({"labels": "unlabeled"}, "does not support labels = unlabeled"),
        ({"weight_granularity": "per-weight"}, "does not support weight_granularity"),
        ({"activation_constraint": "maximum-feature-map"}, "does not support activation_constraint"),
        ({"bit_width_granularity": "per-channel"}, "does not support bit_width_granularity"),
        ({"checkpoint": "best-on-validation"}, "does not support checkpoint"),
    ],
)
def test_what_it_cannot_honour_is_refused(changes: dict[str, str], words: str) -> None:
    with pytest.raises(Unsupported) as caught:
        LearnedBitWidths.check_setting(setting_for(**changes))
    assert words in str(caught.value)


def test_dynamic_activations_are_fine_where_only_weights_are_mixed() -> None:
    changes = {"activation_precision": "fixed", "activation_bits": 8, "activation_range": "min-max"}
    bench, _ = learned(setting_for(weight_bits=3, activation_parameters="dynamic", **changes))
    assert average_of(bench, weights=True) <= 3


@pytest.mark.parametrize("option", ["steps=0", "batch_size=0", "learning_rate=-1", "form=log10", "start_bits=0.5"])
def test_bad_options_are_refused(option: str) -> None:
    with pytest.raises(SuiteError):
        LearnedBitsOptions.from_mapping(dict([LearnedBitsOptions.read(option)]))


def choice_for(setting: Setting) -> WidthChoice:
    bench = toy_bench(setting)
    return WidthChoice(bench.plan, setting, form=BitForm.LINEAR, start_bits=8.0, device=torch.device("cpu"))


def test_what_is_nearest_to_its_next_width_goes_down_first() -> None:
    """Weights of 36, 16 and 8 numbers at 4.4, 3.6 and 4.1 bits, rounded to 4 each; at most 3.7 on average."""
    choice = choice_for(setting_for(weight_bits=3.7, activation_precision="fixed", activation_bits=8))
    assert [one.name for one in choice.choices] == ["conv:weight", "middle:weight", "linear:weight"]
    widths, narrowed = choice.reduced(torch.tensor([4.4, 3.6, 4.1]))
    assert widths.tolist() == [4.0, 3.0, 3.0]  # 3.6 has 0.6 to go, 4.1 has 1.1, and 36 x 4 + 24 x 3 is 216 of 222
    assert narrowed == ["middle:weight", "linear:weight"]


def test_of_equals_the_larger_goes_down_first() -> None:
    choice = choice_for(setting_for(weight_bits=3.9, activation_precision="fixed", activation_bits=8))
    widths, narrowed = choice.reduced(torch.tensor([4.0, 4.0, 4.0]))
    assert (widths.tolist(), narrowed) == ([3.0, 4.0, 4.0], ["conv:weight"])


def test_one_bit_is_no_choice_for_a_signed_symmetric_grid() -> None:
    symmetric = toy_bench(setting_for(weight_symmetry="symmetric"))
    quantizer = symmetric.plan.quantizer("conv:weight")
    assert allowed_widths(symmetric.setting, [quantizer]) == (2, 3, 4, 5, 6, 7, 8, 16)
    assert allowed_widths(symmetric.setting, []) == (1, 2, 3, 4, 5, 6, 7, 8, 16)


@pytest.fixture(scope="module")
def evaluated(tmp_path_factory: pytest.TempPathFactory) -> Evaluation:
    request = resolve(
        load_card(CARD),
        assignments=["weight_bits=3", "activation_bits=5", "time_limit=1e6", "network_input=same"],
        options=["steps=60", "learning_rate=0.05"],
    )
    return evaluate(request, tmp_path_factory.mktemp("runs"), save_model=True)


def test_the_record_has_the_bits_that_were_chosen(evaluated: Evaluation) -> None:
    record = evaluated.record
    assert record.audit is not None
    verdicts = {axis: found["verdict"] for axis, found in record.audit["axes"].items()}
    assert "contradicted" not in verdicts.values()
    assert (verdicts["weight_bits"], verdicts["activation_bits"]) == ("verified", "verified")
    assert verdicts["activation_constraint"] == "verified"
    rows = [row for row in record.plan if row["role"] == "weight"]
    average = sum(row["elements"] * row["spec"]["bits"] for row in rows) / sum(row["elements"] for row in rows)
    assert record.average_weight_bits == pytest.approx(average)
    assert average <= 3
    assert record.average_activation_bits is not None
    assert 0 < record.average_activation_bits <= 5
    assert record.score is not None
    assert record.score > 0.5
    assert record.figures["kept_step"] is not None


def test_a_saved_model_brings_its_bits(evaluated: Evaluation, capsys: pytest.CaptureFixture[str]) -> None:
    card = str(evaluated.folder / "card.yaml")
    assert run(["audit", str(evaluated.folder), "--card", card, "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["figures"]["average_weight_bits"] == evaluated.record.average_weight_bits
    assert report["figures"]["average_activation_bits"] == evaluated.record.average_activation_bits
    assert report["axes"]["weight_bits"]["verdict"] == "verified"


@pytest.mark.parametrize(
    "bits",
    [None, "", "[]", "{}", '{"conv1:weight": 4}', "{" * 5000, json.dumps({"conv1:weight": 99})],
    ids=["none", "empty", "list", "no-name", "one-name", "nested", "strange"],
)
def test_a_saved_model_without_its_bits_is_refused_in_one_line(
    evaluated: Evaluation, tmp_path: Path, capsys: pytest.CaptureFixture[str], bits: str | None
) -> None:
    file = tmp_path / "model.safetensors"
    save_file(load_file(evaluated.folder / "model.safetensors"), file, None if bits is None else {"bits": bits})
    assert run(["audit", str(file), "--card", str(evaluated.folder / "card.yaml")]) == 2
    assert "does not say which bits were chosen" in capsys.readouterr().err


@pytest.mark.slow
def test_a_compiled_step_learns_what_an_eager_one_learns() -> None:
    """Compiled sums round differently, so that single widths may differ in the end; targets and first steps do not."""
    eager, expected = learned(steps=10, compile="never")
    bench, claims = learned(steps=10, compile="always")
    assert average_of(bench, weights=True) <= 4
    assert average_of(bench, weights=False) <= 4
    assert claims.figures["loss"] == pytest.approx(expected.figures["loss"], rel=1e-3)
    before, after = chosen_plan(eager.model, eager.plan), chosen_plan(bench.model, bench.plan)
    assert before is not None
    assert after is not None
    assert sum(before.chosen_bits[name] != width for name, width in after.chosen_bits.items()) <= 1
