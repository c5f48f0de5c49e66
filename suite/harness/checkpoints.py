"""Laboratory, harness: checkpoints of a run, so that the command that was killed continues when it is given again.

They lie in the run's unfinished folder (`suite.records.unfinished`), one safetensors file each, written to a temporary
name, flushed and renamed. The folder bears the run's name, which is the hash of everything that decides the run: other
options, settings or sources never meet them. Beside them lies the ledger of the attempts so far: their time, and all
the data they saw. It is written first, so no checkpoint is ever continued whose cost is not known.
"""

from __future__ import annotations

import hashlib
import json
import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from suite.errors import RecordError
from suite.harness.costs import Spent, Stopwatch
from suite.harness.meter import DataMeter
from suite.harness.progress import duration
from suite.harness.watch import InputWatch
from suite.methods.api import Checkpoint, Fact
from suite.records.unfinished import UnfinishedFolder
from suite.tasks.vault import Seal

log = logging.getLogger("suite.checkpoints")

LEDGER = "ledger"
SUFFIX = ".safetensors"
LEAST_SECONDS = 20.0
"""A loop saves no more often than this: what is lost with a killed process is not worth more."""
LARGEST_SHARE = 0.01
"""The part of a run's time that saving in loops may take."""
MAXIMUM_BYTES = 2**33
"""Of all checkpoints of a run together; one that does not fit is not kept."""
MAXIMUM_TENSORS = 100_000


@dataclass
class Attempt:
    """What the harness knows of the attempt at work: its time, and what it saw."""

    spent: Stopwatch
    meter: DataMeter
    watch: InputWatch
    seal: Seal
    earlier: Spent = field(default_factory=Spent)
    """What killed attempts before it took."""
    earlier_knocks: tuple[str, ...] = ()
    """Their knocks at the closed test split; an attempt that continues repeats what they did until the checkpoint."""

    def total(self) -> Spent:
        """All attempts together."""
        return self.spent.plus(self.earlier)

    def knocks(self) -> tuple[str, ...]:
        """How often the test split was asked for under seal, in this attempt or before."""
        return max(tuple(self.seal.attempts), self.earlier_knocks, key=len)


