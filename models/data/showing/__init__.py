"""Pictures of a ray-traced set and its card: what `python -m models.data.show` writes."""
