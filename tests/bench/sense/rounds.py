"""Rounds: in each, the two graphs alone and then the gateway, so that what else the machine does hits both."""

from __future__ import annotations

import resource
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.bench import gateway
from tests.bench.sense import frame_load
from tests.bench.sense.cases import CASES, Case
from tests.bench.sense.material import Material
from tests.bench.sense.raw_graphs import RawBench, RawGraphs
from tests.bench.sense.template import FORMS, Template, template
from tests.bench.serving.process_tree import peak_memory
from tests.bench.serving.raw import RawResult

_FILL_S = 8.0  # before the first load of a round: trajectories fill, the allocator finds its size


@dataclass(frozen=True)
class Measurement:
    """One case in one form in one round; `raw` is what the graphs alone did in it. Memory is of all processes.

    `load_cpu_s_per_1000` is what the load generator itself took on the same cores, for bodies that it changes.
    """

    round: int
    form: str
    case: Case
    raw: RawGraphs
    frames_per_s: float
    p50_ms: float
    p99_ms: float
    errors: int
    cpu_s_per_1000: float
    load_cpu_s_per_1000: float
    rss_mib: float
    pss_mib: float


@dataclass
class Results:
    """All that was seen of an artifact."""

    artifact: str
    contract: str
    raw_tried: dict[str, list[RawResult]] = field(default_factory=dict)  # by graph
    measurements: list[Measurement] = field(default_factory=list)


def run(artifact: Path, arguments: Sequence[str], rounds: int, seconds: float, warm_s: float) -> Results:
    """Measure all cases of the artifact's contract, in every form.

    Raises:
        RuntimeError: ONNX Runtime or the gateway did not start.
        OSError, ValueError: the gateway does not answer, or not every frame.
    """
    material = Material.of(artifact)
    contract = material.manifest.contract
    results = Results(artifact.name, contract)
    templates = [template(form, case, material) for case in CASES[contract] for form in FORMS]
    with tempfile.TemporaryDirectory() as folder:
        alone = RawBench(artifact, material, CASES[contract], Path(folder))
        _say(f"{artifact.name}: raw, all settings")
        results.raw_tried = alone.search(warm_s)
        for number in range(1, rounds + 1):
            _say(f"{artifact.name}: round {number}")
            raw = alone.measure(seconds)
            turn = (number - 1) % len(templates)
            order = templates[turn:] + templates[:turn]  # none is always the first
            results.measurements += _round(number, artifact, arguments, order, raw, (seconds, warm_s), Path(folder))
    return results


def _round(
    number: int,
    artifact: Path,
    arguments: Sequence[str],
    templates: Sequence[Template],
    raw: dict[str, RawGraphs],
    times_s: tuple[float, float],
    scratch: Path,
) -> Iterator[Measurement]:
    seconds, warm_s = times_s
    with gateway.serving([artifact], arguments) as served:
        steps = Material.of(artifact).manifest.tensors.steps
        for each in templates:
            frame_load.check(served.port, each, steps)
        frame_load.run(served.port, templates[0], templates[0].case.clients, _FILL_S, scratch)
        for each in templates:
            frame_load.run(served.port, each, each.case.clients, warm_s, scratch)
            yield _measure(number, served, each, raw[each.case.share], seconds, scratch)


def _measure(
    number: int, served: gateway.Gateway, asked: Template, raw: RawGraphs, seconds: float, scratch: Path
) -> Measurement:
    form, case = asked.form.name, asked.case
    used_s, generator_s = served.tree.cpu_s(), _ended_children_s()
    with peak_memory(served.tree) as peak:
        load = frame_load.run(served.port, asked, case.clients, seconds, scratch)
    used_s, generator_s = served.tree.cpu_s() - used_s, _ended_children_s() - generator_s
    if load.errors:
        _say(f"{form}, {case}: {load.errors} failed, {load.reason}")
    frames, memory = load.requests * case.frames, peak()
    if not frames:
        raise OSError(f"{form}, {case}: no request was answered in full, {load.errors} failed: {load.reason}")
    return Measurement(
        number,
        form,
        case,
        raw,
        frames / load.seconds,
        load.p50_ms,
        load.p99_ms,
        load.errors,
        1e3 * used_s / frames,
        1e3 * generator_s / frames,
        memory.rss_mib,
        memory.pss_mib,
    )


def _ended_children_s() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
