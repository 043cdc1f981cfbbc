"""Bodies of the Open Inference Protocol's infer call, with the binary tensor data extension.

A body is a JSON document and, where the header `Inference-Header-Content-Length` says how long that is, after it the
bytes of the binary tensors, one after the other in the order of the document. Binary tensors become views of the body:
no byte is copied.

Source: KServe Open Inference Protocol v2, "inference request" and "inference response"; Triton's binary tensor data
extension, "extension_binary_data".
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
import orjson
from numpy.typing import NDArray

from service.contract.tensors import TensorSpec
from service.engine.packed import Packed, Place, bytes_of
from service.errors import InvalidInput, MalformedBody

HEADER_LENGTH = "Inference-Header-Content-Length"
DATATYPES: dict[str, np.dtype[Any]] = {
    "BOOL": np.dtype(np.bool_),
    **{f"UINT{bits}": np.dtype(f"<u{bits // 8}") for bits in (8, 16, 32, 64)},
    **{f"INT{bits}": np.dtype(f"<i{bits // 8}") for bits in (8, 16, 32, 64)},
    **{f"FP{bits}": np.dtype(f"<f{bits // 8}") for bits in (16, 32, 64)},
}
_NAMES = {dtype: name for name, dtype in DATATYPES.items()}

REMEMBERED, REMEMBERED_BYTES = 256, 4096  # documents of a model, and their size at most
_MOST_DIGITS = 18  # of a header length
_NUMPY = orjson.OPT_SERIALIZE_NUMPY

Tensor = NDArray[np.generic]
Headers = dict[object, tuple[bytes, tuple[str, ...]]]
"""Documents of answers that have all their tensors in binary, and the names of those, by what tells them apart."""

_Described = tuple[str, np.dtype[Any], tuple[int, ...], bool]  # an output: name, dtype, shape, whether in binary


class InferRequest(NamedTuple):
    """What was asked.

    Attributes:
        id: given back with the answer, "" for none.
        inputs: tensors by name.
        outputs: which to answer, and whether in binary; None: all, by `binary_outputs`.
        binary_outputs: whether outputs that do not say themselves are answered in binary.
        timeout_s: seconds after which the answer is of no use, None where the caller does not say.
        headers: of answers that requests with the same document got; None where none are kept.
    """

    id: str
    inputs: Mapping[str, Tensor]
    outputs: dict[str, bool] | None
    binary_outputs: bool
    timeout_s: float | None = None
    headers: Headers | None = None


def datatype(dtype: str) -> str:
    """OIP's name of a NumPy dtype."""
    return _NAMES[np.dtype(dtype)]


