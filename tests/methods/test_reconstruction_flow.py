"""Reconstruction engine: units, and the values that are carried from one to the next, against plain forward passes."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from residual_toys import bench_of, residual_bench
from torch import Tensor, nn

from suite.axes import Setting
from suite.errors import Unsupported
from suite.methods.engines.reconstruction.fisher import importance_of_outputs
from suite.methods.engines.reconstruction.flow import Flow
from suite.methods.engines.reconstruction.rows import RowStore
from suite.methods.engines.reconstruction.units import walk_of
from suite.models import build_model
from suite.plan import dissect, initialize_weights, make_plan, place, prepare, quantizers_of

CPU = torch.device("cpu")
PLENTY = 1 << 30


def placed(name: str, shape: tuple[int, ...], **changes: object) -> tuple[nn.Module, object, Tensor]:
    setting = Setting.default().replace(**changes)
    torch.manual_seed(0)
    example = torch.randn(shape)
    prepared = prepare(build_model(name).eval(), setting, example)
    plan = make_plan(dissect(prepared, example), setting)
    model = place(prepared, plan).eval()
    for quantizer in quantizers_of(model).values():
        quantizer.enabled = False
    return model, plan, example


def names(model: nn.Module, plan: object, *, blocks: bool = True, inside: bool = True) -> list[str]:
    return [unit.name for unit in walk_of(model, plan, blocks=blocks, final_activation=inside).units]  # type: ignore[arg-type]


def test_blocks_of_resnet20_in_the_order_of_the_data_flow() -> None:
    model, plan, _ = placed("resnet20", (2, 3, 32, 32))
    blocks = [f"layer{stage}.{index}" for stage in (1, 2, 3) for index in range(3)]
    assert names(model, plan) == ["conv1", *blocks, "linear"]


def test_layers_of_resnet20() -> None:
    model, plan, _ = placed("resnet20", (2, 3, 32, 32))
    found = names(model, plan, blocks=False)
    assert len(found) == 20
    assert found[:3] == ["conv1", "layer1.0.conv1", "layer1.0.conv2"]


def test_blocks_without_a_shortcut_are_blocks_like_their_siblings() -> None:
    model, plan, _ = placed("torchvision:mobilenet_v2", (2, 3, 32, 32))
    assert names(model, plan) == ["features.0.0", *[f"features.{index}" for index in range(1, 18)], "features.18.0",
                                  "classifier.1"]  # fmt: skip


@pytest.mark.parametrize("blocks", [True, False])
@pytest.mark.parametrize("inside", [True, False])
def test_units_one_after_the_other_compute_the_network(*, blocks: bool, inside: bool) -> None:
    bench = residual_bench()
    walk = walk_of(bench.model.eval(), bench.plan, blocks=blocks, final_activation=inside)
    initialize_weights(bench.model)
    chunks = list(bench.data.inputs.split(40))
    with RowStore(PLENTY, CPU) as store, torch.no_grad():
        flow = Flow(walk, chunks, store)
        for unit in walk.units:
            result = flow.run(unit)
        expected = bench.model(bench.data.inputs)
        torch.testing.assert_close(result.take(torch.arange(96)), expected, rtol=1e-5, atol=1e-6)


def test_final_activation_outside_ends_a_block_at_its_sum() -> None:
    bench = residual_bench()
    initialize_weights(bench.model)
    inside = walk_of(bench.model.eval(), bench.plan, blocks=True, final_activation=True)
    outside = walk_of(bench.model, bench.plan, blocks=True, final_activation=False)
    with RowStore(PLENTY, CPU) as store:
        results = []
        for walk in (inside, outside):
            flow = Flow(walk, [bench.data.inputs], store)
            for unit in walk.units[:2]:
                result = flow.run(unit).take(torch.arange(96))
            results.append(result)
    assert float(results[1].min()) < 0 <= float(results[0].min())
    torch.testing.assert_close(torch.relu(results[1]), results[0])


@pytest.mark.parametrize("blocks", [2, 8])
def test_every_unit_sees_every_example_once_however_deep_the_network(blocks: int) -> None:
    bench = residual_bench(blocks=blocks)
    initialize_weights(bench.model)
    walk = walk_of(bench.model.eval(), bench.plan, blocks=True, final_activation=True)
    calls = {unit.name: 0 for unit in walk.units}
    for unit in walk.units:
        unit.module.register_forward_hook(lambda *_, name=unit.name: calls.update({name: calls[name] + 1}))
    chunks = bench.data.inputs.split(32)
    with RowStore(PLENTY, CPU) as store:
        flow = Flow(walk, chunks, store)
        for unit in walk.units:
            flow.inputs_of(unit)
            flow.run(unit)
    assert set(calls.values()) == {len(chunks)}
    assert flow.passes == len(chunks) * (blocks + 2)


def test_values_nobody_ahead_reads_are_dropped() -> None:
    bench = residual_bench(blocks=6)
    initialize_weights(bench.model)
    walk = walk_of(bench.model.eval(), bench.plan, blocks=True, final_activation=True)
    with RowStore(PLENTY, CPU) as store:
        flow = Flow(walk, [bench.data.inputs], store)
        used = []
        for unit in walk.units:
            flow.run(unit)
            used.append(store.used_bytes)
    # Between two blocks one tensor of 96 x 6 x 6 x 6 numbers is alive; the head leaves 96 x 3.
    assert used[1:-1] == [96 * 6 * 6 * 6 * 4] * 6
    assert used[-1] == 96 * 3 * 4


def test_rows_beyond_the_budget_lie_in_files_and_are_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    bench = residual_bench()
    initialize_weights(bench.model)
    walk = walk_of(bench.model.eval(), bench.plan, blocks=True, final_activation=True)
    chosen = torch.tensor([5, 90, 5, 0])
    found = []
    for budget in (PLENTY, 0):
        with RowStore(budget, CPU) as store:
            flow = Flow(walk, bench.data.inputs.split(10), store)
            for unit in walk.units[:3]:
                rows = flow.run(unit)
            found.append(rows.take(chosen))
            assert (store.spilled_bytes > 0) == (budget == 0)
            assert store.used_bytes <= budget
    assert torch.equal(found[0], found[1])
    assert list(tmp_path.iterdir()) == []


def test_a_network_without_quantized_weights_has_no_units() -> None:
    bench = residual_bench(weight_bits=32, first_layer_weights="full-precision", last_layer_weights="full-precision")
    with pytest.raises(Unsupported, match="no quantized weight to reconstruct"):
        walk_of(bench.model, bench.plan, blocks=True, final_activation=True)


def test_importance_is_the_gradient_of_the_loss_on_drawn_labels() -> None:
    bench = residual_bench()
    model = bench.model.eval()
    for quantizer in quantizers_of(model).values():
        quantizer.enabled = False
    walk = walk_of(model, bench.plan, blocks=True, final_activation=True)
    x = bench.data.inputs[:8]
    with RowStore(PLENTY, CPU) as store:
        found = importance_of_outputs(walk, [x], store, torch.Generator().manual_seed(2))
        head = found["head"].take(torch.arange(8))
        third = found["stages.2"].take(torch.arange(8))
    # By hand: softmax(z) minus the drawn label, and its product with the Jacobian of what follows the third block.
    held: list[Tensor] = []
    handle = walk.units[3].module.register_forward_hook(lambda *given: held.append(given[2]))
    for parameter in model.parameters():
        parameter.requires_grad_(True)
    logits = model(x)
    handle.remove()
    probabilities = torch.softmax(logits, 1)
    drawn = torch.multinomial(probabilities.detach(), 1, generator=torch.Generator().manual_seed(2))[:, 0]
    expected = (probabilities - torch.nn.functional.one_hot(drawn, 3)).detach()
    torch.testing.assert_close(head, expected * (expected.numel() / expected.square().sum()).sqrt())
    torch.nn.functional.cross_entropy(logits, drawn, reduction="sum").backward(inputs=held)
    gradient = held[0].grad
    assert gradient is not None
    torch.testing.assert_close(third, gradient * (gradient.numel() / gradient.square().sum()).sqrt())


def test_importance_of_a_sequence_has_a_label_for_every_position() -> None:
    """Networks of sequences give their classes in axis 1: the positions are no classes."""

    class Tagger(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.head = nn.Linear(4, 5)

        def forward(self, x: Tensor) -> Tensor:
            return self.head(x).transpose(1, 2)

    x = torch.randn(6, 3, 4, generator=torch.Generator().manual_seed(0))
    bench = bench_of(Tagger().eval(), x)
    for quantizer in quantizers_of(bench.model).values():
        quantizer.enabled = False
    walk = walk_of(bench.model, bench.plan, blocks=True, final_activation=True)
    with RowStore(PLENTY, CPU) as store:
        found = importance_of_outputs(walk, [x], store, torch.Generator().manual_seed(2))["head"].take(torch.arange(6))
    gradient = found / found.amax(-1, keepdim=True).abs()
    assert found.shape == (6, 3, 5)
    torch.testing.assert_close(found.sum(-1), torch.zeros(6, 3), atol=1e-5, rtol=0)  # softmax minus a label
    assert ((gradient < 0).sum(-1) == 1).all()


@pytest.mark.parametrize("size", [8, 16, 5])
def test_a_table_of_positions_is_not_taken_for_rows_of_examples(size: int) -> None:
    """Units read a table of eight positions; chunks have eight examples, or the only one has, or five."""

    class Part(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = nn.Linear(6, 6)

        def forward(self, x: Tensor, table: Tensor) -> Tensor:
            return x + self.inner(x * table)

    class Turning(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.positions = nn.Parameter(torch.randn(8, 6))
            self.parts = nn.ModuleList([Part(), Part()])
            self.head = nn.Linear(6, 3)

        def forward(self, x: Tensor) -> Tensor:
            table = torch.cos(self.positions)
            for part in self.parts:
                x = part(x, table)
            return self.head(x.mean(1))

    torch.manual_seed(0)
    count = 8 if size == 16 else 16
    x = torch.randn(count, 8, 6)
    bench = bench_of(Turning().eval(), x)
    initialize_weights(bench.model)
    walk = walk_of(bench.model.eval(), bench.plan, blocks=True, final_activation=True)
    chosen = torch.tensor([3, 1, 2, 7, 6, 0, 5, 4])
    with RowStore(PLENTY, CPU) as store, torch.no_grad():
        flow = Flow(walk, x.split(size), store)
        for unit in walk.units:
            alone = unit.module(*(value.take(chosen) for value in flow.inputs_of(unit)))
            torch.testing.assert_close(alone, flow.run(unit).take(chosen))
