"""The character transformer: causal, as torch computes it, and the published weights at their measured score."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from suite.axes import Setting
from suite.errors import Unsupported
from suite.models import build_model, get_baseline
from suite.plan import Kind, all_off, dissect, make_plan, place
from suite.tasks import Split, get_task
from suite.tasks.sequences import NATS

TOKENS = torch.randint(65, (3, 128), generator=torch.Generator().manual_seed(0))


def by_torch(model: nn.Module, tokens: Tensor) -> Tensor:
    """The same network with torch's fused causal attention."""
    x = model.tok(tokens) + model.pos.weight[: tokens.shape[1]]
    for block in model.blocks:
        examples, length, width = x.shape
        q, k, v = block.qkv(block.ln1(x)).view(examples, length, 3, 4, 32).permute(2, 0, 3, 1, 4)
        attended = functional.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + block.proj(attended.transpose(1, 2).reshape(examples, length, width))
        x = x + block.fc2(functional.gelu(block.fc1(block.ln2(x))))
    return model.head(model.ln(x)).transpose(1, 2)


@torch.no_grad()
def test_it_computes_what_fused_attention_computes() -> None:
    model = build_model("char-transformer", 65)
    torch.testing.assert_close(model(TOKENS), by_torch(model, TOKENS), rtol=1e-4, atol=1e-5)


@torch.no_grad()
def test_no_position_reads_a_later_one() -> None:
    model = build_model("char-transformer", 65)
    changed = TOKENS.clone()
    changed[:, 60:] = (changed[:, 60:] + 1) % 65
    before, after = model(TOKENS), model(changed)
    assert torch.equal(before[:, :, :60], after[:, :, :60])
    assert not torch.equal(before[:, :, 60:], after[:, :, 60:])


@torch.no_grad()
def test_torch_fx_traces_it_and_its_products_are_sites() -> None:
    model = build_model("char-transformer", 65)
    anatomy = dissect(model, TOKENS[:2])
    assert anatomy.exported is None
    counted = {kind: len(anatomy.of_kind(kind)) for kind in (Kind.WEIGHTED, Kind.MATMUL, Kind.ADD, Kind.EMBEDDING)}
    assert counted == {Kind.WEIGHTED: 17, Kind.MATMUL: 8, Kind.ADD: 8, Kind.EMBEDDING: 1}
    placed = place(model, make_plan(anatomy, Setting.default()))
    with all_off(placed):
        for tokens in (TOKENS, TOKENS[:1, :5]):
            assert torch.equal(placed(tokens), model(tokens))


@torch.no_grad()
def test_the_published_weights_score_what_was_measured_of_them() -> None:
    data = os.environ.get("SUITE_DATA")
    if data is None:
        pytest.skip("SUITE_DATA names no folder")
    weights = Path(data) / "weights" / "chargpt_shakespeare.pt"
    if not weights.is_file():
        pytest.skip("the folder of SUITE_DATA has no chargpt_shakespeare.pt")
    task = get_task("shakespeare-characters", data)
    model = get_baseline("char-transformer", weights).load_for(task)
    test = task.split(Split.TEST)
    nats = [
        task.figures(model(tokens), labels)[NATS]
        for tokens, labels in zip(test.inputs.split(64), test.labels.split(64), strict=True)
    ]
    assert round(float(torch.cat(nats).mean()), 4) == 1.6533


def test_a_model_of_images_is_refused_for_tokens_and_the_other_way_round() -> None:
    class Facts:
        id, classes, default_model = "characters", 65, "char-transformer"
        input_shape, input_type, label_shape = (128,), "int64", (128,)

    from suite.models.build import require_fit

    require_fit(build_model("char-transformer", 65), "char-transformer", Facts())  # type: ignore[arg-type]
    with pytest.raises(Unsupported, match="'digits-resnet' cannot read the 128 tokens of 'characters'"):
        require_fit(build_model("digits-resnet", 65), "digits-resnet", Facts())  # type: ignore[arg-type]
    with pytest.raises(Unsupported, match="'char-transformer' cannot read the 1x8x8 images of 'digits'"):
        require_fit(build_model("char-transformer", 10), "char-transformer", get_task("digits"))
