"""Data sets: the ray-traced factory, measured sets, splits and loaders."""
