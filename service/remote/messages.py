"""What gateways and the engine say to each other: lists of small messages, as MessagePack.

Offsets are into the segment of the gateway. Times are of `time.monotonic()`, which is one clock for all processes of a
machine. Whoever is asked by a message with an `id` answers once, with the same id.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from service.contract.manifest import Manifest
from service.errors import CellsenseError, EngineFailure
from service.runner.catalogue import State
from service.runner.statistics import Duration, GraphStatistics, RunStatistics

Place = list[int]
"""Where a tensor is and how large: its offset, then its shape."""


class Run(msgspec.Struct, array_like=True, tag=0, gc=False):
    """Run a graph.

    Attributes:
        id: of the request.
        runner: number of the graph, as it was told by `Served`.
        deadline_s: after which nobody wants the answer.
        inputs: places of the tensors, in the order of the specification.
        area: offset and bytes of room for the outputs, where they are to be put.
    """

    id: int
    runner: int
    deadline_s: float
    inputs: list[Place]
    area: tuple[int, int] | None = None


class Cancel(msgspec.Struct, array_like=True, tag=1, gc=False):
    """Nobody waits for the answer to a `Run` any more."""

    id: int


class Ask(msgspec.Struct, array_like=True, tag=2, gc=False):
    """For the statistics of a runner, by its number; or to load or unload a model, by its name."""

    id: int
    what: str
    subject: int | str


class Inline(msgspec.Struct, array_like=True, tag=0, gc=False):
    """The outputs of a `Run` in the order of the specification: the shape and the bytes of each."""

    id: int
    started_s: float
    ended_s: float
    outputs: list[tuple[list[int], bytearray]]


class Placed(msgspec.Struct, array_like=True, tag=1, gc=False):
    """The outputs of a `Run` lie in the area for them."""

    id: int
    started_s: float
    ended_s: float
    outputs: list[Place]


class Failed(msgspec.Struct, array_like=True, tag=2, gc=False):
    """An error of the domain: see `failed` and `error_of`.

    Attributes:
        held: whether the engine still reads the inputs: a `Released` follows once it does not.
    """

    id: int
    kind: str
    arguments: list[str]
    attributes: dict[str, str | float]
    held: bool = False


class Released(msgspec.Struct, array_like=True, tag=3, gc=False):
    """The engine has let go of the memory of a `Run` that was cancelled, or that has `Failed` before."""

    id: int


class Statistics(msgspec.Struct, array_like=True, tag=4):
    """What a graph has done. See `GraphStatistics`."""

    id: int
    rows: int
    runs: int
    last_unix_ms: int
    success: Duration
    fail: Duration
    queue: Duration
    jobs: RunStatistics
    batches: dict[int, RunStatistics]


class Done(msgspec.Struct, array_like=True, tag=5, gc=False):
    """What was asked for was done."""

    id: int


class ServedGraph(msgspec.Struct, array_like=True):
    """A graph of an artifact: the number of its runner, and the most rows of a run."""

    number: int
    max_rows: int


class ServedArtifact(msgspec.Struct, array_like=True):
    """An artifact as the engine holds it.

    Attributes:
        manifest: JSON-ready.
        providers: of its engine.
        sites: those whose frames it answers.
        state, reason: of its models.
        graphs: by name.
    """

    manifest: dict[str, Any]
    providers: tuple[str, ...]
    sites: list[str]
    state: State
    reason: str
    graphs: dict[str, ServedGraph]


class Served(msgspec.Struct, array_like=True, tag=6):
    """All that the engine holds, and whether what it held at its start is warm."""

    artifacts: list[ServedArtifact]
    ready: bool


FromGateway = Run | Cancel | Ask
FromEngine = Inline | Placed | Failed | Released | Statistics | Done | Served


def statistics_message(identity: int, found: GraphStatistics) -> Statistics:
    """What a graph has done, as a message."""
    return Statistics(
        identity,
        found.rows,
        found.runs,
        found.last_unix_ms,
        found.success,
        found.fail,
        found.queue,
        found.jobs,
        found.batches,
    )


def statistics_of(message: Statistics) -> GraphStatistics:
    """The inverse of `statistics_message`."""
    found = GraphStatistics()
    for name in message.__struct_fields__[1:]:
        setattr(found, name, getattr(message, name))
    return found


def failed(identity: int, error: Exception, held: bool = False) -> Failed:
    """An error as a message; one that is none of the domain is a failure of the engine."""
    if not isinstance(error, CellsenseError):
        error = EngineFailure(f"{type(error).__name__}: {error}")
    attributes = {name: value for name, value in vars(error).items() if isinstance(value, str | float | int)}
    return Failed(identity, type(error).__name__, [str(argument) for argument in error.args], attributes, held)


def error_of(message: Failed) -> CellsenseError:
    """The inverse of `failed`: of the same class, with the same text and attributes."""
    kind = _KINDS[message.kind]
    error = kind.__new__(kind)
    error.args = tuple(message.arguments)
    vars(error).update(message.attributes)
    return error


def manifest_of(artifact: ServedArtifact) -> Manifest:
    """The manifest of an artifact."""
    return Manifest.from_json(artifact.manifest)


def _with_subclasses(kind: type[CellsenseError]) -> Sequence[type[CellsenseError]]:
    return [kind, *(each for subclass in kind.__subclasses__() for each in _with_subclasses(subclass))]


_KINDS = {kind.__name__: kind for kind in _with_subclasses(CellsenseError)}
