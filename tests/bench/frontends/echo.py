"""The least that an ASGI application does with a body: read it all, and give it back or say how long it was.

Runs in an environment of its own, so it needs nothing but Python.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

Message = dict[str, Any]


async def app(scope: Message, receive: Callable[[], Awaitable[Message]], send: Callable[[Message], Any]) -> None:
    """`/echo` gives the body back, anything else its length."""
    parts, more = [], True
    while more:
        message = await receive()
        parts.append(message.get("body", b""))
        more = message.get("more_body", False)
    body = parts[0] if len(parts) == 1 else b"".join(parts)
    answer = body if scope["path"] == "/echo" else b"%d" % len(body)
    headers = [(b"content-type", b"application/octet-stream"), (b"content-length", b"%d" % len(answer))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": answer})
