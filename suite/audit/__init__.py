"""Laboratory, the audit: observes a quantized model from outside and compares it with what its card declares.

    report = audit(placed, anatomy=…, plan=…, setting=…, batches=…, meter=…, watch=…, claims=…)
    report.verdict; report.axes["weight_bits"].evidence; report.figures.model_bytes; report.to_dict()

How to find the place where an axis is judged: `levels` recovers a grid from bare values, `views` summarises one tensor,
`capture` and `observe` collect the tensors of a running model, `fits` joins what one site showed, `problems` says
which axis a site contradicts, and `judge_*` holds one observer for each axis, in one file a section.
"""

from suite.audit.judge import audit, judge
from suite.audit.observe import Observations, observe
from suite.audit.report import AuditReport, AxisVerdict, Figures, Verdict

__all__ = ["AuditReport", "AxisVerdict", "Figures", "Observations", "Verdict", "audit", "judge", "observe"]