class RequestReader:
    """Reads requests for one model.

    It remembers the documents that it has seen lately, for clients that send binary tensors repeat theirs: all that
    changes is what comes after.
    """

    def __init__(self, specs: Sequence[TensorSpec]) -> None:
        """Take the inputs of the model."""
        self._specs = tuple(specs)
        self._known = {spec.name: spec for spec in specs}
        self._remembered = lru_cache(REMEMBERED)(self._plan)

    def read(self, body: bytes | bytearray | memoryview, header_length: str | None) -> InferRequest:
        """Parse a body.

        Args:
            body: all of it.
            header_length: the value of `HEADER_LENGTH`, None where the body is JSON alone. At 0 the body is the data of
                the only input.

        Raises:
            MalformedBody: not JSON, or a header length that does not fit.
            InvalidInput: a tensor is missing, unknown, of another datatype or shape, or its bytes do not add up.
        """
        view = memoryview(body)
        size = header_size(header_length, len(view))
        if size == 0 and header_length is not None:
            return InferRequest("", {self._specs[0].name: _raw(view, self._specs)}, None, binary_outputs=True)
        header = body if isinstance(body, bytes) and size == len(body) else bytes(view[:size])
        rest = view[size:]
        plan = self._remembered(header) if len(header) <= REMEMBERED_BYTES else self._plan(header)
        if plan.size != len(rest):
            expected = f"binary tensors of {plan.size} bytes in all, as its document says"
            raise InvalidInput("body", expected, f"{len(rest)} bytes after that")
        inputs: Mapping[str, Tensor] = Packed(rest, plan.binary)
        if plan.inputs:
            inputs = {**plan.inputs, **inputs}
        return InferRequest(plan.id, inputs, plan.outputs, plan.binary_outputs, plan.timeout_s, plan.headers)

    def _plan(self, header: bytes) -> _Plan:
        """What a document says of the request, and of the bytes after it."""
        document = _document(header)
        given: dict[str, Tensor] = {}
        binary: dict[str, Place] = {}
        seen: set[str] = set()
        sizes: dict[str, int] = {}
        end = 0
        for number, entry in enumerate(_entries(document, "inputs")):
            field = f"inputs[{number}]"
            spec = _spec(entry, field, self._known, seen)
            shape = _shape(entry, field, spec, sizes)
            _check_datatype(entry, field, spec)
            said = _parameters(entry, field).get("binary_data_size")
            if said is None:
                given[spec.name] = _from_json(entry, field, spec, shape)
                given[spec.name].flags.writeable = False  # it may be remembered
                continue
            start, end = end, end + _byte_size(said, f"{field}.parameters.binary_data_size", spec, shape)
            binary[spec.name] = Place(shape, DATATYPES[datatype(spec.dtype)], start, end)
        if missing := [name for name in self._known if name not in seen]:
            expected = f"the tensors {', '.join(self._known)}"
            raise InvalidInput("inputs", expected, f"none named {', '.join(missing)}")
        identity = document.get("id", "")
        if not isinstance(identity, str):
            raise InvalidInput("id", "a text", type(identity).__name__)
        parameters = _parameters(document, "")
        wanted = parameters.get("binary_data_output", False) is True
        outputs = _outputs(document, wanted)
        return _Plan(identity, outputs, wanted, timeout_s(parameters.get("timeout", 0)), given, binary, end, {})


@dataclass(frozen=True)
class _Plan:
    id: str
    outputs: dict[str, bool] | None
    binary_outputs: bool
    timeout_s: float | None
    inputs: dict[str, Tensor]  # those that are in the document
    binary: dict[str, Place]
    size: int  # of all binary tensors, bytes
    headers: Headers  # see `InferRequest`


def header_size(header_length: str | None, body: int) -> int:
    """Bytes of the document in a body of so many. Raises `MalformedBody` where `header_length` does not fit."""
    if header_length is None:
        return body
    digits = header_length.isascii() and header_length.isdigit() and len(header_length) <= _MOST_DIGITS
    if not digits or int(header_length) > body:
        raise MalformedBody(HEADER_LENGTH, f"at most the {body} bytes of the body", header_length[:32])
    return int(header_length)


def check_shape(shape: Sequence[int], field: str, spec: TensorSpec, sizes: dict[str, int]) -> None:
    """Raise `InvalidInput` where a tensor's shape does not fit, or contradicts `sizes`, to which its own are added.

    Args:
        shape: of the tensor.
        field: path of the tensor in the request.
        spec: what it must be.
        sizes: of the free dimensions, by the tensors before it.
    """
    if not spec.fits(shape):
        raise wrong_shape(field, spec, shape)
    for axis, (dim, size) in enumerate(zip(spec.shape, shape, strict=True)):
        if isinstance(dim, str) and sizes.setdefault(dim, size) != size:
            expected = f"{sizes[dim]} as in the tensors before it"
            raise InvalidInput(f"{field}.shape[{axis}]", expected, f"{size} in {spec.name}")


def wrong_shape(field: str, spec: TensorSpec, shape: object) -> InvalidInput:
    """What to raise where a shape does not fit."""
    expected = [-1 if isinstance(dim, str) else dim for dim in spec.shape]
    return InvalidInput(
        f"{field}.shape", f"{expected} of {spec.name}, -1 being any size of {spec.least} or more", repr(shape)[:64]
    )


