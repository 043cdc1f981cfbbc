"""An encode graph in 8 bits: convolutions and wide products, but nothing that carries metres.

Static quantisation by ONNX Runtime: weights in int8 by channel, activations in uint8, their ranges from validation.
Positions, the polar guess, Fourier features and FiLM stay in float32: a step of 1/255 of a range of 400 m is 1.6 m.
"""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process

from models.data.radio_batches import Radio

FRAMES = 1920  # that ranges are taken from
_BATCH = 64
_EXACT = ("position", "los", "place", "middle", "believe", "carrier", "features", "films", "distance")


def quantize_encoder(encode: Path, val: Radio, out: Path) -> None:
    """Write the 8-bit form of an encode graph.

    Args:
        encode: the float32 graph.
        val: frames to take ranges from.
        out: the file to write.
    """
    with tempfile.TemporaryDirectory() as scratch:
        prepared = Path(scratch) / "encode.onnx"
        quant_pre_process(str(encode), str(prepared), skip_symbolic_shape=True)
        exact = [
            node.name
            for node in onnx.load(prepared).graph.node
            if any(part in _EXACT for name in node.input for part in name.split("."))
        ]
        root = logging.getLogger()
        level = root.level
        root.setLevel(logging.ERROR)  # it advises to prepare the graph, which was done
        try:
            quantize_static(
                str(prepared), str(out), _Frames(val), quant_format=QuantFormat.QDQ, per_channel=True,
                activation_type=QuantType.QUInt8, weight_type=QuantType.QInt8,
                op_types_to_quantize=["Conv", "Gemm", "MatMul"], nodes_to_exclude=exact,
            )  # fmt: skip
        finally:
            root.setLevel(level)


class _Frames(CalibrationDataReader):  # type: ignore[misc]
    """Batches of some frames, one band after the other."""

    def __init__(self, val: Radio) -> None:
        self._batches = self._read(val)

    def get_next(self) -> dict[str, np.ndarray] | None:
        return next(self._batches, None)

    def _read(self, val: Radio) -> Iterator[dict[str, np.ndarray]]:
        rows = np.sort(np.random.default_rng(0).permutation(len(val.frames))[:FRAMES])
        for number, some in enumerate(np.array_split(rows, max(1, len(rows) // _BATCH))):
            inputs = val.inputs(some, np.full(len(some), number % len(val.frames.bands)))
            inputs["measured_distance"] = inputs.pop("distance")
            yield {name: tensor.numpy() for name, tensor in inputs.items()}
