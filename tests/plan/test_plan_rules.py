"""From settings to plans: the three residual modes row by row, and each axis changing the rows it should, only them."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from suite.axes import AXES, Section, Setting
from suite.errors import Unsupported
from suite.plan import Plan, Role, dissect, make_plan
from suite.quantizers.spec import Granularity

RESIDUAL_MODES = {
    "float": {"skip_connection": "full-precision", "residual_connection": "full-precision"},
    "skip": {"skip_connection": "quantized", "residual_connection": "full-precision"},
    "both": {"skip_connection": "quantized", "residual_connection": "quantized"},
}

# site -> what it sees in the modes float, skip, both: "-" raw, "own" a quantizer named after it, else that quantizer.
TINY_RESNET = """
network:input                own                    own                    own
conv:weight                  own                    own                    own
conv:input                   network:input          network:input          network:input
relu:output                  -                      -                      -
blocks.0.conv1:weight        own                    own                    own
blocks.0.conv1:input         own                    own                    own
blocks.0.relu:output         -                      -                      -
blocks.0.conv2:weight        own                    own                    own
blocks.0.conv2:input         own                    own                    own
blocks.0.add:skip            -                      blocks.0.conv1:input   blocks.0.conv1:input
blocks.0.add:residual        -                      -                      own
blocks.0.add:sum             -                      -                      own
blocks.0.relu_1:output       -                      -                      blocks.0.add:sum
blocks.1.conv1:weight        own                    own                    own
blocks.1.conv1:input         own                    own                    blocks.0.add:sum
blocks.1.relu:output         -                      -                      -
blocks.1.conv2:weight        own                    own                    own
blocks.1.conv2:input         own                    own                    own
blocks.1.shortcut.0:weight   own                    own                    own
blocks.1.shortcut.0:input    blocks.1.conv1:input   blocks.1.conv1:input   blocks.0.add:sum
blocks.1.add:skip            -                      own                    own
blocks.1.add:residual        -                      -                      own
blocks.1.add:sum             -                      -                      own
blocks.1.relu_1:output       -                      -                      blocks.1.add:sum
avgpool:pool-input           own                    own                    blocks.1.add:sum
avgpool:pool-output          own                    own                    own
fc:weight                    own                    own                    own
fc:input                     avgpool:pool-output    avgpool:pool-output    avgpool:pool-output
network:output               -                      -                      -
"""


def expected(mode: str) -> dict[str, str | None]:
    table = {}
    for line in TINY_RESNET.strip().splitlines():
        site, *cells = line.split()
        cell = cells[list(RESIDUAL_MODES).index(mode)]
        table[site] = None if cell == "-" else site if cell == "own" else cell
    return table


@pytest.mark.parametrize("mode", list(RESIDUAL_MODES))
def test_the_three_residual_modes_row_by_row(zoo, base: Setting, mode: str) -> None:
    plan = make_plan(zoo.anatomy("tiny-resnet"), base.replace(**RESIDUAL_MODES[mode]))
    assert {row.site: row.quantizer for row in plan.rows} == expected(mode)
    assert all((row.spec is None) == (row.quantizer is None) for row in plan.rows)
    assert all(row.bits == (32 if row.spec is None else 4) for row in plan.rows)
    assert [quantizer.name for quantizer in plan.quantizers] == [
        row.site for row in plan.rows if row.quantizer == row.site
    ]


@pytest.mark.parametrize("mode", list(RESIDUAL_MODES))
@pytest.mark.parametrize("name", ["resnet20", "resnet18", "resnet50", "mobilenet_v2", "efficientnet", "deit_tiny"])
def test_residual_modes_of_real_models(zoo, base: Setting, name: str, mode: str) -> None:
    plan = make_plan(zoo.anatomy(name), base.replace(**RESIDUAL_MODES[mode]))
    assert all((row.spec is not None) == (mode != "float") for row in plan.of_role(Role.SKIP))
    assert all((row.spec is not None) == (mode == "both") for row in plan.of_role(Role.RESIDUAL, Role.SUM))
    assert all(row.spec is not None for row in plan.of_role(Role.INPUT, Role.MATMUL_LEFT, Role.MATMUL_RIGHT))


def changed(left: Plan, right: Plan) -> set[str]:
    return {difference.site for difference in left.diff(right)}


def with_role(*roles: Role) -> Callable[[Plan], set[str]]:
    return lambda plan: {row.site for row in plan.of_role(*roles)}


def sites(*names: str) -> Callable[[Plan], set[str]]:
    return lambda plan: set(names)


FIRST_OUTPUT = ("blocks.0.conv1:input", "blocks.0.add:skip")

# (model, axis, value) and the sites whose grid it changes from the base setting (mode "both").
CHANGES = [
    ("tiny-resnet", {"first_layer_weights": "8-bit"}, sites("conv:weight")),
    ("tiny-resnet", {"first_layer_weights": "full-precision"}, sites("conv:weight")),
    ("tiny-resnet", {"last_layer_weights": "8-bit"}, sites("fc:weight")),
    ("tiny-resnet", {"last_layer_weights": "full-precision"}, sites("fc:weight")),
    ("tiny-resnet", {"first_layer_activations": "8-bit"}, sites(*FIRST_OUTPUT)),
    ("tiny-resnet", {"first_layer_activations": "full-precision"}, sites(*FIRST_OUTPUT)),
    ("tiny-resnet", {"last_layer_activations": "8-bit"}, sites("avgpool:pool-output", "fc:input")),
    ("tiny-resnet", {"last_layer_activations": "full-precision"}, sites("avgpool:pool-output", "fc:input")),
    ("tiny-resnet", {"network_input": "8-bit"}, sites("network:input", "conv:input")),
    ("tiny-resnet", {"network_input": "full-precision"}, sites("network:input", "conv:input")),
    ("tiny-resnet", {"network_output": "8-bit"}, sites("network:output")),
    ("tiny-resnet", {"network_output": "same"}, sites("network:output")),
    ("tiny-resnet", {"shortcut_weights": "full-precision"}, sites("blocks.1.shortcut.0:weight")),
    ("tiny-resnet", {"weight_bits": 2}, with_role(Role.WEIGHT)),
    ("tiny-resnet", {"weight_bits": 32}, with_role(Role.WEIGHT)),
    ("tiny-resnet", {"weight_granularity": "per-tensor"}, with_role(Role.WEIGHT)),
    ("tiny-resnet", {"weight_range": "mse"}, with_role(Role.WEIGHT)),
    ("tiny-resnet", {"pooling": "full-precision"}, sites("avgpool:pool-output")),
    (
        "tiny-resnet",
        {"activation_function": "quantized"},
        sites("relu:output", "blocks.0.relu:output", "blocks.1.relu:output"),
    ),
    ("tiny-mixed", {"softmax": "quantized"}, sites("attention.softmax:output")),
    ("tiny-mixed", {"normalization": "quantized"}, with_role(Role.NORMALIZATION_OUTPUT)),
    # Every activation function but the first gate operand feeds a layer or product: its output joins their grid.
    ("tiny-mixed", {"activation_function": "quantized"}, with_role(Role.ACTIVATION_OUTPUT)),
    ("tiny-mixed", {"elementwise_product": "full-precision"}, with_role(Role.PRODUCT_LEFT, Role.PRODUCT_RIGHT)),
    (
        "tiny-mixed",
        {"pooling": "full-precision"},
        sites("gate.pool:pool-input", "gate.pool:pool-output", "mean:pool-output"),
    ),
]


@pytest.mark.parametrize(
    ("name", "values", "sites_changed"), CHANGES, ids=[f"{name}, {values}"[:80] for name, values, _ in CHANGES]
)
def test_an_axis_changes_its_rows_and_no_others(
    zoo, base: Setting, name: str, values: dict[str, object], sites_changed: Callable[[Plan], set[str]]
) -> None:
    anatomy = zoo.anatomy(name)
    before = make_plan(anatomy, base)
    after = make_plan(anatomy, base.replace(**values))
    assert changed(before, after) == sites_changed(before)


def test_first_layer_activations_are_meant_wherever_they_are_read(zoo, base: Setting) -> None:
    plan = make_plan(zoo.anatomy("resnet18"), base.replace(first_layer_activations="8-bit"))
    eight = {row.site for row in plan.rows if row.bits == 8}
    assert eight == {"layer1.0.conv1:input", "layer1.0.add:skip"}  # behind the max pool


@pytest.mark.parametrize(
    ("values", "expected_bits"),
    [({"activation_bits": 32}, 8), ({"activation_bits": 32, "network_input": "full-precision"}, 32)],
)
def test_32_bits_is_float(zoo, base: Setting, values: dict[str, object], expected_bits: int) -> None:
    setting = base.replace(**{"network_input": "8-bit", **values})
    plan = make_plan(zoo.anatomy("tiny-resnet"), setting)
    activations = [row for row in plan.rows if row.role is not Role.WEIGHT]
    assert {row.bits for row in activations if row.tensor != "network"} == {32}
    assert {row.bits for row in activations if row.tensor == "network"} == {expected_bits}
    assert {row.bits for row in plan.weight_rows} == {4}


def test_pooling_modes(zoo, base: Setting) -> None:
    anatomy = zoo.anatomy("tiny-resnet")
    raw = base.replace(skip_connection="full-precision", residual_connection="full-precision")
    rows = {mode: make_plan(anatomy, raw.replace(pooling=mode)) for mode in
            ("full-precision", "requantized", "low-precision-integer")}  # fmt: skip
    seen = {
        mode: [plan.row(site).quantizer for site in ("avgpool:pool-input", "avgpool:pool-output", "fc:input")]
        for mode, plan in rows.items()
    }
    assert seen == {
        "full-precision": [None, None, "fc:input"],
        "requantized": ["avgpool:pool-input", "avgpool:pool-output", "avgpool:pool-output"],
        "low-precision-integer": ["avgpool:pool-input"] * 3,
    }
    [integer] = [one for one in rows["low-precision-integer"].quantizers if one.repeated_after]
    assert (integer.name, integer.repeated_after) == ("avgpool:pool-input", ("avgpool",))


def test_integer_pooling_inside_a_gate_shares_the_grid_of_the_gate_input(zoo, base: Setting) -> None:
    plan = make_plan(zoo.anatomy("tiny-mixed"), base.replace(pooling="low-precision-integer"))
    for site in ("gate.pool:pool-input", "gate.mul:left", "gate.pool:pool-output", "gate.down:input"):
        assert plan.row(site).quantizer == "gate.pool:pool-input", site


def test_signs_follow_the_values(zoo, base: Setting) -> None:
    anatomy = zoo.anatomy("tiny-resnet")
    signed = {row.site: row.spec.signed for row in make_plan(anatomy, base).rows if row.spec}
    assert signed["blocks.0.add:residual"]  # behind batch norm
    assert signed["network:input"]
    assert not signed["blocks.0.add:sum"]  # behind ReLU
    assert not signed["blocks.0.conv1:input"]  # behind ReLU and max pool
    assert not signed["avgpool:pool-output"]
    never = make_plan(anatomy, base.replace(unsigned_activations="never"))
    assert all(row.spec.signed for row in never.rows if row.spec)
    asymmetric = make_plan(anatomy, base.replace(activation_symmetry="asymmetric"))
    assert not any(row.spec.signed for row in asymmetric.rows if row.spec and row.role is not Role.WEIGHT)
    mixed = {row.site: row.spec.signed for row in make_plan(zoo.anatomy("tiny-mixed"), base).rows if row.spec}
    assert not mixed["attention.matmul_1:left"]  # probabilities
    assert mixed["gate.up:input"]  # SiLU
    assert not mixed["gate.mul:right"]  # sigmoid


def test_channels_are_where_the_tensor_has_them(zoo, base: Setting) -> None:
    plan = make_plan(zoo.anatomy("tiny-mixed"), base.replace(activation_granularity="per-channel"))
    axes = {row.site: row.spec.channel_axis for row in plan.rows if row.spec and row.role is not Role.WEIGHT}
    assert axes["stem:input"] == 1  # [N, C, H, W]
    assert axes["attention.qkv:input"] == 2  # [N, T, C]
    assert axes["attention.matmul:left"] == 2
    assert axes["head:input"] == 1  # [N, C]


class ChannelsLast(nn.Module):
    """A convolution, then a linear layer on [N, H, W, C], as networks of the ConvNeXt family have it."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 6, 3)
        self.norm = nn.LayerNorm(6)
        self.up = nn.Linear(6, 12)
        self.gelu = nn.GELU()
        self.down = nn.Linear(12, 6)

    def forward(self, x: Tensor) -> Tensor:
        x = self.norm(self.conv(x).permute(0, 2, 3, 1))
        return self.down(self.gelu(self.up(x))).permute(0, 3, 1, 2).mean((2, 3))


