"""Methods API: the base class of a quantization method. A method file defines one subclass, and no plumbing."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar

from suite.errors import Unsupported
from suite.methods.api.options import Options as AnyOptions

if TYPE_CHECKING:
    from suite.axes import Setting
    from suite.methods.api.workbench import Workbench


class Diverged(Exception):
    """Learning left the finite numbers, or lost all that the network knew; the run is recorded as `diverged`."""


@dataclass(frozen=True)
class Paper:
    """Where a method was described first."""

    title: str
    authors: str
    year: int
    url: str


@dataclass(frozen=True)
class Needs:
    """What a method cannot work without: gradients, labels, examples."""

    gradients: bool = False
    labels: bool = False
    examples: bool = True


@dataclass(frozen=True)
class Note:
    """One question on which a method's paper, the code that was published with it, and this file may differ.

    An empty `paper` or `code` means that it is silent on the question. Every text is one plain sentence or phrase.
    """

    about: str
    """The question, in a few words: "rate of the step sizes"."""
    ours: str
    """What this file does by default, and which option or axis chooses otherwise."""
    paper: str = ""
    code: str = ""


@dataclass(frozen=True)
class Refusal:
    """Values of several axes that a method accepts one by one, but not together."""

    together: Mapping[str, tuple[object, ...]]
    """Axis id -> the values that are meant."""
    why: str
    hint: str = ""

    def concerns(self, values: Mapping[str, object]) -> bool:
        return all(values[axis] in meant for axis, meant in self.together.items())


@dataclass(frozen=True)
class Claims:
    """What a method says of its own result; the audit compares bits and bytes with what it observes."""

    average_weight_bits: float | None = None
    average_activation_bits: float | None = None
    model_bytes: int | None = None
    figures: Mapping[str, object] = field(default_factory=dict)
    """What the method measured of its own work (a trajectory, a distribution), kept in the record as it is.

    Numbers, texts, lists and mappings with text keys, at most 256 KiB as JSON; nothing that changes from one
    execution to the next, no times.
    """


class Method(ABC):
    """An algorithm that quantizes a model under a setting.

    A subclass states what it is in class attributes and does its work in `quantize`. Its file ends with
    `METHOD = TheSubclass`.
    """

    id: ClassVar[str]
    """The file's name; what a card calls the method."""
    title: ClassVar[str]
    paper: ClassVar[Paper]
    needs: ClassVar[Needs] = Needs()
    supports: ClassVar[Mapping[str, tuple[object, ...]]] = {}
    """Axis id -> values this method accepts. An axis not named here is enforced by the suite for every method alike."""
    refuses: ClassVar[tuple[Refusal, ...]] = ()
    """What `supports` cannot say, because it is about several axes at once."""
    recommended: ClassVar[Mapping[str, object]] = {}
    """Axis id -> the value a new card of this method starts with, where it is not the axis's default."""
    notes: ClassVar[tuple[Note, ...]] = ()
    """Where the paper, public code and this file disagree, or where one of them is silent."""
    Options: ClassVar[type[AnyOptions]] = AnyOptions

    def __init__(self, options: AnyOptions | None = None) -> None:
        self.options = self.Options() if options is None else options

    @classmethod
    def from_mapping(cls, options: Mapping[str, object]) -> Method:
        """The method with options as a card writes them; everything not said keeps its default."""
        return cls(cls.Options.from_mapping(options, owner=cls.id))

    @classmethod
    def check_setting(cls, setting: Setting) -> None:
        """Refuse a setting the method cannot honour, naming the axis, its value and the supported ones."""
        for axis, allowed in cls.supports.items():
            value = setting[axis]
            if value not in allowed:
                raise Unsupported(
                    f"method '{cls.id}' does not support {axis} = {value}",
                    hint=f"supported: {', '.join(str(choice) for choice in allowed)}",
                )
        for refusal in cls.refuses:
            if refusal.concerns(setting.values):
                found = ", ".join(f"{axis} = {setting[axis]}" for axis in refusal.together)
                raise Unsupported(
                    f"method '{cls.id}' does not support {found}: {refusal.why}", hint=refusal.hint or None
                )
        if cls.needs.labels and setting["labels"] == "unlabeled":
            raise Unsupported(f"method '{cls.id}' needs labels, but labels = unlabeled", hint="set labels to labeled")
        if cls.needs.examples and setting["examples"] == 0:
            raise Unsupported(f"method '{cls.id}' needs examples, but examples = 0", hint="set examples to 1 or more")

    @abstractmethod
    def quantize(self, work: Workbench) -> Claims | None:
        """Quantize `work.model` in place. Raise `Diverged` where learning runs away."""
