"""`suite show plan`: the plan of a model under a card, for people and for programs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner
from torch import nn

from suite.cards import new_card
from suite.cli.show_plan import plan_for, plan_text
from suite.errors import SuiteError
from suite.plan import Plan


@pytest.fixture
def card(tmp_path: Path) -> Path:
    path = tmp_path / "card.yaml"
    path.write_text(new_card(method="rtn", task="digits", model="digits-resnet"), encoding="utf-8")
    return path


def test_the_card_names_the_model_and_its_input(card: Path) -> None:
    plan = plan_for(card)
    assert plan.row("network:input").shape == (1, 8, 8)
    text = plan_text(plan)
    assert max(map(len, text.splitlines())) <= 100
    assert f"{len(plan.rows)} sites" in text
    bits = [(row.bits, row.elements) for row in plan.weight_rows]
    average = sum(b * n for b, n in bits) / sum(n for _, n in bits)
    assert f"average bits of a weight: {average:.2f}" in text


def test_other_models_come_with_their_own_inputs(card: Path) -> None:
    assert plan_for(card, "resnet20").row("network:input").shape == (3, 32, 32)
    assert plan_for(card, "resnet20-w0.5-d0.3").row("network:input").shape == (3, 32, 32)
    assert plan_for(card, "torchvision:shufflenet_v2_x1_0").row("network:input").shape == (3, 224, 224)


def test_networks_of_transformers_are_given_tokens(card: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    network = nn.Sequential(nn.Embedding(1000, 8), nn.Linear(8, 4))
    monkeypatch.setattr("suite.models.build_model", lambda id, classes: network)
    plan = plan_for(card, "transformers:causal-lm/opt")
    assert plan.row("1:input").shape[-1] == 8
    assert "network:input" not in plan_text(plan)  # tokens are no site


def test_axes_can_be_replaced(card: Path) -> None:
    plan = plan_for(card, None, ["weight_bits=2", "first_layer_weights=same"])
    assert plan.row("conv1:weight").bits == 2
    with pytest.raises(SuiteError, match="softmax"):
        plan_for(card, None, ["softmax=integer-approximation"])
    with pytest.raises(SuiteError, match="did you mean 'resnet20'"):
        plan_for(card, "resnet2")


def test_json_is_the_plan(card: Path) -> None:
    from suite.cli.show import command

    result = CliRunner().invoke(command, ["plan", "--card", str(card), "--json"])
    assert result.exit_code == 0, result.output
    assert Plan.from_dict(json.loads(result.stdout)) == plan_for(card)
