"""Scaled architectures: their names, what they build, how much memory they need, and the largest that fits."""

from __future__ import annotations

import json
from fractions import Fraction

import pytest
import torch
from torch import nn

from suite.axes import Setting
from suite.cli.main import run
from suite.cli.scale import parse_size
from suite.errors import SuiteError, UnknownName, Unsupported
from suite.models import SCALABLE, Scale, build_model
from suite.models.baselines import untrained_baseline
from suite.models.fitting import Network, Scaling, activation_bits_for, fit
from suite.models.footprint import Dimensions, dimensions_of, measure_dimensions
from suite.models.scaling import find_architecture
from suite.plan import dissect, make_plan

CIFAR, IMAGENET = (3, 32, 32), (3, 224, 224)
RESNET = Network("resnet20", 10, CIFAR)


def resnet_parameters(widths: tuple[int, int, int], blocks: int, classes: int = 10) -> int:
    """Counted by hand: 3x3 convolutions without bias, two numbers of batch norm a channel, one linear layer."""
    first, _, third = widths
    count = 27 * first + 2 * first + third * classes + classes
    before = first
    for width in widths:
        count += 9 * before * width + 9 * width * width * (2 * blocks - 1) + 2 * width * 2 * blocks
        before = width
    return count


@pytest.mark.parametrize(
    ("id", "widths", "blocks"),
    [
        ("resnet20", (16, 32, 64), 3),
        ("resnet20-w2", (32, 64, 128), 3),
        ("resnet20-w1.26-d1.333", (20, 40, 81), 4),
        ("resnet20-w0.05-d0.05", (4, 4, 4), 1),
        ("resnet20-d2", (16, 32, 64), 6),
    ],
)
def test_a_scaled_resnet_has_the_parameters_and_the_largest_activation_counted_by_hand(id, widths, blocks):
    found = dimensions_of(id, 10, CIFAR)
    assert found == Dimensions(resnet_parameters(widths, blocks), max(widths[0], 3) * 32 * 32)


@pytest.mark.parametrize(
    ("id", "widths", "blocks"),
    [
        ("digits-resnet", (16, 32), (1, 2)),
        ("digits-resnet-w0.484-d0.484", (8, 15), (1, 1)),
        ("digits-resnet-w2-d2", (32, 64), (2, 4)),
    ],
)
def test_a_scaled_digits_resnet_has_the_parameters_and_the_largest_activation_counted_by_hand(id, widths, blocks):
    first, second = widths
    count = 9 * first + 2 * first + blocks[0] * (18 * first**2 + 4 * first)
    count += 9 * first * second + 9 * second**2 + 4 * second + first * second + 2 * second  # the block that halves
    count += (blocks[1] - 1) * (18 * second**2 + 4 * second) + 10 * second + 10
    assert dimensions_of(id, 10, (1, 8, 8)) == Dimensions(count, first * 64)


