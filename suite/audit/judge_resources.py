"""Laboratory, the audit: verdicts on "resource complexity" and "pretrained model", from meter, watch and clock."""

from __future__ import annotations

from suite.audit.evidence import Evidence
from suite.audit.verdicts import Finding, contradicted, observes, unseen, verified

NO_METER = "no data meter reported on this model"
SCORE_TOLERANCE = 0.005
"""Half a point: what another machine's rounding and a partial copy of the data may move a float score by."""
LABEL_WORDS = {"unlabeled": "none", "labeled": "true", "pseudo-labeled": "pseudo"}


def _refused(evidence: Evidence, axis: str) -> Finding | None:
    times = evidence.meter.refused.count(axis) if evidence.meter is not None else 0
    if not times:
        return None
    requests = "a request" if times == 1 else f"{times} requests"
    return contradicted("asked for more", f"the meter had to refuse {requests} of the method")


def _leaked(evidence: Evidence) -> str | None:
    count = evidence.watch.forbidden_inputs if evidence.watch is not None else 0
    return f"{count} inputs of the test split entered the model while the method ran" if count else None


@observes("examples")
def examples(evidence: Evidence, axis: str) -> Finding:
    """Contradicted by test inputs, refused requests, or more different inputs than the meter may hand out."""
    meter, watch = evidence.meter, evidence.watch
    leaked = _leaked(evidence)
    if leaked is not None:
        return contradicted("test inputs", leaked)
    refused = _refused(evidence, axis)
    if refused is not None:
        return refused
    if meter is None:
        return unseen(NO_METER)
    if meter.distinct_examples > meter.allowed_examples:
        return contradicted(meter.distinct_examples, f"the meter counted {meter.distinct_examples} different examples")
    unchanged = evidence.setting["training_transform"] == "test" and evidence.setting["data_source"] == "real"
    if watch is not None and unchanged and watch.distinct_inputs > meter.allowed_examples:
        least = "at least " if watch.saturated else ""
        text = (
            f"{least}{watch.distinct_inputs} different inputs entered the model, {meter.allowed_examples} are declared "
            f"and {meter.distinct_examples} came through the meter"
        )
        return contradicted(watch.distinct_inputs, text)
    seen = f", {watch.distinct_inputs} different inputs entered the model" if watch is not None and unchanged else ""
    return verified(
        meter.distinct_examples,
        f"{meter.distinct_examples} of {meter.allowed_examples} allowed examples were used{seen}",
    )


@observes("data_source")
def data_source(evidence: Evidence, axis: str) -> Finding:
    """What the meter handed out, and what entered the model without it."""
    refused = _refused(evidence, axis)
    if refused is not None:
        return refused
    meter, watch = evidence.meter, evidence.watch
    if meter is None:
        return unseen(NO_METER)
    if evidence.setting[axis] == "real":
        if meter.kind == "real":
            return verified("real", f"{meter.distinct_examples} examples came through the meter")
        return unseen("the method asked for no examples")
    if meter.kind == "real":
        return contradicted("real", f"the meter handed out {meter.distinct_examples} real examples")
    if watch is not None and watch.distinct_inputs:
        return verified(
            "synthetic", f"no real example was handed out; {watch.distinct_inputs} inputs entered the model"
        )
    return unseen("no image entered the model")


@observes("labels")
def labels(evidence: Evidence, axis: str) -> Finding:
    """Labels handed out, or asked for in vain."""
    refused = _refused(evidence, axis)
    if refused is not None:
        return refused
    meter = evidence.meter
    if meter is None:
        return unseen(NO_METER)
    declared = str(evidence.setting[axis])
    if meter.labels == LABEL_WORDS[declared]:
        return verified(declared, f"labels of {meter.labels_used} examples were handed out")
    if meter.labels == "none":
        return unseen("the method asked for no labels")
    return contradicted(meter.labels, f"{meter.labels} labels of {meter.labels_used} examples were handed out")


@observes("training_transform")
def training_transform(evidence: Evidence, axis: str) -> Finding:
    """How the meter prepared the examples it handed out."""
    meter = evidence.meter
    if meter is None:
        return unseen(NO_METER)
    declared = str(evidence.setting[axis])
    if meter.transform == declared:
        return verified(declared, f"all training examples were handed out in '{declared}' preprocessing")
    if meter.transform == "augmented":
        return contradicted("augmented", "training examples were handed out augmented")
    return unseen("the method looked at no example, or only at unaugmented ones")


@observes("sampling", "subset", "incomplete_batches")
def obeyed_by_meter(evidence: Evidence, axis: str) -> Finding:
    """Axes that the meter itself carries out."""
    meter = evidence.meter
    if meter is None:
        return unseen(NO_METER)
    if meter.kind != "real":
        return unseen("no examples were handed out")
    return verified(evidence.setting[axis], "the data meter drew the examples so; it is the only door to data")


@observes("checkpoint")
def checkpoint(evidence: Evidence, axis: str) -> Finding:
    """Contradicted where a state may have been picked on data that the card does not name."""
    leaked = _leaked(evidence)
    if leaked is not None:
        return contradicted("test inputs were looked at", f"{leaked}, so its state may have been chosen on them")
    refused = _refused(evidence, axis)
    if refused is not None:
        return refused
    meter = evidence.meter
    if meter is None:
        return unseen(NO_METER)
    if evidence.setting[axis] == "best-on-validation" and meter.validation_examples:
        return verified("best-on-validation", f"{meter.validation_examples} examples were held out for validation")
    return unseen("no test image entered the model; which state was kept is the method's own word")


@observes("time_limit")
def time_limit(evidence: Evidence, axis: str) -> Finding:
    """Seconds of the method in epochs of the float model on the same machine."""
    fraction = evidence.epoch_fraction
    if fraction is None:
        return unseen("no time was measured")
    limit = float(str(evidence.setting[axis]))
    text = f"the method took {fraction:.3g} training epochs of the float model, {limit:g} declared"
    return contradicted(round(fraction, 3), text) if fraction > limit else verified(round(fraction, 3), text)


@observes("baseline_weights")
def baseline_weights(evidence: Evidence, axis: str) -> Finding:
    """Nothing in a model says where its weights come from."""
    del evidence, axis
    return unseen("weights do not tell where they come from; their hash is part of the run's identity")


@observes("baseline_accuracy")
def baseline_accuracy(evidence: Evidence, axis: str) -> Finding:
    """A declared score of the float model against the one that was measured."""
    score = evidence.float_score
    if score is None:
        return unseen("the float model was not evaluated")
    declared = evidence.setting[axis]
    if isinstance(declared, int | float):
        text = f"the float model scores {score:.4f}, {declared:.4f} declared"
        if abs(float(declared) - score) > SCORE_TOLERANCE:
            return contradicted(round(score, 6), text)
        return verified(round(score, 6), text)
    return verified(round(score, 6), f"the float model was evaluated on the same test examples: {score:.4f}")


@observes("preprocessing")
def preprocessing(evidence: Evidence, axis: str) -> Finding:
    """The audit meets inputs that are prepared already."""
    del evidence, axis
    return unseen("inputs arrive prepared; how belongs to the task, whose hash is part of the run's identity")
