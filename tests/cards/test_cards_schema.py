"""The shipped JSON Schema: up to date, a legal schema, closed, and of one mind with the checker."""

from __future__ import annotations

import copy
import json
from pathlib import Path

import jsonschema
import pytest

import suite.cards
from suite.axes import AXES, Section, axes_of
from suite.cards import examine_text, new_card
from suite.cards.schema_file import card_schema, schema_text
from suite.cards.text import parse

SHIPPED = Path(suite.cards.__file__).parent / "schema" / "card-1.json"
PUBLISHED = Path(__file__).parents[2] / "cards" / "published"

RUN = {
    **parse(new_card(), "new").plain(),
    "method": {"id": "rtn", "options": {"batch_size": 64, "mode": "fast", "exact": True}},
    "remarks": ["one", "two\nlines"],
    "results": {
        "status": "completed",
        "run_id": "rtn-digits-s0-0123456789",
        "metric": "top-1 accuracy",
        "score": 0.9,
        "difference_interval": [-0.02, 0.01],
        "model_bytes": 1000,
        "labels": False,
        "pointer": "Figure 5",
    },
    "audit": {
        "verdict": "verified",
        "axes": {"grid": {"declared": "uniform", "observed": [1, "a"], "verdict": "verified", "evidence": "seen"}},
    },
}
TRANSCRIBED = parse((PUBLISHED / "confounding-tradeoffs-table3.yaml").read_text("utf-8"), "paper").plain()


@pytest.fixture(scope="module")
def validator() -> jsonschema.Draft202012Validator:
    return jsonschema.Draft202012Validator(json.loads(SHIPPED.read_text("utf-8")))


def test_the_shipped_schema_is_up_to_date():
    assert SHIPPED.read_text("utf-8") == schema_text(), "run python -m suite.cards.schema_file > " + SHIPPED.name


def test_the_schema_is_legal_draft_2020_12():
    jsonschema.Draft202012Validator.check_schema(card_schema())
    assert card_schema()["$schema"] == "https://json-schema.org/draft/2020-12/schema"


def test_every_object_with_named_properties_is_closed():
    def walk(schema):
        if isinstance(schema, dict):
            if "properties" in schema and schema.get("type") == "object" and "$defs" not in schema:
                assert schema["additionalProperties"] is False
            for inner in schema.values():
                walk(inner)
        elif isinstance(schema, list):
            for inner in schema:
                walk(inner)

    walk(card_schema())


def test_every_axis_is_in_the_schema_with_its_question_and_default():
    definitions = card_schema()["$defs"]
    for axis in AXES.values():
        assert definitions[f"axis.{axis.id}"]["description"] == axis.question
        assert definitions[f"axis.{axis.id}"]["default"] == axis.default


def paths(value, prefix=()):
    """Every place in a card, outermost first."""
    if prefix:
        yield prefix
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        yield from paths(inner, (*prefix, key))


def worth_editing(path):
    """Other versions are not this schema's business, and a few axes of each section stand for all: domains have
    their own agreement test.
    """
    in_section = path[0] in set(Section) and len(path) > 1
    return path != ("card",) and not (in_section and [axis.id for axis in axes_of(path[0])].index(path[1]) > 1)


def edited(card, path, edit):
    changed = copy.deepcopy(card)
    holder = changed
    for key in path[:-1]:
        holder = holder[key]
    edit(holder, path[-1])
    return changed


def structural(problems):
    """What a schema can express: everything but contradictions between axes."""
    return [str(problem) for problem in problems if "contradiction in" not in problem.message]


REPLACEMENTS = [None, True, 0, 1, -1, 2.5, 99, 1e300, "", "x", "not reported", "none", [], [1, 2], ["x"], {}, {"a": 1}]


@pytest.mark.parametrize("card", [RUN, TRANSCRIBED], ids=["run", "transcribed"])
def test_checker_and_schema_agree_on_every_small_edit(validator, card):
    """Replace every value, delete every key and add a key everywhere: hundreds of near misses, one verdict each."""
    assert validator.is_valid(card)
    accepted = refused = 0
    for path in paths(card):
        if not worth_editing(path):
            continue
        variants = [
            edited(card, path, lambda held, key, value=value: held.__setitem__(key, value)) for value in REPLACEMENTS
        ]
        variants.append(edited(card, path, lambda held, key: held.__delitem__(key)))
        if not isinstance(path[-1], int):
            variants.append(edited(card, path, lambda held, key: held.__setitem__(f"{key}s", 1)))
        for variant in variants:
            _, problems = examine_text(json.dumps(variant), "x.yaml")
            says = structural(problems)
            assert validator.is_valid(variant) == (not says), (path, says)
            accepted, refused = accepted + (not says), refused + bool(says)
    assert accepted > 50
    assert refused > 500


def test_the_model_may_be_one_of_a_library(validator):
    for model in ("torchvision:resnet18", "transformers:causal-lm/opt", "transformers:causal-lm/facebook/opt-125m"):
        text = new_card(model=model)
        card, problems = examine_text(text, "card.yaml")
        assert not problems
        assert getattr(card, "model", None) == model
        assert validator.is_valid(parse(text, "card.yaml").plain())
