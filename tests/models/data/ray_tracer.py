"""What a test module calls that cannot do without the ray tracer."""

from __future__ import annotations

import importlib.util

import pytest

from models.data.raytraced.llvm import NoLLVM, find_llvm


def need_ray_tracer() -> None:
    """Skip the calling module, with the reason, where sionna-rt or a good LLVM is missing."""
    if importlib.util.find_spec("sionna") is None:
        pytest.skip("no ray tracer: `make raytrace` installs sionna-rt", allow_module_level=True)
    try:
        find_llvm()
    except NoLLVM as missing:
        pytest.skip(str(missing), allow_module_level=True)