def timeout_s(timeout_us: object) -> float | None:
    """Triton's request parameter `timeout`, in microseconds, as seconds; None for 0, which is none."""
    if type(timeout_us) is not int or timeout_us < 0:
        raise InvalidInput("parameters.timeout", "microseconds, 0 or more", repr(timeout_us)[:64])
    return timeout_us / 1e6 or None


def write_response(
    request: InferRequest, outputs: Mapping[str, Tensor], model: str, version: str
) -> tuple[list[bytes | memoryview], int | None]:
    """The body of an answer in parts, and the value of `HEADER_LENGTH` where it has binary tensors.

    Raises:
        InvalidInput: an output was asked for that the model does not have.
    """
    key: object = None
    if request.headers is not None:  # a type is slow to look up, its number is not
        key = (model, version, *[(array.shape, array.dtype.num) for array in outputs.values()])
        known = request.headers.get(key)
        if known is not None:
            header, names = known
            return [header, *[bytes_of(outputs, name) for name in names]], len(header)
    wanted = dict.fromkeys(outputs, request.binary_outputs) if request.outputs is None else request.outputs
    described: list[_Described] = []
    listed: list[Tensor] = []
    for name, binary in wanted.items():
        array = outputs.get(name)
        if array is None:
            raise InvalidInput("outputs", f"some of {', '.join(outputs)}", repr(name[:64]))
        described.append((name, array.dtype, array.shape, binary))
        if not binary:
            listed.append(np.ascontiguousarray(array))
    header = orjson.dumps(_answer(request.id, model, version, described, listed), option=_NUMPY)
    binaries = tuple(name for name, binary in wanted.items() if binary)
    if request.headers is not None and not listed:
        if len(request.headers) >= REMEMBERED:
            request.headers.clear()
        request.headers[key] = header, binaries
    return [header, *[bytes_of(outputs, name) for name in binaries]], len(header) if binaries else None


def _answer(
    identity: str,
    model: str,
    version: str,
    described: Sequence[_Described],
    listed: Sequence[Tensor],
) -> dict[str, Any]:
    data = iter(listed)
    entries: list[dict[str, Any]] = []
    for name, dtype, shape, binary in described:
        entry: dict[str, Any] = {"name": name, "datatype": datatype(dtype.str), "shape": list(shape)}
        entries.append(entry)
        if binary:
            entry["parameters"] = {"binary_data_size": math.prod(shape) * dtype.itemsize}
        else:
            entry["data"] = next(data).ravel()
    document: dict[str, Any] = {"model_name": model, "model_version": version, "outputs": entries}
    return {**document, "id": identity} if identity else document


def _document(header: bytes) -> dict[str, Any]:
    try:
        document = orjson.loads(header)
    except orjson.JSONDecodeError as error:
        raise MalformedBody("body", f"JSON in its first {len(header)} bytes", str(error)) from error
    if not isinstance(document, dict):
        raise InvalidInput("body", "a JSON object", type(document).__name__)
    return document


def _entries(document: Mapping[str, Any], name: str) -> list[dict[str, Any]]:
    entries = document.get(name)
    if not isinstance(entries, list) or not entries:
        raise InvalidInput(name, "a list of tensors", "none" if entries in (None, []) else type(entries).__name__)
    for number, entry in enumerate(entries):
        if not isinstance(entry, dict):
            raise InvalidInput(f"{name}[{number}]", "an object", type(entry).__name__)
    return entries


def _parameters(entry: Mapping[str, Any], field: str) -> Mapping[str, Any]:
    parameters = entry.get("parameters", {})
    if not isinstance(parameters, dict):
        raise InvalidInput(f"{field}.parameters".lstrip("."), "an object", type(parameters).__name__)
    if "shared_memory_region" in parameters:
        raise InvalidInput(f"{field}.parameters".lstrip("."), "no shared memory, which is not offered", "a region")
    return parameters


