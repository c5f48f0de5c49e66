"""The contract of a method: a working skeleton to start from, and the checks that every method has to pass.

A floor above the harness, because the checks evaluate a method exactly as `suite evaluate` does. They are shipped
in the package, so that a third-party distribution can run them as well:

    from suite.contract import check_method

    def test_contract():
        assert [str(check) for check in check_method("mine") if not check.passed] == []
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from suite.contract.checks import CheckResult, check_method

__all__ = ["CheckResult", "check_method"]


def __getattr__(name: str) -> Any:
    if name in __all__:
        from suite.contract import checks

        return getattr(checks, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
