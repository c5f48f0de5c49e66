"""Harness: the meter hands out what the setting declares, counts it, and refuses the rest by the axis's name."""

from __future__ import annotations

from collections.abc import Callable
from itertools import chain
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from suite.axes import Setting
from suite.errors import DataAccessError
from suite.harness.meter import DataMeter, Door
from suite.harness.streams import Streams
from suite.tasks import LabelledTensors

POOL = 50
# Image i is filled with the number i, so that a test can read off which examples came through.
EXAMPLES = LabelledTensors(
    torch.arange(POOL, dtype=torch.float32).view(-1, 1, 1, 1).expand(-1, 1, 2, 2).clone(),
    torch.arange(POOL) % 7,
    torch.arange(POOL) + 1000,
)


def shift(images: Tensor, generator: torch.Generator) -> Tensor:
    return images + torch.rand(len(images), 1, 1, 1, generator=generator) * 0.5


class Mod3(nn.Module):
    """A float model whose answer is known: the image's number modulo 3."""

    def forward(self, images: Tensor) -> Tensor:
        assert not self.training
        return nn.functional.one_hot(images[:, 0, 0, 0].long() % 3, 3).float()


def make(seed: int = 0, pool: LabelledTensors = EXAMPLES, **values: Any) -> DataMeter:
    setting = Setting.default().replace(**{"examples": 20, **values})
    return DataMeter(pool, setting, Streams(seed), augment=shift, reference=Mod3())


def numbers(images: Tensor) -> list[int]:
    return images[:, 0, 0, 0].long().tolist()


def walk(door: Door, batch_size: int = 8, **options: Any) -> list[list[int]]:
    return [numbers(batch.inputs) for batch in door.batches(batch_size, **options)]


def flat(door: Door, batch_size: int = 8, **options: Any) -> list[int]:
    return list(chain.from_iterable(walk(door, batch_size, **options)))


def test_the_budget_is_distinct_examples_in_full_batches_and_one_rest() -> None:
    meter = make()
    batches = walk(meter.door)
    assert [len(batch) for batch in batches] == [8, 8, 4]
    seen = list(chain.from_iterable(batches))
    assert len(set(seen)) == 20
    assert seen != sorted(seen), "the subset is drawn, not the head of the pool"
    report = meter.report()
    assert (report.allowed_examples, report.distinct_examples, report.examples_presented) == (20, 20, 20)
    assert (report.passes, report.labels, report.labels_used, report.kind) == (1, "none", 0, "real")
    assert (report.pool_examples, report.transform, report.refused) == (POOL, "test", ())


def test_nothing_asked_is_nothing_counted() -> None:
    report = make().report()
    assert (report.kind, report.distinct_examples, report.examples_presented, report.transform) == (
        "none",
        0,
        0,
        "none",
    )
    assert report.to_dict()["passes"] == 0


def test_unfinished_walks_count_what_was_handed_out() -> None:
    meter = make()
    walker = meter.door.batches(8)
    next(walker)
    assert meter.report().distinct_examples == 8
    assert meter.report().passes == 0
    next(walker)
    next(walker)
    assert meter.report().passes == 1, "the last batch ends the pass, whether or not the loop asks for another"


def test_passes_repeat_one_order_and_shuffling_does_not() -> None:
    meter = make()
    still = flat(meter.door, passes=2)
    assert still[:20] == still[20:]
    shuffled = flat(meter.door, passes=2, shuffle=True)
    assert sorted(shuffled[:20]) == sorted(shuffled[20:]) == sorted(still[:20])
    assert shuffled[:20] != shuffled[20:]
    assert (meter.report().passes, meter.report().examples_presented) == (4, 80)


def test_the_same_seed_draws_the_same_and_another_draws_anew() -> None:
    options = {"shuffle": True, "passes": 2}
    assert walk(make().door, **options) == walk(make().door, **options)
    assert {*flat(make(0).door)} != {*flat(make(1).door)}


