"""One graph of an artifact, opened by ONNX Runtime and checked against its specification."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Mapping, Sequence
from queue import SimpleQueue
from typing import NamedTuple, cast

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from service.contract.tensors import TensorSpec
from service.engine.arena import USE, make_arena
from service.engine.device import PROVIDERS, Device, require_use
from service.engine.lanes import ArrayLane, BufferLane, Lane, Specs
from service.engine.padding import bucket, can_be_padded
from service.engine.protocol import Inputs, Outputs
from service.engine.tensor_checks import check_scene_index, free_sizes, graph_mismatch
from service.errors import ArtifactError, EngineFailure

MOST_FORMS = 4096  # of inputs that are remembered as checked: requests choose their sizes
LONELY = 16  # runs of one row, one after the other, that tell a caller alone from a moment between two batches
MOST_BUCKETED = 2  # free dimensions whose buckets are warmed in every combination


class _Form(NamedTuple):
    """What is known of inputs by their shapes and types alone."""

    sizes: dict[str, int]  # of each free dimension
    padded: dict[str, int]  # the same, as they run


class OnnxGraph:
    """Runs one graph, from several threads at once."""

    def __init__(
        self,
        title: str,
        specs: Specs,
        lanes: Sequence[Lane],
        buckets: Sequence[int] = (),
        steps: int = 0,
    ) -> None:
        """Take what has been checked.

        Args:
            title: for messages: artifact and graph.
            specs: inputs and outputs.
            lanes: one for each run at the same time; the same one may be there several times.
            buckets: row counts to pad to, ascending; none: rows run as they come, as those of a graph do that cannot
                be padded.
            steps: T, where the graph has such a dimension.
        """
        self.title = title
        self.specs = specs
        self.fixed = fixed_sizes(specs, steps)
        self.buckets = tuple(buckets) if can_be_padded(*specs, frozenset(self.fixed)) else ()
        self.concurrency = len(lanes)
        self.providers = lanes[0].providers
        self._steps = steps
        self._input_names = [spec.name for spec in specs[0]]
        self._output_names = [spec.name for spec in specs[1]]
        self._forms: dict[tuple[object, ...], _Form] = {}
        self._lanes = list(dict.fromkeys(lanes))
        self._free: SimpleQueue[Lane] = SimpleQueue()
        for lane in lanes:
            self._free.put(lane)
        self._wide: Lane | None = None
        self._wide_after = self._lone_runs = 0
        self._wide_free = threading.Lock()

    def widen(self, graph: OnnxGraph, after: int = LONELY) -> None:
        """Run a row that is alone, while nothing else runs, as another opening of the same graph does.

        Args:
            graph: the other one.
            after: how many such runs in a row it takes: under load the next rows are on their way, and would have to
                share the cores with it.
        """
        self._wide, self._wide_after = graph._lanes[0], after

    def run(self, inputs: Inputs) -> Outputs:
        """Inputs by name to outputs by name. Raises `EngineFailure`."""
        if self._wide is not None:
            alone = self._free.qsize() == self.concurrency and self._is_one_row(inputs)
            self._lone_runs = self._lone_runs + 1 if alone else 0
            if self._lone_runs > self._wide_after and self._wide_free.acquire(blocking=False):
                try:
                    return self._run_in(self._wide, inputs)
                finally:
                    self._wide_free.release()
        lane = self._free.get()
        try:
            return self._run_in(lane, inputs)
        finally:
            self._free.put(lane)

    @property
    def free(self) -> set[str]:
        """Dimensions of the inputs that may have any size."""
        return {str(dim) for spec in self.specs[0] for dim in spec.shape if isinstance(dim, str)} - set(self.fixed)

    def blank(self, sizes: dict[str, int]) -> dict[str, NDArray[np.generic]]:
        """Inputs of the given sizes that mean nothing but are valid: all present, all zero."""
        return {spec.name: _blank_tensor(spec, {**sizes, **self.fixed}) for spec in self.specs[0]}

    def warm_up(self) -> None:
        """Run every bucket in every lane, one row where there are no buckets. Raises `EngineFailure`."""
        for sizes in _combinations(sorted(self.free), self.buckets or (1,)):
            blank = self.blank(sizes)
            for lane in self._every_lane():
                self._run_in(lane, blank)

    def shrink(self) -> None:
        """Let go of what only runs larger than one row needed."""
        for lane in self._every_lane():
            lane.shrink(self.blank(dict.fromkeys(self.free, 1)))

    def try_out(self) -> None:
        """Run it on sizes that tell the free dimensions apart, and check what comes out. Raises `ArtifactError`."""
        sizes = {dim: 3 if dim == "B" else 2 for dim in self.free}
        least = {dim: max(spec.least for spec in self.specs[0] if dim in spec.shape) for dim in self.free}
        none = {dim: 0 for dim in self.free if not least[dim]}
        for each in [sizes, sizes | none] if none else [sizes]:
            try:
                found = free_sizes(self.specs[1], self.run(self.blank(each)), self._steps)
            except EngineFailure as error:
                raise ArtifactError(f"{self.title}: expected it to run, got: {error}") from error
            if found.get("B", 3) != 3:
                raise ArtifactError(f"{self.title}: expected 3 rows from 3 frames, got {found['B']}")

    def _every_lane(self) -> list[Lane]:
        return self._lanes if self._wide is None else [*self._lanes, self._wide]

    def _is_one_row(self, inputs: Inputs) -> bool:
        return all(size == 1 for dim, size in self._form(inputs).sizes.items() if dim not in self.fixed)

    def _run_in(self, lane: Lane, inputs: Inputs) -> Outputs:
        sizes, padded = self._form(inputs)
        if "scene_index" in inputs:
            check_scene_index(inputs)
            inputs = _none_behind(inputs, padded)
        try:
            values = lane.run(inputs, padded)
        except Exception as error:  # ONNX Runtime has no base class of its own
            raise EngineFailure(f"{self.title} failed on {sizes}: {error}") from error
        outputs: Outputs = dict(zip(self._output_names, values, strict=True))
        if padded != sizes:
            outputs |= {spec.name: outputs[spec.name][: sizes[str(spec.shape[0])]] for spec in self.specs[1]}
        return outputs

    def _form(self, inputs: Inputs) -> _Form:
        """The sizes of inputs that fit, checked once for each form that they come in. Raises `EngineFailure`."""
        try:
            key = tuple([(inputs[name].shape, inputs[name].dtype) for name in self._input_names])
            return self._forms[key]
        except KeyError:
            sizes = free_sizes(self.specs[0], inputs, self._steps)  # raises where a tensor is missing, too
        padded = {dim: size if dim in self.fixed else bucket(size, self.buckets) for dim, size in sizes.items()}
        if len(self._forms) >= MOST_FORMS:
            self._forms.clear()
        return self._forms.setdefault(key, _Form(sizes, padded))


def open_graph(
    title: str,
    content: bytes,
    specs: Specs,
    device: Device,
    *,
    sessions: int,
    threads: int,
    buckets: Sequence[int] = (),
    steps: int = 0,
) -> OnnxGraph:
    """Open a graph on a device.

    Args:
        title: for messages: artifact and graph.
        content: the graph, as in its file.
        specs: inputs and outputs.
        device: to run on.
        sessions: runs at the same time; on a GPU, calls that put inputs together while another runs.
        threads: of each run.
        buckets: row counts to pad to, ascending.
        steps: T, where the graph has such a dimension.

    Raises:
        ArtifactError: it does not open there, or is not what `specs` say.
    """
    fixed = fixed_sizes(specs, steps)
    if not can_be_padded(*specs, frozenset(fixed)):
        buckets = ()

    def open_lane() -> Lane:
        session = open_session(title, content, specs, device, threads, buckets, fixed)
        if device.provider == "cpu":
            return ArrayLane(session, specs)
        return BufferLane(
            session, specs, buckets, device.thread, "cuda", fixed=fixed, replays=device.replays, ahead=sessions
        )

    if device.provider != "cpu":
        lanes = [device.thread.submit(open_lane).result()] * sessions
    elif threads == 1:
        # A session of one thread runs in the thread that calls it: any number of them at once, and the weights are
        # there once. One of several threads has a pool of its own, that calls at the same time would have to share.
        lanes = [open_lane()] * sessions
    else:
        lanes = [open_lane() for _ in range(sessions)]
    return OnnxGraph(title, specs, lanes, buckets, steps)


def open_session(
    title: str,
    content: bytes,
    specs: Specs,
    device: Device,
    threads: int,
    buckets: Sequence[int],
    fixed: Mapping[str, int],
) -> ort.InferenceSession:
    """Open a graph on a device. Raises `ArtifactError` where it does not open there or is not what `specs` say."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.enable_mem_pattern = False  # it plans memory for every row count apart, and none of them gets faster by it
    # Threads that wait by spinning look fast on an idle machine, and take the cores from the gateway on a busy one.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    on_cpu = device.provider == "cpu"
    if on_cpu:
        make_arena()
        options.add_session_config_entry(*USE)
    else:
        options.add_session_config_entry("session.record_ep_graph_assignment_info", "1")
    try:
        providers = device.options(title, content, specs[0], buckets, fixed)
        session = ort.InferenceSession(content, options, providers=providers, enable_fallback=0)
        session._model_bytes = None  # which it would keep for as long as it lives, to fall back to other providers
        parts = () if on_cpu else session.get_provider_graph_assignment_info()
    except Exception as error:  # ONNX Runtime has no base class of its own
        where = "" if on_cpu else f" on {PROVIDERS[device.provider]}"
        hint = ": --cuda-graphs false may help" if device.replays else ""  # they allow no copies to and from the host
        raise ArtifactError(
            f"{title}: expected a graph that ONNX Runtime can open{where}, got: {error}{hint}"
        ) from error
    require_use(title, device.provider, session.get_providers(), parts)
    found = (session.get_inputs(), session.get_outputs())
    for what, wanted, tensors in zip(("inputs", "outputs"), specs, found, strict=True):
        if mismatch := graph_mismatch(wanted, tensors):
            raise ArtifactError(f"{title} {what}: {mismatch}: export the artifact again with this version")
    return session


