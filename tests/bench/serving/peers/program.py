"""What the programs in `programs/` are told, which run in the environments of their peers."""

from __future__ import annotations

from pathlib import Path

from tests.bench.serving.server import Launch

PROGRAMS = Path(__file__).with_name("programs")


def environment(launch: Launch) -> dict[str, str]:
    """Variables; those of the chosen setting as `BENCH_<NAME>`."""
    return {
        "BENCH_ARTIFACT": str(launch.artifact),
        "BENCH_INSTANCES": str(launch.instances),
        "BENCH_PORT": str(launch.port),
        "BENCH_PROVIDER": launch.provider,
        **{f"BENCH_{name.upper()}": value for name, value in launch.setting.items()},
        "OMP_NUM_THREADS": "1",
        "PYTHONPATH": str(PROGRAMS),
    }
