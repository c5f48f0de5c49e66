"""Methods, training engine: what a training keeps. Its best state so far, and everything a killed run goes on from."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from suite.methods.api import DataDoor, Fact, Workbench
from suite.methods.engines import resuming
from suite.methods.engines.looks import Looks
from suite.methods.engines.recipe import Recipe


class BestKeeper:
    """Keeps the state with the best validation score; does nothing where there is no validation door."""

    def __init__(self, model: nn.Module, validation: DataDoor | None, batch_size: int) -> None:
        self.model = model
        self.validation = validation
        self.batch_size = batch_size
        self.best: float | None = None
        self.state: dict[str, Tensor] = {}

    def look(self) -> None:
        """Score the model as it is, and keep its state where no earlier one scored as high."""
        if self.validation is None:
            return
        modes = {module: module.training for module in self.model.modules()}
        self.model.eval()
        right, count = 0, 0
        with torch.no_grad():
            for batch in self.validation.batches(self.batch_size, labels=True):
                assert batch.labels is not None
                right += int((self.model(batch.inputs).argmax(1) == batch.labels).sum())
                count += batch.labels.numel()
        for module, training in modes.items():
            module.training = training
        score = right / max(1, count)
        if self.best is None or score > self.best:
            self.best = score
            self.state = {name: value.detach().clone() for name, value in self.model.state_dict().items()}

    def pass_over(self) -> None:
        """Ask for the same examples as `look`, for a score that is known already."""
        if self.validation is not None:
            for _ in self.validation.batches(self.batch_size, labels=True):
                pass

    def restore(self) -> None:
        """Leave the best state in the model."""
        if self.state:
            self.model.load_state_dict(self.state)


class TrainingState:
    """Everything the next step depends on, put down and taken up through a checkpoint."""

    def __init__(
        self,
        work: Workbench,
        model: nn.Module,
        optimizers: Sequence[torch.optim.Optimizer],
        keeper: BestKeeper,
        looks: Looks,
        *,
        name: str,
        recipe: Recipe,
    ) -> None:
        self.work, self.model, self.optimizers, self.keeper, self.looks = work, model, optimizers, keeper, looks
        self.name = name
        # Another training under the same name starts elsewhere or goes another way, and must not go on from this one.
        self.origin = f"{resuming.fingerprint(model)} {recipe}"

    def put_down(self, step: int) -> None:
        """Keep the state after `step` steps."""
        looks, best = self.looks, self.keeper.best
        tensors = {
            **resuming.prefixed("model", self.model.state_dict()),
            **resuming.prefixed("best", self.keeper.state),
            **resuming.prefixed("random", resuming.random_state(self.work.device)),
            "losses": torch.tensor(looks.losses, dtype=torch.float64),
            "places": torch.tensor(looks.places),
            "sizes": torch.tensor(looks.sizes, dtype=torch.float64),
        }
        for place, optimizer in enumerate(self.optimizers):
            tensors |= resuming.prefixed(f"optimizer {place}", resuming.optimizer_state(optimizer))
        facts: dict[str, Fact] = {"origin": self.origin, "step": step, "count": looks.count, "first": looks.first}
        if looks.sum is not None:
            tensors["sum"] = looks.sum
        if best is not None:
            facts["best"] = best
        self.work.checkpoints.save(self.name, tensors, facts)

    def take_up(self) -> int:
        """How many steps are done; 0 where there is nothing to continue."""
        kept = self.work.checkpoints.load(self.name)
        if kept is None or kept.facts.get("origin") != self.origin:
            return 0
        tensors, device = kept.tensors, self.work.device
        self.model.load_state_dict(resuming.part("model", tensors))
        for place, optimizer in enumerate(self.optimizers):
            resuming.restore_optimizer(optimizer, resuming.part(f"optimizer {place}", tensors))
        resuming.restore_random(resuming.part("random", tensors), device)
        self.looks.take_up(tensors, int(kept.facts["count"]), float(kept.facts["first"]), device)
        self.keeper.state = {name: value.to(device) for name, value in resuming.part("best", tensors).items()}
        best = kept.facts.get("best")
        self.keeper.best = None if best is None else float(best)
        return int(kept.facts["step"])
