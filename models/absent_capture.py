"""Frames that refer to no scene capture, in a graph that encodes: their index is the number of captures.

A traced graph reads rows of its captures for every frame, so that a frame without one would need an empty capture to
refer to, which costs as much to encode as any other: most of a call that has CSI alone. Rewritten, the graph finds
zeros behind the last capture wherever it reads by capture, a mask of zeros among them, and there may be none at all.

    python -m models.absent_capture models/zoo/gated-fusion    # an artifact from before exports did this themselves
"""

from __future__ import annotations

import argparse
import hashlib
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from service.contract.manifest import Manifest, contract_fingerprint
from service.contract.tensors import MULTIMODAL

INDEX = "scene_index"
_BY_ROW, _BY_POINT = "Gather", "GatherND"  # of captures; of maps, all captures' points in one table
_ABSENT = "_absent"  # ends the names of rows that are appended


def admit_absent(path: Path) -> None:
    """Rewrite the file of an `encode` graph. What it gives for captures stays as it is, to the last bit.

    Raises:
        ValueError: nothing is read by capture there, or it was rewritten before.
    """
    model = onnx.load(path)
    _Graph(model.graph).rewrite()
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, path)


class _Graph:
    """A graph that is being rewritten."""

    def __init__(self, graph: onnx.GraphProto) -> None:
        self._graph = graph
        self._constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
        self._shapes = {
            value.name: [dim.dim_value for dim in value.type.tensor_type.shape.dim]
            for value in (*graph.input, *graph.value_info)
        }
        self._made: set[str] = set()
        self._nodes: list[onnx.NodeProto] = []

    def rewrite(self) -> None:
        """Pad what is read by capture; free the reshapes of empty tensors of what cannot be inferred."""
        if any(name.endswith(_ABSENT) for name in self._constants):
            raise ValueError("expected a graph that was not rewritten before, got one that was")
        indices = {INDEX}
        for node in list(self._graph.node):
            if node.op_type == "Reshape":
                self._fix_groups(node)
            if node.op_type in (_BY_ROW, _BY_POINT) and node.input[1] in indices:
                self._pad(node)
            elif indices & set(node.input):
                indices |= set(node.output)
            self._nodes.append(node)
        if not self._made:
            raise ValueError(f"expected a graph that reads captures by {INDEX}, got none that does")
        del self._graph.node[:]
        self._graph.node.extend(self._nodes)
        used = {name for node in self._nodes for name in node.input}
        kept = [tensor for tensor in self._graph.initializer if tensor.name in used]
        del self._graph.initializer[:]
        self._graph.initializer.extend(kept)

    def _fix_groups(self, node: onnx.NodeProto) -> None:
        """Group norms reshape to `[0, groups, -1]`, of which nothing can be inferred where there are no captures."""
        wanted = self._constants.get(node.input[1])
        if wanted is None or wanted.shape != (3,) or (wanted[0], wanted[2]) != (0, -1):
            return
        size = int(np.prod(self._shapes[node.input[0]][1:])) // int(wanted[1])
        node.input[1] = self._constant(f"groups_{wanted[1]}_{size}", np.array([-1, wanted[1], size], np.int64))

    def _pad(self, node: onnx.NodeProto) -> None:
        data, index = node.input[:2]
        row = self._constant(data + _ABSENT, np.zeros((1, *self._shapes[data][1:]), np.float32))
        node.input[0] = self._add("Concat", [data, row], f"{data}_padded", axis=0)
        if node.op_type == _BY_POINT:  # every point of the map that is not there is the row behind the last
            points = self._add("Shape", [data], f"{data}_points", start=0, end=1)
            node.input[1] = self._add("Min", [index, points], f"{data}_{index}")

    def _add(self, kind: str, inputs: list[str], output: str, **attributes: int) -> str:
        """A node before the one that is being rewritten, once however often it is asked for; its output."""
        if output not in self._made:
            self._made.add(output)
            self._nodes.append(helper.make_node(kind, inputs, [output], name=f"node_{output}", **attributes))
        return output

    def _constant(self, name: str, value: NDArray[np.generic]) -> str:
        if name not in self._constants:
            self._constants[name] = value
            self._graph.initializer.append(numpy_helper.from_array(value, name))
        return name


def main(argv: Sequence[str] | None = None) -> int:
    """Command line; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m models.absent_capture",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("artifact", type=Path, help="folder of a multimodal artifact")
    folder = parser.parse_args(argv).artifact
    try:
        manifest, encode = Manifest.load(folder), folder / "encode.onnx"
        if manifest.fingerprint == contract_fingerprint():
            raise ValueError(f"{folder}: expected an artifact from before, got one that fits this code")
        admit_absent(encode)
    except (OSError, ValueError) as error:
        print(error, file=sys.stderr)
        return 1
    files = {**manifest.files, "encode": hashlib.sha256(encode.read_bytes()).hexdigest()}
    graphs: dict[str, object] = dict(MULTIMODAL.to_json())
    replace(manifest, files=files, graphs=graphs, fingerprint=contract_fingerprint()).save(folder)
    return 0


if __name__ == "__main__":
    sys.exit(main())
