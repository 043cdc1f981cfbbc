"""What a request of `/v1/sense` costs to take apart, by its form: `python -m tests.bench.sense_formats`.

A request of 16 UEs with one scene capture: camera, radar, LiDAR, and CSI of each UE. Each form is read to the same
values: a tree of names and numbers, and the bytes of each tensor. Processor time, so that whatever else runs counts
little; the least of several rounds. Forms whose library is not installed are left out: pip install msgspec ormsgpack
msgpack python-multipart pyarrow.
"""

from __future__ import annotations

import argparse
import base64
import importlib
import io
import json
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import orjson

UES = 16
ROUNDS, REPEATS = 7, 40
Form = tuple[bytes, Callable[[bytes], object]]  # a body, and what reads it


def request(tensor: Callable[[bytes], Any]) -> dict[str, Any]:
    """The request, its tensors as `tensor` has them."""
    rng = np.random.default_rng(0)

    def described(dtype: str, *shape: int) -> dict[str, Any]:
        size = int(np.prod(shape)) * np.dtype(dtype).itemsize
        return {"dtype": dtype, "shape": list(shape), "data": tensor(rng.bytes(size))}

    scene = {
        "id": "capture-0",
        "site": "munich",
        "camera": tensor(rng.bytes(12_000)),
        "radar": described("float32", 200, 6),
        "lidar": described("float32", 4000, 4),
    }
    frames = [
        {
            "site": "munich",
            "ue": f"car-{number}",
            "timestamp_s": 1.79e9 + number,
            "scene": "capture-0",
            "csi": described("complex64", 32, 64),
        }
        for number in range(UES)
    ]
    return {"scenes": [scene], "frames": frames}


def json_base64() -> Form:
    """JSON, tensors in base64: the form for humans."""

    def read(body: bytes) -> object:
        return _decoded(orjson.loads(body))

    return orjson.dumps(request(lambda data: base64.b64encode(data).decode())), read


def _decoded(value: Any) -> Any:
    if isinstance(value, dict):
        return {
            name: base64.b64decode(each) if name in ("data", "camera") else _decoded(each)
            for name, each in value.items()
        }
    return [_decoded(each) for each in value] if isinstance(value, list) else value


def messagepack_msgpack() -> Form:
    """MessagePack by msgpack, the reference implementation."""
    msgpack = importlib.import_module("msgpack")
    return msgpack.packb(request(bytes)), msgpack.unpackb


def messagepack_ormsgpack() -> Form:
    """MessagePack by ormsgpack."""
    ormsgpack = importlib.import_module("ormsgpack")
    return ormsgpack.packb(request(bytes)), ormsgpack.unpackb


def messagepack_msgspec() -> Form:
    """MessagePack by msgspec."""
    msgspec = importlib.import_module("msgspec")
    return msgspec.msgpack.encode(request(bytes)), msgspec.msgpack.Decoder().decode


def multipart() -> Form:
    """multipart/form-data: the JSON with the name of a part for each tensor, and the parts raw."""
    parser = importlib.import_module("python_multipart.multipart")
    parts: dict[str, bytes] = {}

    def part(data: bytes) -> str:
        parts[name := f"t{len(parts)}"] = data
        return name

    parts = {"request": json.dumps(request(part)).encode(), **parts}
    boundary = b"cellsense-7f3a"
    chunks = []
    for name, data in parts.items():
        head = f'Content-Disposition: form-data; name="{name}"\r\n\r\n'.encode()
        chunks.append(b"--" + boundary + b"\r\n" + head + data + b"\r\n")
    body = b"".join(chunks) + b"--" + boundary + b"--\r\n"

    def read(body: bytes) -> object:
        found: dict[str, bytes] = {}

        def on_file(_: object) -> None: ...

        def on_field(field: Any) -> None:
            found[field.field_name.decode()] = field.value

        reader = parser.FormParser("multipart/form-data", on_field, on_file, boundary=boundary)
        reader.write(body)
        reader.finalize()
        return orjson.loads(found["request"]), found

    return body, read


def arrow_ipc() -> Form:
    """Arrow IPC: a stream of one record batch of frames, its tensors as binary columns."""
    pa = importlib.import_module("pyarrow")
    tree = request(bytes)
    frames = pa.record_batch(
        {
            **{name: [frame[name] for frame in tree["frames"]] for name in ("site", "ue", "timestamp_s", "scene")},
            "csi": [frame["csi"]["data"] for frame in tree["frames"]],
        }
    )
    (scene,) = tree["scenes"]
    scenes = pa.record_batch(
        {
            **{name: [scene[name]] for name in ("id", "site", "camera")},
            **{name: [scene[name]["data"]] for name in ("radar", "lidar")},
        }
    )
    sink = io.BytesIO()
    for batch in (scenes, frames):
        with pa.ipc.new_stream(sink, batch.schema) as writer:
            writer.write_batch(batch)

    def read(body: bytes) -> object:
        source = pa.BufferReader(body)
        found = []
        for _ in range(2):
            with pa.ipc.open_stream(source) as reader:
                batch = reader.read_next_batch()
                found.append({name: [each.as_py() for each in batch.column(name)] for name in batch.schema.names})
                for _ in reader:
                    pass
        return found

    return sink.getvalue(), read


FORMS = (json_base64, messagepack_msgpack, messagepack_ormsgpack, messagepack_msgspec, multipart, arrow_ipc)


def main(argv: list[str] | None = None) -> None:
    """Command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.sense_formats", description=__doc__)
    parser.parse_args(argv)
    print(f"| form | bytes | µs of processor time, {UES} UEs |\n|---|---|---|")
    for form in FORMS:
        name = form.__name__.replace("_", ", ")
        try:
            body, read = form()
        except ModuleNotFoundError as error:
            print(f"| {name} | – | {error.name} is not installed |")
            continue
        times_s = []
        for _ in range(ROUNDS):
            started_s = time.process_time()
            for _ in range(REPEATS):
                read(body)
            times_s.append((time.process_time() - started_s) / REPEATS)
        print(f"| {name} | {len(body):,} | {1e6 * min(times_s):.0f} |")


if __name__ == "__main__":
    main()
