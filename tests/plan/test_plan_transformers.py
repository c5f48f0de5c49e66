"""Vision transformers: every matrix product is a site on both sides, everything else is an axis, and blocks survive."""

from __future__ import annotations

import copy
import operator
from collections import Counter
from collections.abc import Callable
from functools import cache
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from suite.axes import Setting
from suite.models import build_model
from suite.plan import (
    Anatomy,
    Block,
    Kind,
    Plan,
    Role,
    all_off,
    calibrating,
    dissect,
    initialize_weights,
    make_plan,
    place,
    prepare,
)
from suite.torchvision_shim import ensure_torchvision

# site, role, and the quantizer of its grid where everything is quantized that can be: "-" is float, "own" its own.
STEM = """
network:input       network-input   own
patch_embed:weight  weight          own
patch_embed:input   input           network:input
"""
BLOCK = """
norm1:output         normalization-output  -
attn.qkv:weight      weight                own
attn.qkv:input       input                 own
attn.matmul:left     matmul-left           own
attn.matmul:right    matmul-right          own
attn.softmax:output  softmax-output        -
attn.matmul_1:left   matmul-left           own
attn.matmul_1:right  matmul-right          own
attn.proj:weight     weight                own
attn.proj:input      input                 own
add:skip             skip                  entry
add:residual         residual              own
add:sum              sum                   own
norm2:output         normalization-output  -
mlp.fc1:weight       weight                own
mlp.fc1:input        input                 own
mlp.act:output       activation-output     -
mlp.fc2:weight       weight                own
mlp.fc2:input        input                 own
add_1:skip           skip                  add:sum
add_1:residual       residual              own
add_1:sum            sum                   own
"""
HEAD = """
norm:output     normalization-output  -
head:weight     weight                own
head:input      input                 own
network:output  network-output        -
"""


def expected_sites(blocks: int) -> list[tuple[str, str, str | None]]:
    """(site, role, quantizer) of a small vision transformer, in data-flow order."""
    found: list[tuple[str, str, str | None]] = []

    def tell(text: str, prefix: str, entry: str) -> None:
        for line in text.strip().splitlines():
            site, role, cell = line.split()
            known = {"-": None, "own": prefix + site, "entry": entry}
            found.append((prefix + site, role, known[cell] if cell in known else prefix + cell))

    tell(STEM, "", "")
    for index in range(blocks):
        tell(BLOCK, f"blocks.{index}.", f"blocks.{index - 1}.add_1:sum" if index else "blocks.0.add:skip")
    tell(HEAD, "", "")
    return found


@cache
def digits_vit() -> nn.Module:
    return build_model("digits-vit", 10)


@cache
def anatomy_of_digits_vit() -> Anatomy:
    return dissect(digits_vit(), images(1, 8))


def images(channels: int, pixels: int, count: int = 3) -> Tensor:
    return torch.randn(count, channels, pixels, pixels, generator=torch.Generator().manual_seed(4))


def small_vision_transformer() -> nn.Module:
    """The architecture of torchvision, whose attention is torch's own layer, with weights that are all random."""
    models = ensure_torchvision().models
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        model = models.VisionTransformer(
            image_size=32, patch_size=16, num_layers=2, num_heads=4, hidden_dim=32, mlp_dim=64, num_classes=10
        )
        for parameter in model.parameters():
            nn.init.normal_(parameter, std=0.3)
    return model.eval()


def test_every_site_of_a_small_vision_transformer(base: Setting) -> None:
    plan = make_plan(anatomy_of_digits_vit(), base)
    blocks = len(digits_vit().blocks)  # type: ignore[arg-type]
    assert blocks > 1
    assert [(row.site, row.role.value, row.quantizer) for row in plan.rows] == expected_sites(blocks)
    # The quantizers are those sites that have one of their own: nothing else is in the model.
    assert [one.name for one in plan.quantizers] == [row.site for row in plan.rows if row.quantizer == row.site]


def test_the_ends_of_a_vision_transformer() -> None:
    anatomy = anatomy_of_digits_vit()
    assert (anatomy.first_layer, anatomy.last_layer) == ("patch_embed", "head")
    assert anatomy.first_output == "add"  # behind the class token and the positions
    assert anatomy.shortcut_layers == ()
    assert anatomy.batch_norms == ()


def of_both_sides(plan: Plan) -> Counter[str]:
    """How many operands of matrix products are on a grid, by role."""
    products = plan.of_role(Role.WEIGHT, Role.INPUT, Role.MATMUL_LEFT, Role.MATMUL_RIGHT)
    return Counter(row.role.value for row in products if row.spec is not None)


