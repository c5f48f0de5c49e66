"""Hardware profiles: what ships is complete and sourced; what is wrong with a profile is said with its place."""

from __future__ import annotations

from pathlib import Path

import pytest

from suite.axes import AXES, Section
from suite.errors import DataMissing, HardwareError, UnknownName
from suite.hardware import load_profile, shipped_profiles

# What decides whether a chip can run a network; the other axes say how its numbers were found or counted.
BOOKKEEPING = {
    "weight_group_size",
    "symmetric_step",
    "batch_norm_statistics",
    "initialization_examples",
    "allowed_bit_widths",
    "activation_constraint",
    "sign_bit",
    "scales_in_size",
}
SECTIONS = (Section.QUANTIZATION_METHOD, Section.QUANTIZED_OPERATIONS, Section.MIXED_PRECISION)
ASKED = {
    axis.id for axis in AXES.values() if axis.section in SECTIONS and not axis.of_method and axis.id not in BOOKKEEPING
}
IDS = ["cmsis-nn", "ethos-u", "hexagon-snpe", "mixed-2-4-8", "tensorrt-int8", "x86-onnxruntime-int8"]


def test_the_shipped_profiles_are_those_promised():
    assert [profile.id for profile in shipped_profiles()] == IDS
    assert all(profile.file is not None and profile.file.stem == profile.id for profile in shipped_profiles())


@pytest.mark.parametrize("id", IDS)
def test_every_axis_that_hardware_could_care_about_is_restricted_with_a_source_or_said_not_to_be_stated(id):
    profile = load_profile(id)
    assert set(profile.restrictions) | set(profile.not_stated) == ASKED
    for restriction in profile.restrictions.values():
        document = profile.document(restriction.source)
        assert document is not None
        assert document.url.startswith("https://")
        assert len(restriction.says) > 5
        assert restriction.allowed


GOOD = """\
hardware: 1
id: mine
title: My chip
documents: [{id: manual, title: The manual}]
axes:
  weight_bits: {allowed: [4, 8], source: manual}
  examples: {at_most: 512}
"""


def loaded(tmp_path: Path, text: str):
    path = tmp_path / "mine.yaml"
    path.write_text(text, encoding="utf-8")
    return load_profile(str(path))


def test_a_profile_of_ones_own(tmp_path):
    profile = loaded(tmp_path, GOOD)
    assert list(profile.restrictions) == ["weight_bits", "examples"]
    assert profile.restrictions["weight_bits"].allowed == (4, 8)
    assert profile.restrictions["examples"].describe() == "at most 512"
    assert [profile.restrictions["examples"].admits(value) for value in (0, 512, 513, "full-training-set")] == [
        True, True, False, False,
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("title: My chip\n", "", "missing key 'title'"),
        ("title: My chip", "title: My chip\ncolour: red", "3:1: unknown key 'colour'".replace("3:1", "4:1")),
        ("weight_bits", "weight_bit", "did you mean 'weight_bits'"),
        ("[4, 8]", "[4, 64]", "6:26: weight_bits: expected"),
        ("[4, 8]", "[symetric]", "weight_bits: expected"),
        ("[4, 8]", "[]", "nothing is said of its values"),
        ("source: manual", "source: manuel", "did you mean 'manual'"),
        ("at_most: 512", "at_least: 9, at_most: 5", "at_least 9 is above at_most 5"),
        ("at_most: 512", "at_most: many", "expected a finite number"),
        ("examples: {at_most: 512}", "grid: {at_most: 5}", "no numbers that could be bounded"),
        ("examples: {at_most: 512}", "allowed_bit_widths: {allowed: any-integer}", "follows from weight_bits"),
        ("hardware: 1", "hardware: 2", "hardware: expected"),
        ("id: mine", "id: ../mine", "id: expected"),
        ("axes:", "not_stated: [weight_bits]\naxes:", "is said here not to be stated"),
        ("{id: manual,", "{id: manual, url: 'javascript:alert(1)',", "a link that starts with https://"),
        ("documents: [", "documents: [{id: manual, title: Twice}, ", "is given 2 times"),
        ("title: My chip", "title: *x", "is not allowed"),
        ("title: My chip", "title: !!python/object:os.system x", "tag"),
    ],
)
def test_what_is_wrong_is_told_with_its_place(tmp_path, old, new, says):
    assert old in GOOD
    with pytest.raises(HardwareError) as caught:
        loaded(tmp_path, GOOD.replace(old, new))
    assert says in str(caught.value)
    assert "mine.yaml:" in str(caught.value)


@pytest.mark.parametrize("content", [b"", b"[]", b"\xff\xfe", b"x" * 1_000_001, b"a: [[[[[[[[[[[[[[[[[[[[[[[[1"])
def test_what_is_no_profile_is_refused(tmp_path, content):
    path = tmp_path / "mine.yaml"
    path.write_bytes(content)
    with pytest.raises(HardwareError):
        load_profile(str(path))


def test_names_that_lead_nowhere():
    with pytest.raises(UnknownName, match="did you mean 'tensorrt-int8'"):
        load_profile("tensorrt")
    with pytest.raises(DataMissing, match="no hardware profile at"):
        load_profile("nowhere/mine.yaml")
