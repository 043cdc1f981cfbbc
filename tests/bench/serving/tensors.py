"""What the models of the bench take and give."""

from __future__ import annotations

from service.contract.tensors import TensorSpec

INPUTS: tuple[TensorSpec, ...] = (
    TensorSpec("camera", "uint8", ("B", 3, 96, 96), "frame, rgb, row, column", "intensity", 0, 255),
    TensorSpec("csi", "float32", ("B", 2, 32, 64), "frame, (real, imaginary), azimuth, delay", "1"),
    TensorSpec("radar", "float32", ("B", 32, 64), "frame, azimuth, range", "1"),
    TensorSpec("lidar", "float32", ("B", 2, 32, 64), "frame, plane, azimuth, range", "1"),
)
OUTPUTS: tuple[TensorSpec, ...] = (
    TensorSpec("position", "float32", ("B", 2), "frame, (forward, left)", "m"),
    TensorSpec("los_logit", "float32", ("B", 1), "frame, value", "log-odds of line of sight"),
    TensorSpec("activity_logits", "float32", ("B", 5), "frame, class", "1"),
)
