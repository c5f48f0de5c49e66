"""Bad input: every broken card ends in one clear line with file, line and column, and exit code 2.

Each row edits a good card as a person would (or an attacker), names the place where the mistake is, and the words that
have to be said.
"""

from __future__ import annotations

import io
import json
import re
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import pytest

from suite.axes import AXES
from suite.cards import card_to_yaml, load_card, new_card, parse_card
from suite.cli.main import run
from suite.errors import CardError

GOOD = card_to_yaml(parse_card(new_card()))
PAPER = (Path(__file__).parents[2] / "cards" / "published" / "confounding-tradeoffs-table3.yaml").read_text("utf-8")


def line_of(text: str, start: str) -> int:
    return next(number for number, line in enumerate(text.splitlines(), 1) if line.strip().startswith(start))


def change(old: str, new: str, text: str = GOOD) -> str:
    """Replace the one place where `old` stands."""
    assert text.count(old) == 1, f"{old!r} stands {text.count(old)} times in the card"
    return text.replace(old, new)


def axis(id: str, value: str, text: str = GOOD) -> str:
    changed = re.sub(rf"(?m)^  {id}: .*$", lambda _: f"  {id}: {value}", text)
    assert changed != text
    return changed


def without(start: str, text: str = GOOD) -> str:
    return "".join(line for line in text.splitlines(keepends=True) if not line.strip().startswith(start))


