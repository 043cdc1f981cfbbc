"""Encoders: one network for each kind of vision-compatible tensor."""
