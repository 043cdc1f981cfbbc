"""How the application is served, by one process or by several."""

from __future__ import annotations

import socket

import uvicorn
from fastapi import FastAPI

from service.settings import Settings

FAILED = 1  # exit status of the service
UVICORNS_PROTOCOL, OUR_PROTOCOL = "httptools", "service.serving.express:ExpressProtocol"


def server_config(settings: Settings, app: FastAPI) -> uvicorn.Config:
    """How the application is served."""
    return uvicorn.Config(
        app,
        http=UVICORNS_PROTOCOL if settings.traces != "off" else OUR_PROTOCOL,  # spans begin in the application
        host=settings.host,
        port=settings.port,
        timeout_graceful_shutdown=settings.drain_s,
        server_header=False,
        proxy_headers=False,  # nobody asks for the address of a client
        log_config=None,  # the log is ours, and so is its line a request
        access_log=False,
    )


def bound_port(settings: Settings) -> socket.socket:
    """A socket at the port that the settings name, for several processes to listen on."""
    return uvicorn.Config("", host=settings.host, port=settings.port, log_config=None).bind_socket()
