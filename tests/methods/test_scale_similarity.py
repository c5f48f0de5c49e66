"""How candidates of a scale are judged: against torch's own cosine, numpy's correlation and loops over pairs."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from suite.methods.engines.scale_search.similarity import Comparison, Measure, Ranking, Units, evenly_spread

CANDIDATES, EXAMPLES, POSITIONS, FEATURES = 3, 6, 5, 4


@pytest.fixture
def reference() -> Tensor:
    return torch.randn(EXAMPLES, POSITIONS, FEATURES, generator=torch.Generator().manual_seed(1)) + 0.5


@pytest.fixture
def outputs(reference: Tensor) -> Tensor:
    noise = torch.randn(CANDIDATES, *reference.shape, generator=torch.Generator().manual_seed(2))
    return reference + torch.tensor([0.0, 0.3, 2.0]).reshape(-1, 1, 1, 1) * noise


def vectors_of(values: Tensor, units: Units) -> Tensor:
    """One vector a row, for values [n, positions, features]."""
    if units is Units.POSITIONS:
        return values.flatten(0, 1)
    return values.flatten(1) if units is Units.EXAMPLES else values.flatten(0, 1).T


def expected_scores(reference: Tensor, outputs: Tensor, measure: Measure, units: Units) -> np.ndarray:
    found = []
    for one in outputs.double():
        pairs = zip(vectors_of(reference.double(), units), vectors_of(one, units), strict=True)
        scores = []
        for y, other in pairs:
            if measure is Measure.COSINE:
                scores.append(float(torch.nn.functional.cosine_similarity(y, other, dim=0)))
            elif measure is Measure.PEARSON:
                scores.append(np.corrcoef(y.numpy(), other.numpy())[0, 1])
            else:
                scores.append(-float((y - other).square().sum() / y.square().sum()))
        found.append(scores)
    return np.array(found)


def compared(reference: Tensor, outputs: Tensor, measure: Measure, units: Units, chunk: int) -> Tensor:
    comparison = Comparison(reference, measure, units)
    comparison.start()
    for first in range(0, len(reference), chunk):
        part = slice(first, min(first + chunk, len(reference)))
        comparison.add(outputs[:, part], part)
    return comparison.scores()


@pytest.mark.parametrize("chunk", [1, 4, EXAMPLES])
@pytest.mark.parametrize("units", list(Units))
@pytest.mark.parametrize("measure", [Measure.COSINE, Measure.PEARSON])
def test_similarities(reference: Tensor, outputs: Tensor, measure: Measure, units: Units, chunk: int) -> None:
    expected = expected_scores(reference, outputs, measure, units)
    expected = expected if units is Units.CHANNELS else expected.mean(1)
    found = compared(reference, outputs, measure, units, chunk)
    np.testing.assert_allclose(found.numpy(), expected, atol=2e-6)


@pytest.mark.parametrize("chunk", [1, 4, EXAMPLES])
def test_squared_errors_are_relative_to_all_that_the_product_gives(
    reference: Tensor, outputs: Tensor, chunk: int
) -> None:
    expected = -(outputs - reference).square().sum((1, 2, 3)) / reference.square().sum()
    for units in (Units.POSITIONS, Units.EXAMPLES):
        found = compared(reference, outputs, Measure.SQUARED_ERROR, units, chunk)
        torch.testing.assert_close(found.float(), expected)
    of_channels = compared(reference, outputs, Measure.SQUARED_ERROR, Units.CHANNELS, chunk)
    np.testing.assert_allclose(
        of_channels.numpy(), expected_scores(reference, outputs, Measure.SQUARED_ERROR, Units.CHANNELS), atol=2e-6
    )


@pytest.mark.parametrize("measure", list(Measure))
def test_outputs_of_zeros_score_no_better_than_noise(measure: Measure) -> None:
    reference = torch.randn(2, 3, 4, generator=torch.Generator().manual_seed(0))
    found = compared(reference, torch.zeros(1, 2, 3, 4), measure, Units.POSITIONS, 2)
    assert bool(found.isfinite().all())
    assert float(found) <= 0.0


def ranking_by_loops(reference: Tensor, one: Tensor, margin: float) -> float:
    """Mean over matrices, rows and pairs of columns, written as the formula is."""
    losses = []
    for matrix, ours in zip(reference.flatten(0, -3), one.flatten(0, -3), strict=True):
        for row, quantized in zip(matrix, ours, strict=True):
            for i in range(len(row)):
                for j in range(i + 1, len(row)):
                    sign = float(torch.sign(row[i] - row[j]))
                    losses.append(max(0.0, margin - float(quantized[i] - quantized[j]) * sign))
    return float(np.mean(losses))


def test_ranking_penalties_are_means_over_rows_and_pairs() -> None:
    generator = torch.Generator().manual_seed(4)
    reference = torch.randn(2, 3, 4, 5, generator=generator)
    outputs = reference + 0.4 * torch.randn(2, 2, 3, 4, 5, generator=generator)
    reference[0, 0, 0, 1] = reference[0, 0, 0, 3]  # a tie has no order to keep
    ranking = Ranking(weight=0.5, margin=0.2)
    found = ranking.penalties(reference, outputs)
    expected = [0.5 * len(reference) * ranking_by_loops(reference, one, 0.2) for one in outputs]
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-5)


def test_ranking_looks_at_as_many_rows_and_columns_as_it_may() -> None:
    reference = torch.randn(1, 1, 9, 9, generator=torch.Generator().manual_seed(4))
    few = Ranking(1.0, 0.2, columns=3, rows=3)
    seen = reference[..., [0, 3, 6], :][..., [0, 3, 6]]
    torch.testing.assert_close(few.penalties(reference, reference[None]), Ranking(1.0, 0.2).penalties(seen, seen[None]))
    assert float(Ranking(1.0, 0.2).penalties(reference[..., :1], reference[None, ..., :1])) == 0.0


def test_spread_places() -> None:
    assert evenly_spread(10, 4, torch.device("cpu")).tolist() == [0, 2, 5, 7]
    assert evenly_spread(3, 64, torch.device("cpu")).tolist() == [0, 1, 2]
