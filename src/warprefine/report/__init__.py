"""Render scores and label maps: charts, image panels, result tables and the HTML report of a run."""
