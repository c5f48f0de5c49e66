"""Laboratory, harness: the data meter, the only door through which a method sees data.

The meter draws the examples the setting allows, hands them out as the setting says (labels, augmentation, sampling,
incomplete batches) and counts what passed. A request the setting forbids raises `DataAccessError`, which names the
axis, and is counted even when the method swallows the error. Every random choice has its own named stream: the subset,
and the order and the augmentation of each separate request.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from itertools import count as counter

import torch
from torch import Tensor, nn

from suite.axes import Setting
from suite.errors import DataAccessError
from suite.harness.streams import Streams
from suite.methods.api import Batch
from suite.tasks import LabelledTensors

Augment = Callable[[Tensor, torch.Generator], Tensor]

FIXED_SUBSET_SEED = 0
"""The seed all runs share where the axis `subset` is `fixed`."""
_LABELLING_BATCH = 256


@dataclass(frozen=True)
class MeterReport:
    """What passed through the door, for the audit and for the costs of a record."""

    kind: str
    """`real`, or `none` where no example was handed out."""
    pool_examples: int
    allowed_examples: int
    distinct_examples: int
    validation_examples: int
    """Distinct examples handed out for validation; they count among `distinct_examples`."""
    examples_presented: int
    passes: int
    """Passes through the examples that were walked to their end."""
    labels: str
    """`none`, `true` or `pseudo`: what kind of labels was handed out."""
    labels_used: int
    """Distinct examples whose label was handed out."""
    transform: str
    """`none`, `test` or `augmented`: how training examples were handed out."""
    refused: tuple[str, ...]
    """Axes named by refused requests, in order, swallowed or not."""

    def to_dict(self) -> dict[str, object]:
        return asdict(self)


@dataclass
class _Ledger:
    """Running counts of one meter. `seen` and `labelled` have one entry an example of the budget."""

    seen: Tensor
    labelled: Tensor
    validated: Tensor
    presented: int = 0
    passes: int = 0
    transforms: set[str] = field(default_factory=set)
    refused: list[str] = field(default_factory=list)

    @classmethod
    def empty(cls, examples: int) -> _Ledger:
        seen, labelled, validated = torch.zeros(3, examples, dtype=torch.bool)
        return cls(seen, labelled, validated)

    def with_earlier(self, earlier: _Ledger) -> _Ledger:
        """Together with an earlier attempt at the same run, of which this one repeats at least what it kept.

        What was seen stays seen. Presentations are not added up: an attempt that continues asks for everything again.
        """
        return _Ledger(
            self.seen | earlier.seen,
            self.labelled | earlier.labelled,
            self.validated | earlier.validated,
            max(self.presented, earlier.presented),
            max(self.passes, earlier.passes),
            self.transforms | earlier.transforms,
            max(self.refused, earlier.refused, key=len),
        )


class DataMeter:
    """Draws the examples a setting allows out of a pool, and counts every one that is handed out. One meter a run."""

    def __init__(
        self,
        pool: LabelledTensors,
        setting: Setting,
        streams: Streams,
        *,
        augment: Augment | None = None,
        reference: nn.Module | None = None,
        device: torch.device | str = "cpu",
    ) -> None:
        """Draw the budget from `pool`, the training examples of the task.

        `augment` is the task's own; `reference` is the float model, needed where labels are pseudo-labels.
        """
        self.setting = setting
        self.device = torch.device(device)
        self._streams = streams
        self._augment = augment
        self._reference = reference
        self._pool_examples = len(pool)
        self._requests = counter()
        self._pseudo_labels: Tensor | None = None
        self._budget = pool.select(self._draw(len(pool)))
        examples = len(self._budget)
        self._ledger = _Ledger.empty(examples)
        self._earlier = _Ledger.empty(examples)
        self.door = Door(self, torch.arange(examples))

    def _draw(self, pool_examples: int) -> Tensor:
        """Positions in the pool of the examples this run may see: distinct, in an order that is itself random."""
        setting = self.setting
        if setting["data_source"] == "synthetic":
            return torch.empty(0, dtype=torch.int64)
        wanted = setting["examples"]
        allowed = pool_examples if wanted == "full-training-set" else int(str(wanted))
        if allowed > pool_examples:
            raise DataAccessError(
                f"the card declares {allowed} examples, but the training examples present are {pool_examples}",
                axis="examples",
                hint=f"declare at most {pool_examples}, or full-training-set",
            )
        streams = Streams(FIXED_SUBSET_SEED) if setting["subset"] == "fixed" else self._streams
        return torch.randperm(pool_examples, generator=streams.generator("examples"))[:allowed]

    def refuse(self, message: str, axis: str, hint: str | None = None) -> DataAccessError:
        """The error for a forbidden request, written into the ledger."""
        self._ledger.refused.append(axis)
        return DataAccessError(message, axis=axis, hint=hint)

    def labels_of(self, positions: Tensor) -> Tensor:
        """Labels as the axis `labels` allows them: true ones, or the float model's answers."""
        rule = self.setting["labels"]
        if rule == "unlabeled":
            raise self.refuse(
                "a method asked for labels, but the card declares unlabeled examples",
                "labels",
                "declare labeled or pseudo-labeled",
            )
        self._ledger.labelled[positions] = True
        if rule == "labeled":
            return self._budget.labels[positions]
        if self._pseudo_labels is None:
            self._pseudo_labels = self._answer()
        return self._pseudo_labels[positions]

    def _answer(self) -> Tensor:
        """The class the float model gives to each example, in test preprocessing."""
        if self._reference is None:
            raise ValueError("pseudo-labels need the float model")
        model, training = self._reference, self._reference.training
        model.eval()
        with torch.no_grad():
            answers = [
                model(self._budget.inputs[start : start + _LABELLING_BATCH].to(self.device)).argmax(dim=1).cpu()
                for start in range(0, len(self._budget), _LABELLING_BATCH)
            ]
        model.train(training)
        return torch.cat(answers)

    def request_name(self, purpose: str) -> str:
        """A stream of its own for every request, so that looking once more at some data changes no other request."""
        return f"{purpose}, request {next(self._requests)}"

    def state(self) -> tuple[dict[str, Tensor], dict[str, int | str]]:
        """What has passed so far, as tensors and facts to be kept beside an unfinished run."""
        ledger = self._ledger.with_earlier(self._earlier)
        return (
            {"seen": ledger.seen, "labelled": ledger.labelled, "validated": ledger.validated},
            {
                "presented": ledger.presented,
                "passes": ledger.passes,
                "transforms": ",".join(sorted(ledger.transforms)),
                "refused": ",".join(ledger.refused),
            },
        )

    def adopt(self, tensors: Mapping[str, Tensor], facts: Mapping[str, object]) -> None:
        """Take over what passed in an earlier attempt at the same run, as its `state` tells."""
        seen, labelled, validated = (tensors[name] for name in ("seen", "labelled", "validated"))
        if not all(
            mask.shape == self._ledger.seen.shape and mask.dtype == torch.bool for mask in (seen, labelled, validated)
        ):
            raise ValueError("the ledger of another number of examples")
        transforms, refused = (
            [word for word in str(facts[name]).split(",") if word] for name in ("transforms", "refused")
        )
        presented, passes = (int(str(facts[name])) for name in ("presented", "passes"))
        self._earlier = _Ledger(seen, labelled, validated, presented, passes, set(transforms), refused)

    def report(self) -> MeterReport:
        """What has passed so far, earlier attempts included."""
        ledger = self._ledger.with_earlier(self._earlier)
        labels_used = int(ledger.labelled.sum())
        rule = {"labeled": "true", "pseudo-labeled": "pseudo"}.get(str(self.setting["labels"]), "none")
        return MeterReport(
            kind="real" if ledger.presented else "none",
            pool_examples=self._pool_examples,
            allowed_examples=len(self._budget),
            distinct_examples=int(ledger.seen.sum()),
            validation_examples=int(ledger.validated.sum()),
            examples_presented=ledger.presented,
            passes=ledger.passes,
            labels=rule if labels_used else "none",
            labels_used=labels_used,
            transform="augmented" if "augmented" in ledger.transforms else "test" if ledger.transforms else "none",
            refused=tuple(ledger.refused),
        )


