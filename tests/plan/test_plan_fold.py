"""Folding batch norms: the same function, the same names, and nothing else touched."""

from __future__ import annotations

import copy

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from suite.axes import Setting
from suite.errors import Unsupported
from suite.plan import dissect, fold_batch_norm, make_plan, place, prepare


@pytest.mark.parametrize("name", ["tiny-resnet", "resnet20", "resnet18", "mobilenet_v2", "shufflenet", "efficientnet"])
@torch.no_grad()
def test_folding_keeps_the_function(zoo, name: str) -> None:
    model, images = zoo.model(name), zoo.images(name)
    folded = fold_batch_norm(model)
    assert not any(isinstance(module, nn.BatchNorm2d) for module in folded.modules())
    assert any(isinstance(module, nn.BatchNorm2d) for module in model.modules())
    expected = copy.deepcopy(model).double()(images.double()).float()
    assert torch.allclose(folded(images), expected, rtol=1e-4, atol=1e-5 * float(expected.abs().max()))
    assert [path for path, _ in folded.named_modules()] == [path for path, _ in model.named_modules()]


class OddOrder(nn.Module):
    """The norm is declared before its layer, applied by the data flow only; another norm stands before its layer."""

    def __init__(self) -> None:
        super().__init__()
        self.first_norm = nn.BatchNorm2d(3)
        self.norm = nn.BatchNorm2d(6)
        self.conv = nn.Conv2d(3, 6, 3, groups=3)
        self.shared = nn.Conv2d(6, 4, 1)
        self.branch_norm = nn.BatchNorm2d(4)
        self.head = nn.Linear(4, 2)
        self.head_norm = nn.BatchNorm1d(2, affine=False)

    def forward(self, x: Tensor) -> Tensor:
        y = self.norm(self.conv(self.first_norm(x)))
        z = self.shared(F.relu(y))
        return self.head_norm(self.head((self.branch_norm(z) + torch.tanh(z)).mean((2, 3))))


@torch.no_grad()
def test_the_data_flow_decides_what_is_folded() -> None:
    torch.manual_seed(0)
    model = OddOrder().eval()
    for module in model.modules():
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            module.running_mean.uniform_(-1, 1)
            module.running_var.uniform_(0.5, 2)
            if module.affine:
                module.weight.uniform_(-2, 2)
                module.bias.uniform_(-1, 1)
    folded = fold_batch_norm(model)
    images = torch.randn(5, 3, 7, 7)
    assert torch.allclose(folded(images), model(images), rtol=1e-4, atol=1e-5)
    kept = {name for name, module in folded.named_modules() if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d)}
    # In front of a layer, and behind a layer that somebody else reads too: neither can be folded.
    assert kept == {"first_norm", "branch_norm"}
    assert isinstance(folded.get_submodule("norm"), nn.Identity)
    # A setting that says folded is not obeyed by folding some: the plan refuses and names the first that stays.
    for anatomy in (dissect(model, images), dissect(folded, images)):
        with pytest.raises(Unsupported, match=r"batch_norm: first_norm follows no layer .* nor can 1 more"):
            make_plan(anatomy, Setting.default().replace(batch_norm="folded"))
        make_plan(anatomy, Setting.default().replace(batch_norm="float"))


def test_plans_of_prepared_and_unprepared_models_agree(zoo, base: Setting) -> None:
    setting = base.replace(batch_norm="folded")
    model, images = zoo.model("resnet20"), zoo.images("resnet20")
    prepared = prepare(model, setting)
    plan = make_plan(zoo.anatomy("resnet20"), setting)
    assert make_plan(dissect(prepared, images), setting).diff(plan) == ()
    one, other = place(model, plan), place(prepared, make_plan(dissect(prepared, images), setting))
    assert list(one.state_dict()) == list(other.state_dict())
    for name, value in one.state_dict().items():
        assert torch.equal(value, other.state_dict()[name]), name
    unprepared = prepare(model, base)
    assert unprepared is not model
    assert torch.equal(unprepared(images), model(images))


class Normed(nn.Module):
    """A layer, its batch norm, and a second layer that may hold the weight of the first."""

    def __init__(self, layer: nn.Module, norm: nn.Module, *, tied: bool = False) -> None:
        super().__init__()
        self.layer, self.norm = layer, norm
        self.second = copy.deepcopy(layer)
        if tied:
            self.second.weight = self.layer.weight

    def forward(self, x: Tensor) -> Tensor:
        return self.second(F.relu(self.norm(self.layer(x))))


def worn(norm: nn.Module) -> nn.Module:
    """A norm whose statistics matter."""
    norm.running_mean.uniform_(-1, 1)
    norm.running_var.uniform_(0.5, 2)
    return norm


FOLDED = Setting.default().replace(batch_norm="folded")


@torch.no_grad()
def test_a_weight_of_two_layers_is_not_folded_for_both() -> None:
    torch.manual_seed(0)
    images = torch.randn(2, 4, 5, 5)
    apart = Normed(nn.Conv2d(4, 4, 1), worn(nn.BatchNorm2d(4))).eval()
    assert torch.allclose(fold_batch_norm(apart)(images), apart(images), rtol=1e-4, atol=1e-5)
    tied = Normed(nn.Conv2d(4, 4, 1), worn(nn.BatchNorm2d(4)), tied=True).eval()
    with pytest.raises(Unsupported, match="the weight of layer is also that of second, so norm cannot be folded"):
        prepare(tied, FOLDED)


@pytest.mark.parametrize(
    ("norm", "words"),
    [
        (nn.BatchNorm1d(5), "norm normalizes 5 channels and layer gives 4"),
        (nn.BatchNorm2d(4), "norm normalizes axis 1 and layer works along the last"),
    ],
)
def test_a_norm_of_other_channels_than_the_layers_is_refused(norm: nn.Module, words: str) -> None:
    with pytest.raises(Unsupported, match=words):
        prepare(Normed(nn.Linear(4, 4), norm).eval(), FOLDED)


@torch.no_grad()
def test_a_folded_copy_that_computes_something_else_is_refused(zoo) -> None:
    torch.manual_seed(0)
    # As many tokens as features: only running it tells that the norm works along the tokens.
    model = Normed(nn.Linear(4, 4), worn(nn.BatchNorm1d(4))).eval()
    with pytest.raises(Unsupported, match="folding the batch norms of Normed changes its outputs by"):
        prepare(model, FOLDED, torch.randn(3, 4, 4))
    rows = torch.randn(3, 4)
    assert torch.allclose(prepare(model, FOLDED, rows)(rows), model(rows), rtol=1e-4, atol=1e-5)
    for name in ("tiny-resnet", "mobilenet_v2"):
        prepare(zoo.model(name), FOLDED, zoo.images(name))
