"""Settings of the service: the only module that reads the environment."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

MIB = 1 << 20


def _names(value: object) -> object:
    """A text as the names in it."""
    return tuple(filter(None, map(str.strip, value.split(",")))) if isinstance(value, str) else value


Names = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_names)]
"""Written with commas between them, in a variable as in a flag."""


class Settings(BaseSettings):
    """One frozen object, passed down. Each field is also a variable `CELLSENSE_<FIELD>` and a flag of `serve`."""

    model_config = SettingsConfigDict(
        env_prefix="CELLSENSE_", frozen=True, use_attribute_docstrings=True, hide_input_in_errors=True
    )

    host: str = "127.0.0.1"
    """Address to listen on; 0.0.0.0 for every interface."""
    port: int = Field(default=8000, ge=0, le=65535)
    """TCP port to listen on."""
    grpc_port: int | None = Field(default=None, ge=0, le=65535)
    """TCP port for the Open Inference Protocol over gRPC, e.g. 8001; none by default. Needs cellsense[grpc]."""
    workers: int = Field(default=1, ge=1, le=512)
    """Processes that answer requests behind the one port; if several, one more runs the models for all of them."""
    models: Path = Path(__file__).resolve().parent.parent / "models" / "zoo"
    """Folder of artifacts, one folder each."""
    prefer: Names = ("gated-fusion",)
    """Names of artifacts, with commas between them: a site that several serve goes to the first of these that does."""
    model_control: bool = True
    """Whether models can be loaded and unloaded over the Open Inference Protocol while the service runs."""
    redis: str = Field(default="embedded://", repr=False)  # it may hold a password
    """Redis of the trajectories: embedded:// starts a server of its own, else redis://, rediss:// or unix://."""

    provider: Literal["cpu", "cuda", "tensorrt"] = "cpu"
    """Where inference runs. A provider that cannot be had is an error, never a silent fall to the CPU."""
    gpu_memory_bytes: int | None = Field(default=None, ge=1)
    """Most bytes of a GPU's memory for the intermediate results of one graph; by default as much as they need."""
    cuda_graphs: bool = True
    """Whether provider cuda records the kernels of every batch size at start and replays them, the faster way."""
    tf32: bool = False
    """Whether provider cuda may round products to TF32: faster, but positions then differ from those measured."""
    tensorrt_fp16: bool = False
    """Whether provider tensorrt may compute in half precision: faster, what accuracy it costs nobody measured."""
    tensorrt_cache: Path | None = None
    """Folder in which provider tensorrt keeps the engines it builds; without one it builds them at every start."""
    precision: Literal["fp32", "fp16", "int8"] = "fp32"
    """Variant of each artifact that is served, a folder <artifact>/<precision>; fp32 where it has no such folder."""
    precision_loss: float = Field(default=0.02, ge=0)
    """Most accuracy that a variant may have lost by its manifest: growth of errors, drop of rates; 0.02 is 2 %."""
    sessions: int | None = Field(default=None, ge=1)
    """Runs of one model at the same time. Without this and their threads: what runs fastest, found at start."""
    intra_op_threads: int | None = Field(default=None, ge=1)
    """Threads within one run; by default the cores of the container, shared by sessions."""
    threads: int | None = Field(default=None, ge=1)
    """Threads that parse requests, and turns of requests that are answered at a time; by default the cores of the
    container."""

    max_batch_frames: int = Field(default=256, ge=1)
    """Most frames in one request."""
    max_batch_scenes: int = Field(default=64, ge=1)
    """Most scene captures in one request."""
    max_body_bytes: int = Field(default=64 * MIB, ge=1)
    """Largest request body, bytes."""
    max_inflight_bytes: int = Field(default=256 * MIB, ge=1)
    """Most bytes of request bodies held at the same time; requests beyond that are turned away with 503."""
    max_camera_pixels: int = Field(default=33_600_000, ge=1)
    """Most pixels of a camera frame, before it is scaled."""
    max_camera_side_px: int = Field(default=8192, ge=1)
    """Most pixels on a side of a camera frame."""

    max_run_rows: int | None = Field(default=None, ge=1)
    """Most frames in one run of a model: requests are batched up to it; by default found out at start."""
    max_queue_rows: int = Field(default=1024, ge=1)
    """Most frames that wait for their turn, or for a model; requests beyond that are turned away with 503."""
    deadline_s: float = Field(default=5.0, gt=0)
    """Seconds that a request may take once its body has arrived."""
    body_timeout_s: float = Field(default=30.0, gt=0)
    """Seconds that a request's body may take to arrive."""
    drain_s: int = Field(default=10, ge=0)
    """Seconds that requests in flight may take to finish when the service is told to end."""

    trajectory_ttl_s: int = Field(default=60, ge=1)
    """Seconds after which a UE's trajectory is forgotten when no frame of it arrives."""
    late_tolerance_s: float = Field(default=2.0, ge=0)
    """How much older than the newest frame of its UE a frame may be."""
    future_tolerance_s: float = Field(default=5.0, ge=0)
    """How far ahead of this machine's clock a timestamp may be."""
    label_ttl_s: int = Field(default=300, ge=0)
    """Seconds for which answers are kept, to be compared with labels that are posted later; 0 keeps none."""
    redis_timeout_s: float = Field(default=0.5, gt=0)
    """Seconds that Redis may take to answer; frames are then answered without their trajectories."""
    redis_connections: int = Field(default=32, ge=1)
    """Most connections to Redis; requests beyond that wait for one."""

    log_level: Literal["debug", "info", "warning", "error"] = "info"
    """Least important lines that are logged: info has a line a request, debug those for health and metrics too."""
    log_format: Literal["json", "text"] | None = None
    """How lines are logged; by default as text to a terminal, else as JSON."""
    traces: Literal["off", "console", "otlp"] = "off"
    """Where spans go: nowhere, to the log, or by OTLP over HTTP to a collector. Needs cellsense[otel]."""
    traces_endpoint: str = "http://127.0.0.1:4318/v1/traces"
    """URL of the collector."""
    traces_ratio: float = Field(default=1.0, ge=0, le=1)
    """Share of the requests that are traced, where the caller has not decided."""
    commit: str = "unknown"
    """Commit that this service was built from, for its metrics."""
