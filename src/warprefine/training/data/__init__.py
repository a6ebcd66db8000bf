"""Supply labelled frames: decoded, cropped, augmented, drawn."""
