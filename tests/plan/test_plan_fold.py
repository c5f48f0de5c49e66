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
