"""Graphs that run for many callers at once: queued, batched, timed, counted."""
