"""One infer call: from a body to tensors that the model can run on."""

from __future__ import annotations

from collections.abc import Mapping
from weakref import WeakKeyDictionary

import numpy as np

from service.engine.tensor_checks import check_scene_index
from service.errors import EngineFailure, InvalidInput
from service.oip.codec import InferRequest, RequestReader, Tensor
from service.runner.runner import Runner


class Inference:
    """Reads infer calls of any models."""

    def __init__(self) -> None:
        self._readers: WeakKeyDictionary[Runner, tuple[RequestReader, bool]] = WeakKeyDictionary()

    def read(self, body: bytes | bytearray | memoryview, header_length: str | None, runner: Runner) -> InferRequest:
        """Parse and check the body of a call for a model.

        Raises:
            MalformedBody, InvalidInput: see `RequestReader.read` and `check_numbers`.
        """
        known = self._readers.get(runner)
        if known is None:
            known = self._readers[runner] = RequestReader(runner.inputs), has_numbers_to_check(runner)
        reader, check = known
        request = reader.read(body, header_length)
        if check:
            check_numbers(request.inputs, runner)
        return request


def has_numbers_to_check(runner: Runner) -> bool:
    """Whether `check_numbers` may ever find something: most often not, and a look at each tensor costs its array."""
    return any(
        (runner.steps and "T" in spec.shape) or spec.dtype == "int64" or spec.name == "scene_index"
        for spec in runner.inputs
    )


def check_numbers(inputs: Mapping[str, Tensor], runner: Runner) -> None:
    """Raise `InvalidInput` where steps are not padded, or where an index points to nothing.

    Whole numbers are indices into something: one that points beyond it would fail a run.
    """
    for spec in runner.inputs:
        array = inputs[spec.name]
        if runner.steps and "T" in spec.shape and array.shape[spec.shape.index("T")] != runner.steps:
            got = str(array.shape[spec.shape.index("T")])
            raise InvalidInput(f"inputs.{spec.name}", f"{runner.steps} steps, padded on the left", got)
        if spec.dtype == "int64" and (spec.low is not None or spec.high is not None):
            low = -np.inf if spec.low is None else spec.low
            high = np.inf if spec.high is None else spec.high
            least, most = array.min(), array.max()
            if least < low or most > high:
                raise InvalidInput(f"inputs.{spec.name}", f"numbers from {low:g} to {high:g}", f"{least} to {most}")
    if "scene_index" in inputs:
        try:
            check_scene_index(inputs)
        except EngineFailure as error:
            expected, _, got = str(error).partition("expected ")[2].rpartition(", got ")
            raise InvalidInput("inputs.scene_index", expected, got) from error
