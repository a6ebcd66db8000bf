"""Training of refiners, and their training samples."""