def light_efficientnet(width: int, depth: int) -> Dimensions:
    """Counted by hand, widths and depths in thousandths: every layer that the paper's network has beside its biases."""
    scaled = [max(4, (channels * width + 500) // 1000) for channels in (8, 8, 16, 24, 40, 72, 160)]
    repeats = [max(1, (blocks * depth + 500) // 1000) for blocks in (1, 2, 3, 3, 2)]
    inputs, side = scaled[0], 32
    count, largest = 29 * inputs, max(3, inputs) * side**2
    for outputs, blocks, stride, kernel in zip(scaled[1:6], repeats, (1, 2, 2, 1, 2), (3, 3, 5, 3, 5), strict=True):
        for block in range(blocks):
            wide, squeezed = 6 * inputs, max(1, inputs // 4)
            count += wide * (inputs + 2) + wide * (kernel**2 + 2)  # expansion, filters
            count += squeezed * (wide + 1) + wide * (squeezed + 1)  # the gate
            count += outputs * (wide + 2)
            largest = max(largest, wide * side**2)
            side //= stride if block == 0 else 1
            inputs = outputs
    head = scaled[6]
    return Dimensions(count + head * (inputs + 2) + 10 * head + 10, max(largest, head * side**2))


@pytest.mark.parametrize(("width", "depth"), [(1000, 1000), (500, 1000), (1300, 1300), (2001, 400)])
def test_a_scaled_light_efficientnet_has_the_parameters_and_the_largest_activation_counted_by_hand(width, depth):
    found = dimensions_of(Scale(width, depth).name("efficientnet-light"), 10, CIFAR)
    assert found == light_efficientnet(width, depth)


def test_scaled_networks_halve_the_image_twice_whatever_their_channels():
    # At four channels everywhere a stage cannot be told from the one before by its width.
    model = build_model("resnet20-w0.05").eval()
    seen = {}
    model.layer3.register_forward_hook(lambda module, inputs, output: seen.update(shape=output.shape))
    assert model(torch.randn(2, *CIFAR)).shape == (2, 10)
    assert seen["shape"] == (2, 4, 8, 8)


def test_an_odd_number_of_new_channels_is_padded_behind():
    shortcut = build_model("resnet20-w1.031").get_submodule("layer2.0.shortcut")
    x = torch.randn(1, 16, 4, 4)
    y = shortcut(x)
    assert y.shape == (1, 33, 2, 2)
    assert torch.equal(y[:, 8:24], x[:, :, ::2, ::2])
    assert not y[:, :8].any()
    assert not y[:, 24:].any()


def test_the_light_efficientnet_has_the_size_that_the_paper_prints():
    # Table 2 of the paper: 254k parameters, 49k elements, which are 48 channels of 32x32.
    found = dimensions_of("efficientnet-light", 10, CIFAR)
    assert round(found.parameters, -3) == 254_000
    assert found.largest_activation == 48 * 32 * 32
    model = build_model("efficientnet-light", classes=7)
    assert not [module for module in model.modules() if isinstance(module, nn.SiLU)]
    assert model(torch.randn(2, *CIFAR)).shape == (2, 7)


@pytest.mark.parametrize(
    ("id", "classes", "shape", "activation", "megabytes"),
    [
        ("torchvision:efficientnet_b0", 1000, IMAGENET, 96 * 112 * 112, 26.0),
        ("torchvision:resnet18", 1000, IMAGENET, 64 * 112 * 112, 50.0),
        ("resnet20", 10, CIFAR, 16 * 32 * 32, 1.1),
    ],
)
def test_footprints_of_known_networks(id, classes, shape, activation, megabytes):
    found = dimensions_of(id, classes, shape)
    assert found.largest_activation == activation
    assert round(found.footprint_bytes(32, 32) / 1e6, 1) == megabytes


def test_results_of_functions_count_and_parameters_and_buffers_do_not():
    class Wide(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.zeros(500))
            self.register_buffer("table", torch.zeros(900))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.cat([x, x, x], 1).sum(1) + self.weight.sum() + self.table.sum()

    model = Wide()
    assert measure_dimensions(model, torch.zeros(1, 7)) == Dimensions(500, 21)
    assert model.training


@pytest.mark.parametrize(
    ("id", "error", "says"),
    [
        ("resnet20-w1", Unsupported, "another name of 'resnet20'"),
        ("resnet20-w1.20", Unsupported, "another name of 'resnet20-w1.2'"),
        ("resnet20-w1.0001", Unsupported, "three decimals"),
        ("resnet20-w17", Unsupported, "not built"),
        ("resnet20-w0.049", Unsupported, "not built"),
        ("resnet20-w16-d16", Unsupported, "not built"),
        ("digits-vit-w2", Unsupported, "cannot be scaled"),
        ("resnet21-w2", UnknownName, "did you mean 'resnet20'"),
        ("resnet20-d2-w2", UnknownName, "no model"),
        ("resnet20-w", UnknownName, "no model"),
        ("resnet20-w-1", UnknownName, "no model"),
    ],
)
def test_names_that_build_nothing_say_why(id, error, says):
    with pytest.raises(error, match=says):
        find_architecture(id)


def test_names_and_scales_are_one_and_the_same():
    for scale in (Scale(), Scale(1260), Scale(50, 16_000), Scale(1000, 333), Scale(2001, 1010)):
        entry, found = find_architecture(scale.name("resnet20"))
        assert (entry.id, found or Scale()) == ("resnet20", scale)
    assert set(SCALABLE.ids()) == {"digits-resnet", "efficientnet-light", "resnet20"}


@pytest.mark.parametrize("scaling", list(Scaling))
def test_what_is_found_fits_and_one_step_more_does_not(scaling):
    budget = Fraction(40_000)
    found = fit(RESNET, scaling, 2, activation_bits_for(2, 2), budget)
    dimensions = dimensions_of(found.name, 10, CIFAR)
    held = (dimensions.parameters * 2 + dimensions.largest_activation * 4) / 8
    assert found.footprint_bytes == -(-held // 1)
    assert found.unused == pytest.approx(1 - held / 40_000)
    assert 0 <= found.unused < 0.02
    wider = dimensions_of(Scale(found.scale.width + 1, found.scale.depth).name("resnet20"), 10, CIFAR)
    assert wider.footprint_bits(2, 4) > 8 * budget
    assert found.compression == pytest.approx(4 * (269_722 + 16_384) / held, rel=1e-4)


def test_float_stays_float():
    assert [activation_bits_for(bits, 2) for bits in (2, 8, 32)] == [4, 10, 32]


@pytest.mark.parametrize(
    ("text", "size"), [("20kB", 20_000), ("20KiB", 20_480), ("1.5 MiB", 1_572_864), ("7", 7), ("0.5kB", 500)]
)
def test_sizes_as_people_write_them(text, size):
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "kB", "20 kb", "-1kB", "1e3", "20kBB", "0", "100000GiB", "0x10", "1.2.3kB"])
def test_what_is_no_size_is_refused(text):
    with pytest.raises(SuiteError, match=r"is not a size|no unit|is no budget"):
        parse_size(text)


def test_the_command_prints_what_was_found(capsys):
    code = run(
        [
            "scale",
            "--model",
            "resnet20",
            "--budget",
            "20kB",
            "--weights",
            "2",
            "--k",
            "2",
            "--scaling",
            "width",
            "--json",
        ]
    )
    assert code == 0
    told = json.loads(capsys.readouterr().out)
    (only,) = told["fits"]
    assert told["budget_bytes"] == 20_000
    assert (only["weight_bits"], only["activation_bits"]) == (2, 4)
    assert only["footprint_bytes"] <= 20_000
    assert only["unused"] < 0.02
    assert dimensions_of(only["model"], 10, CIFAR).parameters == only["parameters"]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--model", "resnet20", "--budget", "100B", "--weights", "2"], "the smallest needs"),
        (["--model", "resnet20", "--budget", "60GB", "--weights", "2", "--scaling", "width"], "more than the largest"),
        (["--model", "resnet2", "--budget", "1MB"], "did you mean 'resnet20'"),
        (["--model", "resnet20"], "either --budget or --compression"),
        (["--model", "resnet20", "--budget", "1MB", "--compression", "2"], "either --budget or --compression"),
        (["--model", "resnet20", "--budget", "1MB", "--task", "digits"], "cannot read the 1x8x8 inputs of 'digits'"),
        (["--model", "digits-resnet", "--budget", "5kB"], "cannot read the 3x32x32 inputs of 'cifar10'"),
    ],
)
def test_wrong_requests_end_in_one_line(arguments, says, capsys):
    assert run(["scale", *arguments]) == 2
    captured = capsys.readouterr()
    assert says in captured.err
    assert captured.err.count("\n") == 1
    assert captured.out == ""


def test_random_weights_are_those_of_their_seed():
    one, same, other = (untrained_baseline("digits-resnet", 10, seed) for seed in (1, 1, 2))
    assert one.weights_hash == same.weights_hash != other.weights_hash
    weights = one.load(10).state_dict()
    assert all(torch.equal(value, weights[name]) for name, value in same.load(10).state_dict().items())


@pytest.mark.parametrize("id", ["efficientnet-light", "resnet20-w0.5-d0.333"])
def test_scaled_networks_have_a_plan_and_scaled_weights_a_grid(id):
    plan = make_plan(dissect(build_model(id), torch.zeros(1, *CIFAR)), Setting.default())
    assert len(plan.folds) == len([one for one in build_model(id).modules() if isinstance(one, nn.BatchNorm2d)])
    assert all(row.spec is not None for row in plan.weight_rows)
