"""Methods that lie about data and time, and about the size of what they leave behind."""

from __future__ import annotations

import time

import torch
from liar import Liar, card, four

from suite.errors import DataAccessError
from suite.methods.api import Claims, Workbench
from suite.plan import calibrating
from suite.tasks import Split, get_task, vault


class LabelsRead(Liar):
    id = "labels-read"
    axes = ("labels",)

    def lie(self, work: Workbench) -> None:
        next(work.data.batches(32, labels=True))


class LabelsReadQuietly(Liar):
    """Swallows the error and hopes that nobody noticed."""

    id = "labels-read-quietly"
    axes = ("labels",)

    def lie(self, work: Workbench) -> None:
        try:
            next(work.data.batches(32, labels=True))
        except DataAccessError:
            return


class MoreThanDeclared(Liar):
    id = "more-examples-than-declared"
    declares = card(examples=128)
    axes = ("examples",)

    def lie(self, work: Workbench) -> None:
        work.data.fixed(256)


class MoreBehindTheMeter(Liar):
    """Takes the training images from the task itself: 600 where 128 are declared."""

    id = "more-examples-behind-the-meter"
    declares = card(examples=128)
    axes = ("examples",)

    def lie(self, work: Workbench) -> None:
        work.model(get_task("digits").split(Split.TRAIN).inputs[:600])


class RealCalledSynthetic(Liar):
    id = "real-called-synthetic"
    declares = card(data_source="synthetic", activation_parameters="dynamic")
    axes = ("data_source",)

    def lie(self, work: Workbench) -> None:
        try:
            work.data.fixed(8)
        except DataAccessError:
            return


class CalibratedOnTest(Liar):
    """Breaks the vault open and calibrates on what lies inside."""

    id = "calibrated-on-test-images"
    axes = ("examples",)

    def lie(self, work: Workbench) -> None:
        seals, vault._seals[:] = list(vault._seals), []
        images = get_task("digits").split(Split.TEST).inputs
        vault._seals[:] = seals
        with calibrating(work.model):
            work.model(images)


class BestOnTest(Liar):
    """Asks for the test split in the ordinary way, to pick its best epoch on it."""

    id = "best-epoch-on-test"
    axes = ("checkpoint",)

    def lie(self, work: Workbench) -> None:
        test = get_task("digits").split(Split.TEST)
        assert len(test)


class BestOnTestQuietly(Liar):
    """Breaks the vault open and keeps the better of two states."""

    id = "best-epoch-on-test-quietly"
    axes = ("checkpoint",)

    def lie(self, work: Workbench) -> None:
        seals, vault._seals[:] = list(vault._seals), []
        test = get_task("digits").split(Split.TEST)
        vault._seals[:] = seals
        scale = next(one for one in work.model.modules() if hasattr(one, "weight_quantizer")).weight_quantizer.scale
        before, scores = scale.clone(), []
        for factor in (1.0, 0.9):
            scale.copy_(before * factor)
            scores.append(float((work.model(test.inputs).argmax(1) == test.labels).double().mean()))
        scale.copy_(before * (1.0 if scores[0] >= scores[1] else 0.9))


class ValidatesUndeclared(Liar):
    id = "validation-not-declared"
    axes = ("checkpoint",)

    def lie(self, work: Workbench) -> None:
        try:
            work.data.hold_out(0.2)
        except DataAccessError:
            return


class ScalesNotCounted(Liar):
    id = "scales-not-counted"
    declares = four()
    axes = ("scales_in_size",)

    def lie(self, work: Workbench) -> Claims:
        numbers = sum(row.elements * row.bits for row in work.plan.weight_rows) // 8
        biases = sum(value.numel() for name, value in work.model.named_parameters() if name.endswith("bias"))
        return Claims(model_bytes=numbers + 4 * biases)


class SignsNotCounted(Liar):
    id = "signs-not-counted"
    declares = four()
    axes = ("sign_bit",)

    def lie(self, work: Workbench) -> Claims:
        rows = work.plan.weight_rows
        bits = sum(row.elements * (row.bits - 1) for row in rows) / sum(row.elements for row in rows)
        return Claims(average_weight_bits=bits)


class FewerBitsClaimed(Liar):
    id = "fewer-bits-claimed"
    declares = four()
    axes = ("weight_bits",)

    def lie(self, work: Workbench) -> Claims:
        return Claims(average_weight_bits=2.5)


class TooSlow(Liar):
    id = "slower-than-declared"
    declares = card(time_limit=0.001)
    axes = ("time_limit",)

    def lie(self, work: Workbench) -> None:
        time.sleep(0.2)
        torch.zeros(1)


class BetterBaseline(Liar):
    id = "baseline-better-than-it-is"
    declares = card(baseline_accuracy=0.9999)
    axes = ("baseline_accuracy",)

    def lie(self, work: Workbench) -> None:
        return None
