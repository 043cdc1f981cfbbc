"""Asks the gateway on this machine whether it is ready, as the health check of a container does."""

from __future__ import annotations

import http.client
import json

TIMEOUT_S = 3.0
ANY_INTERFACE = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # where a gateway listens -> where it is asked


def readiness(host: str, port: int) -> tuple[bool, str]:
    """Whether the gateway that listens on `host` and `port` is ready, and in a sentence what it said."""
    connection = http.client.HTTPConnection(ANY_INTERFACE.get(host, host), port, timeout=TIMEOUT_S)
    try:
        connection.request("GET", "/readyz")
        response = connection.getresponse()
        answer = json.loads(response.read())
    except (OSError, http.client.HTTPException, ValueError) as error:
        return False, f"{host}:{port}: expected a gateway that answers /readyz, got {error!r}"
    finally:
        connection.close()
    if response.status != 200:
        return False, f"{host}:{port}: not ready: {answer.get('detail', answer)}"
    return True, f"{host}:{port}: ready, buffer {answer['buffer']}"
