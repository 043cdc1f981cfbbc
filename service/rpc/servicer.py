"""The calls of `inference.GRPCInferenceService`, on the same models as the protocol over HTTP."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, TypeVar

import grpc
import structlog
from google.protobuf.json_format import ParseDict
from google.protobuf.message import Message
from prometheus_client import Histogram

from service.errors import (
    ArtifactError,
    CellsenseError,
    DeadlineExceeded,
    EngineFailure,
    InvalidInput,
    ModelNotReady,
    Overloaded,
    PayloadTooLarge,
    Unavailable,
    UnknownModel,
)
from service.metrics.traffic import TrafficMetrics
from service.oip import documents
from service.rpc import open_inference_pb2 as messages
from service.rpc.infer_answers import streamed, streamed_error, write_answer
from service.rpc.infer_requests import InferRequestReader
from service.runner.catalogue import Catalogue

SERVICE = "inference.GRPCInferenceService"
STREAMED_AHEAD = 32  # requests of a stream that are answered at the same time
_CODES: dict[type[BaseException], grpc.StatusCode] = {
    UnknownModel: grpc.StatusCode.NOT_FOUND,
    PayloadTooLarge: grpc.StatusCode.RESOURCE_EXHAUSTED,
    InvalidInput: grpc.StatusCode.INVALID_ARGUMENT,
    ModelNotReady: grpc.StatusCode.FAILED_PRECONDITION,
    ArtifactError: grpc.StatusCode.FAILED_PRECONDITION,
    Overloaded: grpc.StatusCode.RESOURCE_EXHAUSTED,
    Unavailable: grpc.StatusCode.UNAVAILABLE,
    DeadlineExceeded: grpc.StatusCode.DEADLINE_EXCEEDED,
    EngineFailure: grpc.StatusCode.INVALID_ARGUMENT,  # by now alone, on tensors that fit: it is their numbers
}

Context = Any  # grpc.aio.ServicerContext, of requests and answers of any kind
Answer = TypeVar("Answer", Message, bytes)
Call = Callable[[Any, Context], Awaitable[Answer]]
log: structlog.typing.FilteringBoundLogger = structlog.get_logger()


class Servicer:
    """Answers calls. Belongs to one event loop."""

    def __init__(
        self,
        repository: Catalogue[Any],
        traffic: TrafficMetrics,
        *,
        deadline_s: float,
        require_ready: Callable[[], None],
        require_control: Callable[[], None],
    ) -> None:
        """Serve a repository.

        Args:
            repository: of models.
            traffic: where calls are counted.
            deadline_s: that a call may take at most.
            require_ready: raises where the service is not ready.
            require_control: raises where models cannot be loaded and unloaded.
        """
        self._repository = repository
        self._traffic = traffic
        self._deadline_s = deadline_s
        self._require_ready = require_ready
        self._require_control = require_control
        self._reader = InferRequestReader(repository)
        self._durations: dict[tuple[str, grpc.StatusCode], Histogram] = {}

    def handlers(self) -> grpc.GenericRpcHandler[Any, Any]:
        """All of its calls, for a server."""
        unary: dict[str, tuple[type[Message], Call[Message]]] = {
            "ServerLive": (messages.ServerLiveRequest, self.server_live),
            "ServerReady": (messages.ServerReadyRequest, self.server_ready),
            "ModelReady": (messages.ModelReadyRequest, self.model_ready),
            "ServerMetadata": (messages.ServerMetadataRequest, self.server_metadata),
            "ModelMetadata": (messages.ModelMetadataRequest, self.model_metadata),
            "ModelConfig": (messages.ModelConfigRequest, self.model_config),
            "ModelStatistics": (messages.ModelStatisticsRequest, self.model_statistics),
            "RepositoryIndex": (messages.RepositoryIndexRequest, self.repository_index),
            "RepositoryModelLoad": (messages.RepositoryModelLoadRequest, self.load),
            "RepositoryModelUnload": (messages.RepositoryModelUnloadRequest, self.unload),
        }
        methods = {
            name: grpc.unary_unary_rpc_method_handler(
                self._counted(name, call),
                request_deserializer=request.FromString,
                response_serializer=_serialized,
            )
            for name, (request, call) in unary.items()
        }
        # Without serialisers: of bytes, of which the tensors are then views.
        methods["ModelInfer"] = grpc.unary_unary_rpc_method_handler(self._counted("ModelInfer", self.infer))
        methods["ModelStreamInfer"] = grpc.stream_stream_rpc_method_handler(self.stream_infer)
        return grpc.method_handlers_generic_handler(SERVICE, methods)

    async def server_live(self, request: messages.ServerLiveRequest, context: Context) -> Message:
        """Whether the process lives."""
        return messages.ServerLiveResponse(live=True)

    async def server_ready(self, request: messages.ServerReadyRequest, context: Context) -> Message:
        """Whether every model that was loaded at start is warm."""
        try:
            self._require_ready()
        except Unavailable:
            return messages.ServerReadyResponse(ready=False)
        return messages.ServerReadyResponse(ready=True)

    async def model_ready(self, request: messages.ModelReadyRequest, context: Context) -> Message:
        """Whether a model is loaded and warm."""
        try:
            self._repository.runner(request.name, request.version)
        except ModelNotReady:
            return messages.ModelReadyResponse(ready=False)
        return messages.ModelReadyResponse(ready=True)

    async def server_metadata(self, request: messages.ServerMetadataRequest, context: Context) -> Message:
        """Name, version, extensions."""
        return ParseDict(documents.server_metadata(), messages.ServerMetadataResponse())

    async def model_metadata(self, request: messages.ModelMetadataRequest, context: Context) -> Message:
        """Tensors of a model."""
        runner = self._repository.runner(request.name, request.version)
        return ParseDict(documents.model_metadata(runner), messages.ModelMetadataResponse())

    async def model_config(self, request: messages.ModelConfigRequest, context: Context) -> Message:
        """The same as a configuration."""
        runner = self._repository.runner(request.name, request.version)
        return ParseDict({"config": documents.model_config(runner)}, messages.ModelConfigResponse())

    async def model_statistics(self, request: messages.ModelStatisticsRequest, context: Context) -> Message:
        """What a model, or every model that is ready, has done."""
        repository = self._repository
        runners = [repository.runner(request.name, request.version)] if request.name else repository.ready()
        return ParseDict(await documents.statistics(runners), messages.ModelStatisticsResponse())

    async def repository_index(self, request: messages.RepositoryIndexRequest, context: Context) -> Message:
        """Every model and its state."""
        models = [m for m in self._repository.index() if m.state == "READY" or not request.ready]
        return ParseDict({"models": documents.index(models)}, messages.RepositoryIndexResponse())

    async def load(self, request: messages.RepositoryModelLoadRequest, context: Context) -> Message:
        """Load a model, anew where it is loaded."""
        self._require_control()
        await self._repository.load(request.model_name)
        return messages.RepositoryModelLoadResponse()

    async def unload(self, request: messages.RepositoryModelUnloadRequest, context: Context) -> Message:
        """Serve a model no more."""
        self._require_control()
        await self._repository.unload(request.model_name)
        return messages.RepositoryModelUnloadResponse()

    async def infer(self, request: bytes, context: Context) -> bytes:
        """Run a model: a `ModelInferRequest` to a `ModelInferResponse`."""
        asked = self._reader.read(request)
        runner = asked.runner
        limits_s = (self._deadline_s, asked.timeout_s, context.time_remaining())
        patience_s = min(limit_s for limit_s in limits_s if limit_s is not None)
        try:
            outputs = await runner.submit(asked.inputs, time.monotonic() + patience_s)
        except EngineFailure as error:
            raise EngineFailure(f"inputs: expected numbers that {runner.name} can run on, got: {error}") from error
        return write_answer(asked, outputs)

    async def stream_infer(self, requests: AsyncIterator[bytes], context: Context) -> AsyncIterator[bytes]:
        """Run models on requests as they come; the answers keep their order."""
        answers: asyncio.Queue[asyncio.Task[bytes] | None] = asyncio.Queue(STREAMED_AHEAD)

        async def read() -> None:
            async for request in requests:
                await answers.put(asyncio.create_task(self._streamed(request, context)))
            await answers.put(None)

        reader = asyncio.create_task(read())
        try:
            while (answer := await answers.get()) is not None:
                yield await answer
            await reader
        finally:
            reader.cancel()
            while not answers.empty():
                if (left := answers.get_nowait()) is not None:
                    left.cancel()

    async def _streamed(self, request: bytes, context: Context) -> bytes:
        started_s = time.monotonic()
        try:
            answer, code = streamed(await self.infer(request, context)), grpc.StatusCode.OK
        except CellsenseError as error:
            answer, code = streamed_error(request, error), code_of(error)
        self._count("ModelStreamInfer", code, started_s)
        return answer

    def _counted(self, name: str, call: Call[Answer]) -> Call[Answer]:
        async def counted(request: Any, context: Context) -> Answer:
            started_s = time.monotonic()
            code = grpc.StatusCode.UNKNOWN
            try:
                answer = await call(request, context)
                code = grpc.StatusCode.OK
                return answer
            except CellsenseError as error:
                code = code_of(error)
                if isinstance(error, EngineFailure):
                    log.error("Inference failed", error=str(error))
                await context.abort(code, str(error))
                raise  # never reached: abort raises
            finally:
                self._count(name, code, started_s)

        return counted

    def _count(self, name: str, code: grpc.StatusCode, started_s: float) -> None:
        found = self._durations.get((name, code))
        if found is None:
            found = self._traffic.request_duration.labels(f"/{SERVICE}/{name}", "gRPC", code.name)
            self._durations[name, code] = found
        found.observe(time.monotonic() - started_s)


def code_of(error: CellsenseError) -> grpc.StatusCode:
    """The status code of an error: that of the nearest class that has its own."""
    return next((_CODES[kind] for kind in type(error).__mro__ if kind in _CODES), grpc.StatusCode.INTERNAL)


def _serialized(answer: Message) -> bytes:
    return answer.SerializeToString()
