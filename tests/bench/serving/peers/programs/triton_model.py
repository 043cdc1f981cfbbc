"""The model behind the Python backend of Triton, which stores this file as `model.py`."""

from __future__ import annotations

import numpy as np
import triton_python_backend_utils as pb_utils
from served_model import ServedModel


class TritonPythonModel:
    """One instance; Triton runs several, each in a process, and collects the requests of a batch."""

    def initialize(self, args: dict[str, str]) -> None:
        self._model = ServedModel()

    def execute(self, requests: list) -> list:
        """One run of the model for all the requests."""
        parts = [{t.name(): t.as_numpy() for t in request.inputs()} for request in requests]
        whole = parts[0]
        if len(parts) > 1:
            whole = {name: np.concatenate([part[name] for part in parts]) for name in whole}
        outputs = self._model.run(whole)
        responses, row = [], 0
        for part in parts:
            end = row + len(next(iter(part.values())))
            named = zip(self._model.outputs, outputs, strict=True)
            responses.append(pb_utils.InferenceResponse([pb_utils.Tensor(n, o[row:end]) for n, o in named]))
            row = end
        return responses
