"""Laboratory, the audit: observes a quantized model from outside and compares it with what its card declares."""
