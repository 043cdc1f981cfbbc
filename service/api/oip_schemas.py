"""Bodies of the Open Inference Protocol v2, as the OpenAPI document describes them.

They are read and written by `service.oip`: tensors of a request are checked against the model, not against a schema.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, RootModel


class _Document(BaseModel):
    model_config = ConfigDict(use_attribute_docstrings=True)


class TensorMetadata(_Document):
    """What a tensor must be, or is."""

    name: str
    """Of the tensor."""
    datatype: str
    """BOOL, UINT8 to UINT64, INT8 to INT64, FP16, FP32 or FP64."""
    shape: list[int]
    """-1 is any size of 1 or more."""


class InferTensor(TensorMetadata):
    """A tensor with its numbers: in `data`, or in binary after the document."""

    data: list[Any] = []
    """Flat in C order, or nested; absent where the tensor is binary."""
    parameters: dict[str, Any] = {}
    """`binary_data_size`: bytes of the tensor after the document."""


class RequestedOutput(_Document):
    """An output that is asked for."""

    name: str
    """Of the output."""
    parameters: dict[str, Any] = {}
    """`binary_data`: whether it is wanted in binary."""


class InferRequest(_Document):
    """Tensors for a model."""

    id: str = ""
    """Given back with the answer."""
    inputs: list[InferTensor]
    """Every input of the model, in any order."""
    outputs: list[RequestedOutput] = []
    """Those that are wanted; all by default."""
    parameters: dict[str, Any] = {}
    """`binary_data_output`: whether all are wanted in binary. `timeout`: microseconds that the answer may take."""


class InferResponse(_Document):
    """What a model answers."""

    model_name: str
    """Of the model."""
    model_version: str
    """Of its artifact."""
    id: str = ""
    """Of the request, where that has one."""
    outputs: list[InferTensor]
    """Those that were asked for."""


class ServerMetadata(_Document):
    """Name and version of the server, and the extensions of the protocol that it offers."""

    name: str
    """`cellsense`."""
    version: str
    """Of the service."""
    extensions: list[str]
    """Of the protocol."""


class ModelMetadata(_Document):
    """Inputs and outputs of a model."""

    name: str
    """Of the artifact, and where that has several graphs, `-` and that of the graph."""
    versions: list[str]
    """One: that of the artifact."""
    platform: str
    """`onnxruntime_onnx`."""
    inputs: list[TensorMetadata]
    """What it takes."""
    outputs: list[TensorMetadata]
    """What it gives."""


class ModelConfig(_Document):
    """The same as a configuration."""

    name: str
    """Of the model."""
    platform: str
    """`onnxruntime_onnx`."""
    backend: str
    """`onnxruntime`."""
    max_batch_size: int
    """Rows that requests are put together to; 0: requests run alone. Larger requests are cut."""
    input: list[dict[str, Any]]
    """What it takes: `name`, `data_type` and `dims`, which are without the rows where requests are put together."""
    output: list[dict[str, Any]]
    """What it gives, likewise."""


class ModelStatistics(_Document):
    """What models have done since they were loaded: counts, and sums of nanoseconds."""

    model_stats: list[dict[str, Any]]
    """One a model, by the statistics extension."""


class RepositoryEntry(_Document):
    """A model and its state."""

    name: str
    """Of the model."""
    version: str
    """Of its artifact."""
    state: Literal["READY", "UNAVAILABLE", "LOADING", "UNLOADING"]
    """Whether it answers."""
    reason: str
    """Why it does not, if so."""


class RepositoryIndex(RootModel[list[RepositoryEntry]]):
    """Every model in the repository."""
