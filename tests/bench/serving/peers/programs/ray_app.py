"""Ray Serve before ONNX Runtime."""

from __future__ import annotations

import asyncio
import os
import signal
from concurrent.futures import ThreadPoolExecutor

import ray
from ray import serve
from served_model import ServedModel
from starlette.requests import Request
from starlette.responses import Response

INSTANCES = int(os.environ["BENCH_INSTANCES"])
GPUS = 1 / INSTANCES if os.environ["BENCH_PROVIDER"] == "cuda" else 0
ROWS = 8


@serve.deployment(num_replicas=INSTANCES, max_ongoing_requests=256, ray_actor_options={"num_cpus": 1, "num_gpus": GPUS})
class Model:
    """One replica."""

    def __init__(self) -> None:
        self._model = ServedModel()
        self._thread = ThreadPoolExecutor(1)
        self._answer = {"batch": self._in_batch, "thread": self._in_thread, "inline": self._inline}[
            os.environ["BENCH_RUN"]
        ]

    async def __call__(self, request: Request) -> Response:
        """Any path but `/infer` asks whether the replica is there."""
        if request.url.path != "/infer":
            return Response()
        return Response(await self._answer(await request.body()), media_type="application/octet-stream")

    @serve.batch(max_batch_size=ROWS, batch_wait_timeout_s=0)
    async def _in_batch(self, bodies: list[bytes]) -> list[bytes]:
        return self._model.answers(bodies)

    async def _in_thread(self, body: bytes) -> bytes:
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._model.answer, body)

    async def _inline(self, body: bytes) -> bytes:
        return self._model.answer(body)


if __name__ == "__main__":
    ray.init(num_cpus=INSTANCES + 1, include_dashboard=False, object_store_memory=100 << 20, logging_level="warning")
    serve.start(http_options={"host": "127.0.0.1", "port": int(os.environ["BENCH_PORT"])})
    serve.run(Model.bind(), route_prefix="/")
    signal.sigwait({signal.SIGTERM, signal.SIGINT})
    serve.shutdown()
    ray.shutdown()
