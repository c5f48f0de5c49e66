"""Networks of transformers, unedited: what torch.export follows is planned and placed like what torch.fx traces."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from language_models import CONTEXT, LAYERS, LENGTH, NAMES, VOCABULARY, anatomy_of, language_model, tokens
from torch import Tensor, nn

from suite.audit import audit
from suite.axes import Setting
from suite.errors import Unsupported
from suite.plan import (
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
    quantizers_of,
)

# As the papers quantize language models: 8 bits, asymmetric, one scale a tensor, in front of every product.
SETTING = Setting.default().replace(
    weight_symmetry="asymmetric", weight_granularity="per-tensor", skip_connection="full-precision",
    residual_connection="full-precision",
)  # fmt: skip


@pytest.fixture(params=NAMES)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def plan_of(name: str, **axes: Any) -> Plan:
    return make_plan(anatomy_of(name), SETTING.replace(**axes))


def placed(name: str, **axes: Any) -> nn.Module:
    """Placed and ready to run."""
    model = place(language_model(name), plan_of(name, **axes)).eval()
    with torch.no_grad():
        initialize_weights(model)
        with calibrating(model):
            model(tokens(8))
    return model


def test_the_plan_says_which_front_end_wrote_the_graphs(name: str) -> None:
    plan = plan_of(name)
    assert plan.exported is not None
    assert str(plan.exported) == f"int64 [N, {LENGTH}]"
    assert plan.table().endswith(f"torch.export, for int64 [N, {LENGTH}]: torch.fx cannot trace the model")
    assert Plan.from_dict(plan.to_dict()) == plan


@torch.no_grad()
def test_with_every_quantizer_off_it_is_the_author_s_network_bit_for_bit_at_every_size(name: str) -> None:
    model, original = placed(name), language_model(name)
    with all_off(model):
        for examples, length in ((2, LENGTH), (1, LENGTH), (5, 7), (3, CONTEXT), (1, 2)):
            given = tokens(examples, length)
            assert torch.equal(model(given), original(given)), (examples, length)
    assert not torch.equal(model(given), original(given))


def test_every_linear_layer_has_its_weight_and_its_input_on_a_grid_and_so_have_the_products_of_attention(
    name: str,
) -> None:
    plan, layers = plan_of(name), [path for path, _ in linear_layers(language_model(name))]
    assert {row.site for row in plan.weight_rows} == {f"{path}:weight" for path in layers}
    assert {row.site.removesuffix(":input") for row in plan.of_role(Role.INPUT)} == set(layers)
    products = plan.of_role(Role.MATMUL_LEFT, Role.MATMUL_RIGHT)
    assert len(products) == 2 * 2 * 2, "two layers of attention, two products each, two operands"
    for row in (*plan.weight_rows, *plan.of_role(Role.INPUT), *products):
        assert row.bits == 8
    for row in plan.of_role(Role.SOFTMAX_OUTPUT, Role.NORMALIZATION_OUTPUT, Role.ACTIVATION_OUTPUT):
        assert row.spec is None, "what softmax, norms and activation functions give stays float by default"


@torch.no_grad()
def test_what_layers_and_products_read_really_is_on_a_grid(name: str) -> None:
    model, seen = placed(name, activation_bits=3, last_layer_activations="same"), {}
    for path, layer in linear_layers(model):
        layer.register_forward_pre_hook(lambda _, given, path=path: seen.update({path: given[0]}))
    model(tokens(8))
    assert seen.keys() == {path for path, _ in linear_layers(language_model(name))}
    for path, value in seen.items():
        assert 2 < len(value.unique()) <= 8, path


def test_softmax_norms_and_activation_functions_can_be_asked_for(name: str) -> None:
    # Behind BERT's layer norms stand its skips, so neither can be on a grid without the other.
    skips = {"skip_connection": "quantized", "residual_connection": "quantized"}
    plan = plan_of(name, softmax="quantized", normalization="quantized", activation_function="quantized", **skips)
    rows = plan.of_role(Role.SOFTMAX_OUTPUT, Role.NORMALIZATION_OUTPUT, Role.ACTIVATION_OUTPUT)
    assert rows
    assert all(row.bits == 8 for row in rows)
    symmetric = plan_of(name, softmax="quantized", activation_symmetry="symmetric")
    assert all(row.spec is not None and not row.spec.signed for row in symmetric.of_role(Role.SOFTMAX_OUTPUT))


def test_only_skips_are_residual_additions_masks_and_embeddings_are_not(name: str) -> None:
    anatomy = anatomy_of(name)
    additions = anatomy.of_kind(Kind.ADD)
    assert len(additions) == 4, "two a transformer layer"
    for op in additions:
        assert op.name.startswith(LAYERS[name])
        skip = next(site for site in anatomy.sites_of(op.name) if site.role is Role.SKIP)
        residual = next(site for site in anatomy.sites_of(op.name) if site.role is Role.RESIDUAL)
        assert anatomy.op(anatomy.root(residual.tensor)).function == "Linear"
        assert anatomy.op(anatomy.root(skip.tensor)).function != "Linear"
    assert not [site for site in anatomy.sites if site.role is Role.NETWORK_INPUT], "tokens have no grid"


def test_a_token_of_every_example_counts_even_where_all_stand_in_one_axis() -> None:
    anatomy = anatomy_of("opt")
    found = anatomy.site("network.model.decoder.layers.0.fc1:input")
    assert found.shape == (LENGTH, 32)
    assert anatomy.tensors[found.tensor].axes == 2, "[examples * tokens, features]"
    assert make_plan(anatomy, SETTING.replace(activation_granularity="per-channel")).row(found.name).spec is not None


@torch.no_grad()
def test_scales_per_channel_lie_along_the_features() -> None:
    model = placed("opt", activation_granularity="per-channel")
    for site, quantizer in quantizers_of(model).items():
        if site.endswith(("fc1:input", "q_proj:input", "out_proj:input")):
            assert quantizer.scale.numel() == 32, site
        if site.endswith("fc2:input"):
            assert quantizer.scale.numel() == 64, site


@torch.no_grad()
def test_paths_and_state_dict_names_survive_and_a_saved_state_loads(name: str) -> None:
    model, original = placed(name), language_model(name)
    names = model.state_dict().keys()
    assert original.state_dict().keys() <= names
    assert all(".quantizers." in extra or "weight_quantizer" in extra for extra in names - original.state_dict().keys())
    again = place(original, plan_of(name)).eval()
    again.load_state_dict(model.state_dict())
    assert torch.equal(again(tokens(3, 9)), model(tokens(3, 9)))
    copied = copy.deepcopy(model)
    assert torch.equal(copied(tokens(3, 9)), model(tokens(3, 9)))


@torch.no_grad()
def test_transformer_layers_stay_modules_with_graphs_of_their_own(name: str) -> None:
    model, given = placed(name), {}
    for number in (0, 1):
        path = f"{LAYERS[name]}{number}"
        block = model.get_submodule(path)
        assert isinstance(block, Block)
        assert type(block).__name__ == type(language_model(name).get_submodule(path)).__name__
        block.register_forward_hook(lambda _, inputs, output, path=path: given.update({path: (inputs, output)}))
    model(tokens(2))
    for path, (inputs, output) in given.items():
        assert all(isinstance(value, Tensor) for value in inputs), "sizes are read from tensors, not handed over"
        assert torch.equal(model.get_submodule(path)(*inputs), output)
        assert output.shape == (2, LENGTH, 32)


def test_the_author_s_model_is_left_alone_and_a_tied_embedding_stays_float() -> None:
    original = language_model("opt")
    before = {name: value.clone() for name, value in original.state_dict().items()}
    model = placed("opt", weight_bits=2, last_layer_weights="same")
    head, table = model.get_submodule("network.lm_head"), model.get_submodule("network.model.decoder.embed_tokens")
    assert original.get_submodule("network.lm_head").weight is not None
    assert head.weight is not table.weight
    with torch.no_grad():
        head.weight.zero_()
    assert torch.equal(table.weight, before["network.lm_head.weight"])
    for name, value in original.state_dict().items():
        assert torch.equal(value, before[name])
    float_head = place(original, plan_of("opt", last_layer_weights="full-precision"))
    kept = float_head.get_submodule("network.lm_head").weight
    assert kept is float_head.get_submodule("network.model.decoder.embed_tokens").weight


@torch.no_grad()
def test_functional_dropout_follows_the_mode_of_the_model() -> None:
    model = placed("opt")
    assert torch.equal(model(tokens(2)), model(tokens(2)))
    model.train()
    assert not torch.equal(model(tokens(2)), model(tokens(2)))


def test_gradients_reach_every_weight_that_is_on_a_grid(name: str) -> None:
    model = placed(name)
    model(tokens(2)).square().mean().backward()
    for path, layer in linear_layers(model):
        assert layer.weight.grad is not None, path
        assert float(layer.weight.grad.abs().sum()) > 0 or path.endswith("classifier"), path


def test_the_audit_verifies_what_was_placed_and_contradicts_what_was_not(name: str) -> None:
    setting = SETTING.replace(weight_bits=4, activation_bits=6)
    prepared = prepare(language_model(name), setting, tokens(2))
    anatomy = dissect(prepared, tokens(2))
    plan = make_plan(anatomy, setting)
    batches = [tokens(8), tokens(9), tokens(10)]
    report = audit(
        placed(name, weight_bits=4, activation_bits=6), anatomy=anatomy, plan=plan, setting=setting, batches=batches
    )
    assert report.contradicted == ()
    for axis in ("weight_bits", "activation_bits", "weight_granularity", "last_layer_weights"):
        assert report.axes[axis].verdict == "verified", axis
    wide = placed(name, weight_bits=8, activation_bits=6)
    assert "weight_bits" in audit(wide, anatomy=anatomy, plan=plan, setting=setting, batches=batches).contradicted


def test_fused_attention_and_layers_of_another_kind_are_refused_by_name() -> None:
    with pytest.raises(Unsupported, match=r"scaled_dot_product_attention hides its matrix products.*eager"):
        dissect(language_model("opt", "sdpa"), tokens(2))
    with pytest.raises(Unsupported, match=r"c_attn\.addmm hides its matrix products"):
        dissect(language_model("gpt-2"), tokens(2))


class Segments(nn.Module):
    """Tokens, and a second table for what is made of the tokens: a sum of embeddings, before any layer."""

    def __init__(self) -> None:
        super().__init__()
        self.words, self.kinds = nn.Embedding(VOCABULARY, 8), nn.Embedding(2, 8)
        self.layer, self.last = nn.Linear(8, 8), nn.Linear(8, 3)

    def forward(self, given: Tensor) -> Tensor:
        value = self.words(given) + self.kinds((given > 3).long())
        value = value.masked_fill((given == 0)[:, :, None], 0.0)
        return self.last(value + self.layer(value))


def test_a_sum_of_embeddings_is_no_residual_addition() -> None:
    anatomy = dissect(Segments(), tokens(2))
    assert anatomy.exported is None, "torch.fx traces it, and integers of tokens are no activations there either"
    assert [op.name for op in anatomy.of_kind(Kind.ADD)] == ["add_1"]
    assert [op.name for op in anatomy.of_kind(Kind.EMBEDDING)] == ["words", "kinds"]
    assert anatomy.op("masked_fill").operands[0].tensor == "add"
    assert len(anatomy.op("masked_fill").operands) == 1, "the mask is a constant to grids"


class Branches(nn.Module):
    """Cuts a table to a length, which no symbolic trace can; beyond `longest` it computes something else."""

    def __init__(self, longest: int | None = None) -> None:
        super().__init__()
        self.longest = longest
        self.table = nn.Embedding(VOCABULARY, 8)
        self.layer = nn.Linear(8, 8)
        self.register_buffer("steps", torch.linspace(-1, 1, CONTEXT)[:, None])

    def forward(self, given: Tensor) -> Tensor:
        value = self.layer(self.table(given))
        if self.longest is not None and given.shape[1] > self.longest:
            return value * 2
        value += self.steps[: given.shape[1]]
        return value


def test_a_forward_that_reads_lengths_is_followed_without_transformers() -> None:
    model = Branches()
    anatomy = dissect(model, tokens(2))
    assert anatomy.exported is not None
    assert [op.kind for op in anatomy.ops if op.name != "network.output"] == [
        Kind.TOKENS, Kind.EMBEDDING, Kind.WEIGHTED, Kind.AFFINE,
    ]  # fmt: skip
    again = place(model, make_plan(anatomy, SETTING))
    with torch.no_grad(), all_off(again):
        for given in (tokens(2), tokens(4, 9)):
            assert torch.equal(again(given), model(given))


def test_a_forward_that_branches_on_lengths_is_refused() -> None:
    with pytest.raises(Unsupported, match="for sizes from 9 on only"):
        dissect(Branches(longest=8), tokens(2))


def test_batch_norms_of_an_exported_model_are_folded_when_an_example_is_given() -> None:
    class Network(Branches):
        def __init__(self) -> None:
            super().__init__()
            self.hidden = nn.Linear(8, 8)
            self.norm = nn.BatchNorm1d(8)
            self.last = nn.Linear(8, 3)

        def forward(self, given: Tensor) -> Tensor:
            pooled = super().forward(given).sum(1) / given.shape[1]
            return self.last(self.norm(self.hidden(pooled)))

    model = Network().eval()
    model.norm.running_mean.normal_()
    model.norm.running_var.uniform_(0.5, 2)
    with pytest.raises(Unsupported, match="cannot be traced"):
        prepare(model, SETTING)
    folded = prepare(model, SETTING, tokens(2))
    assert isinstance(folded.norm, nn.Identity)
    with torch.no_grad():
        torch.testing.assert_close(folded(tokens(4, 9)), model(tokens(4, 9)))


def linear_layers(model: nn.Module) -> list[tuple[str, nn.Linear]]:
    return [(path, module) for path, module in model.named_modules() if isinstance(module, nn.Linear)]
