"""One infer call: a body in, the parts of an answer's body out."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from service.contract.tensors import TensorSpec
from service.engine.tensor_checks import check_scene_index, free_sizes
from service.errors import EngineFailure, InvalidInput
from service.oip.codec import InferRequest, Tensor, read_request
from service.runner.graph_runner import GraphRunner


def read_inputs(body: bytes | bytearray | memoryview, header_length: str | None, runner: GraphRunner) -> InferRequest:
    """Parse and check the body of an infer call for a model.

    Raises:
        MalformedBody, InvalidInput: see `read_request`; or sizes of the tensors contradict each other, or an index
            points to nothing.
    """
    request = read_request(body, header_length, runner.inputs)
    check_inputs(request.inputs, runner)
    return request


def check_inputs(inputs: dict[str, Tensor], runner: GraphRunner) -> None:
    """Raise `InvalidInput` where tensors contradict each other, or where an index points to nothing."""
    try:
        free_sizes(runner.inputs, inputs, runner.steps)
        if "scene_index" in inputs:
            check_scene_index(inputs)
    except EngineFailure as error:
        field, _, rest = str(error).partition(": expected ")
        expected, _, got = rest.rpartition(", got ")
        raise InvalidInput(f"inputs.{field}", expected, got) from error
    _check_indices(inputs, runner.inputs)


def _check_indices(inputs: dict[str, Tensor], specs: Sequence[TensorSpec]) -> None:
    """Whole numbers are indices into something: one that points beyond it would fail the run of everybody."""
    for spec in specs:
        if spec.dtype != "int64":
            continue
        low = -np.inf if spec.low is None else spec.low
        high = np.inf if spec.high is None else spec.high
        found = inputs[spec.name]
        if found.min() < low or found.max() > high:
            expected = f"numbers from {low:g} to {high:g}"
            raise InvalidInput(f"inputs.{spec.name}", expected, f"{found.min()} to {found.max()}")
