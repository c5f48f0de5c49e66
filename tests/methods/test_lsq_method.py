"""LSQ: where its steps start, what it refuses, and what it buys on real digits."""

from __future__ import annotations

import math
import subprocess
import sys

import pytest
import torch
from toys import toy_bench, toy_setting

from suite.errors import SuiteError, Unsupported
from suite.methods import METHODS
from suite.methods.lsq import LearnedStepSize, LsqOptions
from suite.plan import quantizers_of


def one_step(**options: object) -> LearnedStepSize:
    return LearnedStepSize(LsqOptions.from_mapping({"steps": 1, "learning_rate": 0.0, **options}))


def test_steps_start_at_two_mean_magnitudes_over_the_root_of_qmax() -> None:
    bench = toy_bench()
    one_step().quantize(bench)
    found = quantizers_of(bench.model)["middle:weight"].scale
    expected = 2 * bench.reference.middle.weight.abs().mean() / math.sqrt(7)
    torch.testing.assert_close(found.detach(), expected.detach())


def test_the_mse_start_has_a_smaller_weight_error_at_eight_bits() -> None:
    errors = {}
    for start in ("lsq", "mse"):
        bench = toy_bench(toy_setting(weight_bits=8))
        one_step(initialization=start).quantize(bench)
        weight = bench.reference.middle.weight.detach()
        errors[start] = float((bench.model.middle.weight_quantizer(weight) - weight).detach().square().sum())
    assert errors["mse"] < errors["lsq"]


def test_every_quantizer_learns_its_step() -> None:
    bench = toy_bench()
    LearnedStepSize(LsqOptions(steps=4, batch_size=16, learning_rate=0.1)).quantize(bench)
    fresh = toy_bench()
    one_step().quantize(fresh)
    moved = {
        name: not torch.equal(quantizer.scale, quantizers_of(fresh.model)[name].scale)
        for name, quantizer in quantizers_of(bench.model).items()
    }
    assert moved
    assert all(moved.values()), moved


def test_a_step_rate_of_zero_freezes_the_steps() -> None:
    bench, fresh = toy_bench(), toy_bench()
    LearnedStepSize(LsqOptions(steps=4, batch_size=16, learning_rate=0.1, step_rate_ratio=0.0)).quantize(bench)
    one_step().quantize(fresh)
    for name, quantizer in quantizers_of(bench.model).items():
        assert torch.equal(quantizer.scale, quantizers_of(fresh.model)[name].scale), name
    assert not torch.equal(bench.model.middle.weight, fresh.model.middle.weight)


def test_held_out_examples_set_no_range() -> None:
    changes = {"checkpoint": "best-on-validation", "initialization_examples": "all"}
    ordinary, glaring = toy_bench(toy_setting(**changes)), toy_bench(toy_setting(**changes))
    glaring.data.inputs[:6] *= 100  # what the toy door holds out of 64 at a tenth
    for bench in (ordinary, glaring):
        one_step().quantize(bench)
        assert bench.data.held is not None
        assert bench.data.held.size == 6
    for name, quantizer in quantizers_of(glaring.model).items():
        assert torch.equal(quantizer.scale, quantizers_of(ordinary.model)[name].scale), name


def test_a_setting_without_any_grid_is_refused() -> None:
    ends = (
        "first_layer_weights",
        "last_layer_weights",
        "first_layer_activations",
        "last_layer_activations",
        "network_input",
    )
    bench = toy_bench(toy_setting(weight_bits=32, activation_bits=32, **dict.fromkeys(ends, "same")))
    with pytest.raises(Unsupported, match="puts no grid on any weight or activation"):
        one_step().quantize(bench)
    assert bench.data.requests == 0


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"labels": "unlabeled"}, "does not support labels = unlabeled"),
        ({"activation_range": "min-max"}, "does not support activation_range = min-max"),
        (
            {"activation_range": "min-max", "activation_parameters": "dynamic", "initialization_examples": "all"},
            "does not support activation_",
        ),
    ],
)
def test_settings_without_learned_steps_are_refused(changes: dict[str, str], words: str) -> None:
    with pytest.raises(Unsupported) as caught:
        LearnedStepSize.check_setting(toy_setting(**changes))
    assert words in str(caught.value)


@pytest.mark.parametrize("option", ["epoch=3", "learning_rate=-1", "steps=0", "initialization=mes", "optimizer=sdg"])
def test_bad_options_are_refused(option: str) -> None:
    with pytest.raises(SuiteError):
        LsqOptions.from_mapping(dict([LsqOptions.read(option, owner="lsq")]), owner="lsq")


def test_listing_methods_imports_none_of_them() -> None:
    program = (
        "import sys\n"
        "from suite.methods import METHODS\n"
        "rows = {entry.id: entry.summary() for entry in METHODS}\n"
        "assert {'rtn', 'lsq'} <= set(rows), rows\n"
        "assert not {'api', 'engines'} & set(rows), rows\n"
        "assert all(rows.values()), rows\n"
        "assert 'torch' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)


def test_every_registered_method_is_called_what_its_file_is_called() -> None:
    assert [METHODS.get(id).id for id in METHODS.ids()] == METHODS.ids()
