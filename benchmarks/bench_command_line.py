"""Cold starts and bulk validation: what a person waits for before anything is computed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

HELP_SECONDS = 0.35
THOUSAND_CARDS_SECONDS = 3.0
CARD = Path(__file__).parent.parent / "cards" / "lsq.yaml"


@pytest.mark.benchmark(group="command line")
def test_help_starts_cold(benchmark: pytest.FixtureRequest) -> None:
    def start() -> None:
        subprocess.run([sys.executable, "-m", "suite", "--help"], capture_output=True, check=True)

    benchmark.pedantic(start, rounds=15, warmup_rounds=2)
    assert benchmark.stats.stats.median <= HELP_SECONDS


@pytest.mark.benchmark(group="command line")
def test_a_thousand_cards_are_validated(benchmark: pytest.FixtureRequest, tmp_path: Path) -> None:
    from suite.cards import load_card

    text = CARD.read_text(encoding="utf-8")
    paths = []
    for number in range(1000):
        path = tmp_path / f"card-{number}.yaml"
        path.write_text(text.replace("title:", f"title: number {number}, ", 1), encoding="utf-8")
        paths.append(path)
    load_card(paths[0])  # builds the validator once, as a bulk validation does

    benchmark.pedantic(lambda: [load_card(path) for path in paths], rounds=3)
    assert benchmark.stats.stats.median <= THOUSAND_CARDS_SECONDS
