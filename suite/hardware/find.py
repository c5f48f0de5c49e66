"""Hardware: which settings and methods obey a profile, in which order.

Settings (cards and runs) that obey come first, those with a measured score before the others. Accuracy lost is only
comparable on one subject (task and model), so they stand subject by subject, and within one by what they lost. Settings
that do not obey follow by their distance: the number of axes that forbid them.

Methods that can obey are ordered by what their best obeying setting lost, on the one subject that most measured
settings share; those without a measurement there follow by distance, the number of axes that have to leave what they
recommend. What a run lost does not count where its audit contradicts any axis: it is not what that setting loses.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from suite.axes.domains import Value
from suite.hardware.judge import Judgement, judge
from suite.hardware.profile import Profile
from suite.hardware.reach import Declaration, Reached, reach

Subject = tuple[str, str]
"""Task and model."""


@dataclass(frozen=True)
class RunSetting:
    """A card or a run: what it declares, and what was measured under it."""

    name: str
    origin: str
    """card, or run"""
    method: str
    values: Mapping[str, Value]
    task: str = ""
    model: str = ""
    score: float | None = None
    float_score: float | None = None
    difference_interval: tuple[float, float] | None = None
    """Of score less float score."""
    contradicted: tuple[str, ...] = ()
    """Axes on which its audit found something else: what they declare is not what runs."""

    @property
    def subject(self) -> Subject:
        return self.task, self.model

    @property
    def lost(self) -> float | None:
        """Float score less quantized score, as fractions; None where an audit says that it is another setting's."""
        if self.score is None or self.float_score is None or self.contradicted:
            return None
        return self.float_score - self.score

    @property
    def lost_interval(self) -> tuple[float, float] | None:
        if self.lost is None or self.difference_interval is None:
            return None
        low, high = self.difference_interval
        return -high, -low


@dataclass(frozen=True)
class SettingFound:
    """A card or a run and what the profile says of it."""

    setting: RunSetting
    judgement: Judgement
    contradicted: tuple[str, ...] = ()
    """Axes that the profile restricts, that would obey, and on which the audit found something else."""

    @property
    def obeys(self) -> bool:
        """An audit that contradicts a restricted axis takes the card's word away."""
        return self.judgement.obeys and not self.contradicted

    @property
    def distance(self) -> int:
        return len(self.judgement.violations) + len(self.contradicted)

    @property
    def measured(self) -> bool:
        return self.obeys and self.judgement.certain and self.setting.lost is not None


@dataclass(frozen=True)
class MethodFound:
    """A method, whether it can obey, and the best measured setting of it that does."""

    id: str
    reached: Reached
    best: RunSetting | None = None

    @property
    def obeys(self) -> bool:
        return self.reached.setting is not None

    @property
    def distance(self) -> int:
        return len(self.reached.changes) if self.obeys else len(self.reached.obstacles)


@dataclass(frozen=True)
class Found:
    """What a profile leaves: settings and methods, each in the order of their rank."""

    profile: Profile
    settings: tuple[SettingFound, ...]
    methods: tuple[MethodFound, ...]
    subject: Subject | None
    """The task and model on which methods are ordered by accuracy; None where nothing was measured."""


def find(profile: Profile, settings: Iterable[RunSetting], methods: Sequence[Declaration]) -> Found:
    """Hold every setting and every method to a profile."""
    judged = [_judged(setting, profile) for setting in settings]
    subject = _subject(one.setting for one in judged if one.measured)
    found = [MethodFound(method.id, reach(method, profile), _best(judged, method.id, subject)) for method in methods]
    return Found(profile, tuple(sorted(judged, key=_setting_rank)), tuple(sorted(found, key=_method_rank)), subject)


def _judged(setting: RunSetting, profile: Profile) -> SettingFound:
    judgement = judge(setting.values, profile)
    forbidden = {violation.axis for violation in judgement.violations}
    matters = tuple(
        axis for axis in setting.contradicted if axis not in forbidden and profile.restriction_of(axis, setting.values)
    )
    return SettingFound(setting, judgement, matters)


def _subject(settings: Iterable[RunSetting]) -> Subject | None:
    counted = Counter(setting.subject for setting in settings)
    return min(counted, key=lambda subject: (-counted[subject], subject)) if counted else None


def _best(judged: Sequence[SettingFound], method: str, subject: Subject | None) -> RunSetting | None:
    own = [
        one.setting for one in judged if one.measured and (one.setting.method, one.setting.subject) == (method, subject)
    ]
    return min(own, key=_loss, default=None)


def _loss(setting: RunSetting | None) -> float:
    """What was lost; nothing measured comes last."""
    lost = setting.lost if setting is not None else None
    return float("inf") if lost is None else lost


def _setting_rank(one: SettingFound) -> tuple[object, ...]:
    order = (one.setting.subject, _loss(one.setting)) if one.measured else (("", ""), 0.0)
    return (not one.obeys, one.distance, not one.judgement.certain, not one.measured, *order, one.setting.name)


def _method_rank(one: MethodFound) -> tuple[object, ...]:
    return (not one.obeys, _loss(one.best), one.distance, one.id)
