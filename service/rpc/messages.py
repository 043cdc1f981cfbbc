"""Messages of the protocol to tensors."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from service.contract.tensors import TensorSpec
from service.errors import InvalidInput
from service.oip.codec import DATATYPES, Tensor, check_shape, datatype
from service.rpc.open_inference_pb2 import InferParameter, ModelInferRequest

_CONTENTS = {
    "BOOL": "bool_contents",
    **{f"INT{bits}": "int_contents" for bits in (8, 16, 32)},
    "INT64": "int64_contents",
    **{f"UINT{bits}": "uint_contents" for bits in (8, 16, 32)},
    "UINT64": "uint64_contents",
    "FP32": "fp32_contents",
    "FP64": "fp64_contents",
}
"""The field of a tensor's contents by datatype; others come only as raw bytes."""


def read_inputs(request: ModelInferRequest, specs: Sequence[TensorSpec]) -> dict[str, Tensor]:
    """Tensors of a call by name.

    Args:
        request: with contents or raw contents, not with both.
        specs: inputs of the model.

    Raises:
        InvalidInput: a tensor is missing, unknown, of another datatype or shape, or its numbers do not add up.
    """
    known = {spec.name: spec for spec in specs}
    raw = request.raw_input_contents
    if raw and len(raw) != len(request.inputs):
        raise InvalidInput("raw_input_contents", f"one for each of {len(request.inputs)} inputs", str(len(raw)))
    tensors: dict[str, Tensor] = {}
    sizes: dict[str, int] = {}
    for number, entry in enumerate(request.inputs):
        field = f"inputs[{number}]"
        if entry.name not in known:
            raise InvalidInput(f"{field}.name", f"one of {', '.join(known)}", repr(entry.name[:64]))
        if entry.name in tensors:
            raise InvalidInput(f"{field}.name", "each input once", f"{entry.name} again")
        spec, shape = known[entry.name], tuple(entry.shape)
        if entry.datatype != datatype(spec.dtype):
            expected = f"{datatype(spec.dtype)} of {spec.name}"
            raise InvalidInput(f"{field}.datatype", expected, repr(entry.datatype[:64]))
        check_shape(list(entry.shape), field, spec, sizes)
        if raw:
            if entry.HasField("contents"):
                raise InvalidInput(f"{field}.contents", "none beside raw_input_contents", "some")
            tensors[spec.name] = _from_raw(raw[number], spec, shape, f"raw_input_contents[{number}]")
        else:
            tensors[spec.name] = _from_contents(entry, spec, shape, f"{field}.contents")
    if missing := [name for name in known if name not in tensors]:
        raise InvalidInput("inputs", f"the tensors {', '.join(known)}", f"none named {', '.join(missing)}")
    return tensors


def parameter(parameters: Mapping[str, InferParameter], name: str) -> Any:
    """The value of a parameter, None where there is none."""
    if name not in parameters:
        return None
    kind = parameters[name].WhichOneof("parameter_choice")
    return None if kind is None else getattr(parameters[name], kind)


def _from_raw(content: bytes, spec: TensorSpec, shape: tuple[int, ...], field: str) -> Tensor:
    dtype = DATATYPES[datatype(spec.dtype)]
    if len(content) != (needed := math.prod(shape) * dtype.itemsize):
        expected = f"{needed} bytes for {list(shape)} of {datatype(spec.dtype)}"
        raise InvalidInput(field, expected, str(len(content)))
    return np.frombuffer(content, dtype).reshape(shape)


def _from_contents(
    entry: ModelInferRequest.InferInputTensor, spec: TensorSpec, shape: tuple[int, ...], field: str
) -> Tensor:
    name = _CONTENTS.get(datatype(spec.dtype))
    if name is None:
        raise InvalidInput(field, f"raw_input_contents, as {datatype(spec.dtype)} has no contents", "contents")
    numbers = getattr(entry.contents, name)
    if len(numbers) != (count := math.prod(shape)):
        raise InvalidInput(f"{field}.{name}", f"{count} numbers, as its shape {list(shape)} says", str(len(numbers)))
    wide = np.array(numbers)
    array = wide.astype(spec.dtype)
    if array.dtype.kind in "iu" and not np.array_equal(array, wide):
        raise InvalidInput(f"{field}.{name}", f"numbers of {datatype(spec.dtype)}", "one out of its range")
    return array.reshape(shape)
