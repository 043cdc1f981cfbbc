"""The processes of a service of several: what each does, imported once and forked for each."""

from __future__ import annotations

import os
import shutil
import socket
from collections.abc import Sequence
from functools import partial
from importlib import import_module
from pathlib import Path

import msgspec

from service.remote.messages import Served
from service.serving.forking import Work, take_orders
from service.serving.gateway import run_gateway
from service.serving.memory import keep_freed_memory
from service.serving.names import ENGINE
from service.serving.nursery import from_memory
from service.serving.told import Told
from service.settings import Settings
from service.telemetry.logs import configure_logs

_SERVER = (
    "service.serving.engine",
    "service.serving.express",
    "uvicorn.lifespan.on",
    "uvicorn.loops.uvloop",
    "uvicorn.protocols.websockets.auto",
)
_GRPC = ("service.rpc.server", "service.rpc.servicer")  # an extra


def main(arguments: Sequence[str]) -> int:
    """Fork engines and gateways as ordered. Arguments: descriptors of the socket for orders, and of what is told."""
    orders, content = (int(argument) for argument in arguments)
    keep_freed_memory()  # before there are threads, and for all that is forked
    told = Told.from_json(from_memory(content))
    settings = Settings(**told.settings)
    configure_logs(settings.log_level, settings.log_format)
    for module in (*_SERVER, *(_GRPC if settings.grpc_port is not None else ())):
        import_module(module)
    # The folder is removed by the supervisor, unless it is killed.
    orphaned = partial(shutil.rmtree, told.folder, ignore_errors=True)
    with socket.socket(fileno=orders) as end:
        take_orders(end, partial(_work, told, settings), orphaned)
    return 0


def _work(told: Told, settings: Settings, name: str, descriptors: Sequence[int]) -> Work:
    """What a process of that name does; a gateway is given what the engine serves."""
    folder = Path(told.folder)
    port, door, reception = (socket.socket(fileno=number) for number in (told.port, told.door, told.reception))
    if name == ENGINE:
        port.close()
        door.close()
        from service.serving.engine import run_engine

        return partial(run_engine, settings, folder, reception)
    reception.close()
    (content,) = descriptors
    served = msgspec.msgpack.decode(from_memory(content), type=Served)
    os.close(content)
    return partial(run_gateway, settings, folder, port, door, served)