# name, text, start of the line that holds the mistake (or the line number), column, words of the message
BROKEN: list[tuple[str, str, str | int, int, str]] = [
    # unknown keys
    (
        "misspelt axis",
        change("weight_symmetry", "weight_symetry"),
        "weight_symetry",
        3,
        "unknown key 'weight_symetry' (did you mean 'weight_symmetry'?)",
    ),
    ("misspelt key", change("title:", "titel:"), "titel", 1, "unknown key 'titel' (did you mean 'title'?)"),
    (
        "misspelt section",
        change("mixed_precision:", "mixed_precison:"),
        "mixed_precison",
        1,
        "did you mean 'mixed_precision'?",
    ),
    ("misspelt method key", change("{id: rtn,", "{di: rtn,"), "method", 10, "unknown key 'di'"),
    (
        "declared zero point",
        change("  weight_symmetry: symmetric", "  weight_symmetry: symmetric\n  zero_point: 3"),
        "zero_point",
        3,
        "a symmetric grid has none",
    ),
    (
        "one key for both symmetries",
        change("  weight_symmetry: symmetric", "  symmetry: symmetric"),
        "symmetry",
        3,
        "weight_symmetry, activation_symmetry",
    ),
    ("axis at the top", GOOD + "weight_bits: 4\n", "weight_bits: 4", 1, "it belongs in the section mixed_precision"),
    (
        "axis in another section",
        change("quantized_operations:", "quantized_operations:\n  grid: uniform"),
        "quantized_operations",
        0,
        "the axis 'grid' belongs in the section quantization_method",
    ),
    ("key with control characters", GOOD + '"a\\x1b[31mb": 1\n', '"a', 1, "unknown key 'a\\x1b[31mb'"),
    ("merge key", GOOD + "<<: {a: 1}\n", "<<", 1, "unknown key '<<'"),
    ("number as a key", GOOD + "7: seven\n", "7:", 1, "unknown key '7'"),
    # missing keys
    (
        "missing axis",
        without("weight_symmetry"),
        "grid",
        3,
        "missing axis 'weight_symmetry' in quantization_method (its default is symmetric)",
    ),
    ("missing title", without("title"), 1, 1, "missing key 'title'"),
    ("missing kind", without("kind"), 1, 1, "missing key 'kind'"),
    ("missing method", without("method"), 1, 1, "missing key 'method'"),
    ("missing method id", change("{id: rtn, options: {}}", "{options: {}}"), "method", 9, "missing key 'id' in method"),
    ("missing version", without("card"), 1, 1, "missing key 'card', the version of the schema (write card: 1)"),
    # wrong types and values
    (
        "word for a number",
        axis("weight_bits", "four"),
        "weight_bits",
        16,
        "weight_bits: expected a number in [1, 32], found 'four'",
    ),
    ("number as a text", axis("weight_bits", '"8"'), "weight_bits", 16, "found '8'"),
    ("W0", axis("weight_bits", "0"), "weight_bits", 16, "expected a number in [1, 32], found 0"),
    ("negative bits", axis("activation_bits", "-4"), "activation_bits", 20, "found -4"),
    ("W9", axis("weight_bits", "9"), "weight_bits", 3, "fixed precision has 1-8, 16 or 32 (not quantized) bits"),
    ("half a bit", axis("weight_bits", "2.5"), "weight_bits", 3, "weight_precision, weight_bits: fixed precision"),
    ("64 bits", axis("activation_bits", "64"), "activation_bits", 20, "found 64"),
    ("yes for a word", axis("batch_norm", "yes"), "batch_norm:", 15, "expected one of folded, float, found 'yes'"),
    ("no for a word", axis("extra_level", "no"), "extra_level", 16, "expected one of absent, present, found 'no'"),
    ("true for a word", axis("extra_level", "true"), "extra_level", 16, "found True"),
    ("time of day", axis("time_limit", "10:30"), "time_limit", 15, "expected a number in (0, 1e+06], found '10:30'"),
    ("misspelt word", axis("weight_symmetry", "symetric"), "weight_symmetry", 20, "(did you mean 'symmetric'?)"),
    ("capital letters", axis("grid", "Uniform"), "grid", 9, "(did you mean 'uniform'?)"),
    ("empty value", axis("grid", ""), "grid", 8, "found nothing"),
    ("null value", axis("grid", "null"), "grid", 9, "found nothing"),
    ("list for a word", axis("grid", "[uniform]"), "grid", 9, "found ['uniform']"),
    ("mapping for a word", axis("grid", "{a: 1}"), "grid", 9, "found {'a': 1}"),
    ("infinite time", axis("time_limit", ".inf"), "time_limit", 15, "found inf"),
    ("time that is no number", axis("time_limit", ".nan"), "time_limit", 15, "found nan"),
    ("overflowing time", axis("time_limit", "1e999"), "time_limit", 15, "found inf"),
    ("no time", axis("time_limit", "0"), "time_limit", 15, "found 0"),
    (
        "percentile in (0, 1)",
        axis("percentile", "0.9999"),
        "percentile",
        15,
        "expected a number in (50, 100], found 0.9999",
    ),
    ("half an example", axis("examples", "0.5"), "examples", 13, "found 0.5"),
    ("examples with underscore", axis("examples", "1_024"), "examples", 13, "found '1_024'"),
    ("octal-looking number", axis("examples", "010"), "examples", 13, "found '010'"),
    (
        "one allowed width",
        axis("allowed_bit_widths", "[4]"),
        "allowed_bit_widths",
        23,
        "two or more different integers",
    ),
    (
        "same width twice",
        axis("allowed_bit_widths", "[4, 4]"),
        "allowed_bit_widths",
        23,
        "two or more different integers",
    ),
    (
        "accuracy in percent",
        axis("baseline_accuracy", "76"),
        "baseline_accuracy",
        22,
        "expected measured or a number in [0, 1], found 76",
    ),
    ("not reported in a run", axis("grid", "not reported"), "grid", 9, "a card of kind run gives every axis a value"),
    (
        "section is a list",
        re.sub(r"(?s)mixed_precision:.*?\n\n", "mixed_precision: [weight_bits, 4]\n\n", GOOD),
        "mixed_precision",
        18,
        "expected a mapping with the axes weight_precision",
    ),
    (
        "method is a word",
        change("method: {id: rtn, options: {}}", "method: rtn"),
        "method",
        9,
        "method: expected a mapping with id, options",
    ),
    ("method id with a path", change("{id: rtn,", "{id: ../../evil,"), "method", 14, "expected a method id"),
    (
        "option is a mapping",
        change("options: {}", "options: {a: {b: 1}}"),
        "method",
        32,
        "method.options.a: expected a text, a number, true or false",
    ),
    (
        "option with a dash",
        change("options: {}", "options: {learning-rate: 1}"),
        "method",
        29,
        "'learning-rate' cannot be the name of an option",
    ),
    (
        "title on two lines",
        change("title: rtn on digits", 'title: "a\\nb"'),
        "title",
        8,
        "title: expected a text on one line",
    ),
    (
        "title with an escape sequence",
        change("title: rtn on digits", 'title: "\\e[2Jx"'),
        "title",
        8,
        "found '\\x1b[2Jx'",
    ),
    (
        "endless title",
        change("title: rtn on digits", f"title: {'x' * 5000}"),
        "title",
        8,
        "found a text of 5,000 characters",
    ),
    ("negative seed", change("seed: 0", "seed: -1"), "seed", 7, "seed: expected an integer of at least 0, found -1"),
    ("huge seed", change("seed: 0", "seed: 99999999999"), "seed", 7, "seed: expected an integer"),
    ("task with a slash", change("task: digits", "task: ../digits"), "task", 7, "task: expected an id"),
    (
        "unknown kind",
        change("kind: run", "kind: draft"),
        "kind",
        7,
        "kind: expected one of run, transcribed, found 'draft'",
    ),
    ("remarks are a text", change("remarks: []", "remarks: none"), "remarks", 10, "remarks: expected a list"),
    (
        "interval of one number",
        GOOD + "results: {difference_interval: [1]}\n",
        "results",
        32,
        "expected a list of 2 items",
    ),
    (
        "score is not a number",
        GOOD + "results: {score: .nan}\n",
        "results",
        18,
        "results.score: expected a finite number, found nan",
    ),
    ("invented result", GOOD + "results: {acuracy: 1}\n", "results", 11, "unknown key 'acuracy'"),
    (
        "audit of no axis",
        GOOD + "audit: {verdict: verified, axes: {gird: {declared: 1, verdict: verified}}}\n",
        "audit",
        35,
        "(did you mean 'grid'?)",
    ),
    (
        "invented verdict",
        GOOD + "audit: {verdict: fine, axes: {}}\n",
        "audit",
        18,
        "expected one of verified, contradicted, not observable",
    ),
    # versions
    (
        "newer version",
        change("card: 1", "card: 2"),
        1,
        7,
        "version 2 is newer than this suite, which reads version 1 (update the suite)",
    ),
    ("older version", change("card: 1", "card: 0"), 1, 7, "suite card migrate"),
    ("version is a text", change("card: 1", "card: one"), 1, 7, "expected the version 1, found 'one'"),
    ("version between", change("card: 1", "card: -1"), 1, 7, "there never was a version -1"),
    ("layout of version 0", "name: x\nmethod: rtn\nsetting: {}\n", 1, 1, "suite card migrate"),
    # contradictions
    (
        "per-tensor scales, per-channel bits",
        axis(
            "weight_granularity",
            "per-tensor",
            axis("weight_precision", "mixed", axis("bit_width_granularity", "per-channel")),
        ),
        "bit_width_granularity",
        3,
        "contradiction in weight_granularity, bit_width_granularity",
    ),
    (
        "per-group without a size",
        axis("weight_granularity", "per-group"),
        "weight_group_size",
        3,
        "per-group scales need a group size",
    ),
    (
        "float skip, quantized sum",
        axis("skip_connection", "full-precision"),
        "residual_connection",
        3,
        "no full-precision skip beside a quantized residual",
    ),
    (
        "constraint on fixed bits",
        axis("activation_constraint", "average-feature-map"),
        "activation_constraint",
        3,
        "leave nothing for a constraint to decide",
    ),
    ("narrow range at one bit", axis("weight_bits", "1"), "weight_bits", 3, "holds nothing but zero"),
    (
        "labels without examples",
        axis("examples", "0", axis("labels", "labeled", axis("activation_parameters", "dynamic"))),
        "labels",
        3,
        "without examples there are no labels",
    ),
    (
        "learned step without a mask",
        axis("weight_range", "learned-step", axis("step_gradient_scale", "none")),
        "gradient_mask",
        3,
        "a learned weight range needs a gradient mask",
    ),
    # strict YAML
    ("key twice", GOOD + "seed: 1\n", "seed: 1", 1, "the key 'seed' is given twice, first on line"),
    (
        "axis twice",
        change("  grid: uniform", "  grid: uniform\n  grid: uniform"),
        "quantization_method",
        0,
        "the key 'grid' is given twice",
    ),
    ("tab", change("  grid: uniform", "\tgrid: uniform"), "grid", 1, "a tab cannot indent YAML"),
    ("alias", change("seed: 0", "seed: &s 0"), "seed", 7, "the anchor '&s' is not allowed"),
    ("tag", change("title: rtn on digits", "title: !!python/name:os.system x"), "title", 8, "is not allowed in a card"),
    ("two documents", GOOD + "---\ncard: 1\n", "---", 1, "a second YAML document starts here"),
    ("deep nesting", GOOD + f"results: {'[' * 500}{']' * 500}\n", "results", 29, "nested more than 20 levels deep"),
    ("list instead of a card", "- card: 1\n", 1, 1, "a card is a mapping of keys to values"),
    ("word instead of a card", "hello\n", 1, 1, "a card is a mapping of keys to values"),
    ("empty file", "", 1, 1, "is empty"),
    ("open bracket", "card: [1\n", 2, 1, "is not YAML"),
    # transcribed cards
    (
        "transcribed without a source",
        without("source", re.sub(r"(?ms)^source:.*?(?=^results)", "", PAPER)),
        "card",
        1,
        "missing key 'source'",
    ),
    (
        "transcribed with an audit",
        PAPER + "audit: {verdict: verified, axes: {}}\n",
        "audit",
        1,
        "a transcribed card has no 'audit'",
    ),
    ("run with a source", GOOD + "source: {paper: x}\n", "source", 1, "only a transcribed card has a 'source'"),
    (
        "script as a link",
        re.sub(r"(?m)^  url: .*$", '  url: "javascript:alert(1)"', PAPER),
        "url",
        8,
        "source.url: expected a link",
    ),
    (
        "missing axis in a transcribed card",
        without("pooling", PAPER),
        "skip_connection",
        3,
        "(its default is requantized, or 'not reported')",
    ),
]


