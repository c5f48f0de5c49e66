"""Tasks: what each of the suite's tasks is, in words and constants, readable without torch and without the data."""

from __future__ import annotations

from dataclasses import dataclass

from suite.tasks.api import NEXT_TOKEN, TOP1


def _spaced(values: tuple[float, ...]) -> str:
    return " ".join(f"{value:g}" for value in values)


@dataclass(frozen=True, kw_only=True)
class Pixels:
    """How pixels become network inputs, and how training images are varied.

    An input is (pixel / full_scale - mean) / standard_deviation, per channel. Training images are padded with black by
    `pad_pixels` on every side, cropped back at a random place and, where `mirror` holds, flipped with probability 1/2.
    """

    full_scale: float
    mean: tuple[float, ...]
    standard_deviation: tuple[float, ...]
    pad_pixels: int
    mirror: bool

    def sentence(self) -> str:
        """The text a card and a report show, and that a task's identity covers."""
        flip = ", horizontal flip 0.5" if self.mirror else ""
        return (
            f"pixels/{self.full_scale:g}, mean {_spaced(self.mean)}, std {_spaced(self.standard_deviation)}; "
            f"augmented: pad {self.pad_pixels} with black, random crop{flip}"
        )


@dataclass(frozen=True, kw_only=True)
class Photographs(Pixels):
    """The same for photographs of any size: first the short side becomes `short_side` pixels long, and the centre of
    `crop` x `crop` pixels is kept. What varies training images begins from that centre too.
    """

    short_side: int
    crop: int

    def sentence(self) -> str:
        """The text a card and a report show, and that a task's identity covers."""
        return f"short side {self.short_side} (bilinear, antialiased), centre crop {self.crop}, {super().sentence()}"


@dataclass(frozen=True)
class Tokens:
    """How a text becomes the numbers that a network reads."""

    what: str

    def sentence(self) -> str:
        """The text a card and a report show, and that a task's identity covers."""
        return self.what


@dataclass(frozen=True)
class TaskFacts:
    """The facts of one task that need neither torch nor the data."""

    id: str
    title: str
    source: str
    classes: int
    input_shape: tuple[int, ...]
    default_model: str
    preprocessing: Pixels | Tokens
    splits: str
    metric: str = TOP1
    input_type: str = "float32"  # as torch names it; int64 for the numbers of tokens
    label_shape: tuple[int, ...] = ()  # of the labels of one example: () for one label, (T,) for one a position


# Measured on the 1,024 training images of the split: mean 0.3046, standard deviation 0.3757 of pixels/16.
_DIGITS = Pixels(full_scale=16.0, mean=(0.305,), standard_deviation=(0.376,), pad_pixels=1, mirror=False)
# What the public weights of ImageNet were trained with, and those of ResNet-20 on CIFAR-10 too.
_MEAN, _DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
_CIFAR10 = Pixels(full_scale=255.0, mean=_MEAN, standard_deviation=_DEVIATION, pad_pixels=4, mirror=True)
_IMAGENET = Photographs(
    short_side=256,
    crop=224,
    full_scale=255.0,
    mean=_MEAN,
    standard_deviation=_DEVIATION,
    pad_pixels=16,
    mirror=True,
)
_CIFAR10_SOURCE = "Krizhevsky 2009, Learning Multiple Layers of Features from Tiny Images"

FACTS: dict[str, TaskFacts] = {
    facts.id: facts
    for facts in (
        TaskFacts(
            id="digits",
            title="Handwritten digits, 8x8 grey pixels, shipped with scikit-learn",
            source="UCI optical recognition of handwritten digits, test part (Alpaydin and Kaynak 1998)",
            classes=10,
            input_shape=(1, 8, 8),
            default_model="digits-resnet",
            preprocessing=_DIGITS,
            splits="1,024 train (all of them the calibration pool), 773 test, stratified, fixed by a hash of the index",
        ),
        TaskFacts(
            id="cifar10",
            title="CIFAR-10, official split",
            source=_CIFAR10_SOURCE,
            classes=10,
            input_shape=(3, 32, 32),
            default_model="resnet20",
            preprocessing=_CIFAR10,
            splits="train and calibration pool: official train images present; test: official test images present",
        ),
        TaskFacts(
            id="cifar10-clean40k",
            title="CIFAR-10, clean split of the official train images (0-39,999 train, 40,000-49,999 test)",
            source=_CIFAR10_SOURCE,
            classes=10,
            input_shape=(3, 32, 32),
            default_model="resnet20",
            preprocessing=_CIFAR10,
            splits="train and calibration pool: official train images 0-39,999 present; test: 40,000-49,999 present",
        ),
        TaskFacts(
            id="imagenet",
            title="ImageNet (ILSVRC 2012) from a local copy, decoded as it is asked for",
            source="Russakovsky et al. 2015, ImageNet Large Scale Visual Recognition Challenge",
            classes=1000,
            input_shape=(3, 224, 224),
            default_model="torchvision:resnet18",
            preprocessing=_IMAGENET,
            splits=(
                "train and calibration pool: training images present; test: validation images present; all of them "
                "centre-cropped"
            ),
        ),
        TaskFacts(
            id="shakespeare-characters",
            title="Tiny Shakespeare, the next character",
            source="tiny Shakespeare (Karpathy 2015), 1,115,394 characters of plays in the public domain",
            classes=65,
            input_shape=(128,),
            default_model="char-transformer",
            preprocessing=Tokens(
                "windows of 128 characters without overlap; a character's number is its place among all characters of "
                "the text in the order of their code points"
            ),
            splits="train and calibration pool: the first 90 % of the characters; test: the last 5 %; 5 % unread",
            metric=NEXT_TOKEN,
            input_type="int64",
            label_shape=(128,),
        ),
    )
}