def test_a_fixed_subset_is_shared_by_seeds_but_not_its_order() -> None:
    first, second = make(0, subset="fixed").door, make(1, subset="fixed").door
    assert walk(first) == walk(second)
    assert walk(first, shuffle=True) != walk(second, shuffle=True)


def test_looking_at_one_walk_does_not_disturb_another() -> None:
    alone = make().door.batches(8, shuffle=True, passes=3)
    expected = [numbers(batch.inputs) for batch in alone]
    door = make().door
    disturbed = door.batches(8, shuffle=True, passes=3)
    found = []
    for batch in disturbed:
        found.append(numbers(batch.inputs))
        door.fixed(3)
        next(door.batches(5, shuffle=True))
    assert found == expected


def test_global_randomness_is_neither_used_nor_moved() -> None:
    torch.manual_seed(1)
    before = torch.get_rng_state()
    expected = walk(make(training_transform="augmented").door, shuffle=True)
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(2)
    assert walk(make(training_transform="augmented").door, shuffle=True) == expected


def test_labels_are_refused_where_unlabeled_is_declared_and_the_attempt_stays_on_record() -> None:
    meter = make()
    with pytest.raises(DataAccessError, match="labels: a method asked for labels") as caught:
        meter.door.batches(8, labels=True)
    assert caught.value.axis == "labels"
    assert meter.report().refused == ("labels",)
    assert meter.report().examples_presented == 0


def test_true_labels_belong_to_their_images() -> None:
    meter = make(labels="labeled")
    for batch in meter.door.batches(8, labels=True, shuffle=True):
        assert batch.labels is not None
        assert batch.labels.tolist() == [number % 7 for number in numbers(batch.inputs)]
    assert (meter.report().labels, meter.report().labels_used) == ("true", 20)


def test_labels_that_nobody_asked_for_do_not_count() -> None:
    meter = make(labels="labeled")
    assert all(batch.labels is None for batch in meter.door.batches(8))
    assert (meter.report().labels, meter.report().labels_used) == ("none", 0)


def test_labels_count_as_far_as_they_were_handed_out() -> None:
    meter = make(labels="labeled")
    next(meter.door.batches(8, labels=True))
    assert meter.report().labels_used == 8


def test_pseudo_labels_are_the_float_models_answers_in_test_preprocessing() -> None:
    meter = make(labels="pseudo-labeled", training_transform="augmented")
    for batch in meter.door.batches(8, labels=True, shuffle=True):
        assert batch.labels is not None
        # The augmentation adds less than a half, so the number can still be read off.
        assert batch.labels.tolist() == [number % 3 for number in numbers(batch.inputs)]
    assert (meter.report().labels, meter.report().labels_used) == ("pseudo", 20)


def test_augmentation_is_new_in_every_pass_and_absent_under_test_preprocessing() -> None:
    door = make(training_transform="augmented").door
    first, second = (batch.inputs for batch in door.batches(20, passes=2))
    assert not torch.equal(first, second)
    assert not torch.equal(first, first.floor())
    assert torch.equal(door.fixed(20), first.floor()), "fixed images are always in test preprocessing"
    assert make(training_transform="augmented").report().transform == "none"
    plain = next(make().door.batches(20)).inputs
    assert torch.equal(plain, plain.floor())


def test_augmented_use_is_reported() -> None:
    meter = make(training_transform="augmented")
    walk(meter.door)
    assert meter.report().transform == "augmented"


def test_dropped_batches_are_dropped_in_every_pass() -> None:
    meter = make(incomplete_batches="dropped")
    assert [len(batch) for batch in walk(meter.door, passes=2)] == [8, 8, 8, 8]
    assert meter.report().distinct_examples == 16
    with pytest.raises(DataAccessError, match="incomplete_batches: 20 examples do not fill one batch of 21"):
        meter.door.batches(21)


def test_with_replacement_repeats_inside_a_pass_but_never_exceeds_the_budget() -> None:
    meter = make(sampling="with-replacement")
    drawn = flat(meter.door, passes=50, shuffle=True)
    assert len(drawn) == 1000
    assert len(set(drawn[:20])) < 20
    assert len(set(drawn)) == 20 == meter.report().distinct_examples


