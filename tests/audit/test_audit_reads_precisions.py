"""What the audit recovers of precisions per weight from nothing but the values: scale, and bits of each weight."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from suite.audit.levels import distinct_values, fit
from suite.quantizers.noise_precision import PrecisionGrid, observed_precision, smallest_scale


@pytest.mark.parametrize("scale", [0.0371, 0.113])
@pytest.mark.parametrize(("least", "most"), [(0, 8), (1, 4), (3, 3), (1, 2), (0, 1), (2, 2)])
def test_the_map_of_precisions_is_read_off_the_weights(scale: float, least: int, most: int) -> None:
    random = torch.Generator().manual_seed(5)
    wanted = torch.randint(least, most + 1, (2000,), generator=random).float()
    weights = PrecisionGrid.of(wanted).quantize(torch.randn(2000, generator=random) * 0.6) * scale
    levels = distinct_values(weights.double().numpy())
    found = fit(levels, 2 ** (most + 1) + 1)
    assert found is not None
    unit = abs(found.offset) or found.spacing
    recovered = smallest_scale(unit, float(np.abs(levels).max()))
    assert recovered == pytest.approx(scale, rel=1e-5)
    assert torch.equal(observed_precision(weights / recovered), wanted)
