"""A gRPC server beside the HTTP server, in the same process and on the same event loop."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import grpc
import structlog

from service.errors import ArtifactError
from service.rpc.servicer import Servicer

log: structlog.typing.FilteringBoundLogger = structlog.get_logger()


@asynccontextmanager
async def serving(
    servicer: Servicer, host: str, port: int, *, max_message_bytes: int, drain_s: float, shared: bool
) -> AsyncIterator[int]:
    """Serve while the context lasts; gives the port.

    Args:
        servicer: that answers.
        host: address to listen on.
        port: TCP port, 0 for a free one.
        max_message_bytes: of a request.
        drain_s: that calls in flight may take to finish in the end.
        shared: whether other processes listen on the same port.

    Raises:
        ArtifactError: the port cannot be had.
    """
    server = grpc.aio.server(
        options=[
            ("grpc.max_receive_message_length", max_message_bytes),
            ("grpc.max_send_message_length", -1),
            ("grpc.so_reuseport", int(shared)),
        ]
    )
    server.add_generic_rpc_handlers((servicer.handlers(),))
    try:
        bound = server.add_insecure_port(f"{f'[{host}]' if ':' in host else host}:{port}")
    except RuntimeError as error:
        raise ArtifactError(f"grpc_port: expected a port that is free, got {port}: {error}") from error
    await server.start()
    log.info("gRPC server started", port=bound)
    try:
        yield bound
    finally:
        await server.stop(drain_s)
