"""Methods, shared engines: loops that several methods need, each driven by data and knowing no method."""
