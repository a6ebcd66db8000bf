"""Propagate labels step by step: the paper's method, equations (1) to (12)."""
