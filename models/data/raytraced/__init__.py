"""The ray-traced data factory: a city that moves, and every sensor that looks at it."""
