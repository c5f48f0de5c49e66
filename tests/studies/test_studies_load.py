"""A study file: what is accepted, and that everything else is refused with its place and a remedy."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from jsonschema import Draft202012Validator
from study_samples import STUDY

from suite.errors import StudyError
from suite.studies import examine_text, expand, load_study, shipped_studies
from suite.studies.layout import study_schema

ORDERING = "ordering: {higher: {method: good}, lower: {method: bad}}"
CROSSING = "crossing: {{along: {}, first: {{method: good}}, second: {{method: bad}}}}"
SIZES = STUDY[STUDY.index("sizes:") : STUDY.index("shows:")]
OTHER_PART = """\
  - id: other
    title: Without the factor
    varies:
      - factor: method
        levels:
          - {id: good, method: rtn, axes: {weight_range: mse}}
          - {id: bad, method: rtn}
"""


def problems_of(text: str) -> list[str]:
    study, problems = examine_text(text, "study.yaml")
    assert (study is None) == bool(problems)
    return [str(problem) for problem in problems]


def test_the_sample_has_no_problem():
    assert problems_of(STUDY) == []


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("study: 1", "study: 2", "study.yaml:1:8: study: version 2 is not the version 1"),
        ("question: Does it matter?\n", "", "study.yaml:1:1: missing key 'question'"),
        ("title: A sample", "titel: A sample", "unknown key 'titel' (did you mean 'title'?)"),
        (
            "  task: digits",
            "  weight_bits: 4\n  task: digits",
            "study.yaml:6:3: unknown key 'weight_bits' (axes stand together",
        ),
        ("values: [4, 2]", "values: [4, 0]", "weight_bits: expected"),
        ("values: [4, 2]", "values: [4, 4]", "'4' is given 2 times"),
        ("axis: weight_bits", "axis: weight_bit", "axis: expected one of"),
        ("values: [4, 2]", "values: []", "the factor 'bits' has no level"),
        ("axis: weight_bits, values: [4, 2]", "axis: weight_bits", "needs levels, or an axis with its values"),
        ("- factor: method", "- factor: part", "a factor cannot be called 'part'"),
        ("where: {bits: 2}", "where: {bitts: 2}", "no factor is called 'bitts' (did you mean 'bits'?)"),
        ("where: {bits: 2}", "where: {bits: 3}", "bits has no level '3' (known: 2, 4)"),
        ("seeds: [0, 1]", "seeds: [0, -1]", "seeds: expected"),
        ("higher: {method: good}", "higher: {method: goood}", "method has no level 'goood' (did you mean 'good'?)"),
        ("ordering: {", "number: {tolerance: 0.1, ", "unknown key 'higher'"),
        ("columns: bits", "columns: method", "it has to show each factor once: method, bits"),
        ("part: main", "part: mian", "no part is called 'mian' (did you mean 'main'?)"),
        ("  model: digits-resnet\n", "", "the cell main.good.4 has no model"),
        ("time_limit: 10", "time_limit: 10, percentile: 99", "the cell main.good.4 cannot exist: contradiction in"),
        (
            "smoke: {says: Everything.}",
            "smoke: {says: x, keep: [{method: good}]}",
            "there is no cell that 'good-is-better'",
        ),
        ("smoke: {says: Everything.}", "tiny: {says: Everything.}", "unknown key 'tiny'"),
        ("says: Good is better.", "says: Good is better.\n    sizes: paper", "this study has no size 'paper'"),
        ("fixed:\n", "fixed:\n  card: ../other.yaml\n", "the card '../other.yaml' is not beside the study"),
        ("fixed:\n", "fixed:\n  card: /etc/hostname\n", "is not beside the study"),
        ("columns: bits", "columns: bits, measures: model_kilobytes", "measures: expected a measure (weight_bits, "),
        ("lines: method}", "lines: method, at: score}", "at: expected a measure"),
        ("ordering: {", "measure: {of: model_bytes, ", "unknown key 'higher'"),
        ("ordering: {", "ordering: {by: 2, ", "by is between -1 and 1"),
        ("ordering: {", "ordering: {measure: model_kilobytes, ", "measure: expected a measure"),
        (ORDERING, CROSSING.format("beats"), "no factor is called 'beats' (did you mean 'bits'?)"),
        (ORDERING, CROSSING.format("part"), "parts have no order; a crossing runs along a factor"),
        (ORDERING, CROSSING.format("method"), "the sides are told apart by 'method', so that they cannot cross along"),
        (
            SIZES,
            OTHER_PART + SIZES.replace(ORDERING, CROSSING.format("bits")),
            "at the size 'smoke' pairs of the part 'other' are compared, which has no factor 'bits'",
        ),
        ("id: sample", "id: &anchor sample", "the anchor '&anchor' is not allowed in a study"),
    ],
)
def test_a_mistake_is_told_with_its_place(old: str, new: str, expected: str):
    assert old in STUDY
    text = STUDY.replace(old, new, 1)
    found = problems_of(text)
    assert any(expected in problem for problem in found), found
    assert all(problem.startswith("study.yaml:") for problem in found)


def test_a_crossing_says_which_parts_it_is_about():
    whole = SIZES.replace(ORDERING, CROSSING.format("bits"))
    chosen = whole.replace("along: bits", "along: bits, where: {part: main}")
    text = STUDY.replace(SIZES, OTHER_PART + whole)
    (problem,) = problems_of(text)
    line = next(number for number, held in enumerate(text.splitlines(), 1) if "along:" in held)
    assert problem.startswith(f"study.yaml:{line}:")
    assert "say which parts are meant: where: {part: […]}" in problem
    assert problems_of(STUDY.replace(SIZES, OTHER_PART + chosen)) == []


def test_a_crossing_of_parts_runs_along_the_levels_of_the_first():
    main = STUDY[STUDY.index("  - id: main") : STUDY.index("sizes:")]
    third = main.replace("id: main", "id: third")
    sizes = SIZES.replace(ORDERING, "crossing: {along: bits, first: {part: main}, second: {part: third}}")
    assert problems_of(STUDY.replace(SIZES, third + sizes)) == []
    (problem,) = problems_of(STUDY.replace(main + SIZES, OTHER_PART + main + third + sizes))
    assert "'third − main at good, 4' has no level of 'bits' in the first part, 'other'" in problem


def test_a_place_is_that_of_the_mistake():
    line = next(number for number, text in enumerate(STUDY.splitlines(), 1) if "higher:" in text)
    column = STUDY.splitlines()[line - 1].index("goood" if "goood" in STUDY else "good}") + 1
    (problem,) = problems_of(STUDY.replace("higher: {method: good}", "higher: {method: goood}"))
    assert problem.startswith(f"study.yaml:{line}:{column}: ")


def test_an_expectation_has_exactly_one_test():
    text = STUDY.replace(
        "    ordering: {", "    equality: {first: {bits: 4}, second: {bits: 2}, margin: 0.1}\n    ordering: {"
    )
    assert any("exactly one of ordering, equality, crossing, number" in problem for problem in problems_of(text))


def test_a_number_names_a_value_or_a_reference():
    text = STUDY.replace(
        "ordering: {higher: {method: good}, lower: {method: bad}}", "number: {tolerance: 0.1, reference: nobody}"
    )
    assert any("no reference is called 'nobody'" in problem for problem in problems_of(text))


def test_lists_of_a_zip_have_one_length():
    zipped = "{factor: bits, zip: {axes: {weight_bits: [4, 2], activation_bits: [4]}}}"
    text = STUDY.replace("{factor: bits, axis: weight_bits, values: [4, 2]}", zipped)
    assert any("different lengths" in problem for problem in problems_of(text))


def test_the_schema_is_one_and_accepts_the_studies():
    Draft202012Validator.check_schema(study_schema())
    assert len(json.dumps(study_schema())) < 60_000
    validator = Draft202012Validator(study_schema())
    for text in [STUDY, *(path.read_text(encoding="utf-8") for path in shipped_studies().values())]:
        assert not list(validator.iter_errors(json.loads(json.dumps(yaml.safe_load(text)))))


@pytest.mark.parametrize(
    ("old", "new"), [("title: A sample", "titel: A sample"), ("values: [4, 2]", "values: 4"), ("says: Everything.", "")]
)
def test_the_schema_refuses_what_the_loader_refuses(old: str, new: str):
    text = STUDY.replace(old, new, 1)
    assert problems_of(text)
    assert list(Draft202012Validator(study_schema()).iter_errors(yaml.safe_load(text)))


def test_an_unknown_name_suggests_a_shipped_study():
    with pytest.raises(StudyError, match=r"no study is called 'post-training'.*post-training-resnet20"):
        load_study("post-training")


def test_a_missing_file_is_told():
    with pytest.raises(StudyError, match=r"nowhere\.yaml: no such file"):
        load_study("nowhere.yaml")


@pytest.mark.parametrize("id", list(shipped_studies()))
def test_shipped_studies_load_and_have_cells_at_every_size(id: str):
    study = load_study(id)
    assert study.id == id
    for size in study.sizes:
        cells = expand(study, size.name)
        assert len({cell.id for cell in cells}) == len(cells) > 0


def test_the_study_that_the_documentation_shows_is_a_study():
    page = (Path(__file__).parents[2] / "docs" / "studies.md").read_text(encoding="utf-8")
    text = page.partition("```yaml\n")[2].partition("```")[0]
    assert problems_of(text) == []
