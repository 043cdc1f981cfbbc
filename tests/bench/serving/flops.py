"""What a graph costs, counted from its shapes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod

import onnx

Shape = tuple[int, ...]
_MOVES = frozenset({"Cast", "Concat", "Flatten", "Unsqueeze"})  # they compute nothing


def flops(model: onnx.ModelProto) -> int:
    """Floating-point operations for one frame: a multiplication and its addition are two.

    Raises:
        ValueError: the graph has an operator that is not known here.
    """
    fixed = onnx.ModelProto()
    fixed.CopyFrom(model)
    for tensor in (*fixed.graph.input, *fixed.graph.output):
        tensor.type.tensor_type.shape.dim[0].dim_value = 1  # one frame
    inferred = onnx.shape_inference.infer_shapes(fixed, strict_mode=True, data_prop=True).graph
    shapes: dict[str, Shape] = {weight.name: tuple(weight.dims) for weight in inferred.initializer}
    for value in (*inferred.input, *inferred.value_info, *inferred.output):
        shapes[value.name] = tuple(dim.dim_value for dim in value.type.tensor_type.shape.dim)
    return sum(_cost(node, [shapes[name] for name in node.input], shapes[node.output[0]]) for node in inferred.node)


def _cost(node: onnx.NodeProto, inputs: Sequence[Shape], output: Shape) -> int:
    if node.op_type in _MOVES:
        return 0
    if node.op_type not in _COSTS:
        raise ValueError(f"{node.op_type}: expected one of {', '.join(sorted(_COSTS | dict.fromkeys(_MOVES)))}")
    return _COSTS[node.op_type](inputs, output)


def _layer(inputs: Sequence[Shape], output: Shape) -> int:
    """For each value that comes out, as many products as a row of the weights has, and a bias where there is one."""
    _, weight, *bias = inputs
    return prod(output) * (2 * prod(weight[1:]) + len(bias))


_COSTS: dict[str, Callable[[Sequence[Shape], Shape], int]] = {
    "Conv": _layer,
    "Gemm": _layer,  # with transB=1, as written by `bench_model`
    "GlobalAveragePool": lambda inputs, output: prod(inputs[0]) + prod(output),
    "Mul": lambda inputs, output: prod(output),
    "Relu": lambda inputs, output: prod(output),
}
