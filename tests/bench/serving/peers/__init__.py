"""The servers that a user would pick instead."""

from __future__ import annotations

from tests.bench.serving.peers import fastapi_bytes, lit_serve, ray_serve, triton

PEERS = {
    server.name: server
    for server in (triton.HTTP, triton.GRPC, fastapi_bytes.SERVER, ray_serve.SERVER, lit_serve.SERVER)
}
