"""Times every request by route and status, around everything that answers it."""

from __future__ import annotations

import time

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.metrics import Metrics


class RequestTimer:
    """ASGI middleware. The route is its template, and `unmatched` where there is none: labels stay bounded."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self.app = app
        self.metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        started = time.perf_counter()

        async def timed_send(message: Message) -> None:
            if message["type"] == "http.response.start":
                route = getattr(scope.get("route"), "path", "unmatched")
                duration_s = time.perf_counter() - started
                self.metrics.request_duration.labels(route, message["status"]).observe(duration_s)
            await send(message)

        await self.app(scope, receive, timed_send)
