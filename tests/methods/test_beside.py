"""What a method adds to a training: a penalty, parameters of its own, a rule after each update, numbers to watch."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
import torch
from torch import Tensor, nn
from toys import ToyBench, ToyCheckpoints, toy_bench, toy_setting

from suite.methods.api import Diverged
from suite.methods.engines.beside import Beside
from suite.methods.engines.calibration import calibrate
from suite.methods.engines.recipe import Recipe
from suite.methods.engines.training import Trained, train

STEPS = Recipe(steps=7, batch_size=16, learning_rate=0.05)
FROZEN = Recipe(steps=7, batch_size=16, learning_rate=0.0)


class Dying(ToyCheckpoints):
    """Due after every step, and dies after so many saves."""

    def __init__(self, saves: int) -> None:
        super().__init__(eager=True)
        self.left = saves

    def save(self, *arguments: object, **more: object) -> None:
        super().save(*arguments, **more)  # type: ignore[arg-type]
        self.left -= 1
        if not self.left:
            raise KeyboardInterrupt


@dataclass
class Extra:
    """A parameter that belongs to the model, pulled towards 2 by a penalty and never let above `most`."""

    bench: ToyBench
    most: float = 10.0
    rate: float = 0.1
    value: nn.Parameter = field(default_factory=lambda: nn.Parameter(torch.tensor([0.0, 1.0])))

    def __post_init__(self) -> None:
        calibrate(self.bench)
        self.bench.model.register_parameter("extra", self.value)

    def penalty(self) -> Tensor:
        return (self.value - 2).square().sum()

    @torch.no_grad()
    def keep(self) -> None:
        self.value.clamp_(max=self.most)

    def train(self, recipe: Recipe = FROZEN) -> Trained:
        beside = Beside(
            penalty=self.penalty,
            parameters=[self.value],
            learning_rate=self.rate,
            after_update=self.keep,
            watched={"mean": lambda: self.value.detach().mean(), "largest": lambda: self.value.detach().amax()},
        )
        return train(self.bench, recipe, beside=beside)


def bench_of(checkpoints: ToyCheckpoints | None = None) -> ToyBench:
    bench = toy_bench(toy_setting())
    bench.checkpoints = checkpoints or ToyCheckpoints()
    return bench


def adam(start: list[float], rate: float, steps: int) -> list[Tensor]:
    """Adam on Σ (x − 2)², as its paper has it, without torch's optimizer."""
    x = torch.tensor(start, dtype=torch.float64)
    first, second, way = torch.zeros_like(x), torch.zeros_like(x), [x.clone()]
    for step in range(1, steps + 1):
        gradient = 2 * (x - 2)
        first = 0.9 * first + 0.1 * gradient
        second = 0.999 * second + 0.001 * gradient**2
        x = x - rate * (first / (1 - 0.9**step)) / ((second / (1 - 0.999**step)).sqrt() + 1e-8)
        way.append(x.clone())
    return way


def test_the_penalty_reaches_its_parameters_which_follow_an_adam_of_their_own() -> None:
    """The recipe's rate is zero: whatever moves was moved by the second optimizer, and decay would show."""
    extra = Extra(bench_of())
    trained = extra.train(Recipe(steps=7, batch_size=16, learning_rate=0.0, weight_decay=0.5))
    way = adam([0.0, 1.0], 0.1, 7)
    torch.testing.assert_close(extra.value.detach().double(), way[-1], rtol=1e-5, atol=1e-6)
    assert trained.watched["mean"] == pytest.approx([float(x.mean()) for x in way], rel=1e-5)
    assert trained.watched["largest"] == pytest.approx([float(x.max()) for x in way], rel=1e-5)
    assert trained.looked_at == tuple(range(8))


def test_the_penalty_is_not_in_the_losses_that_are_told() -> None:
    def losses(weight: float) -> tuple[float, ...]:
        bench = bench_of()
        calibrate(bench)
        return train(bench, FROZEN, beside=Beside(penalty=lambda: weight * bench.model.linear.weight.sum())).losses

    assert losses(0.0) == losses(1e6)


def test_the_penalty_also_moves_what_the_recipe_trains() -> None:
    def weight(strength: float) -> Tensor:
        bench = bench_of()
        calibrate(bench)
        recipe = Recipe(steps=1, batch_size=64, learning_rate=0.1, momentum=0.0)
        train(bench, recipe, beside=Beside(penalty=lambda: strength * bench.model.linear.weight.sum()))
        return bench.model.linear.weight.detach()

    torch.testing.assert_close(weight(0.0) - weight(3.0), torch.full((2, 4), 0.1 * 3.0))


def test_the_rule_holds_after_every_update() -> None:
    extra = Extra(bench_of(), most=1.05)
    trained = extra.train()
    assert float(extra.value.detach().max()) == pytest.approx(1.05)
    assert max(trained.watched["largest"]) == pytest.approx(1.05)
    assert min(trained.watched["largest"][1:]) == pytest.approx(1.05)


@pytest.mark.parametrize("saves", [1, 3, 6])
def test_an_interrupted_training_takes_up_moments_and_watched_numbers(saves: int) -> None:
    whole = Extra(bench_of())
    expected = whole.train(STEPS)
    dying = Extra(bench_of(Dying(saves)))
    with pytest.raises(KeyboardInterrupt):
        dying.train(STEPS)
    again = Extra(bench_of(ToyCheckpoints(kept=dying.bench.checkpoints.kept)))
    assert again.train(STEPS) == expected
    assert torch.equal(again.value, whole.value)
    for name, value in whole.bench.model.state_dict().items():
        assert torch.equal(again.bench.model.state_dict()[name], value), name


def test_what_is_watched_must_stay_finite() -> None:
    extra = Extra(bench_of(), most=float("inf"), rate=float("inf"))
    with pytest.raises(Diverged, match="learned beside the weights is not finite after 1 of 7"):
        extra.train()
