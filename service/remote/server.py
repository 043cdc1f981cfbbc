"""The engine's side: takes gateways in, and runs what they ask for with the runners of this process."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Coroutine
from itertools import count
from weakref import WeakKeyDictionary, WeakValueDictionary

import structlog

from service.errors import Unavailable
from service.remote.connection import Connection
from service.remote.link import CAPACITY
from service.remote.messages import Served, ServedArtifact, ServedGraph
from service.remote.segment import Memory
from service.runner.graph_runner import GraphRunner
from service.runner.repository import Loaded, Repository
from service.runner.runner import model_name

log: structlog.typing.FilteringBoundLogger = structlog.get_logger()


class EngineServer:
    """Serves the models of a repository to gateways. Belongs to one event loop."""

    def __init__(self, repository: Repository, sites: dict[str, list[str]]) -> None:
        """Nobody is served before `start`.

        Args:
            repository: of the models.
            sites: the sites whose frames an artifact answers, by the artifact's name.
        """
        self._repository = repository
        self._sites = sites
        self._ready = False
        self._numbers: WeakKeyDictionary[GraphRunner, int] = WeakKeyDictionary()
        self._runners: WeakValueDictionary[int, GraphRunner] = WeakValueDictionary()
        self._next = count()
        self._connections: set[Connection] = set()
        self._reception: socket.socket | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    def start(self, reception: socket.socket) -> None:
        """Take in whoever comes to the reception."""
        self._reception = reception
        reception.setblocking(False)
        asyncio.get_running_loop().add_reader(reception, self._take_in)

    @property
    def idle(self) -> bool:
        """Whether no gateway is connected."""
        return not self._connections

    def close(self) -> None:
        """Take nobody in any more, and end the connections."""
        if self._reception is not None:
            asyncio.get_running_loop().remove_reader(self._reception)
        for connection in list(self._connections):
            connection.close()

    def set_ready(self) -> None:
        """What the engine held at its start is warm."""
        self._ready = True
        self.tell()

    def tell(self) -> None:
        """Tell every gateway what is served now."""
        served = self.served()
        for connection in self._connections:
            connection.tell(served)

    def served(self) -> Served:
        """What is served now."""
        return Served([self._described(artifact) for artifact in self._repository.artifacts], self._ready)

    def runner(self, number: int) -> GraphRunner:
        """The runner of that number. Raises `Unavailable` where it is gone: a model was replaced or unloaded."""
        runner = self._runners.get(number)
        if runner is None:
            raise Unavailable("the model was replaced or unloaded a moment ago: retry")
        return runner

    async def ask(self, what: str, model: str) -> None:
        """Load or unload a model. Raises what `Repository` raises."""
        if what == "load":
            await self._repository.load(model)
        else:
            await self._repository.unload(model)

    def spawn(self, work: Coroutine[None, None, None]) -> None:
        """Do something on the side."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _described(self, artifact: Loaded) -> ServedArtifact:
        manifest = artifact.engine.manifest
        graphs = {}
        for graph in manifest.tensors.graphs:
            runner = artifact.runners[model_name(manifest.name, len(manifest.tensors.graphs), graph)]
            if runner not in self._numbers:
                self._numbers[runner] = number = next(self._next)
                self._runners[number] = runner
            graphs[graph] = ServedGraph(self._numbers[runner], runner.max_rows)
        return ServedArtifact(
            manifest.to_json(),
            artifact.engine.providers,
            self._sites.get(manifest.name, []),
            artifact.state,
            artifact.reason,
            graphs,
        )

    def _take_in(self) -> None:
        assert self._reception is not None, "what was read from"
        while True:
            try:
                content, descriptors, _, _ = socket.recv_fds(self._reception, CAPACITY.size, 2)
            except BlockingIOError:
                return
            if not content:  # nobody is left who could come
                asyncio.get_running_loop().remove_reader(self._reception)
                return
            end, descriptor = descriptors
            memory = Memory(descriptor, CAPACITY.unpack(content)[0])
            os.close(descriptor)
            self.spawn(self._serve(socket.socket(fileno=end), memory))

    async def _serve(self, end: socket.socket, memory: Memory) -> None:
        end.setblocking(False)
        connection = Connection(self, memory, self._connections.discard)
        self._connections.add(connection)
        await asyncio.get_running_loop().create_unix_connection(lambda: connection.channel, sock=end)
        connection.tell(self.served())
