"""The models that every server serves: one graph of our shape, in a size that computes and in one that hardly does.

Four small convolutional encoders and a perceptron, with random weights from a fixed seed. *bench* costs what our models
cost, so it shows what a server leaves of the machine; *tiny* costs next to nothing, so it shows the server itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from service.contract.tensors import TensorSpec
from tests.bench.serving.tensors import INPUTS, OUTPUTS

_OPSET = 17
_SEED = 6
_KERNEL = 3


@dataclass(frozen=True)
class Size:
    """Channels and strides of the three convolutions of each encoder, and the widths of the perceptron."""

    name: str
    channels: tuple[int, int, int]
    camera_strides: tuple[int, int, int]
    plane_strides: tuple[int, int, int]  # of the other three inputs
    hidden: tuple[int, int]


BENCH = Size("bench", (24, 48, 64), (2, 2, 2), (1, 2, 2), (512, 256))
TINY = Size("tiny", (6, 12, 24), (4, 2, 2), (2, 2, 2), (64, 64))
SIZES = {size.name: size for size in (BENCH, TINY)}


def build(size: Size) -> onnx.ModelProto:
    """The model of that size; the same bytes every time."""
    graph = _Graph()
    encoded = [_encode(graph, spec, size) for spec in INPUTS]
    x, width = graph.add("Concat", encoded, axis=1), size.channels[-1] * len(INPUTS)
    for wider in size.hidden:
        x, width = graph.add("Relu", [graph.dense(x, width, wider)]), wider
    for spec in OUTPUTS:
        graph.dense(x, width, int(spec.shape[-1]), spec.name)
    described = helper.make_graph(
        graph.nodes, size.name, [_value(s) for s in INPUTS], [_value(s) for s in OUTPUTS], graph.weights
    )
    model = helper.make_model(described, opset_imports=[helper.make_opsetid("", _OPSET)], ir_version=9)
    onnx.checker.check_model(model, full_check=True)
    return model


class _Graph:
    """Nodes and weights in the order in which they were added."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.weights: list[onnx.TensorProto] = []
        self._rng = np.random.default_rng(_SEED)

    def add(self, kind: str, inputs: list[str], output: str = "", **attributes: Any) -> str:
        """Append a node; returns the name of what it gives."""
        output = output or f"{kind.lower()}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, inputs, [output], **attributes))
        return output

    def constant(self, value: NDArray[Any]) -> str:
        """Append a constant; returns its name."""
        name = f"weight_{len(self.weights)}"
        self.weights.append(numpy_helper.from_array(value, name))
        return name

    def dense(self, x: str, width: int, outputs: int, name: str = "") -> str:
        """A linear layer on [B, width]."""
        return self.add("Gemm", [x, *self._layer((outputs, width), width)], name, transB=1)

    def convolution(self, x: str, channels: int, outputs: int, stride: int) -> str:
        """A convolution that keeps the size but for its stride."""
        layer = self._layer((outputs, channels, _KERNEL, _KERNEL), channels * _KERNEL**2)
        pad = _KERNEL // 2
        return self.add("Conv", [x, *layer], strides=[stride, stride], pads=[pad] * 4)

    def _layer(self, shape: tuple[int, ...], fan_in: int) -> tuple[str, str]:
        """Weights that keep the variance of what passes, and biases."""
        weight = self._rng.standard_normal(shape, np.float32) * np.float32((2 / fan_in) ** 0.5)
        bias = self._rng.standard_normal(shape[0], np.float32) * np.float32(0.1)
        return self.constant(weight), self.constant(bias)


def _encode(graph: _Graph, spec: TensorSpec, size: Size) -> str:
    """One input as a vector of `size.channels[-1]`."""
    x, channels, strides = spec.name, int(spec.shape[1]), size.plane_strides
    if spec.dtype == "uint8":
        x = graph.add("Cast", [x], to=TensorProto.FLOAT)
        x = graph.add("Mul", [x, graph.constant(np.array(1 / 255, np.float32))])
        strides = size.camera_strides
    if len(spec.shape) == 3:  # without planes
        x, channels = graph.add("Unsqueeze", [x, graph.constant(np.array([1]))]), 1
    for outputs, stride in zip(size.channels, strides, strict=True):
        x, channels = graph.add("Relu", [graph.convolution(x, channels, outputs, stride)]), outputs
    return graph.add("Flatten", [graph.add("GlobalAveragePool", [x])])


def _value(spec: TensorSpec) -> onnx.ValueInfoProto:
    kind = helper.np_dtype_to_tensor_dtype(np.dtype(spec.dtype))
    return helper.make_tensor_value_info(spec.name, kind, list(spec.shape))
