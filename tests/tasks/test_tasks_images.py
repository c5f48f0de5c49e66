"""Image arithmetic of the tasks against slow, obvious versions of itself."""

from __future__ import annotations

import torch

from suite.tasks.catalogue import FACTS
from suite.tasks.fingerprints import fingerprint
from suite.tasks.images import augment, normalise
from suite.tasks.scoring import top1_outcomes

CIFAR10 = FACTS["cifar10"].preprocessing
DIGITS = FACTS["digits"].preprocessing


def pixels(count: int = 40) -> torch.Tensor:
    return torch.randint(0, 256, (count, 3, 32, 32), generator=torch.Generator().manual_seed(3), dtype=torch.uint8)


def test_normalisation_is_the_formula_of_the_public_weights():
    image = pixels(2)
    expected = image.double() / 255
    for channel, (mean, deviation) in enumerate(((0.485, 0.229), (0.456, 0.224), (0.406, 0.225))):
        expected[:, channel] = (expected[:, channel] - mean) / deviation
    assert torch.allclose(normalise(image, CIFAR10).double(), expected, atol=1e-6)


def test_an_augmented_image_is_a_shifted_perhaps_mirrored_copy_padded_with_black():
    images = normalise(pixels(), CIFAR10)
    black = normalise(torch.zeros(1, 3, 1, 1, dtype=torch.uint8), CIFAR10)
    result = augment(images, CIFAR10, torch.Generator().manual_seed(0))
    padded = black.expand(len(images), 3, 40, 40).clone()
    padded[:, :, 4:36, 4:36] = images
    shifts, mirrored = set(), 0
    for index in range(len(images)):
        matches = [
            (down, right, flip)
            for down in range(9)
            for right in range(9)
            for flip in (False, True)
            for crop in [padded[index, :, down : down + 32, right : right + 32]]
            if torch.allclose(crop.flip(-1) if flip else crop, result[index], atol=1e-6)
        ]
        assert len(matches) == 1
        shifts.add(matches[0][:2])
        mirrored += matches[0][2]
    assert len(shifts) > 20
    assert 8 <= mirrored <= 32


def test_pixels_are_moved_and_never_computed_with():
    images = normalise(pixels(), CIFAR10)
    values = set(images.flatten().tolist()) | set(
        normalise(torch.zeros(1, 3, 1, 1, dtype=torch.uint8), CIFAR10).flatten().tolist()
    )
    result = augment(images, CIFAR10, torch.Generator().manual_seed(0))
    assert set(result.flatten().tolist()) <= values


def test_digits_are_never_mirrored():
    image = torch.zeros(200, 1, 8, 8)
    image[:, :, :, 0] = 1.0  # a bar on the left: mirrored it would stand on the right
    result = augment(image, DIGITS, torch.Generator().manual_seed(0))
    assert not (result[:, :, :, 5:] == 1.0).any()


def test_augmentation_is_decided_by_its_generator_alone():
    images = normalise(pixels(), CIFAR10)
    torch.manual_seed(1)
    first = augment(images, CIFAR10, torch.Generator().manual_seed(5))
    state = torch.get_rng_state()
    second = augment(images, CIFAR10, torch.Generator().manual_seed(5))
    assert torch.equal(first, second)
    assert torch.equal(state, torch.get_rng_state())
    assert not torch.equal(first, augment(images, CIFAR10, torch.Generator().manual_seed(6)))


def test_augmentation_leaves_its_input_alone():
    images = normalise(pixels(), CIFAR10)
    before = images.clone()
    augment(images, CIFAR10, torch.Generator().manual_seed(5))
    assert torch.equal(images, before)


def test_a_fingerprint_does_not_depend_on_batch_layout_or_sign_of_zero():
    images = normalise(pixels(600), CIFAR10)
    whole = fingerprint(images)
    assert torch.equal(whole, torch.cat([fingerprint(images[:1]), fingerprint(images[1:7]), fingerprint(images[7:])]))
    assert torch.equal(whole, fingerprint(images.to(memory_format=torch.channels_last)))
    assert torch.equal(fingerprint(torch.zeros(1, 3, 8, 8)), fingerprint(-torch.zeros(1, 3, 8, 8)))
    assert fingerprint(images[:0]).shape == (0,)


def test_fingerprints_tell_images_apart():
    images = normalise(pixels(600), CIFAR10)
    assert len(set(fingerprint(images).tolist())) == 600
    changed = images.clone()
    changed[0, 1, 2, 3] += 1e-6
    assert fingerprint(changed[:1]) != fingerprint(images[:1])
    assert fingerprint(images[:1].flip(-1)) != fingerprint(images[:1])


def test_fingerprints_are_the_same_in_every_process():
    # Stored beside records, so they are part of a format.
    ramp = torch.arange(192, dtype=torch.float32).reshape(1, 3, 8, 8)
    generator = torch.Generator().manual_seed(0x5EED)
    multipliers = torch.randint(-(2**63), 2**63 - 1, (3, 8, 8), generator=generator, dtype=torch.int64) | 1
    words = ramp.numpy().view("<i4").reshape(-1).tolist()
    expected = sum(word * multiplier for word, multiplier in zip(words, multipliers.flatten().tolist(), strict=True))
    assert fingerprint(ramp).item() % 2**64 == expected % 2**64


def test_a_row_with_nan_is_wrong_whatever_argmax_says():
    nan = float("nan")
    logits = torch.tensor([[0.0, 2.0], [3.0, 1.0], [nan, 1.0], [0.0, nan], [nan, nan]])
    labels = torch.tensor([1, 1, 0, 1, 0])
    assert top1_outcomes(logits, labels).tolist() == [True, False, False, False, False]
