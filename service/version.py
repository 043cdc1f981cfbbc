"""What this is a version of."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version

UNKNOWN = "0+unknown"


def package_version() -> str:
    """Version of the installed distribution, `0+unknown` where it runs from a folder that was never installed."""
    return version_of("cellsense")


def version_of(distribution: str) -> str:
    """Version of a distribution, `0+unknown` where it is not installed."""
    try:
        return version(distribution)
    except PackageNotFoundError:
        return UNKNOWN