@pytest.mark.parametrize("name", ["deit_tiny", "deit_small"])
def test_every_matrix_product_of_deit_is_quantized_on_both_sides(zoo, base: Setting, name: str) -> None:
    plan = make_plan(zoo.anatomy(name), base)
    # Twelve blocks of four layers and two products, the patch embedding and the classifier.
    assert of_both_sides(plan) == {"weight": 50, "input": 50, "matmul-left": 24, "matmul-right": 24}
    by_layer = {row.site for row in plan.of_role(Role.INPUT)}
    assert {"patch_embed.proj:input", "blocks.11.attn.qkv:input", "blocks.0.mlp.fc2:input", "head:input"} <= by_layer
    quantizers = [row.quantizer for row in plan.of_role(Role.MATMUL_LEFT, Role.MATMUL_RIGHT)]
    assert len(set(quantizers)) == 48  # one for each operand


@pytest.mark.parametrize("residual", ["quantized", "full-precision"])
def test_probabilities_are_unsigned_on_symmetric_grids_too(base: Setting, residual: str) -> None:
    values = {"skip_connection": residual, "residual_connection": residual}
    plan = make_plan(anatomy_of_digits_vit(), base.replace(**values))
    for index in range(len(digits_vit().blocks)):  # type: ignore[arg-type]
        probabilities = plan.row(f"blocks.{index}.attn.matmul_1:left").spec
        assert probabilities is not None
        assert (probabilities.signed, probabilities.symmetric, probabilities.qmin) == (False, True, 0)
        assert probabilities.qmax == 15
        for site in ("attn.matmul:left", "attn.matmul:right", "attn.matmul_1:right", "attn.proj:input"):
            spec = plan.row(f"blocks.{index}.{site}").spec
            assert spec is not None
            assert spec.signed, site
    never = make_plan(anatomy_of_digits_vit(), base.replace(unsigned_activations="never"))
    assert all(row.spec.signed for row in never.rows if row.spec)


def in_blocks(*sites: str) -> Callable[[int], set[str]]:
    return lambda blocks: {f"blocks.{index}.{site}" for index in range(blocks) for site in sites}


@pytest.mark.parametrize(
    ("axis", "sites", "joining"),
    [
        ("softmax", in_blocks("attn.softmax:output"), in_blocks("attn.matmul_1:left")),
        ("activation_function", in_blocks("mlp.act:output"), in_blocks("mlp.fc2:input")),
        (
            "normalization",
            lambda blocks: in_blocks("norm1:output", "norm2:output")(blocks) | {"norm:output"},
            lambda blocks: in_blocks("attn.qkv:input", "mlp.fc1:input")(blocks) | {"head:input"},
        ),
    ],
    ids=["softmax", "activation_function", "normalization"],
)
def test_what_is_computed_in_float_is_an_axis(
    base: Setting, axis: str, sites: Callable[[int], set[str]], joining: Callable[[int], set[str]]
) -> None:
    blocks = len(digits_vit().blocks)  # type: ignore[arg-type]
    before = make_plan(anatomy_of_digits_vit(), base)
    after = make_plan(anatomy_of_digits_vit(), base.replace(**{axis: "quantized"}))
    assert {difference.site for difference in before.diff(after)} == sites(blocks)
    assert all(before.row(site).spec is None for site in sites(blocks))
    # The product behind reads what is on a grid already, so it has no quantizer of its own any more.
    moved = {row.site for row in after.rows if row.quantizer != before.row(row.site).quantizer} - sites(blocks)
    assert moved == joining(blocks)
    assert {after.row(site).quantizer for site in moved} == sites(blocks)


