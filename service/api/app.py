"""The application: routes, errors, documentation, around one gateway."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager

from fastapi import FastAPI
from fastapi_offline import FastAPIOffline
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from service.api.accounting import count_request
from service.api.gateway import Gateway
from service.api.observe import OPERATION, REQUEST_ID, RequestObserver
from service.api.oip import router as oip_router
from service.api.problems import HttpProblem, problem_response
from service.api.routes import router
from service.api.specification import API_VERSION, DESCRIPTION, TITLE, specification
from service.engine.protocol import Engine
from service.errors import CellsenseError
from service.metrics import Seat
from service.remote.mirror import Mirror
from service.runner.repository import Load
from service.settings import Settings
from service.telemetry.tracer import Tracer

# Newer versions of FastAPI have spans, metrics and logs of their own, which hold messages of exceptions. Ours do not.
_NO_TELEMETRY = {"tracing": False, "metrics": False, "logs": False, "auto_configure": False}


def create_app(
    settings: Settings,
    engines: Mapping[str, Engine] | Mirror,
    now_s: Callable[[], float] = time.time,
    on_fatal: Callable[[], None] = lambda: None,
    seat: Seat | None = None,
    tracer: Tracer | None = None,
    others: Sequence[Engine] = (),
    load: Load | None = None,
) -> FastAPI:
    """The gateway's ASGI application; its lifespan starts and ends the parts behind it.

    Args:
        settings: everything that can be set.
        engines: the engine of each site, by the site's name; or those of another process.
        now_s: Unix time.
        on_fatal: called when the service will never become ready.
        seat: among the processes whose metrics count together; None where there is one process.
        tracer: makes spans, if any; closed with the application.
        others: engines of artifacts that serve no site.
        load: opens an artifact, to be loaded while the service runs; None where none can be.

    Raises:
        ArtifactError: a manifest lacks what answering needs.
    """
    gateway = Gateway(settings, engines, now_s, on_fatal, seat, tracer, others, load)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        async with gateway.running(), gateway.grpc():
            yield

    # The documentation page with its scripts in the package: it works where there is no internet.
    app = FastAPIOffline(
        title=TITLE,
        version=API_VERSION,
        description=DESCRIPTION,
        redoc_url=None,
        swagger_ui_parameters={"validatorUrl": None, "defaultModelsExpandDepth": 0},
        telemetry=_NO_TELEMETRY,
        lifespan=lifespan,
    )
    app.state.gateway = gateway
    app.include_router(router)
    app.include_router(oip_router)
    app.openapi = specification  # type: ignore[method-assign]  # the way that FastAPI documents
    app.add_middleware(RequestObserver, traffic=gateway.metrics.traffic, tracer=tracer)
    for kind in (CellsenseError, HttpProblem, HTTPException, Exception):
        app.add_exception_handler(kind, _answer_with_problem)
    return app


async def _answer_with_problem(request: Request, error: Exception) -> Response:
    if isinstance(error, HTTPException):  # of the router: no such path, no such method
        detail = f"{request.method} {request.url.path[:128]}: {error.detail}: see /docs for what there is"
        error = HttpProblem(error.status_code, error.detail, detail, error.headers)
    if request.url.path not in OPERATION:
        count_request(request.app.state.gateway.metrics.traffic, error)
    # The observer has added the request's id to every answer but the one to an error that nobody foresaw.
    foreseen = isinstance(error, CellsenseError | HttpProblem)
    return problem_response(error, None if foreseen else {REQUEST_ID: request.state.request_id})
