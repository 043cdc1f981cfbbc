"""Bodies of requests and responses. Requests are strict: no coercion, no unknown field."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, PlainValidator, WithJsonSchema
from pydantic_core import PydanticCustomError

from service.contract.captures import (
    CSI_ANTENNAS,
    CSI_SUBCARRIERS,
    LIDAR_COLUMNS,
    LIDAR_MAX_POINTS,
    RADAR_COLUMNS,
    RADAR_MAX_POINTS,
    TEXT_MAX_CHARS,
)
from service.contract.labels import ACTIVITIES, TASKS
from service.pipeline.answers import Activity, Explanation, LineOfSight, Path, Position, VertexAnswer

_NAME_MAX_CHARS = 128
MAX_DISTANCE_M = 100_000.0  # beyond any cell


def _table(columns: int, most: int) -> dict[str, Any]:
    rows = {"type": "integer", "minimum": 0, "maximum": most}
    return {"type": "array", "prefixItems": [rows, {"const": columns}], "minItems": 2, "maxItems": 2}


class _Request(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, use_attribute_docstrings=True)


def _text_or_bytes(value: object) -> str | bytes:
    if not isinstance(value, str | bytes):
        raise PydanticCustomError("string_type", "Input should be a valid string")
    return value


Bytes = Annotated[
    str | bytes, PlainValidator(_text_or_bytes), WithJsonSchema({"type": "string", "contentEncoding": "base64"})
]
"""In base64 where the document is JSON, raw where it is MessagePack."""
Name = Annotated[str, Field(min_length=1, max_length=_NAME_MAX_CHARS)]


class CsiTensor(_Request):
    """Uplink channel: antenna (row * 8 + column, row 0 lowest, column 0 leftmost seen from behind) by subcarrier."""

    dtype: Literal["complex64"]
    """Real and imaginary part as little-endian float32, in sqrt(mW) per subcarrier."""
    shape: Annotated[list[int], WithJsonSchema({"type": "array", "const": [CSI_ANTENNAS, CSI_SUBCARRIERS]})]
    """32 antennas by 64 subcarriers in ascending frequency."""
    data: Bytes
    """The numbers in C order: 16,384 bytes."""


class RadarTensor(_Request):
    """Radar detections: time s, east m, north m, up m, radial velocity m/s (positive: away), intensity dB."""

    dtype: Literal["float32"]
    """Little-endian."""
    shape: Annotated[list[int], WithJsonSchema(_table(RADAR_COLUMNS, RADAR_MAX_POINTS))]
    """Detections by 6 columns; there may be no detection."""
    data: Bytes
    """The numbers in C order: 24 bytes a detection."""


class LidarTensor(_Request):
    """LiDAR returns: east m, north m, up m, intensity 0 to 1, ring."""

    dtype: Literal["float32"]
    """Little-endian."""
    shape: Annotated[list[int], WithJsonSchema(_table(LIDAR_COLUMNS, LIDAR_MAX_POINTS))]
    """Returns by 5 columns; there may be no return."""
    data: Bytes
    """The numbers in C order: 20 bytes a return."""


class Scene(_Request):
    """What a site's own sensors saw at one instant. Sent once, shared by every frame that refers to it."""

    id: Name
    """Name of the capture within this request."""
    site: Name
    """The site whose sensors these are."""
    camera: Bytes | None = None
    """A JPEG or PNG file."""
    radar: RadarTensor | None = None
    """Radar capture."""
    lidar: LidarTensor | None = None
    """LiDAR capture."""


class Frame(_Request):
    """One UE or person at one instant, in any combination of modalities but none at all."""

    site: Name
    """Base station that sensed it."""
    ue: Name
    """Identity of the UE within the site."""
    timestamp_s: Annotated[float, Field(ge=0, allow_inf_nan=False)]
    """Unix time of the observation, s. A frame may be late by `late_tolerance_s`."""
    scene: Name | None = None
    """`id` of the scene capture that the frame refers to."""
    csi: CsiTensor | None = None
    """Uplink channel of the UE."""
    carrier_hz: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None
    """Carrier that the CSI was measured on, one of the site's `carriers_hz`; by default its `carrier_hz`."""
    distance_m: Annotated[float, Field(ge=0, le=MAX_DISTANCE_M, allow_inf_nan=False)] | None = None
    """Half the length of a round trip to the UE (timing advance, RTT), m, for models that take it; leave it out where
    it was not measured."""
    text: Annotated[str, Field(min_length=1, max_length=TEXT_MAX_CHARS)] | None = None
    """Instruction in English that selects the tasks, where `tasks` does not."""
    tasks: (
        Annotated[
            list[Annotated[str, WithJsonSchema({"type": "string", "enum": list(TASKS)})]],
            Field(min_length=1, max_length=len(TASKS)),
        ]
        | None
    ) = None
    """What to answer; by default everything that the site can."""
    path: bool = False
    """Whether to answer the whole trajectory too, smoothed, with its centroid; for models that do."""


class Envelope(_Request):
    """The body of a request, before its frames are looked at: a bad one must not spoil the others."""

    scenes: list[Any] = Field(default_factory=list)
    frames: list[Any]


class SenseRequest(_Request):
    """A batch of frames and the scene captures that they share."""

    scenes: list[Scene] = Field(default_factory=list)
    """Scene captures, each referred to by any number of frames."""
    frames: Annotated[list[Frame], Field(min_length=1)]
    """Frames to answer. Those of one UE in the order of their time."""


class LabelsEnvelope(_Request):
    """The body of a request, before its labels are looked at."""

    labels: list[Any]


Metres = Annotated[float, Field(allow_inf_nan=False)]


