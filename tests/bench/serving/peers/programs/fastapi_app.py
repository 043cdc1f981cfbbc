"""FastAPI before ONNX Runtime, run by uvicorn."""

from __future__ import annotations

import asyncio
import os
from concurrent.futures import ThreadPoolExecutor

from fastapi import FastAPI, Request, Response
from served_model import ServedModel

app = FastAPI()
model = ServedModel()
thread = ThreadPoolExecutor(1) if os.environ["BENCH_RUN"] == "thread" else None


@app.get("/ready")
async def ready() -> Response:
    """That the model is there."""
    return Response()


@app.post("/infer")
async def infer(request: Request) -> Response:
    """What the model says to the body."""
    body = await request.body()
    if thread:
        answer = await asyncio.get_running_loop().run_in_executor(thread, model.answer, body)
    else:
        answer = model.answer(body)
    return Response(answer, media_type="application/octet-stream")
