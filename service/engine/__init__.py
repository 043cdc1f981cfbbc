"""Inference: artifacts checked against the contract, run by ONNX Runtime, found by the site they serve."""

from __future__ import annotations

import os

# Since its 1.29 ONNX Runtime reports sessions, models and errors to its maker unless it is told not to, and it reads
# that from nowhere else than here, when it is loaded: which only modules of this package do.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # noqa: TID251