def test_full_training_set_is_the_pool() -> None:
    assert make(examples="full-training-set").door.size == POOL


def test_more_than_the_pool_names_the_axis_and_both_numbers() -> None:
    with pytest.raises(DataAccessError, match=r"examples: .*51 examples.* present are 50") as caught:
        make(examples=51)
    assert caught.value.axis == "examples"


@pytest.mark.parametrize(
    ("values", "axis"),
    [({"examples": 0, "activation_parameters": "dynamic"}, "examples"), ({"data_source": "synthetic"}, "data_source")],
)
def test_no_data_means_no_data(values: dict[str, Any], axis: str) -> None:
    meter = make(**values)
    assert meter.door.size == 0
    requests: list[Callable[[], object]] = [lambda: meter.door.batches(1), lambda: meter.door.fixed(1)]
    for request in requests:
        with pytest.raises(DataAccessError) as caught:
            request()
        assert caught.value.axis == axis
    assert meter.report().refused == (axis, axis)
    assert meter.door.fixed(0).shape[0] == 0


def test_fixed_images_are_the_same_every_time_and_within_the_budget() -> None:
    meter = make()
    assert numbers(meter.door.fixed(5)) == numbers(meter.door.fixed(20))[:5] == flat(meter.door)[:5]
    with pytest.raises(DataAccessError, match="examples: a method asked for 21 examples, but 20"):
        meter.door.fixed(21)


def test_what_a_method_writes_into_a_batch_stays_its_own() -> None:
    meter = make()
    clean = meter.door.fixed(20).clone()
    for batch in meter.door.batches(8):
        batch.inputs.fill_(-1)
    meter.door.fixed(20).fill_(-1)
    assert torch.equal(meter.door.fixed(20), clean)
    assert torch.equal(EXAMPLES.inputs[:, 0, 0, 0], torch.arange(POOL, dtype=torch.float32))


def test_validation_examples_are_held_out_of_the_budget() -> None:
    meter = make(checkpoint="best-on-validation", training_transform="augmented", incomplete_batches="dropped")
    training, validation = meter.door.hold_out(0.25)
    assert (training.size, validation.size) == (15, 5)
    trained, validated = flat(training, 5), flat(validation, 3)
    assert not set(trained) & set(validated)
    assert len(validated) == 5, "validation drops nothing"
    images = next(validation.batches(5)).inputs
    assert torch.equal(images, images.floor()), "validation images are in test preprocessing"
    again = meter.door.hold_out(0.25)[1]
    assert flat(again) == validated
    report = meter.report()
    assert (report.distinct_examples, report.validation_examples, report.transform) == (20, 5, "augmented")


def test_validation_labels_obey_the_same_axis() -> None:
    door = make(checkpoint="best-on-validation").door.hold_out(0.5)[1]
    with pytest.raises(DataAccessError, match="labels:"):
        door.batches(4, labels=True)


def test_holding_out_needs_its_declaration() -> None:
    with pytest.raises(DataAccessError, match="checkpoint:") as caught:
        make().door.hold_out(0.1)
    assert caught.value.axis == "checkpoint"
    with pytest.raises(DataAccessError, match="examples: 1 examples cannot be parted"):
        make(examples=1, checkpoint="best-on-validation").door.hold_out(0.5)


@pytest.mark.parametrize("fraction", [0.0, 1.0, -0.1, float("nan")])
def test_a_senseless_fraction_is_a_bug_of_the_method(fraction: float) -> None:
    with pytest.raises(ValueError, match="cannot be held out"):
        make(checkpoint="best-on-validation").door.hold_out(fraction)


@pytest.mark.parametrize(("batch_size", "passes"), [(0, 1), (8, 0), (-1, 1)])
def test_senseless_batches_are_a_bug_of_the_method(batch_size: int, passes: int) -> None:
    with pytest.raises(ValueError):
        make().door.batches(batch_size, passes=passes)
