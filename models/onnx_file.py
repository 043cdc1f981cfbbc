"""A torch module as an ONNX file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from torch import nn

OPSET = 20
_LARGEST = {"S": 4096, "B": 65536, "T": 64}


def write_graph(
    module: nn.Module,
    inputs: Mapping[str, NDArray[np.generic]],
    free: Mapping[str, Mapping[int, int | str]],
    outputs: Sequence[str],
    path: Path,
) -> None:
    """Trace a module and write it. Its control flow must not depend on data, so that one trace serves every size.

    Args:
        module: in evaluation mode afterwards.
        inputs: example arguments by name, in their order; a free dimension must be larger than 1.
        free: name of the dimension by axis, for the axes of each input that may have any size.
        outputs: names of the results.
        path: of the file.
    """
    dims = {name: torch.export.Dim(name, max=most) for name, most in _LARGEST.items()}
    shapes = {name: {axis: dims[str(dim)] for axis, dim in free.get(name, {}).items()} for name in inputs}
    program = torch.onnx.export(
        module.eval(), tuple(torch.from_numpy(array) for array in inputs.values()), dynamo=True, opset_version=OPSET,
        input_names=list(inputs), output_names=list(outputs), dynamic_shapes=shapes, verbose=False,
    )  # fmt: skip
    assert program is not None
    program.save(path, external_data=False)
    graph = onnx.load(path)
    del graph.metadata_props[:]
    for node in graph.graph.node:
        del node.metadata_props[:]  # stack traces, with the paths of whoever exported
        node.doc_string = ""
    onnx.save(graph, path)
