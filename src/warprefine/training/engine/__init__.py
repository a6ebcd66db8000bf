"""Training engine for any network: the loop, its state on disk, checkpoints, several processes."""