class Label(_Request):
    """What is true of a frame, as far as it is known; at least one of the truths is there."""

    site: Name
    """Site of the frame."""
    ue: Name
    """UE of the frame."""
    timestamp_s: Annotated[float, Field(ge=0, allow_inf_nan=False)]
    """Timestamp of the frame, the very same number."""
    position_enu_m: Annotated[list[Metres], Field(min_length=2, max_length=2)] | None = None
    """True position: metres east and north of the site's origin."""
    line_of_sight: bool | None = None
    """Whether the direct path was free."""
    activity: Annotated[str, WithJsonSchema({"type": "string", "enum": list(ACTIVITIES)})] | None = None
    """What the person did."""


class LabelsRequest(_Request):
    """What is true of frames that were answered."""

    labels: Annotated[list[Label], Field(min_length=1)]
    """In any order."""


class _Response(BaseModel):
    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)


class Problem(_Response):
    """What went wrong, after RFC 9457."""

    type: str
    """URI of the kind of problem."""
    title: str
    """The kind of problem in words; the same for every problem of its type."""
    status: int
    """HTTP status code."""
    detail: str
    """What went wrong this time."""
    error: str
    """The same as `detail`, for clients of the Open Inference Protocol."""
    field: str | None = None
    """Path of the field that does not fit, e.g. `frames[3].csi.shape`."""
    expected: str | None = None
    """What would have been accepted there."""
    got: str | None = None
    """What came instead."""
    frame: int | None = None
    """Position of the frame or label that failed, in the request."""
    errors: list[Problem] | None = None
    """The problem of every frame or label, where all of them failed."""


class Artifact(_Response):
    """The model that answered."""

    name: str
    """Name of the artifact."""
    version: str
    """Its version."""


class AnsweredFrame(_Response):
    """The answer to one frame; a task that was not asked for is null."""

    index: int
    """Position of the frame in the request."""
    status: Literal[200]
    """This frame was answered."""
    site: str
    """Site of the frame."""
    ue: str
    """UE of the frame."""
    timestamp_s: float
    """Unix time of the frame, s."""
    position: Position | None
    """Where the UE is."""
    los: LineOfSight | None
    """Whether its direct path is free."""
    activity: Activity | None
    """What the person is doing."""
    path: Path | None
    """The trajectory as a whole, smoothed; null where `path` was not set."""
    explanation: Explanation
    """Why the answer is what it is."""
    degraded: list[str]
    """Parts that were down, so that the answer was made without them; empty when all is well."""


class FailedFrame(_Response):
    """One frame that could not be answered. Its batch-mates are not touched."""

    index: int
    """Position of the frame in the request."""
    status: Annotated[int, Field(ge=400, le=599)]
    """What the HTTP status would be, were the frame alone."""
    error: Problem
    """What went wrong with this frame."""


class SenseResponse(_Response):
    """At least one frame was answered."""

    artifact: dict[str, Artifact]
    """The model of each site in the batch."""
    results: list[AnsweredFrame | FailedFrame]
    """One result a frame, in the order of the request."""


class JudgedLabel(_Response):
    """How true the answer was; null where a task was not answered, or the label says nothing of it."""

    index: int
    """Position of the label in the request."""
    status: Literal[200]
    """The answer was found."""
    position_error_m: float | None
    """Distance between the answered and the true position, m."""
    region_covered: bool | None
    """Whether the confidence region covers the true position."""
    line_of_sight_correct: bool | None
    """Whether the answered line of sight is the true one."""
    activity_correct: bool | None
    """Whether the answered activity is the true one."""


class FailedLabel(_Response):
    """One label that could not be used. The others are."""

    index: int
    """Position of the label in the request."""
    status: Annotated[int, Field(ge=400, le=599)]
    """What the HTTP status would be, were the label alone."""
    error: Problem
    """What is wrong with this label."""


class LabelsResponse(_Response):
    """At least one label was used."""

    results: list[JudgedLabel | FailedLabel]
    """One result a label, in the order of the request."""


class TrajectoryResponse(_Response):
    """The last frames of a UE."""

    site: str
    """The site."""
    ue: str
    """The UE."""
    vertices: list[VertexAnswer]
    """Oldest first, each answered from the frames up to it."""
    path: Path | None
    """The same frames answered from all of them at once; null where the site's model does not do that."""


class SiteDescription(_Response):
    """A base station, its sensors, and what can be asked of it."""

    name: str
    """Name of the site."""
    origin_wgs84: tuple[float, float, float]
    """Latitude and longitude in degrees and height in m of the ground under the mast, the origin of ENU."""
    boresight_deg: float
    """Direction that the array faces, degrees clockwise from north."""
    mast_height_m: float
    """Height of array, camera, radar and LiDAR above the origin."""
    range_max_m: float
    """Largest slant range of radar and LiDAR."""
    carrier_hz: float | None
    """Carrier frequency; null where the site has no antenna array."""
    carriers_hz: list[float]
    """Carriers that a frame may be measured on."""
    bandwidth_hz: float | None
    """Bandwidth of the CSI."""
    array: tuple[int, int] | None
    """Rows and columns of the antenna array."""
    tasks: list[str]
    """What can be asked."""
    artifact: Artifact
    """The model that answers."""


class SitesResponse(_Response):
    """Every site that is served."""

    sites: list[SiteDescription]
    """By name."""


class Health(_Response):
    """State of the service."""

    status: Literal["live", "ready"]
    """Live: it answers. Ready: every model is warm."""
    buffer: Literal["reachable", "unreachable"] | None = None
    """Whether the trajectory buffer can be reached; without it each frame is answered alone."""
