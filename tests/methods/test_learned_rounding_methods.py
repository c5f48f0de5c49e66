"""The four methods that learn rounding: their options reach the numerics, their cards say what they recommend."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from suite.axes import AXES, Setting
from suite.cards import load_card
from suite.errors import SuiteError, Unsupported
from suite.methods import METHODS
from suite.quantizers import Quantizer, QuantizerSpec
from suite.quantizers.rounding import AdaQuant, AdaQuantFlexRound, AdaRound, FlexRound, LearnedRounding, RangedAdaQuant

CARDS = Path(__file__).parents[2] / "cards"
NAMES = ("adaround", "adaquant", "flexround", "adaquant_flexround")


def asked_for(
    monkeypatch: pytest.MonkeyPatch, name: str, symmetry: str = "symmetric", **options: object
) -> tuple[LearnedRounding, Any]:
    """What a method gives to the engine, made for a small convolution: its rounding and its regularizer."""
    given: dict[str, Any] = {}

    def engine(work: object, chosen: object, rounding: Any, regularizer: Any = None) -> None:
        given.update(rounding=rounding, regularizer=regularizer, options=chosen)

    monkeypatch.setattr(import_module(f"suite.methods.{name}"), "reconstruct", engine)
    method = METHODS.get(name).from_mapping(options)
    method.quantize(SimpleNamespace(setting=Setting.default().replace(weight_symmetry=symmetry)))
    assert given["options"] is method.options
    weight = torch.randn(4, 3, 3, 3, generator=torch.Generator().manual_seed(0))
    symmetric = symmetry == "symmetric"
    quantizer = Quantizer(QuantizerSpec(bits=4, signed=symmetric, symmetric=symmetric), is_weight=True)
    quantizer.initialize(weight, "mse")
    return given["rounding"](weight, quantizer), given["regularizer"]


def test_adaround_hands_over_its_regularizer(monkeypatch: pytest.MonkeyPatch) -> None:
    rounding, regularizer = asked_for(monkeypatch, "adaround")
    assert type(rounding) is AdaRound
    chosen = (regularizer.factor, regularizer.warmup, regularizer.start, regularizer.end, regularizer.schedule)
    assert chosen == (0.01, 0.2, 20.0, 2.0, "linear")
    options = {"regularizer_weight": 0.1, "warmup": 0.0, "beta_start": 8.0, "beta_end": 3.0, "beta_schedule": "cosine"}
    _, regularizer = asked_for(monkeypatch, "adaround", **options)
    chosen = (regularizer.factor, regularizer.warmup, regularizer.start, regularizer.end, regularizer.schedule)
    assert chosen == (0.1, 0.0, 8.0, 3.0, "cosine")


@pytest.mark.parametrize("name", [name for name in NAMES if name != "adaround"])
def test_nothing_else_has_a_regularizer(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    rounding, regularizer = asked_for(monkeypatch, name)
    assert regularizer is None
    assert rounding.penalty(2.0) is None


def test_adaquant_has_two_forms(monkeypatch: pytest.MonkeyPatch) -> None:
    rounding, _ = asked_for(monkeypatch, "adaquant", step_rate_ratio=0.25)
    assert type(rounding) is AdaQuant
    assert [group["lr"] for group in rounding.parameter_groups(0.4)] == [0.4, 0.1]
    options = {"form": "public-code", "weight_rate_ratio": 0.5}
    rounding, _ = asked_for(monkeypatch, "adaquant", "asymmetric", **options)
    assert type(rounding) is RangedAdaQuant
    assert [group["lr"] for group in rounding.parameter_groups(0.4)] == [0.2, 0.4]
    assert rounding.parameter_groups(0.4)[0]["params"] == [rounding.w]
    with pytest.raises(Unsupported, match="minimum"):
        asked_for(monkeypatch, "adaquant", "symmetric", form="public-code")


def test_flexround_has_its_ablations(monkeypatch: pytest.MonkeyPatch) -> None:
    whole, _ = asked_for(monkeypatch, "flexround")
    assert type(whole) is FlexRound
    assert whole.logarithms
    assert whole.v is None
    assert all(factor is not None for factor in (whole.s1, whole.s2, whole.s3, whole.s4))
    without, _ = asked_for(monkeypatch, "flexround", no_s3_s4=True)
    assert (without.s3, without.s4) == (None, None)
    assert without.s1 is not None
    fixed, _ = asked_for(monkeypatch, "flexround", s1_fixed=True)
    assert fixed.s1 is None
    assert fixed.s3 is not None
    direct, _ = asked_for(monkeypatch, "flexround", positivity="direct")
    assert not direct.logarithms


def test_the_combination_has_everything(monkeypatch: pytest.MonkeyPatch) -> None:
    rounding, _ = asked_for(monkeypatch, "adaquant_flexround", positivity="direct")
    assert type(rounding) is AdaQuantFlexRound
    assert not rounding.logarithms
    factors = (rounding.v, rounding.s1, rounding.s2, rounding.s3, rounding.s4)
    assert all(factor is not None for factor in factors)
    assert len(rounding.parameter_groups(1.0)) == 1  # one learning rate for all


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("preset", ["brecq", "qdrop"])
def test_every_rounding_has_both_frames(name: str, preset: str) -> None:
    options = METHODS.get(name).from_mapping({"preset": preset}).options.to_dict()
    assert options["preset"] == preset
    assert options["unit"] == "block"
    assert options["activation_steps"] == {"brecq": "second-stage", "qdrop": "joint"}[preset]
    assert options["iterations"] == (20_000 if name in ("adaround", "adaquant") else 5_000)


@pytest.mark.parametrize("name", NAMES)
def test_numbers_that_make_no_sense_are_refused(name: str) -> None:
    for option in ({"iterations": 0}, {"learning_rate": -1.0}, {"positivity": "maybe"}, {"warmup": 2.0}):
        with pytest.raises(SuiteError, match=next(iter(option))):
            METHODS.get(name).from_mapping(option)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    ("axis", "value"),
    [
        ("weight_range", "mse"),
        ("weight_granularity", "per-weight"),
        ("weight_precision", "mixed"),
        ("activation_precision", "mixed"),
        ("labels", "labeled"),
    ],
)
def test_settings_it_cannot_honour_are_refused(name: str, axis: str, value: str) -> None:
    kind = METHODS.get(name)
    base = Setting.default().replace(**dict(kind.recommended))
    kind.check_setting(base)
    with pytest.raises(Unsupported, match=axis):
        kind.check_setting(base.replace(**{axis: value}))


@pytest.mark.parametrize("name", NAMES)
def test_the_card_is_what_the_method_recommends(name: str) -> None:
    kind, card = METHODS.get(name), load_card(CARDS / f"{name}.yaml")
    assert (card.kind, card.method.id, card.task, card.model, card.seed) == ("run", name, "digits", "digits-resnet", 0)
    kind.from_mapping(card.method.options)
    kind.check_setting(card.setting)
    said = card.setting.to_dict()
    assert {axis: said[axis] for axis in kind.recommended if axis != "time_limit"} == {
        axis: value for axis, value in kind.recommended.items() if axis != "time_limit"
    }
    assert (said["weight_bits"], said["weight_range"]) == (4, "learned-rounding")
    assert all(axis.enforceable(card.setting[axis.id]) for axis in AXES.values())


@pytest.mark.parametrize("name", NAMES)
def test_conflicts_are_told(name: str) -> None:
    notes = METHODS.get(name).notes
    assert len({note.about for note in notes}) == len(notes) >= 3
    assert all(note.ours for note in notes)
