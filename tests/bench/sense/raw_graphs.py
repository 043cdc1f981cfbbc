"""The two graphs of an artifact in ONNX Runtime alone, each at its best: what a frame costs at the least."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from service.engine.cores import usable_cores
from tests.bench.sense.cases import Case
from tests.bench.sense.material import Material
from tests.bench.sense.tensors import encode_tensors, fuse_tensors
from tests.bench.serving import raw

_PROVIDER = "cpu"
_FUSE = "fuse"


@dataclass(frozen=True)
class RawGraphs:
    """Of one round and one kind of case: a frame takes a row of each graph, one after the other."""

    encode: raw.RawResult
    fuse: raw.RawResult

    @property
    def frames_per_s(self) -> float:
        """With all cores on one graph and then on the other."""
        return 1 / (1 / self.encode.frames_per_s + 1 / self.fuse.frames_per_s)

    @property
    def cpu_s_per_1000(self) -> float:
        """Processor seconds."""
        return self.encode.cpu_s_per_1000 + self.fuse.cpu_s_per_1000


class RawBench:
    """Finds the best setting of each graph once, and measures it as often as it is asked to."""

    def __init__(self, artifact: Path, material: Material, cases: Iterable[Case], scratch: Path) -> None:
        self._artifact, self._scratch, self._material = artifact, scratch, material
        self._kinds = {case.share: case for case in cases}
        self._chosen: dict[str, raw.Setting] = {}

    def search(self, seconds: float) -> dict[str, list[raw.RawResult]]:
        """Try all settings; what was seen, by graph."""
        tried = {
            kind: [self._run(kind, setting, seconds) for setting in raw.settings(usable_cores(), _PROVIDER)]
            for kind in (*self._kinds, _FUSE)
        }
        self._chosen = {kind: max(seen, key=lambda one: one.frames_per_s).setting for kind, seen in tried.items()}
        return tried

    def measure(self, seconds: float) -> dict[str, RawGraphs]:
        """By what a frame has of a capture, see `Case.share`."""
        found = {kind: self._run(kind, setting, seconds) for kind, setting in self._chosen.items()}
        return {kind: RawGraphs(found[kind], found[_FUSE]) for kind in self._kinds}

    def _run(self, kind: str, setting: raw.Setting, seconds: float) -> raw.RawResult:
        feed = self._scratch / f"{kind.replace('/', '-')}-{setting.batch}.npz"
        if not feed.exists():
            if kind == _FUSE:
                tensors = fuse_tensors(self._material, setting.batch)
            else:
                tensors = encode_tensors(self._material, self._kinds[kind], setting.batch)
            np.savez(feed, **tensors)
        graph = self._artifact / f"{_FUSE if kind == _FUSE else 'encode'}.onnx"
        return raw.measure(graph, setting, _PROVIDER, seconds, feed)
