"""ImageNet from a folder: labels and pixels as others have them, nothing decoded unasked, bad copies refused."""

from __future__ import annotations

import hashlib
import json
import math
import os
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from imagenet_copies import classes, copy_below, image
from PIL import Image
from torch.nn import functional

from suite.axes import Setting
from suite.cli.main import run
from suite.errors import DataAccessError, DataMissing, SuiteError
from suite.harness.meter import DataMeter
from suite.harness.streams import Streams
from suite.models import build_model
from suite.models.weights import save_weights
from suite.records import Store
from suite.tasks import FACTS, Split, Task, get_task, imagenet, on_demand, photographs
from suite.tasks.catalogue import Photographs
from suite.tasks.fingerprints import fingerprint
from suite.tasks.photographs import Decoder
from suite.tasks.vault import sealed
from suite.torchvision_shim import ensure_torchvision

CARD = Path(__file__).parents[2] / "cards" / "rtn.yaml"
HOW = FACTS["imagenet"].preprocessing
assert isinstance(HOW, Photographs)
DECODER = Decoder(HOW)
FIRST, SECOND, LAST = classes()[0], classes()[1], classes()[-1]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder whose copy has an image of every class to train on, and 9 of 4 classes to test on."""
    data = tmp_path_factory.mktemp("data")
    train = {name: f"{name}_7.JPEG" for name in classes()}
    test = {FIRST: ["b.JPEG", "a.jpg"], SECOND: "c.jpeg", classes()[500]: ["d.JPEG", "e.JPEG"]}
    copy_below(data / "imagenet", train, {**test, LAST: [f"{number}.JPEG" for number in range(4)]})
    return data


@pytest.fixture
def part(tmp_path: Path) -> Path:
    """A copy with one image to train on and two to test on, to be spoilt."""
    return copy_below(tmp_path, {FIRST: "t.JPEG"}, {FIRST: "v.JPEG", LAST: "w.JPEG"})


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The files that were decoded, in order."""
    files: list[Path] = []
    real = Decoder._pixels

    def counted(self: Decoder, file: Path) -> torch.Tensor:
        files.append(file)
        return real(self, file)

    monkeypatch.setattr(Decoder, "_pixels", counted)
    return files


def as_the_public_weights_read(file: Path) -> torch.Tensor:
    weights = ensure_torchvision().models.ResNet18_Weights.IMAGENET1K_V1
    return weights.transforms()(Image.open(file).convert("RGB"))


def setting(**axes: Any) -> Setting:
    return Setting.default().replace(**axes)


def ids_by_name(task: Task, folder: Path) -> dict[str, int]:
    """Where each image is -> its id, in the order that torchvision walks through a folder."""
    listed = ensure_torchvision().datasets.ImageFolder(folder, allow_empty=True).samples
    ids = task.split(Split.TEST).ids.tolist()
    return {str(Path(file).relative_to(folder)): id for (file, _), id in zip(listed, ids, strict=True)}