class Door:
    """A view of a meter's examples, as a method gets it (`suite.methods.api.DataDoor`)."""

    def __init__(self, meter: DataMeter, positions: Tensor, *, validates: bool = False) -> None:
        self._meter = meter
        self._positions = positions
        self._validates = validates

    @property
    def size(self) -> int:
        """Distinct examples behind this door."""
        return len(self._positions)

    def batches(
        self, batch_size: int, *, labels: bool = False, passes: int = 1, shuffle: bool = False
    ) -> Iterator[Batch]:
        """`passes` times through the examples; everything that can be refused is refused before the first batch."""
        if batch_size < 1 or passes < 1:
            raise ValueError(f"batches of {batch_size} examples in {passes} passes")
        meter = self._meter
        self._require_examples()
        drops = meter.setting["incomplete_batches"] == "dropped" and not self._validates
        if drops and self.size < batch_size:
            raise meter.refuse(
                f"{self.size} examples do not fill one batch of {batch_size}, and incomplete batches are dropped",
                "incomplete_batches",
                "take smaller batches, or declare incomplete batches as kept",
            )
        if labels:
            meter.labels_of(self._positions[:0])
        augments = meter.setting["training_transform"] == "augmented" and not self._validates
        if augments and meter._augment is None:
            raise meter.refuse("this task has no augmentation", "training_transform", "declare test")
        order = meter._streams.generator(meter.request_name("order of examples"))
        noise = meter._streams.generator(meter.request_name("augmentation")) if augments else None
        return self._walk(batch_size, labels, passes, shuffle, drops, order, noise)

    def _walk(
        self,
        batch_size: int,
        labels: bool,
        passes: int,
        shuffle: bool,
        drops: bool,
        order: torch.Generator,
        noise: torch.Generator | None,
    ) -> Iterator[Batch]:
        sequence = self._sequence(order, shuffle)
        end = self.size - self.size % batch_size if drops else self.size
        for number in range(passes):
            if number and shuffle:  # otherwise every pass repeats the first
                sequence = self._sequence(order, shuffle)
            for start in range(0, end, batch_size):
                positions = sequence[start : min(start + batch_size, end)]
                # Counted with its last batch: a loop that has what it wants does not come back for the end.
                self._meter._ledger.passes += start + len(positions) == end
                yield self._hand_out(positions, labels, noise)

    def _sequence(self, order: torch.Generator, shuffle: bool) -> Tensor:
        """The positions of one pass."""
        if self._meter.setting["sampling"] == "with-replacement" and not self._validates:
            return self._positions[torch.randint(self.size, (self.size,), generator=order)]
        return self._positions[torch.randperm(self.size, generator=order)] if shuffle else self._positions

    def _hand_out(self, positions: Tensor, labels: bool, noise: torch.Generator | None) -> Batch:
        meter, ledger = self._meter, self._meter._ledger
        inputs = meter._budget.inputs[positions]  # a copy: a method may write into it
        if noise is not None and meter._augment is not None:
            inputs = meter._augment(inputs, noise)
        answers = meter.labels_of(positions).to(meter.device) if labels else None
        self._count(positions, "augmented" if noise is not None else "test")
        ledger.presented += len(positions)
        return Batch(inputs.to(meter.device), answers)

    def _count(self, positions: Tensor, transform: str) -> None:
        ledger = self._meter._ledger
        ledger.seen[positions] = True
        if self._validates:
            ledger.validated[positions] = True
        else:
            ledger.transforms.add(transform)

    def fixed(self, count: int) -> Tensor:
        """The first `count` inputs in test preprocessing, always the same ones: [count, …]."""
        if count < 0:
            raise ValueError(f"{count} examples")
        if count:
            self._require_examples()
        if count > self.size:
            raise self._meter.refuse(
                f"a method asked for {count} examples, but {self.size} are behind this door", "examples"
            )
        positions = self._positions[:count]
        self._count(positions, "test")
        self._meter._ledger.presented += count
        return self._meter._budget.inputs[positions].to(self._meter.device)

    def hold_out(self, fraction: float) -> tuple[Door, Door]:
        """Part the examples into a training door and a validation door; the same parting for every call of one run."""
        meter = self._meter
        if meter.setting["checkpoint"] != "best-on-validation":
            raise meter.refuse(
                "a method asked for validation examples, but the card declares the last state",
                "checkpoint",
                "declare best-on-validation",
            )
        if not 0.0 < fraction < 1.0:
            raise ValueError(f"a fraction of {fraction} cannot be held out")
        self._require_examples()
        held = max(1, round(fraction * self.size))
        if held >= self.size:
            raise meter.refuse(f"{self.size} examples cannot be parted into training and validation", "examples")
        mixed = self._positions[torch.randperm(self.size, generator=meter._streams.generator("validation examples"))]
        return Door(meter, mixed[held:].sort().values), Door(meter, mixed[:held].sort().values, validates=True)

    def _require_examples(self) -> None:
        if self.size:
            return
        if self._meter.setting["data_source"] == "synthetic":
            raise self._meter.refuse(
                "a method asked for real examples, but the card declares synthetic data", "data_source"
            )
        raise self._meter.refuse("a method asked for examples, but the card declares none", "examples")