class RunCheckpoints:
    """The checkpoints of one run, as its method sees them (`suite.methods.api.Checkpoints`).

    Where another process works on the same run, and where nothing can be written, this one keeps none and says so.
    """

    def __init__(
        self,
        folder: UnfinishedFolder,
        say: Callable[[str], None],
        *,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._folder = folder
        self._say = say
        self._clock = clock
        self._attempt: Attempt | None = None
        self._usable = True
        self._saved: tuple[str, float] | None = None
        self._last = clock()
        self._cost = 0.0

    def begin(self, attempt: Attempt) -> None:
        """Take over what an earlier attempt left. Without a sound ledger its checkpoints are thrown away."""
        self._attempt = attempt
        self._last = self._clock()
        if not self._folder.path.is_dir():
            return
        if not self._folder.claim(create=False):
            self._usable = False
            self._say("another process is at work on this run; this one starts anew and keeps no checkpoints")
            return
        ledger = self._read(LEDGER)
        try:
            if ledger is None:
                raise KeyError(LEDGER)
            _adopt(attempt, ledger)
        except (KeyError, ValueError, TypeError, RuntimeError) as error:
            log.warning("what an earlier attempt at this run left cannot be continued (%s)", type(error).__name__)
            self._remove()
            return
        self._say(f"continues a run that was interrupted after {duration(attempt.earlier.seconds)}")

    def save(self, name: str, tensors: Mapping[str, Tensor], facts: Mapping[str, Fact] | None = None) -> None:
        self._folder.file(_file(name))  # a name that cannot be one is a mistake, whether or not anything is kept
        if name == LEDGER:
            raise RecordError(f"'{LEDGER}' is kept by the suite itself")
        for key, value in (facts or {}).items():
            if not isinstance(value, bool | int | float | str):
                raise TypeError(f"fact '{key}' of checkpoint '{name}' is a {type(value).__name__}")
        if not self._usable:
            return
        before = self._clock()
        try:
            if not self._claimed_or_fresh():
                self._give_up("another process is at work on the same run")
                return
            self.keep_ledger()
            self._write(name, tensors, facts or {})
            self._saved = name, self._clock()
        except (OSError, SafetensorError) as error:
            self._give_up(str(getattr(error, "strerror", None) or error))
        self._last = self._clock()
        self._cost = self._last - before

    def load(self, name: str) -> Checkpoint | None:
        return self._read(name) if self._folder.claimed else None

    def due(self) -> bool:
        pause = max(LEAST_SECONDS, self._cost / LARGEST_SHARE)
        return self._usable and self._clock() - self._last >= pause

    def keep_ledger(self) -> None:
        """Write down what all attempts took and saw until now."""
        assert self._attempt is not None, "an attempt begins before it saves"
        attempt = self._attempt
        attempt.spent.look()
        total = attempt.total()
        seen, counts = attempt.meter.state()
        tensors = {f"meter.{name}": value for name, value in seen.items()}
        tensors |= {f"watch.{name}": value for name, value in attempt.watch.state().items()}
        facts: dict[str, Fact] = {f"meter.{name}": value for name, value in counts.items()}
        facts |= {
            "seconds": total.seconds,
            "processor_seconds": total.processor_seconds,
            "peak_bytes": total.peak_bytes,
            "knocks": ",".join(attempt.knocks()),
        }
        self._write(LEDGER, tensors, facts)

    def interrupted(self) -> str:
        """Write down what this attempt took, before it dies; says what is left of it."""
        if not self._folder.claimed or not self._names():
            return "nothing of it was kept: the same command starts anew"
        try:
            self.keep_ledger()
        except (OSError, SafetensorError) as error:
            log.warning("the time of this attempt cannot be written down: %s", error)
        when = f" of {duration(self._clock() - self._saved[1])} ago" if self._saved is not None else ""
        return f"its checkpoint{when} is kept: the same command continues from there"

    def finish(self) -> None:
        """The record is written: nobody will continue this run."""
        self._remove()

    def release(self) -> None:
        """Let another process continue."""
        self._folder.release()

    def _names(self) -> list[str]:
        """What is kept besides the ledger."""
        return [path.stem for path in self._folder.path.glob(f"*{SUFFIX}") if path.stem != LEDGER]

    def _claimed_or_fresh(self) -> bool:
        """Have the folder. One that another process left since this one began holds nothing that this one counts."""
        if self._folder.claimed:
            return True
        if self._folder.claim(create=True):
            for path in self._folder.path.glob(f"*{SUFFIX}"):
                path.unlink()
        return self._folder.claimed

    def _remove(self) -> None:
        if not self._folder.claimed:
            return
        try:
            self._folder.remove()
        except RecordError as error:
            log.warning("%s", error)

    def _give_up(self, reason: str) -> None:
        """Without checkpoints the run is as good, only not as patient."""
        self._usable = False
        log.warning("no checkpoint of this run can be kept: %s", reason)

    def _write(self, name: str, tensors: Mapping[str, Tensor], facts: Mapping[str, Fact]) -> None:
        if len(tensors) > MAXIMUM_TENSORS:
            raise OSError(f"{len(tensors)} tensors are too many")
        # Cloned where they share memory, which the format refuses.
        kept = {key: _apart(value) for key, value in tensors.items()}
        size = sum(value.numel() * value.element_size() for value in kept.values())
        path = self._folder.file(_file(name))
        present = path.stat().st_size if path.is_file() else 0
        if self._folder.bytes() - present + size > MAXIMUM_BYTES:
            raise OSError(f"they would take more than {MAXIMUM_BYTES:,} bytes")
        written = json.dumps(dict(facts), sort_keys=True)
        metadata = {"facts": written, "sha256": _digest(kept, written)}
        with self._folder.writing(_file(name)) as part:
            save_file(kept, part, metadata)

    def _read(self, name: str) -> Checkpoint | None:
        """A checkpoint, if there is one and every bit of it is as it was written."""
        path = self._folder.file(_file(name))
        if path.is_symlink() or not path.is_file():
            return None
        try:
            if path.stat().st_size > MAXIMUM_BYTES:
                raise ValueError("it is too large")
            with safe_open(path, framework="pt") as file:
                metadata: dict[str, Any] = file.metadata() or {}
                # Copies: the file may be replaced while its tensors are in use.
                tensors = {key: file.get_tensor(key).clone() for key in file.keys()}  # noqa: SIM118
            if metadata["sha256"] != _digest(tensors, metadata["facts"]):
                raise ValueError("its content has changed")
            return Checkpoint(tensors, json.loads(metadata["facts"]))
        except (OSError, SafetensorError, ValueError, KeyError, TypeError) as error:
            log.warning("the checkpoint '%s' is damaged and ignored (%s)", name, error)
            return None


def _adopt(attempt: Attempt, ledger: Checkpoint) -> None:
    """Add what earlier attempts took and saw to the one that begins."""

    def part(prefix: str, values: Mapping[str, Any]) -> dict[str, Any]:
        return {key.removeprefix(prefix): value for key, value in values.items() if key.startswith(prefix)}

    facts = ledger.facts
    earlier = Spent(float(facts["seconds"]), int(facts["peak_bytes"]), float(facts["processor_seconds"]))
    attempt.meter.adopt(part("meter.", ledger.tensors), part("meter.", facts))
    attempt.watch.adopt(part("watch.", ledger.tensors))
    attempt.earlier_knocks = tuple(word for word in str(facts["knocks"]).split(",") if word)
    attempt.earlier = earlier


def _file(name: str) -> str:
    return f"{name}{SUFFIX}"


def _apart(value: Tensor) -> Tensor:
    return value.detach().to("cpu", copy=True).contiguous()


def _digest(tensors: Mapping[str, Tensor], facts: str) -> str:
    """SHA-256 over names, types, shapes and bytes of all tensors, and over the facts."""
    digest = hashlib.sha256(facts.encode())
    for key in sorted(tensors):
        value = tensors[key]
        digest.update(json.dumps([key, str(value.dtype), list(value.shape)]).encode())
        if value.numel():
            digest.update(value.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()
