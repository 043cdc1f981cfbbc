"""The gateway of this repository, as `cellsense serve` starts it."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

from tests.bench.serving.gateway_ready import all_ready
from tests.bench.serving.oip_grpc import OipGrpc
from tests.bench.serving.oip_http import OipHttp
from tests.bench.serving.server import Launch, Server


def _command(launch: Launch) -> list[str | Path]:
    serve: list[str | Path] = [sys.executable, "-m", "service.cli", "serve", "--port", str(launch.port)]
    told: list[str | Path] = ["--models", launch.artifact.parent, "--provider", launch.provider]
    return [*serve, *told, "--log-level", "warning", *launch.setting["arguments"].split()]


def _command_with_grpc(launch: Launch) -> list[str | Path]:
    return [*_command(launch), "--grpc-port", str(launch.port + GRPC.port_offset)]


def _all_ready(launch: Launch) -> bool:
    return all_ready(launch.port, launch.setting["arguments"].split())


HTTP = Server("oip-http", "cellsense, OIP HTTP", OipHttp(), _command, "/v2/models/{model}/ready", _all_ready, ours=True)
GRPC = replace(
    HTTP, name="oip-grpc", title="cellsense, OIP gRPC", wire=OipGrpc(), command=_command_with_grpc, port_offset=1
)
NAMES = (HTTP.name, GRPC.name)


def servers(arguments: str) -> tuple[Server, ...]:
    """Each way to ask the gateway, which takes more arguments of `cellsense serve`."""
    return tuple(replace(server, settings=({"arguments": arguments},)) for server in (HTTP, GRPC))
