"""Do whole jobs from data set to report: what the commands call, and what Python users call."""
