"""Every method of the package keeps the contract, under every axis value it claims."""

from __future__ import annotations

import pytest

from suite.contract import check_method
from suite.methods import METHODS


@pytest.mark.slow
@pytest.mark.parametrize("method", [entry.id for entry in METHODS if entry.origin == "suite"])
def test_a_shipped_method_keeps_the_contract(method: str) -> None:
    checks = check_method(method, quick=True)
    assert len(checks) > 50
    assert [str(check) for check in checks if not check.passed] == []
