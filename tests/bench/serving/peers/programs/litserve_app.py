"""LitServe before ONNX Runtime."""

# No `from __future__ import annotations`: LitServe reads the types of the API's methods as objects.
import os
from typing import Annotated

import litserve
from fastapi import Depends, Request, Response
from served_model import ServedModel


async def _body(request: Request) -> bytes:
    return await request.body()


class Api(litserve.LitAPI):
    """LitServe reads JSON and forms by itself; through a dependency of FastAPI's it takes any body."""

    def setup(self, device: str) -> None:
        """In each worker."""
        self._model = ServedModel()

    def decode_request(self, request: Annotated[bytes, Depends(_body)]) -> bytes:
        """The body as it is."""
        return request

    def predict(self, x: bytes | list[bytes]) -> bytes | list[bytes]:
        """A list comes where batches are made."""
        return self._model.answers(x) if isinstance(x, list) else self._model.answer(x)

    def encode_response(self, output: bytes) -> Response:
        """The answer as it is."""
        return Response(output, media_type="application/octet-stream")


class BatchedApi(Api):
    """Bodies of any length cannot be stacked as arrays, which is what LitServe would do."""

    def batch(self, inputs: list[bytes]) -> list[bytes]:
        """As they are."""
        return inputs

    def unbatch(self, output: list[bytes]) -> list[bytes]:
        """As they are."""
        return output


if __name__ == "__main__":
    rows = int(os.environ["BENCH_ROWS"])
    api = (
        BatchedApi(max_batch_size=rows, batch_timeout=float(os.environ["BENCH_WAIT_S"]), api_path="/infer")
        if rows > 1
        else Api(api_path="/infer")
    )
    server = litserve.LitServer(
        api,
        accelerator=os.environ["BENCH_PROVIDER"],
        devices=1,
        workers_per_device=int(os.environ["BENCH_INSTANCES"]),
        fast_queue=bool(os.environ["BENCH_FAST_QUEUE"]),
    )
    server.run(
        host="127.0.0.1",
        port=int(os.environ["BENCH_PORT"]),
        num_api_servers=int(os.environ["BENCH_SERVERS"]),
        log_level="warning",
        access_log=False,
        generate_client_file=False,
    )