def test_linear_layers_have_their_channels_last_in_images_too(base: Setting) -> None:
    anatomy = dissect(ChannelsLast(), torch.randn(2, 3, 8, 8))
    plan = make_plan(anatomy, base.replace(activation_granularity="per-channel", network_output="same"))
    axes = {row.site: row.spec.channel_axis for row in plan.rows if row.spec and row.role is not Role.WEIGHT}
    assert axes["conv:input"] == 1
    assert axes["up:input"] == axes["down:input"] == 3


class WithToken(nn.Module):
    """Puts a token that may be negative in front of tokens that are not."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Linear(4, 4)
        self.token = nn.Parameter(-torch.ones(1, 1, 4))
        self.head = nn.Linear(4, 4)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.cat((self.token.expand(x.shape[0], -1, -1), torch.relu(self.stem(x))), dim=1)
        return self.head(x).mean(1)


def test_a_constant_in_a_concatenation_may_be_negative(base: Setting) -> None:
    anatomy = dissect(WithToken(), torch.randn(2, 3, 4))
    plan = make_plan(anatomy, base.replace(network_output="same"))
    assert plan.row("head:input").spec is not None
    assert plan.row("head:input").spec.signed  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("target", "allowed", "bits"),
    [(4.3, "any-integer", 4), (4.5, "any-integer", 4), (2.6, "any-integer", 3), (3.1, (2, 4, 8), 4), (11, (4, 16), 16)],
)
def test_mixed_precision_starts_at_the_nearest_width(
    zoo, base: Setting, target: float, allowed: object, bits: int
) -> None:
    setting = base.replace(weight_precision="mixed", weight_bits=target, allowed_bit_widths=allowed)
    plan = make_plan(zoo.anatomy("tiny-resnet"), setting)
    assert {row.bits for row in plan.weight_rows} == {bits}
    other = plan.with_specs({"fc:weight": plan.quantizer("fc:weight").spec.__class__(8, True, True)})
    assert {d.site for d in plan.diff(other)} == {"fc:weight"}


def test_groups_and_dynamic_scales_reach_the_specification(zoo, base: Setting) -> None:
    grouped = make_plan(zoo.anatomy("tiny-resnet"), base.replace(weight_granularity="per-group", weight_group_size=16))
    assert {(row.spec.granularity, row.spec.group_size) for row in grouped.weight_rows if row.spec} == {
        (Granularity.PER_GROUP, 16)
    }
    dynamic = make_plan(zoo.anatomy("tiny-resnet"), base.replace(activation_parameters="dynamic"))
    assert all(row.spec.dynamic == (row.role is not Role.WEIGHT) for row in dynamic.rows if row.spec)


PLANNED_SECTIONS = (Section.QUANTIZATION_METHOD, Section.QUANTIZED_OPERATIONS)


@pytest.mark.parametrize(
    ("axis", "value"),
    [
        (axis.id, value)
        for axis in AXES.values()
        if axis.section in PLANNED_SECTIONS
        for value in sorted(axis.describable_only)
    ],
)
def test_what_a_card_can_only_describe_is_refused_by_name(zoo, base: Setting, axis: str, value: str) -> None:
    with pytest.raises(Unsupported, match=f"{axis}: .*{value}"):
        make_plan(zoo.anatomy("tiny-resnet"), base.replace(**{axis: value}))


def test_dynamic_integer_pooling_is_refused(zoo, base: Setting) -> None:
    setting = base.replace(activation_parameters="dynamic", pooling="low-precision-integer")
    with pytest.raises(Unsupported, match="pooling"):
        make_plan(zoo.anatomy("tiny-resnet"), setting)


@pytest.mark.parametrize(
    ("name", "values", "overruled", "by"),
    [
        (
            "tiny-resnet",
            {**RESIDUAL_MODES["float"], "activation_function": "quantized"},
            "skip_connection: full-precision",
            "activation_function: quantized",
        ),
        (
            "tiny-mixed",
            {"elementwise_product": "full-precision", "activation_function": "quantized"},
            "elementwise_product: full-precision",
            "activation_function: quantized",
        ),
    ],
)
def test_an_axis_that_another_one_overrules_is_refused_with_both_names(
    zoo, base: Setting, name: str, values: dict[str, object], overruled: str, by: str
) -> None:
    with pytest.raises(Unsupported, match=f"{overruled}, but {by} has .* on a grid of 4 bits"):
        make_plan(zoo.anatomy(name), base.replace(**values))


@pytest.mark.parametrize("residual", RESIDUAL_MODES)
@pytest.mark.parametrize("declared", ["8-bit", "full-precision"])
def test_an_integer_mean_does_not_overrule_the_bits_of_the_last_layer(
    zoo, base: Setting, declared: str, residual: str
) -> None:
    setting = base.replace(pooling="low-precision-integer", last_layer_activations=declared, **RESIDUAL_MODES[residual])
    text = f"last_layer_activations: {declared}, but pooling: low-precision-integer has .* on a grid of 4 bits"
    with pytest.raises(Unsupported, match=text) as refused:
        make_plan(zoo.anatomy("tiny-resnet"), setting)
    assert refused.value.hint is not None
    assert "last_layer_activations=same" in refused.value.hint
    assert (
        make_plan(zoo.anatomy("tiny-resnet"), setting.replace(last_layer_activations="same")).row("fc:input").bits == 4
    )


def test_an_integer_mean_of_as_many_bits_as_the_last_layer_reads_is_planned(zoo, base: Setting) -> None:
    setting = base.replace(pooling="low-precision-integer", activation_bits=8, last_layer_activations="8-bit")
    assert make_plan(zoo.anatomy("tiny-resnet"), setting).row("fc:input").bits == 8


def test_a_network_that_ends_in_a_pool_cannot_have_a_float_output_on_the_grid_of_the_pool(base: Setting) -> None:
    class EndsInPool(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(3, 10, 3)
            self.pool = nn.AdaptiveAvgPool2d(1)

        def forward(self, x: Tensor) -> Tensor:
            return torch.flatten(self.pool(self.conv(x)), 1)

    anatomy = dissect(EndsInPool(), torch.randn(2, 3, 8, 8))
    with pytest.raises(Unsupported, match="network_output: full-precision, but pooling: requantized"):
        make_plan(anatomy, base)
    assert make_plan(anatomy, base.replace(network_output="same")).row("network:output").bits == 4
    assert make_plan(anatomy, base.replace(pooling="full-precision")).row("network:output").bits == 32


def test_batch_norms_are_folded_only_where_the_setting_says_so(zoo, base: Setting) -> None:
    anatomy = zoo.anatomy("tiny-resnet")
    assert make_plan(anatomy, base).folds == ()
    assert make_plan(anatomy, base.replace(batch_norm="folded")).folds == (
        ("conv", "bn"),
        ("blocks.0.conv1", "blocks.0.bn1"),
        ("blocks.0.conv2", "blocks.0.bn2"),
        ("blocks.1.conv1", "blocks.1.bn1"),
        ("blocks.1.conv2", "blocks.1.bn2"),
        ("blocks.1.shortcut.0", "blocks.1.shortcut.1"),
    )
