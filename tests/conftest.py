"""Where tests run side by side: those of one file share a worker, as they share its fixtures; the longest begin."""

from __future__ import annotations

import signal

import pytest


def pytest_configure() -> None:
    # A shell that runs tests in the background has them ignore Ctrl-C, and what they start would ignore it too.
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        # The contract of one method takes as long as all tests of most files.
        alone = item.get_closest_marker("slow") is not None and hasattr(item, "callspec")
        item.add_marker(pytest.mark.xdist_group(item.nodeid if alone else item.nodeid.partition("::")[0]))
    items.sort(key=lambda item: item.get_closest_marker("slow") is None)
