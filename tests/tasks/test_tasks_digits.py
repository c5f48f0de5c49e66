"""The digits task: its split is fixed, stratified and disjoint, and its hashes name exactly what is in it."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits

from suite.errors import UnknownName
from suite.tasks import TASKS, Split, get_task, task_title
from suite.tasks.digits import load


@pytest.fixture(scope="module")
def digits():
    return get_task("digits")


def test_every_example_is_in_exactly_one_of_train_and_test(digits):
    train, test = digits.split(Split.TRAIN), digits.split(Split.TEST)
    assert (len(train), len(test), digits.train_size) == (1024, 773, 1024)
    assert sorted(train.ids.tolist() + test.ids.tolist()) == list(range(1797))


def test_no_test_image_has_a_twin_in_train(digits):
    train = {image.numpy().tobytes() for image in digits.split(Split.TRAIN).inputs}
    assert not any(image.numpy().tobytes() in train for image in digits.split(Split.TEST).inputs)


def test_the_calibration_pool_is_the_training_split(digits):
    pool = digits.split(Split.CALIBRATION)
    assert len(pool) >= 512
    assert set(pool.ids.tolist()) == set(digits.split(Split.TRAIN).ids.tolist())


def test_each_class_has_its_share_of_train_within_one_example(digits):
    everything = np.bincount(load_digits().target)
    train = np.bincount(digits.split(Split.TRAIN).labels.numpy())
    assert np.all(np.abs(train - everything * 1024 / 1797) < 1)


def test_images_and_labels_are_those_of_scikit_learn_at_the_position_of_their_id(digits):
    bunch = load_digits()
    for split in (Split.TRAIN, Split.TEST):
        data = digits.split(split)
        ids = data.ids.numpy()
        assert np.array_equal(data.labels.numpy(), bunch.target[ids])
        pixels = (data.inputs[:, 0].double().numpy() * 0.376 + 0.305) * 16
        assert np.abs(pixels - bunch.images[ids]).max() < 1e-4
        assert data.inputs.dtype == torch.float32
        assert data.inputs.shape[1:] == (1, 8, 8)


def test_the_hash_of_the_split_never_changes(digits):
    # Published scores and the shipped weights belong to exactly this split.
    assert digits.data_hash == "92b469b6dc4b056158ff9c457f2ab671238bc0a525b0ae2aebd3a8ffed1aff8f"


def test_preprocessing_is_part_of_the_identity(digits):
    import dataclasses

    from suite.tasks.catalogue import FACTS
    from suite.tasks.classification import ImageTask

    raw = digits._raw
    facts = FACTS["digits"]
    same = ImageTask(facts, raw[Split.TRAIN], raw[Split.TEST])
    other = ImageTask(
        dataclasses.replace(facts, preprocessing=dataclasses.replace(facts.preprocessing, pad_pixels=2)),
        raw[Split.TRAIN],
        raw[Split.TEST],
    )
    assert same.identity == digits.identity
    assert other.identity != digits.identity
    assert other.data_hash == digits.data_hash


def test_one_changed_pixel_or_label_or_exchanged_split_changes_the_data_hash(digits):
    import dataclasses

    from suite.tasks.catalogue import FACTS
    from suite.tasks.classification import ImageTask

    train, test = digits._raw[Split.TRAIN], digits._raw[Split.TEST]
    pixels, labels = train.pixels.copy(), train.labels.copy()
    pixels[17, 0, 3, 3] ^= 1
    labels[17] = (labels[17] + 1) % 10
    variants = [
        ImageTask(FACTS["digits"], dataclasses.replace(train, pixels=pixels), test),
        ImageTask(FACTS["digits"], dataclasses.replace(train, labels=labels), test),
        ImageTask(FACTS["digits"], test, train),
        ImageTask(FACTS["digits"], train.select(np.arange(1000)), test),
    ]
    assert len({digits.data_hash, *(task.data_hash for task in variants)}) == 5


def test_listing_tasks_imports_neither_torch_nor_scikit_learn():
    code = (
        "import sys; from suite.tasks import TASKS, task_title; "
        "print([(e.id, task_title(e.id), e.summary()) for e in TASKS]); "
        "assert not {'torch', 'sklearn', 'torchvision'} & set(sys.modules)"
    )
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert answer.returncode == 0, answer.stderr
    assert "cifar10-clean40k" in answer.stdout


def test_an_unknown_task_is_answered_with_the_nearest_name():
    with pytest.raises(UnknownName, match="did you mean 'digits'"):
        get_task("digit")


def test_every_task_has_a_title_and_a_description():
    for entry in TASKS:
        assert len(task_title(entry.id)) > 10
        assert entry.summary().startswith("Tasks: `")


def test_reading_the_digits_does_not_wait_for_scikit_learn():
    program = "import sys; from suite.tasks import get_task; get_task('digits'); print('sklearn' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_where_the_file_is_elsewhere_scikit_learn_is_asked(digits, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert load().data_hash == digits.data_hash
