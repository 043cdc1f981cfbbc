"""What `ps` and `top` call the processes of a service of several."""

from __future__ import annotations

ENGINE, GATEWAY = "cellsense-model", "cellsense-http"
CANNOT_START = 3  # exit status of one of them which need not be tried again; that of uvicorn, too
