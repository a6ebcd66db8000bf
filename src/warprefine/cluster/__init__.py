"""The work of a job on a cluster of machines."""
