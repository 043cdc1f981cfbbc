"""Measured data sets, read from where the user keeps them; none of them is part of this repository."""
