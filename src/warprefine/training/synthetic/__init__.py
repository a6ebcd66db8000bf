"""Synthetic clips with exact labels and flow from single labelled images."""
