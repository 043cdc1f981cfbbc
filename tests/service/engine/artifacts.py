"""Tiny real artifacts: two ONNX graphs that honour a contract and compute what its fake engine computes."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import onnx
import onnx.parser

from service.contract.manifest import Calibration, Manifest, contract_fingerprint
from service.contract.sites import Site
from service.contract.tensors import MULTIMODAL, RADIO, Contract, TensorSpec

ONNX_DTYPES = {"float32": "float", "int64": "int64", "uint8": "uint8"}
OPSET = 18
VOCABULARY = 100  # the fuse graph fails on a token beyond it

MUNICH = Site(
    name="munich",
    origin_wgs84=(48.137, 11.575, 520.0),
    boresight_deg=30.0,
    mast_height_m=25.0,
    range_max_m=200.0,
    velocity_max_mps=30.0,
    height_min_m=0.0,
    height_max_m=30.0,
    radar_window_s=0.1,
    tasks=("position", "los", "activity"),
    carrier_hz=28e9,
    bandwidth_hz=100e6,
    array_rows=4,
    array_cols=8,
)

STREET = replace(MUNICH, name="street", tasks=("position", "los"), carriers_hz=(3.55e9, 28e9))

_MULTIMODAL_BODIES = {
    "encode": """
        pixels = Constant <value_ints = [1, 2, 3]> ()
        one = Constant <value_ints = [1]> ()
        camera_float = Cast <to = 1> (camera)
        camera_mean = ReduceMean <keepdims = 0> (camera_float, pixels)
        radar_mean = ReduceMean <keepdims = 0> (radar, pixels)
        lidar_mean = ReduceMean <keepdims = 0> (lidar, pixels)
        camera_column = Unsqueeze (camera_mean, one)
        radar_column = Unsqueeze (radar_mean, one)
        lidar_column = Unsqueeze (lidar_mean, one)
        columns = Concat <axis = 1> (camera_column, radar_column, lidar_column)
        three = Constant <value_ints = [1, 3]> ()
        none = ConstantOfShape (three)
        captures = Concat <axis = 0> (columns, none)
        scene = Gather <axis = 0> (captures, scene_index)
        csi_mean = ReduceMean <keepdims = 0> (csi, pixels)
        csi_column = Unsqueeze (csi_mean, one)
        start = Constant <value_ints = [0]> ()
        rest = Constant <value_ints = [58]> ()
        zero = Constant <value_float = 0.0> ()
        some = Slice (aoa, start, rest, one)
        nothing = Mul (some, zero)
        embedding = Concat <axis = 1> (distance, gain, csi_column, scene, aoa, nothing)
        masks = Concat <axis = 0> (scene_mask, none)
        mask = Gather <axis = 0> (masks, scene_index)
        present = Concat <axis = 1> (csi_mask, mask)
        count = ReduceSum <keepdims = 1> (present, one)
        unit = Constant <value_float = 1.0> ()
        total = Max (count, unit)
        gate = Div (present, total)
    """,
    "fuse": f"""
        one = Constant <value_ints = [1]> ()
        two = Constant <value_ints = [2]> ()
        three = Constant <value_ints = [3]> ()
        start = Constant <value_ints = [0]> ()
        first_bin = Constant <value_ints = [6]> ()
        last_bin = Constant <value_ints = [11]> ()
        zero = Constant <value_float = 0.0> ()
        unit = Constant <value_float = 1.0> ()
        double = Constant <value_float = 2.0> ()
        steps = ReduceSum <keepdims = 1> (step_mask, one)
        step_weight = Div (step_mask, steps)
        weight = Unsqueeze (step_weight, two)
        weighted = Mul (weight, embedding)
        pooled = ReduceSum <keepdims = 0> (weighted, one)
        pair = Slice (pooled, start, two, one)
        metres = Constant <value_floats = [100.0, 1.0]> ()
        position = Mul (pair, metres)
        last = Constant <value_int = -1> ()
        newest = Gather <axis = 1> (embedding, last)
        triple = Slice (newest, start, three, one)
        nothing = Mul (triple, zero)
        factor = Constant <value_floats = [1.0, 0.0, 1.0]> ()
        scale_tril = Add (nothing, factor)
        second = Constant <value_int = 1> ()
        los_logit = Gather <axis = 1> (newest, second)
        activity_logits = Slice (newest, first_bin, last_bin, one)
        vocabulary = Constant <value_ints = [{", ".join(map(str, range(VOCABULARY)))}]> ()
        token = Gather (vocabulary, text)
        kinds = Constant <value_int = 3> ()
        kind = Mod (token, kinds)
        kind_column = Unsqueeze (kind, two)
        tasks = Constant <value_ints = [0, 1, 2]> ()
        of_task = Equal (kind_column, tasks)
        padding = Constant <value_int = 0> ()
        word = Greater (token, padding)
        word_column = Unsqueeze (word, two)
        hit = And (of_task, word_column)
        hit_float = Cast <to = 1> (hit)
        asked = ReduceMax <keepdims = 0> (hit_float, one)
        word_float = Cast <to = 1> (word)
        any_word = ReduceMax <keepdims = 1> (word_float, one)
        silent = Sub (unit, any_word)
        wanted = Max (asked, silent)
        doubled = Mul (wanted, double)
        task_logits = Sub (doubled, unit)
        square = Mul (newest, newest)
        ood_score = ReduceMean <keepdims = 0> (square, one)
    """,
}
_RADIO_BODIES = {
    "encode": """
        pixels = Constant <value_ints = [1, 2, 3]> ()
        one = Constant <value_ints = [1]> ()
        csi_mean = ReduceMean <keepdims = 0> (csi, pixels)
        csi_column = Unsqueeze (csi_mean, one)
        site_float = Cast <to = 1> (site)
        site_column = Unsqueeze (site_float, one)
        start = Constant <value_ints = [0]> ()
        rest = Constant <value_ints = [59]> ()
        zero = Constant <value_float = 0.0> ()
        some = Slice (aoa, start, rest, one)
        nothing = Mul (some, zero)
        embedding = Concat <axis = 1> (measured_distance, gain, csi_column, carrier, site_column, aoa, nothing)
        count = ReduceSum <keepdims = 1> (cue_mask, one)
        unit = Constant <value_float = 1.0> ()
        total = Max (count, unit)
        router_weight = Div (cue_mask, total)
    """,
    "fuse": """
        one = Constant <value_ints = [1]> ()
        two = Constant <value_ints = [2]> ()
        three = Constant <value_ints = [3]> ()
        start = Constant <value_ints = [0]> ()
        zero = Constant <value_float = 0.0> ()
        half = Constant <value_float = 0.5> ()
        last = Constant <value_int = -1> ()
        second = Constant <value_int = 1> ()
        metres = Constant <value_floats = [100.0, 1.0]> ()
        factor = Constant <value_floats = [1.0, 0.0, 1.0]> ()
        steps = ReduceSum <keepdims = 1> (step_mask, one)
        step_weight = Div (step_mask, steps)
        weight = Unsqueeze (step_weight, two)
        pair = Slice (embedding, start, two, two)
        path_position = Mul (pair, metres)
        weighted = Mul (weight, path_position)
        position = ReduceSum <keepdims = 0> (weighted, one)
        centroid = Identity (position)
        newest = Gather <axis = 1> (embedding, last)
        los_logit = Gather <axis = 1> (newest, second)
        path_los_logit = Gather <axis = 2> (embedding, second)
        square = Mul (newest, newest)
        ood_score = ReduceMean <keepdims = 0> (square, one)
        triple = Slice (newest, start, three, one)
        nothing = Mul (triple, zero)
        scale_tril = Add (nothing, factor)
        centroid_scale_tril = Mul (scale_tril, half)
        path_triple = Slice (embedding, start, three, two)
        path_nothing = Mul (path_triple, zero)
        path_scale_tril = Add (path_nothing, factor)
    """,
}
BODIES = {MULTIMODAL.name: _MULTIMODAL_BODIES, RADIO.name: _RADIO_BODIES}


def site(name: str) -> Site:
    return replace(MUNICH, name=name)


def manifest(
    name: str = "tiny",
    sites: tuple[Site, ...] = (MUNICH,),
    files: dict[str, str] | None = None,
    contract: Contract = MULTIMODAL,
) -> Manifest:
    return Manifest(
        name=name,
        version="1.0.0",
        fingerprint=contract_fingerprint(contract),
        opset=OPSET,
        files=files or {},
        sites=sites,
        calibration=Calibration(
            region_quantile={"0.90": 4.605},
            covariance_scale=1.0,
            los_temperature=1.0,
            activity_temperature=1.0,
            ood_threshold={site.name: 1e6 for site in sites},
            path_quantile={"0.90": 4.605},
            centroid_quantile={"0.90": 4.605},
        ),
        metrics={},
        training_data=({"name": "none", "licence": "Apache-2.0", "source": "made up for tests"},),
        commit="0" * 40,
        contract=contract.name,
    )


def graph_text(name: str, contract: Contract = MULTIMODAL) -> str:
    """A graph of the contract in ONNX's own notation, for tests that spoil it."""
    inputs, outputs = contract.graphs[name]
    return (
        f'<ir_version: 9, opset_import: ["": {OPSET}]>\n'
        f"{name} ({_signature(inputs)}) => ({_signature(outputs)}) {{{BODIES[contract.name][name]}}}"
    )


def write_artifact(
    folder: Path,
    name: str = "tiny",
    sites: tuple[Site, ...] = (MUNICH,),
    graphs: dict[str, str] | None = None,
    contract: Contract = MULTIMODAL,
) -> Manifest:
    """Write an artifact; `graphs` replaces the text of some of its graphs."""
    folder.mkdir(parents=True, exist_ok=True)
    files = {}
    for graph in contract.graphs:
        model = onnx.parser.parse_model((graphs or {}).get(graph, graph_text(graph, contract)))
        content = model.SerializeToString()
        (folder / f"{graph}.onnx").write_bytes(content)
        files[graph] = hashlib.sha256(content).hexdigest()
    written = manifest(name, sites, files, contract)
    written.save(folder)
    return written


def _signature(specs: tuple[TensorSpec, ...]) -> str:
    return ", ".join(f"{ONNX_DTYPES[s.dtype]}[{', '.join(map(str, s.shape))}] {s.name}" for s in specs)
