"""Models that no plan can be made for are refused with a reason, and awkward ones are handled exactly."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from suite.axes import Setting
from suite.errors import Unsupported
from suite.plan import Kind, all_off, dissect, make_plan, place


class Base(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(4, 4)
        self.second = nn.Linear(4, 4)


class BranchesOnValues(Base):
    def forward(self, x: Tensor) -> Tensor:
        x = self.first(x)
        return self.second(x) if x.sum() > 0 else x


class NoLayers(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(x)


class TwoOutputs(Base):
    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return self.first(x), self.second(x)


class Fused(Base):
    def forward(self, x: Tensor) -> Tensor:
        x = self.first(x)
        return self.second(F.scaled_dot_product_attention(x, x, x))


class Opaque(Base):
    def __init__(self, **options: object) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(4, 1, **{"batch_first": True, **options})

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(x)
        return self.second(self.attention(x, x, x, need_weights=False)[0])


class AttendsToOthers(Opaque):
    def forward(self, x: Tensor) -> Tensor:
        y = self.first(x)
        return self.second(self.attention(y, x, x, need_weights=False)[0])


class AttendsThroughMask(Opaque):
    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mask", torch.ones(3, 3).tril().log())

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(x)
        return self.second(self.attention(x, x, x, need_weights=False, attn_mask=self.mask)[0])


class ReadsAttentionWeights(Opaque):
    def forward(self, x: Tensor) -> Tensor:
        y, weights = self.attention(x, x, x)
        return self.second(weights @ y)


class Recurrent(Base):
    def __init__(self) -> None:
        super().__init__()
        self.memory = nn.GRU(4, 4, batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        return self.second(self.memory(self.first(x))[0])


class BareWeight(Base):
    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.eye(4))

    def forward(self, x: Tensor) -> Tensor:
        return self.second(F.linear(self.first(x), self.weight))


class Twice(Base):
    class Inner(Base):
        def forward(self, x: Tensor) -> Tensor:
            return torch.relu(self.second(self.first(x)))

    def __init__(self) -> None:
        super().__init__()
        self.inner = Twice.Inner()

    def forward(self, x: Tensor) -> Tensor:
        return self.inner(self.inner(self.first(x)))


class TrainsDifferently(Base):
    def forward(self, x: Tensor) -> Tensor:
        x = self.first(x)
        return self.second(x) if self.training else self.second(x * 0.5)


class ReadsWhatItChanged(Base):
    def forward(self, x: Tensor) -> Tensor:
        x = self.first(x)
        y = x.mul_(2)
        return self.second(y) + x


class DropsInPlaceResult(Base):
    def forward(self, x: Tensor) -> Tensor:
        x = self.first(x)
        x.add_(1)
        return self.second(x)


class Custom(nn.Linear):
    def forward(self, input: Tensor) -> Tensor:
        return F.linear(input, self.weight * 2, self.bias)


class CustomLayer(Base):
    def __init__(self) -> None:
        super().__init__()
        self.third = Custom(4, 4)

    def forward(self, x: Tensor) -> Tensor:
        return self.third(self.first(x))


REFUSED = [
    (BranchesOnValues(), "BranchesOnValues cannot be traced: .*branch on the values"),
    (NoLayers(), "NoLayers has no site"),
    (nn.Linear(4, 4), "a single Linear is no model"),
    (nn.Sequential(nn.ReLU()), "has no site"),
    (TwoOutputs(), "does not return one tensor"),
    (Fused(), "scaled_dot_product_attention hides its matrix products"),
    (Opaque(batch_first=False), "attention is a MultiheadAttention"),
    (Opaque(kdim=4, vdim=4, add_zero_attn=True), "attention is a MultiheadAttention"),
    (AttendsToOthers(), "attention .SelfAttention. attends to other tokens than its own"),
    (AttendsThroughMask(), "attention .SelfAttention. attends to other tokens than its own, or through a mask"),
    (ReadsAttentionWeights(), "attention .SelfAttention. is asked for its attention weights"),
    (Recurrent(), "memory is a GRU"),
    (BareWeight(), "linear hides its matrix products"),
    (Twice(), "inner .Inner. is called more than once"),
    (TrainsDifferently(), "computes something else in training"),
    (ReadsWhatItChanged(), "does not reproduce its output"),
    (DropsInPlaceResult(), "changes a tensor in place and drops the result"),
    (CustomLayer(), "third is a Custom with a forward of its own"),
]


@pytest.mark.parametrize(("model", "reason"), REFUSED, ids=[type(model).__name__ for model, _ in REFUSED])
def test_refused_with_a_reason_in_one_line(model: nn.Module, reason: str) -> None:
    torch.manual_seed(0)
    with pytest.raises(Unsupported, match=reason) as caught:
        dissect(model, torch.randn(2, 3, 4))
    assert "\n" not in str(caught.value)


class DropPath(nn.Module):
    """As image libraries write it: nothing in evaluation, whole examples dropped in training."""

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return x
        return x * (torch.rand(x.shape[0], *[1] * (x.dim() - 1)) > 0.5)


class Awkward(nn.Module):
    """Constants in the signature, functional dropout, in-place sums, a layer called twice, an unused layer."""

    class Inner(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(4, 4)
            self.drop_path = DropPath()

        def forward(self, x: Tensor, mask: Tensor | None = None, *, scale: float = 1.0, negate: bool = False) -> Tensor:
            y = self.layer(x) * scale
            if mask is not None:
                y = y.masked_fill(mask, 0.0)
            return self.drop_path(-y if negate else y)

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(4, 4)
        self.blocks = nn.ModuleList([Awkward.Inner() for _ in range(2)])
        self.unused = nn.Linear(4, 4)
        self.register_buffer("offset", torch.ones(4))

    def forward(self, x: Tensor, scale: float = 0.5) -> Tensor:
        x = F.relu(self.first(x), inplace=True)
        for index, block in enumerate(self.blocks):
            x += F.dropout(block(x, scale=scale, negate=index == 1), 0.5, self.training)
        x = self.first(x) + self.offset
        return F.relu_(x)


def test_awkward_forwards_are_traced_exactly(base: Setting) -> None:
    torch.manual_seed(0)
    model, images = Awkward().eval(), torch.randn(6, 3, 4)
    anatomy = dissect(model, images)
    names = [site.name for site in anatomy.sites]
    # One weight for the layer that is called twice, an input for each call; nothing for the unused layer.
    assert [name for name in names if name.startswith("first")] == ["first:weight", "first:input", "first_1:input"]
    assert not any(name.startswith("unused") for name in names)
    assert anatomy.root(anatomy.site("add:residual").tensor) == "blocks.0.mul"  # behind dropout and dropped paths
    assert anatomy.op("blocks.1.neg").kind is Kind.AFFINE  # traced with the arguments of its own call
    placed = place(model, make_plan(anatomy, base))
    assert list(placed.get_submodule("blocks")._modules) == ["0", "1"]
    assert isinstance(placed.get_submodule("blocks"), nn.ModuleList)
    assert "unused.weight" in placed.state_dict()
    assert "offset" in placed.state_dict()
    with all_off(placed), torch.no_grad():
        assert torch.equal(placed(images), model(images))
        # Dropout and dropped paths follow the mode of the placed model, in which they were not traced.
        placed.train()
        assert len({float(placed(images).sum()) for _ in range(4)}) > 1
        placed.eval()
        assert torch.equal(placed(images), model(images))


def test_a_model_whose_outputs_are_not_finite_is_refused_for_that(base: Setting) -> None:
    class Overflows(Base):
        def forward(self, x: Tensor) -> Tensor:
            return self.second(self.first(x) * 3e38 * 3e38)

    with pytest.raises(Unsupported, match="outputs of Overflows are not finite"):
        dissect(Overflows(), torch.ones(2, 4))