def test_files_and_labels_are_those_of_torchvision(whole: Path) -> None:
    task = get_task("imagenet", whole)
    for split, folder in ((Split.TRAIN, "train"), (Split.CALIBRATION, "train"), (Split.TEST, "val")):
        listed = ensure_torchvision().datasets.ImageFolder(whole / "imagenet" / folder)
        data = task.split(split)
        if folder == "train":
            assert data.labels.tolist() == listed.targets == list(range(1000))
        for position in (0, len(data) // 2, len(data) - 1):
            assert torch.equal(
                data.inputs[position : position + 1][0], as_the_public_weights_read(listed.imgs[position][0])
            )
    # The folder of test images lacks most classes, and torchvision would count from 0 to 3.
    assert task.split(Split.TEST).labels.tolist() == [0, 0, 1, 500, 500, 999, 999, 999, 999]
    assert task.train_size == 1000


def test_the_copy_may_lie_in_the_data_folder_or_be_it(whole: Path) -> None:
    below, itself = get_task("imagenet", whole), get_task("imagenet", whole / "imagenet")
    assert below.identity == itself.identity
    assert torch.equal(below.split(Split.TEST).ids, itself.split(Split.TEST).ids)


@pytest.mark.parametrize(
    ("width", "height", "mode", "format"),
    [
        (500, 375, "RGB", "JPEG"),
        (60, 333, "RGB", "JPEG"),
        (300, 300, "L", "JPEG"),
        (300, 280, "CMYK", "JPEG"),
        (9, 9, "RGB", "JPEG"),
        (257, 300, "RGB", "PNG"),
        (40, 30, "P", "PNG"),
        (40, 30, "RGBA", "PNG"),
        (1, 1, "1", "PNG"),
    ],
)
def test_pixels_are_those_the_public_weights_were_measured_with(
    tmp_path: Path, width: int, height: int, mode: str, format: str
) -> None:
    file = tmp_path / "v.JPEG"  # a PNG under this name too, as one of ILSVRC 2012 is
    image("any", width, height, mode).save(file, format=format)
    found = DECODER.read([file])
    assert found.shape == (1, 3, 224, 224)
    assert found.dtype == torch.float32
    assert torch.equal(found[0], as_the_public_weights_read(file))


def test_positions_slices_and_threads_give_the_same_images(whole: Path) -> None:
    inputs = get_task("imagenet", whole).split(Split.TEST).inputs
    together = inputs[:]
    assert together.shape == (9, 3, 224, 224)
    assert torch.equal(inputs[torch.tensor([8, 0, 0, 3])], together[[8, 0, 0, 3]])
    assert torch.equal(inputs[6:100], together[6:])
    assert inputs[9:].shape == inputs[torch.empty(0, dtype=torch.int64)].shape == (0, 3, 224, 224)
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        assert torch.equal(inputs[:], together)
    finally:
        torch.set_num_threads(before)


def test_nothing_is_decoded_before_it_is_asked_for(whole: Path, decoded: list[Path]) -> None:
    task = get_task("imagenet", whole)
    train = task.split(Split.TRAIN)
    assert len(train) == len(train.inputs) == 1000
    assert not decoded
    meter = DataMeter(train, setting(examples=8), Streams(0), augment=task.augment)
    assert len(decoded) == 8
    calibrating = torch.cat([batch.inputs for batch in meter.door.batches(3)])
    assert calibrating.shape == (8, 3, 224, 224)
    assert len(set(decoded)) == 8, "what is drawn is decoded once"
    task.split(Split.TEST).inputs[:2]
    assert len(decoded) == 10


def test_a_large_choice_stays_on_disk(whole: Path, decoded: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(on_demand, "HELD_EXAMPLES", 4)
    task = get_task("imagenet", whole)
    train = task.split(Split.TRAIN)
    chosen = torch.tensor([900, 4, 77, 5, 6])
    some = train.select(chosen)
    assert not decoded
    assert torch.equal(some.inputs[torch.tensor([2, 0])], train.inputs[torch.tensor([77, 900])])
    assert torch.equal(some.select(torch.tensor([1, 4, 0, 2, 3])).inputs[:1], train.inputs[4:5])
    assert (some.labels.tolist(), some.ids.tolist()) == (chosen.tolist(), train.ids[chosen].tolist())
    decoded.clear()
    meter = DataMeter(train, setting(examples="full-training-set", labels="labeled"), Streams(0))
    batch = next(iter(meter.door.batches(2, labels=True)))
    assert batch.inputs.shape == (2, 3, 224, 224)
    assert [file.parent.name for file in decoded] == [classes()[label] for label in batch.labels.tolist()]


def test_float_answers_as_labels_are_found_in_pieces(whole: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(on_demand, "HELD_EXAMPLES", 4)
    train = get_task("imagenet", whole).split(Split.TRAIN)
    net = torch.nn.Sequential(torch.nn.AvgPool2d(56), torch.nn.Flatten(), torch.nn.Linear(48, 10))
    asked = setting(examples=6, labels="pseudo-labeled")
    batch = next(iter(DataMeter(train, asked, Streams(0), reference=net).door.batches(6, labels=True)))
    assert batch.labels.tolist() == net(batch.inputs).argmax(1).tolist()


def test_an_id_names_a_file_whatever_else_is_there(part: Path) -> None:
    before = ids_by_name(get_task("imagenet", part), part / "val")
    number = int.from_bytes(hashlib.sha256(f"val/{LAST}/w.JPEG".encode()).digest()[:8], "little") >> 1
    assert before[f"{LAST}/w.JPEG"] == number
    image("more").save(part / "val" / FIRST / "a.JPEG")
    after = ids_by_name(get_task("imagenet", part), part / "val")
    assert after.items() > before.items()
    assert len(set(after.values())) == 3


def test_the_data_hash_covers_names_and_sizes_and_not_what_is_in_the_files(part: Path, tmp_path_factory) -> None:
    before = get_task("imagenet", part).data_hash
    again = copy_below(tmp_path_factory.mktemp("again"), {FIRST: "t.JPEG"}, {FIRST: "v.JPEG", LAST: "w.JPEG"})
    assert get_task("imagenet", again).data_hash == before
    file = part / "val" / LAST / "w.JPEG"
    content = file.read_bytes()
    file.write_bytes(content[::-1])
    assert get_task("imagenet", part).data_hash == before
    file.write_bytes(content + b"\0")
    larger = get_task("imagenet", part).data_hash
    file.write_bytes(content)
    file.rename(file.with_name("x.JPEG"))
    assert len({before, larger, get_task("imagenet", part).data_hash}) == 3


def test_a_partial_copy_says_so(part: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert get_task("imagenet", part).notes == (
        "partial copy: 1 of 1,281,167 train images are present",
        "partial copy: 2 of 50,000 validation images are present",
    )
    monkeypatch.setattr(imagenet, "WHOLE_TEST", 2)
    monkeypatch.setattr(imagenet, "WHOLE_TRAIN", 1)
    assert get_task("imagenet", part).notes == ()


def test_test_images_pass_the_vault_whenever_they_are_read(part: Path) -> None:
    task = get_task("imagenet", part)
    test, train = task.split(Split.TEST), task.split(Split.TRAIN)
    with sealed() as seal:
        assert len(train.inputs[:1]) == 1
        with pytest.raises(DataAccessError, match="sealed while a method runs"):
            test.inputs[:1]
        assert seal.attempts == ["imagenet"]
    assert len(test.inputs[:1]) == 1


def test_fingerprints_are_those_of_the_images(whole: Path) -> None:
    task = get_task("imagenet", whole)
    alone = [fingerprint(one[None]) for one in task.split(Split.TEST).inputs[:]]
    assert torch.equal(task.fingerprints(Split.TEST), torch.cat(alone))
    assert len({int(one) for one in alone}) == 9


def _agree(crop: torch.Tensor, seen: torch.Tensor) -> bool:
    """Whether an image is a crop where the crop shows the image at all."""
    inside = ~crop.isnan()
    return torch.equal(crop[inside], seen[inside])


def test_augmented_training_images_are_shifted_crops_of_the_centre(part: Path) -> None:
    task = get_task("imagenet", part)
    assert task.augment is not None
    asked = setting(examples=1, training_transform="augmented")
    (plain,) = DataMeter(task.split(Split.TRAIN), setting(examples=1), Streams(0)).door.batches(1)
    varied = [
        next(iter(DataMeter(task.split(Split.TRAIN), asked, Streams(0), augment=task.augment).door.batches(1))).inputs
        for _ in range(2)
    ]
    assert torch.equal(varied[0], varied[1])  # the same seed, the same variation
    pad = HOW.pad_pixels
    for centre, image_ in zip(plain.inputs, varied[0], strict=True):
        assert not torch.equal(centre, image_)
        crops = functional.pad(centre, (pad,) * 4, value=math.nan).unfold(1, 224, 1).unfold(2, 224, 1)
        shifts = [
            (down, right)
            for down in range(2 * pad + 1)
            for right in range(2 * pad + 1)
            for seen in (image_, image_.flip(-1))
            if _agree(crops[:, down, right], seen)
        ]
        assert shifts


def chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def png(width: int, height: int) -> bytes:
    """A few bytes that claim to be so many grey pixels."""
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0")) + chunk(b"IEND", b"")


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda content: b"this is no image", r"v\.JPEG is no JPEG or PNG image"),
        (lambda content: b"GIF89a\1\0\1\0\0\0\0;", r"v\.JPEG is no JPEG or PNG image"),
        (
            lambda content: content[:-20],
            r"v\.JPEG cannot be read as an image: image file is truncated",
        ),
        (lambda content: content[:30], r"v\.JPEG (is no JPEG|cannot be read)"),
        (lambda content: png(20, 20), r"v\.JPEG cannot be read as an image"),
        (lambda content: png(20, 20)[:-4] + b"nono", r"v\.JPEG cannot be read as an image"),
        (lambda content: png(0, 20), r"v\.JPEG (is no JPEG|cannot be read)"),
        # Pillow itself would warn of the first, and refuse the second.
        (lambda content: png(10_000, 10_000), r"v\.JPEG claims more than 89,478,485 pixels"),
        (lambda content: png(60_000, 60_000), r"v\.JPEG claims more than 89,478,485 pixels"),
        (
            lambda content: png(1, 400_000),
            r"v\.JPEG has 1x400,000 pixels: more than 89,478,485, as it is or with a short",
        ),
    ],
    ids=["text", "gif", "truncated", "header", "no pixels", "checksum", "nothing", "large", "huge", "long"],
)
def test_an_image_that_cannot_be_read_is_one_line_with_its_name(
    tmp_path: Path, spoil: Callable[[bytes], bytes], says: str, recwarn: pytest.WarningsRecorder
) -> None:
    file, sound = tmp_path / "v.JPEG", tmp_path / "w.JPEG"
    image("any").save(sound)
    file.write_bytes(spoil(sound.read_bytes()))
    with pytest.raises(SuiteError, match=says) as caught:
        DECODER.read([sound, file])
    assert "\n" not in str(caught.value)
    assert not [seen for seen in recwarn if "Decompression" in seen.category.__name__]
    assert DECODER.read([sound]).shape == (1, 3, 224, 224)


def test_a_lifted_limit_of_pillow_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", None)
    (tmp_path / "v.JPEG").write_bytes(png(60_000, 60_000))
    with pytest.raises(SuiteError, match="has 60,000x60,000 pixels: more than 89,478,485"):
        DECODER.read([tmp_path / "v.JPEG"])


def test_large_images_are_decoded_too_and_one_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(photographs, "_LARGE_PIXELS", 1)
    image("any", 400, 300).save(tmp_path / "v.JPEG")
    found = DECODER.read([tmp_path / "v.JPEG"] * 3)
    assert torch.equal(found[2], as_the_public_weights_read(tmp_path / "v.JPEG"))


def test_an_image_that_has_gone_is_named(part: Path) -> None:
    inputs = get_task("imagenet", part).split(Split.TEST).inputs
    (part / "val" / FIRST / "v.JPEG").unlink()
    with pytest.raises(SuiteError, match=r"v\.JPEG cannot be read as an image: No such file"):
        inputs[:1]


def spoilt(part: Path, how: str) -> None:
    """Make a copy one that must be refused."""
    first, outside = part / "val" / FIRST, part.parent / f"{part.name}-outside"
    (outside / "far").mkdir(parents=True)
    image("outside").save(outside / "far" / "x.JPEG")
    match how:
        case "class missing":
            (part / "train" / SECOND).rmdir()
        case "class too many":
            (part / "train" / "n99999999").mkdir()
        case "other names":
            for name in classes():
                (part / "train" / name).rename(part / "train" / name.replace("n", "m"))
            for name in (FIRST, LAST):
                (part / "val" / name).rename(part / "val" / name.replace("n", "m"))
        case "flat":
            image("flat").save(part / "val" / "ILSVRC2012_val_00000001.JPEG")
        case "no image":
            (first / "v.JPEG").rename(first / "v.txt")
            (part / "val" / LAST / "w.JPEG").rename(first / "w.tar")
        case "linked file":
            (first / "x.JPEG").symlink_to(outside / "far" / "x.JPEG")
        case "linked class":
            (part / "val" / SECOND).symlink_to(outside / "far", target_is_directory=True)
        case "linked split":
            (part / "val").rename(outside / "val")
            (part / "val").symlink_to(outside / "val", target_is_directory=True)
        case "link to itself":
            (first / "x.JPEG").symlink_to(first / "x.JPEG")
        case "link to nothing":
            (first / "x.JPEG").symlink_to(first / "y.JPEG")
        case "pipe":
            os.mkfifo(first / "x.JPEG")
        case "folder":
            (first / "x.JPEG").mkdir()
        case "empty file":
            (first / "x.JPEG").touch()
        case "large file":
            with (first / "x.JPEG").open("wb") as file:
                file.truncate(2**26 + 1)
        case "unreadable":
            first.chmod(0)


@pytest.mark.parametrize(
    ("how", "says"),
    [
        ("class missing", "has 999 class folders, not 1,000: a label is a place among all of them"),
        ("class too many", "has 1,001 class folders, not 1,000"),
        ("other names", "m01440764 to m15075141, are not those of ILSVRC 2012"),
        ("flat", r"ILSVRC2012_val_00000001\.JPEG lies in no class folder \(sort the images into class folders"),
        ("no image", "val holds no image of 'imagenet'"),
        ("linked file", r"x\.JPEG is a link that leaves "),
        ("linked class", f"{SECOND} is a link that leaves "),
        ("linked split", "val is a link that leaves "),
        ("link to itself", "cannot be read: "),
        ("link to nothing", r"x\.JPEG is no file"),
        ("pipe", r"x\.JPEG is no file"),
        ("folder", r"x\.JPEG is no file"),
        ("empty file", r"x\.JPEG has 0 bytes, and an image has 1 to "),
        ("large file", r"x\.JPEG has 67,108,865 bytes"),
        ("unreadable", f"{FIRST} cannot be read: Permission denied"),
    ],
)
def test_a_copy_that_is_not_what_it_should_be_is_refused_when_it_is_listed(part: Path, how: str, says: str) -> None:
    if how == "unreadable" and os.geteuid() == 0:
        pytest.skip("nothing is unreadable to this user")
    spoilt(part, how)
    with pytest.raises(SuiteError, match=says) as caught:
        get_task("imagenet", part)
    assert "\n" not in str(caught.value)
    if how == "unreadable":
        (part / "val" / FIRST).chmod(0o755)


def test_links_that_stay_inside_and_files_that_are_no_images_do_no_harm(part: Path) -> None:
    before = get_task("imagenet", part).data_hash
    (part / "val" / FIRST / "notes.txt").write_text("about this class")
    (part / "val" / FIRST / "._v.JPEG").write_bytes(b"what another system leaves behind")
    (part / "val" / "synsets.txt").write_text("about all classes")
    assert get_task("imagenet", part).data_hash == before
    (part / "val" / LAST / "w.JPEG").rename(part / "kept")
    (part / "val" / LAST / "w.JPEG").symlink_to(part / "kept")
    assert get_task("imagenet", part).data_hash == before


def test_more_images_than_there_are_is_another_data_set(part: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(imagenet, "WHOLE_TEST", 1)
    with pytest.raises(SuiteError, match="val holds 2 images, and ILSVRC 2012 has 1"):
        get_task("imagenet", part)


def test_data_that_are_not_there_are_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SUITE_DATA", raising=False)
    with pytest.raises(DataMissing, match="'imagenet' needs a data folder, and none is given"):
        get_task("imagenet")
    (tmp_path / "imagenet" / "val").mkdir(parents=True)
    with pytest.raises(DataMissing, match="was looked for as imagenet/train and imagenet/val, then train and val, in "):
        get_task("imagenet", tmp_path)
    (tmp_path / "imagenet" / "train").mkdir()
    with pytest.raises(SuiteError, match="imagenet has 0 class folders"):
        get_task("imagenet", tmp_path)


def test_what_the_task_is_can_be_read_without_the_data(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["list", "tasks"]) == 0
    assert "imagenet" in capsys.readouterr().out
    assert run(["show", "task", "imagenet", "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert "decoded as it is asked for" in shown["title"]
    assert shown["preprocessing"].startswith("short side 256 (bilinear, antialiased), centre crop 224, pixels/255")
    assert (shown["classes"], shown["input_shape"]) == (1000, [3, 224, 224])


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("weights") / "random.safetensors"
    save_weights(build_model("torchvision:shufflenet_v2_x0_5", 1000, seed=1), file)
    return file


def evaluated(data: Path, weights: Path, runs: Path) -> int:
    words = ["--task", "imagenet", "--model", "torchvision:shufflenet_v2_x0_5", "--weights", str(weights)]
    words += ["--set", "examples=2", "--set", "time_limit=1000", "--threads", "1", "--data", str(data)]
    return run(["evaluate", "--card", str(CARD), "--out", str(runs), "--json", *words])


def test_a_public_architecture_is_quantized_and_audited(
    part: Path, weights: Path, tmp_path: Path, decoded: list[Path], capsys: pytest.CaptureFixture[str]
) -> None:
    image("another").save(part / "train" / SECOND / "u.JPEG")
    assert evaluated(part, weights, tmp_path / "runs") == 0
    told = json.loads(capsys.readouterr().out)
    notes = [
        "partial copy: 2 of 1,281,167 train images are present",
        "partial copy: 2 of 50,000 validation images are present",
    ]
    (record,) = Store(tmp_path / "runs").list().records
    assert record.environment["data"] == notes
    assert notes[0] in (tmp_path / "runs" / record.run_id / "card.md").read_text()
    assert told["status"] == "completed"
    assert told["audit"]["verdict"] == "verified"
    assert {f"{file.parent.parent.name}/{file.name}" for file in decoded} == {
        "train/t.JPEG",
        "train/u.JPEG",
        "val/v.JPEG",
        "val/w.JPEG",
    }


def test_a_damaged_test_image_ends_the_command_with_its_name(
    part: Path, weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (part / "val" / FIRST / "v.JPEG").write_bytes(b"damaged")
    assert evaluated(part, weights, tmp_path / "runs") == 2
    told = capsys.readouterr().err
    assert "v.JPEG is no JPEG or PNG image" in told
    assert "Traceback" not in told