def suite(*arguments: str) -> tuple[int, str, str]:
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        code = run(arguments)
    return code, out.getvalue(), err.getvalue()


@pytest.mark.parametrize(("name", "text", "where", "column", "words"), BROKEN, ids=[row[0] for row in BROKEN])
def test_a_broken_card_is_told_with_its_place(tmp_path, monkeypatch, name, text, where, column, words):
    monkeypatch.chdir(tmp_path)
    Path("x.yaml").write_text(text, encoding="utf-8")
    code, out, err = suite("card", "validate", "x.yaml")
    assert code == 2
    assert err == ""
    told = [line for line in out.splitlines() if words in line]
    assert len(told) == 1, out
    place = re.match(r"x\.yaml:(\d+):(\d+): ", told[0])
    assert place, told[0]
    assert told[0].isprintable()
    if column:  # a row with column 0 has its mistake on the line after the named one
        line = where if isinstance(where, int) else line_of(text, where)
        assert (int(place[1]), int(place[2])) == (line, column), told[0]
    else:
        assert int(place[1]) > line_of(text, str(where))
    # The same through the loader that every other command uses, and as JSON.
    with pytest.raises(CardError) as raised:
        load_card("x.yaml")
    assert str(raised.value).startswith("x.yaml:")
    _, printed, _ = suite("card", "validate", "x.yaml", "--json")
    problems = json.loads(printed)["cards"][0]["problems"]
    assert [(p["line"], p["column"]) for p in problems if words.split(" (")[0] in f"{p['message']} ({p['hint']})"]
    assert [path.name for path in tmp_path.iterdir()] == ["x.yaml"]


def test_there_are_enough_of_them_and_the_good_cards_are_good():
    assert len(BROKEN) >= 60
    assert len({row[0] for row in BROKEN}) == len(BROKEN)
    parse_card(GOOD)
    parse_card(PAPER)


def test_all_problems_of_a_file_are_told_in_the_order_of_the_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    text = axis("weight_bits", "0", axis("grid", "Uniform", change("seed: 0", "seed: -1")))
    Path("x.yaml").write_text(without("pooling", text), encoding="utf-8")
    code, out, _ = suite("card", "validate", "x.yaml")
    assert code == 2
    lines = out.splitlines()
    assert len(lines) == 4
    assert [int(line.split(":")[1]) for line in lines] == sorted(int(line.split(":")[1]) for line in lines)
    with pytest.raises(CardError, match=r"3 more: suite card validate x\.yaml lists them"):
        load_card("x.yaml")


@pytest.mark.parametrize("id", AXES)
def test_every_axis_that_is_missing_is_named_with_its_default(id):
    with pytest.raises(CardError, match=f"missing axis '{id}'") as raised:
        parse_card(without(f"{id}:"))
    assert "its default is" in str(raised.value)
