"""What comes out of the pipeline, one answer a frame.

The API sends these as they are: every docstring here is also the description in the OpenAPI file.
"""

from __future__ import annotations

from dataclasses import dataclass

_DESCRIBED = {"use_attribute_docstrings": True}  # read by whoever makes a schema of these classes


@dataclass(frozen=True, slots=True)
class Region:
    """The ellipse around the position that holds the truth with the stated confidence."""

    __pydantic_config__ = _DESCRIBED

    confidence: int
    """Percentage of the truths that such regions cover, by split-conformal calibration."""
    semi_major_m: float
    """Semi-major axis, m."""
    semi_minor_m: float
    """Semi-minor axis, m."""
    orientation_deg: float
    """Direction of the semi-major axis, degrees clockwise from north, in [0, 180)."""


@dataclass(frozen=True, slots=True)
class Wgs84:
    """A point on the WGS 84 ellipsoid."""

    __pydantic_config__ = _DESCRIBED

    latitude_deg: float
    """Degrees north."""
    longitude_deg: float
    """Degrees east."""


@dataclass(frozen=True, slots=True)
class Position:
    """Where the UE or person is, and how sure that is."""

    __pydantic_config__ = _DESCRIBED

    enu_m: tuple[float, float]
    """Metres east and north of the site's origin."""
    covariance_m2: tuple[tuple[float, float], tuple[float, float]]
    """Calibrated covariance of `enu_m`, m²."""
    region: Region
    """Confidence region."""
    wgs84: Wgs84
    """The same point on the map."""


@dataclass(frozen=True, slots=True)
class LineOfSight:
    """Whether the direct path between the site and the UE is free."""

    __pydantic_config__ = _DESCRIBED

    line_of_sight: bool
    """True where line of sight is the likelier of the two."""
    probability: float
    """Calibrated probability of line of sight."""


@dataclass(frozen=True, slots=True)
class Activity:
    """What the person is doing."""

    __pydantic_config__ = _DESCRIBED

    label: str
    """The likeliest activity."""
    probability: float
    """Its calibrated probability."""
    probabilities: dict[str, float]
    """Calibrated probability of every activity; they sum to 1."""


@dataclass(frozen=True, slots=True)
class Explanation:
    """Why the answer is what it is."""

    __pydantic_config__ = _DESCRIBED

    gate: dict[str, float] | None
    """Weight of each modality in the fusion of this frame; they sum to 1, a missing modality has 0. Null where the
    site's model senses by radio alone."""
    cues: dict[str, float] | None
    """Weight of each cue of the radio frame, as routed; they sum to 1. Null where the site's model has no router."""
    carrier_hz: float | None
    """Carrier that the CSI was measured on; null without CSI."""
    trajectory_length: int
    """Frames of this UE that went into the answer, this one included."""
    step_weight: tuple[float, ...]
    """Weight of each of those frames in the position, oldest first."""
    ood_score: float
    """Distance of the frame from the training data, about 1 for data like it."""
    out_of_distribution: bool
    """True where the frame looks unlike the training data: distrust the answer."""


@dataclass(frozen=True, slots=True)
class PathVertex:
    """One vertex of a path, answered from all frames of the trajectory, earlier and later ones."""

    __pydantic_config__ = _DESCRIBED

    timestamp_s: float
    """Unix time of the frame, s."""
    position: Position | None
    """Where the UE was; null where it was not asked for."""
    los: LineOfSight | None
    """Whether its direct path was free; null where it was not asked for."""


@dataclass(frozen=True, slots=True)
class Path:
    """The trajectory as a whole."""

    __pydantic_config__ = _DESCRIBED

    vertices: tuple[PathVertex, ...]
    """Oldest first; the last is the frame itself."""
    centroid: Position | None
    """Where the UE was on average of the vertices; null where positions were not asked for."""


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer to one frame; a task that was not asked for is null."""

    __pydantic_config__ = _DESCRIBED

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
    degraded: tuple[str, ...]
    """Parts that were down, so that the answer was made without them; empty when all is well."""


@dataclass(frozen=True, slots=True)
class VertexAnswer:
    """One vertex of a trajectory, answered from the frames up to it."""

    __pydantic_config__ = _DESCRIBED

    timestamp_s: float
    """Unix time of the frame, s."""
    position: Position | None
    """Where the UE was; null where the site does not answer positions."""
    los: LineOfSight | None
    """Whether its direct path was free."""
    activity: Activity | None
    """What the person was doing."""


@dataclass(frozen=True, slots=True)
class TrajectoryAnswer:
    """The buffered trajectory of a UE: each vertex from the frames up to it, and all of it at once."""

    vertices: list[VertexAnswer]
    path: Path | None