def fixed_sizes(specs: Specs, steps: int) -> dict[str, int]:
    """Named dimensions that have one size."""
    return {"T": steps} if steps and any("T" in spec.shape for ends in specs for spec in ends) else {}


def _none_behind(inputs: Inputs, padded: Mapping[str, int]) -> Inputs:
    """The same for so many captures: what refers to none has the number of those that run."""
    captures = len(inputs["scene_mask"])
    if padded["S"] == captures:
        return inputs
    index = inputs["scene_index"]
    return {**inputs, "scene_index": np.where(index == captures, padded["S"], index)}


def _combinations(free: Sequence[str], buckets: Sequence[int]) -> list[dict[str, int]]:
    """Sizes of the free dimensions: all buckets of each, with all of the others where those are few."""
    if len(free) <= MOST_BUCKETED:
        return [dict(zip(free, rows, strict=True)) for rows in itertools.product(buckets, repeat=len(free))]
    return [{dim: rows if dim == wide else buckets[0] for dim in free} for rows in buckets for wide in free]


def _blank_tensor(spec: TensorSpec, sizes: Mapping[str, int]) -> NDArray[np.generic]:
    shape = [sizes[dim] if isinstance(dim, str) else dim for dim in spec.shape]
    return cast(NDArray[np.generic], np.full(shape, 1 if spec.name.endswith("_mask") else 0, spec.dtype))
