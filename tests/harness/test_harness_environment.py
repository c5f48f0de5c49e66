"""Harness: surroundings are described, and say nothing about whose machine it was."""

from __future__ import annotations

import getpass
import platform
import re
from pathlib import Path

import torch

from suite.harness.environment import capture_environment, suite_revision
from suite.records.plain import canonical_json


def test_versions_threads_and_device_are_told() -> None:
    found = capture_environment()
    assert found["torch"] == torch.__version__
    assert found["python"] == platform.python_version()
    assert found["threads"] == torch.get_num_threads()
    assert found["device"] == "cpu"
    assert isinstance(found["processor"], str)
    assert found["processor"]


def test_nothing_private_is_told() -> None:
    text = canonical_json(capture_environment())
    home = str(Path.home())
    private = [platform.node(), str(Path.cwd()), *([home] if len(home) > 1 else [])]
    for secret in [*private, f'"{getpass.getuser()}"']:
        assert secret not in text
    assert "/" not in re.sub(r"[0-9]/[0-9]", "", text).replace("(R)", ""), "no paths"


def test_the_revision_is_a_hash_or_absent() -> None:
    revision = suite_revision()
    assert revision is None or re.fullmatch(r"[0-9a-f]{40}\+?", revision)