class Operands(TorchFunctionMode):
    """Writes down the operands of every matrix product that torch really computes."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, Tensor, Tensor]] = []

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func in (F.linear, F.conv2d, torch.conv2d, torch._C._nn.linear):
            self.found.append(("layer", args[0], args[1]))
        elif func in (torch.matmul, Tensor.matmul, Tensor.__matmul__, operator.matmul):
            self.found.append(("matmul", args[0], args[1]))
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("softmax", ["full-precision", "quantized"])
def test_what_reaches_the_products_lies_on_grids(base: Setting, softmax: str) -> None:
    model, inputs = digits_vit(), images(1, 8)
    setting = base.replace(softmax=softmax, weight_granularity="per-tensor", weight_bits=3, activation_bits=3)
    placed = place(model, make_plan(anatomy_of_digits_vit(), setting)).eval()
    initialize_weights(placed)
    with torch.no_grad():
        with calibrating(placed):
            placed(inputs)
        with Operands() as raw:
            model(inputs)
        with Operands() as quantized:
            placed(inputs)
    blocks = len(model.blocks)  # type: ignore[arg-type]
    assert Counter(kind for kind, *_ in quantized.found) == {"layer": 4 * blocks + 2, "matmul": 2 * blocks}
    for kind, *operands in quantized.found:
        assert all(operand.unique().numel() <= 8 for operand in operands), kind
    assert all(operand.unique().numel() > 8 for _, *operands in raw.found for operand in operands)
    # Behind the softmax no code is lost to a sign: the largest probability has the highest of eight codes.
    probabilities = [left for kind, left, _ in quantized.found if kind == "matmul"][1::2]
    assert len(probabilities) == blocks
    for found in probabilities:
        step = found[found > 0].min()
        assert float(found.min()) >= 0
        assert int((found.max() / step).round()) in range(1, 8)


def additions(block: Block) -> int:
    return sum(node.op == "call_function" and node.target is operator.add for node in block.graph.nodes)


def test_each_block_keeps_its_two_sums_in_a_graph_of_its_own(zoo, base: Setting) -> None:
    for model, anatomy in (
        (digits_vit(), anatomy_of_digits_vit()),
        (zoo.model("deit_tiny"), zoo.anatomy("deit_tiny")),
    ):
        placed = place(model, make_plan(anatomy, base))
        for path, original in model.get_submodule("blocks").named_children():
            block = placed.get_submodule(f"blocks.{path}")
            assert isinstance(block, Block)
            assert type(block).__name__ == type(original).__name__
            assert additions(block) == 2
            assert {"norm1", "attn", "norm2", "mlp"} <= {name for name, _ in block.named_children()}
            sums = [site for site in block.get_submodule("quantizers").sites.values() if site.endswith(":sum")]  # type: ignore[union-attr]
            assert sums == [f"blocks.{path}.add:sum", f"blocks.{path}.add_1:sum"]
            assert isinstance(block.get_submodule("attn"), Block)
            assert isinstance(block.get_submodule("mlp"), Block)


class TestAttentionOfTorch:
    """`torch.nn.MultiheadAttention` is written out."""

    def test_its_products_are_sites(self, base: Setting) -> None:
        model = small_vision_transformer()
        plan = make_plan(dissect(model, images(3, 32)), base)
        assert of_both_sides(plan) == {"weight": 10, "input": 10, "matmul-left": 4, "matmul-right": 4}
        path = "encoder.layers.encoder_layer_1.self_attention"
        inside = [row.site.removeprefix(f"{path}.") for row in plan.rows if row.site.startswith(f"{path}.")]
        assert inside == [
            "in_proj:weight",
            "in_proj:input",
            "matmul:left",
            "matmul:right",
            "softmax:output",
            "matmul_1:left",
            "matmul_1:right",
            "out_proj:weight",
            "out_proj:input",
        ]
        assert not plan.row(f"{path}.matmul_1:left").spec.signed  # type: ignore[union-attr]
        assert plan.row(f"{path}.in_proj:weight").shape == (96, 32)

    def test_it_computes_what_torch_computes(self, base: Setting) -> None:
        model, inputs = small_vision_transformer(), images(3, 32)
        prepared = prepare(model, base)
        placed = place(model, make_plan(dissect(model, inputs), base)).eval()
        with torch.no_grad(), all_off(placed):
            expected = model(inputs)
            torch.testing.assert_close(prepared(inputs), expected, rtol=1e-5, atol=1e-5)
            assert torch.equal(placed(inputs), prepared(inputs))
        assert not any(isinstance(module, nn.MultiheadAttention) for module in prepared.modules())
        assert any(isinstance(module, nn.MultiheadAttention) for module in model.modules())  # the author's is untouched

    def test_gradients_are_those_of_torch(self, base: Setting) -> None:
        model, inputs = small_vision_transformer(), images(3, 32)
        prepared = prepare(model, base)
        for one in (model, prepared):
            one(inputs).square().sum().backward()
        path = "encoder.layers.encoder_layer_0.self_attention"
        found = prepared.get_parameter(f"{path}.in_proj.weight").grad
        expected = model.get_parameter(f"{path}.in_proj_weight").grad
        assert expected is not None
        assert float(expected.abs().max()) > 0
        torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-3 * float(expected.abs().max()))

    def test_names_in_the_state_dict_are_those_of_torch(self, base: Setting) -> None:
        model, inputs = small_vision_transformer(), images(3, 32)
        names = list(model.state_dict())
        assert "encoder.layers.encoder_layer_0.self_attention.in_proj_weight" in names
        placed = place(model, make_plan(dissect(model, inputs), base))
        for made in (prepare(model, base), placed, copy.deepcopy(placed)):
            state = made.state_dict()
            assert [name for name in state if "quantizer" not in name] == names
            assert all(torch.equal(state[name], model.state_dict()[name]) for name in names)
            other = copy.deepcopy(made)
            with torch.no_grad():
                for parameter in other.parameters():
                    parameter.zero_()
            assert not other.load_state_dict(state).missing_keys
            assert all(torch.equal(value, state[name]) for name, value in other.state_dict().items())

    def test_dropout_follows_the_mode(self, base: Setting) -> None:
        class Tokens(nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.embed = nn.Linear(4, 8)
                self.attention = nn.MultiheadAttention(8, 2, dropout=0.5, bias=False, batch_first=True)

            def forward(self, x: Tensor) -> Tensor:
                x = self.embed(x)
                x, _ = self.attention(query=x, key=x, value=x, need_weights=False)
                return x

        torch.manual_seed(0)
        model, tokens = Tokens().eval(), torch.randn(2, 5, 4)
        anatomy = dissect(model, tokens)
        assert anatomy.op("attention.dropout").kind is Kind.TRANSPARENT
        placed = place(model, make_plan(anatomy, base)).train()
        with all_off(placed), torch.no_grad():
            assert len({float(placed(tokens).sum()) for _ in range(4)}) > 1
            torch.testing.assert_close(placed.eval()(tokens), model(tokens), rtol=1e-5, atol=1e-5)


def channel_axes(plan: Plan) -> dict[str, int]:
    return {row.site: row.spec.channel_axis for row in plan.rows if row.spec and row.role is not Role.WEIGHT}


@pytest.mark.parametrize(
    "values",
    [
        {"activation_granularity": "per-channel"},
        {"activation_granularity": "per-token", "activation_parameters": "dynamic"},
    ],
    ids=["per-channel", "per-token"],
)
def test_channels_are_where_attention_has_them(base: Setting, values: dict[str, object]) -> None:
    axes = channel_axes(make_plan(anatomy_of_digits_vit(), base.replace(**values)))
    assert axes["patch_embed:input"] == 1  # [N, C, H, W]
    for index in range(len(digits_vit().blocks)):  # type: ignore[arg-type]
        path = f"blocks.{index}"
        for layer in ("attn.qkv", "attn.proj", "mlp.fc1", "mlp.fc2"):
            assert axes[f"{path}.{layer}:input"] == 2  # [N, T, C]
        assert axes[f"{path}.add:sum"] == 2
        assert axes[f"{path}.attn.matmul:left"] == 3  # queries [N, heads, T, d]
        assert axes[f"{path}.attn.matmul:right"] == 2  # keys, turned around: [N, heads, d, T]
        assert axes[f"{path}.attn.matmul_1:left"] == 3  # probabilities [N, heads, T, T]
        assert axes[f"{path}.attn.matmul_1:right"] == 3  # values [N, heads, T, d]
    assert axes["head:input"] == 1  # [N, C]


@pytest.mark.parametrize(("granularity", "parameters"), [("per-channel", "static"), ("per-token", "dynamic")])
def test_keys_have_a_scale_per_feature_or_per_token(base: Setting, granularity: str, parameters: str) -> None:
    """Read off the keys that reach the product, [N, heads, d, T]: two bits are three levels of what shares a scale."""
    model, inputs = digits_vit(), images(1, 8)
    setting = base.replace(activation_granularity=granularity, activation_parameters=parameters, activation_bits=2)
    placed = place(model, make_plan(anatomy_of_digits_vit(), setting)).eval()
    initialize_weights(placed)
    with torch.no_grad():
        with calibrating(placed):
            placed(inputs)
        with Operands() as quantized:
            placed(inputs)
    keys = next(right for kind, _, right in quantized.found if kind == "matmul")
    assert keys.shape == (3, 4, 10, 17)
    of_a_feature = max(row.unique().numel() for row in keys.movedim(2, 0).reshape(10, -1))
    of_a_token = max(row.unique().numel() for row in keys.movedim(2, -1).reshape(-1, 10))
    assert (of_a_feature <= 3) == (granularity == "per-channel")
    assert (of_a_token <= 3) == (granularity == "per-token")


class SharedOperand(nn.Module):
    """Attention without projections: queries and keys are one tensor, read once as it is and once turned around."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Linear(4, 8)
        self.head = nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = self.embed(x)
        return self.head(((x @ x.transpose(1, 2)).softmax(-1) @ x).mean(1))


def test_one_tensor_on_one_grid_unless_its_scales_lie_along_an_axis(base: Setting) -> None:
    anatomy = dissect(SharedOperand(), torch.randn(2, 5, 4))
    shared = {row.site: row.quantizer for row in make_plan(anatomy, base).rows}
    assert shared["matmul:left"] == shared["matmul:right"] == shared["matmul_1:right"] == "matmul:left"
    plan = make_plan(anatomy, base.replace(activation_granularity="per-channel"))
    apart = {row.site: row.quantizer for row in plan.rows}
    assert apart["matmul:right"] == "matmul:right"
    assert apart["matmul:left"] == apart["matmul_1:right"] == "matmul:left"
    axes = channel_axes(plan)
    assert (axes["matmul:left"], axes["matmul:right"]) == (2, 1)
