"""The systems: assembly of encoders, fusion and heads, with their training objectives."""
