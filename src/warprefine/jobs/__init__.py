"""Whole jobs from data set to report, for the commands and for Python users."""