def _spec(entry: Mapping[str, Any], field: str, known: Mapping[str, TensorSpec], seen: set[str]) -> TensorSpec:
    name = entry.get("name")
    if not isinstance(name, str) or name not in known:
        raise InvalidInput(f"{field}.name", f"one of {', '.join(known)}", repr(name)[:64])
    if name in seen:
        raise InvalidInput(f"{field}.name", "each input once", f"{name} again")
    seen.add(name)
    return known[name]


def _shape(entry: Mapping[str, Any], field: str, spec: TensorSpec, sizes: dict[str, int]) -> tuple[int, ...]:
    shape: Any = entry.get("shape")
    if not isinstance(shape, list) or not all(type(size) is int for size in shape):
        raise wrong_shape(field, spec, shape)
    check_shape(shape, field, spec, sizes)
    return tuple(shape)


def _check_datatype(entry: Mapping[str, Any], field: str, spec: TensorSpec) -> None:
    expected, got = datatype(spec.dtype), entry.get("datatype")
    if got != expected:
        raise InvalidInput(f"{field}.datatype", f"{expected} of {spec.name}", repr(got)[:64])


def _from_json(entry: Mapping[str, Any], field: str, spec: TensorSpec, shape: tuple[int, ...]) -> Tensor:
    try:
        array = np.asarray(entry.get("data", None), np.float64 if spec.dtype.startswith("float") else None)
        if array.dtype.kind not in "biuf" or (array.dtype.kind == "f") != spec.dtype.startswith("float"):
            raise ValueError(f"numbers of type {array.dtype}")
        with np.errstate(over="raise"):
            converted = array.astype(spec.dtype, casting="unsafe")
        if converted.dtype.kind in "iu" and not np.array_equal(converted, array):
            raise ValueError("a number out of its range")
    except (ValueError, TypeError, FloatingPointError, OverflowError) as error:
        expected = f"numbers of {datatype(spec.dtype)}, flat or nested"
        raise InvalidInput(f"{field}.data", expected, str(error)[:64]) from error
    if array.size != (count := math.prod(shape)):
        raise InvalidInput(f"{field}.data", f"{count} numbers, as its shape {list(shape)} says", str(array.size))
    return converted.reshape(shape)


def _byte_size(said: object, field: str, spec: TensorSpec, shape: tuple[int, ...]) -> int:
    needed = math.prod(shape) * DATATYPES[datatype(spec.dtype)].itemsize
    if said != needed or type(said) is not int:
        raise InvalidInput(field, f"{needed} bytes for {list(shape)} of {datatype(spec.dtype)}", repr(said)[:64])
    return needed


def _raw(view: memoryview, specs: Sequence[TensorSpec]) -> Tensor:
    """The data of the only input, whose one free size follows from the length."""
    free = [dim for spec in specs for dim in spec.shape if isinstance(dim, str)]
    if len(specs) != 1 or len(free) > 1:
        reason = f"only a model with one input and one free size can do without (this has {len(specs)})"
        raise MalformedBody(HEADER_LENGTH, f"more than 0, for {reason}", "0")
    (spec,) = specs
    dtype = DATATYPES[datatype(spec.dtype)]
    row = math.prod(dim for dim in spec.shape if isinstance(dim, int)) * dtype.itemsize
    rows, over = divmod(len(view), row)
    if over or not rows or (not free and rows != 1):
        raise InvalidInput("body", f"a multiple of the {row} bytes of a row of {spec.name}", f"{len(view)} bytes")
    return np.frombuffer(view, dtype).reshape([rows if isinstance(dim, str) else dim for dim in spec.shape])


def _outputs(document: Mapping[str, Any], default: bool) -> dict[str, bool] | None:
    if "outputs" not in document:
        return None
    wanted = {}
    for number, entry in enumerate(_entries(document, "outputs")):
        field = f"outputs[{number}]"
        name = entry.get("name")
        if not isinstance(name, str):
            raise InvalidInput(f"{field}.name", "the name of an output", repr(name)[:64])
        parameters = _parameters(entry, field)
        if "classification" in parameters:
            raise InvalidInput(f"{field}.parameters", "no classification, which is not offered", "one")
        wanted[name] = parameters.get("binary_data", default) is True
    return wanted
