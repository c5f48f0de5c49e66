"""Benchmark: a study of twelve cells with two jobs, over the same study with one; every run keeps to one thread.

Both begin with an empty folder of runs and take turns; what is asserted is the median of the ratios of neighbours.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROUNDS, LEAST = 3, 1.7

STUDY = """\
study: 1
id: twelve-cells
title: Twelve trainings
question: How much faster do two jobs end a study than one?
fixed:
  task: digits
  model: digits-resnet
  method: lsq
  options: {steps: 400, learning_rate: 0.001}
  axes:
    activation_bits: 4
    weight_range: learned-step
    activation_range: learned-step
    gradient_mask: clip-then-round
    step_gradient_scale: features
    labels: labeled
    examples: full-training-set
    initialization_examples: 128
    time_limit: 600
parts:
  - id: main
    title: Twelve trainings
    varies:
      - {factor: bits, axis: weight_bits, values: [4, 3]}
    seeds: [0, 1, 2, 3, 4, 5]
sizes:
  smoke: {says: Everything.}
expectations:
  - id: four-bits-are-better
    says: Four bits are better than three.
    ordering: {higher: {bits: 4}, lower: {bits: 3}}
shows:
  - part: main
    table: {rows: [], columns: bits}
"""


def seconds(study: Path, runs: Path, jobs: int) -> float:
    """How long the study takes, from its command to its answer."""
    command = ["study", "run", str(study), "--size", "smoke", "--jobs", str(jobs), "--runs", str(runs), "--json"]
    started = time.perf_counter()
    ended = subprocess.run(
        [sys.executable, "-m", "suite", *command, "--quiet"], check=True, capture_output=True, text=True
    )
    took = time.perf_counter() - started
    assert json.loads(ended.stdout)["cells"] == {"completed": 12, "diverged": 0, "failed": 0}
    return took


@pytest.mark.benchmark(group="study")
@pytest.mark.skipif((os.cpu_count() or 1) < 2, reason="two jobs need two cores")
def test_two_jobs(benchmark: pytest.FixtureRequest, tmp_path: Path) -> None:
    study = tmp_path / "twelve-cells.yaml"
    study.write_text(STUDY, encoding="utf-8")
    seconds(study, tmp_path / "warm", 2)
    ratios = []
    for turn in range(ROUNDS):
        one, two = (seconds(study, tmp_path / f"{turn}-{jobs}", jobs) for jobs in (1, 2))
        ratios.append(one / two)
        print(f"one job {one:.1f} s, two jobs {two:.1f} s")
    ratio = statistics.median(ratios)
    benchmark.extra_info["one job / two jobs"] = ratio
    benchmark.pedantic(seconds, args=(study, tmp_path / "again", 2), rounds=1)
    print(f"one job / two jobs: {ratio:.2f} (of {[round(one, 2) for one in sorted(ratios)]})")
    assert ratio >= LEAST
