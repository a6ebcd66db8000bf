"""Label frames from the key frames on both sides: warp-refine-plus, which extends the paper."""
