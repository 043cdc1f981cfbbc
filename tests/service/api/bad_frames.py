"""Every way in which one frame can be bad, and how it must fail."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

import numpy as np

from tests.service.api.requests import (
    NOW_S,
    base64_of,
    channel,
    city_frame,
    city_scene,
    detections,
    jpeg,
    returns,
    room_frame,
    room_scene,
    tensor,
    without,
)
from tests.service.normalizers.pictures import encoded, jpeg_of_claimed_size, png_of_claimed_size
from tests.service.normalizers.pictures import scene as picture


@dataclass(frozen=True)
class Bad:
    """A bad frame, the scenes it needs, and how it must fail. `{}` in `field` is the frame's position."""

    name: str
    frame: Any
    status: int
    field: str
    expected: str
    got: str
    scenes: list[Any] = dataclasses.field(default_factory=list)


def spoilt(numbers: np.ndarray, value: complex) -> np.ndarray:
    copy = numbers.copy()
    copy[1, 2] = value
    return copy


def with_csi(name: str, where: str, expected: str, got: str, **changes: Any) -> Bad:
    return Bad(
        name, city_frame("bad", csi={**tensor(channel()), **changes}), 422, f"frames[{{}}].csi{where}", expected, got
    )


def with_scene(name: str, where: str, expected: str, got: str, status: int = 422, **changes: Any) -> Bad:
    scene = {**city_scene("bad"), **changes}
    return Bad(name, city_frame(scene="bad"), status, f"scenes[1]{where}", expected, got, [scene])


def with_field(name: str, where: str, expected: str, got: str, status: int = 422, **changes: Any) -> Bad:
    return Bad(name, {**city_frame("bad"), **changes}, status, f"frames[{{}}]{where}", expected, got)


KNOWN = "only the fields site, ue, timestamp_s, scene, csi, carrier_hz, distance_m, text, tasks, path"
CHANNEL = channel()
BAD = [
    # unknown fields
    with_field("unknown field of a frame", ".speed", KNOWN, "an unknown field", speed=3),
    with_csi(
        "unknown field of a tensor", ".order", "only the fields dtype, shape, data", "an unknown field", order="C"
    ),
    with_scene("unknown field of a scene", ".sonar", "only the fields id, site, camera", "an unknown field", sonar=1),
    with_scene(
        "unknown field of a scene's tensor",
        ".radar.unit",
        "dtype, shape, data",
        "unknown",
        radar={**tensor(detections()), "unit": "m"},
    ),
    # missing and mistyped fields
    Bad("no ue", without(city_frame(), "ue"), 422, "frames[{}].ue", "a value", "nothing"),
    Bad("a frame that is no object", 7, 422, "frames[{}]", "an object", "7"),
    Bad("a frame that is null", None, 422, "frames[{}]", "an object", "null"),
    with_field("a number for a name", ".ue", "a valid string", "5", ue=5),
    with_field("an empty name", ".ue", "at least 1 character", "''", ue=""),
    with_field("a name too long", ".ue", "at most 128 characters", "of 200 characters", ue="u" * 200),
    with_field("csi as a list", ".csi", "an object", "a list of 2", csi=[1, 2]),
    with_field("an empty text", ".text", "at least 1 character", "''", text=""),
    with_field("a text too long", ".text", "at most 256 characters", "of 300 characters", text="a" * 300),
    # shape, dtype, byte count, base64
    with_csi("wrong shape", ".shape", "[32, 64]", "[32, 63]", shape=[32, 63]),
    with_csi("wrong number of dimensions", ".shape", "[32, 64]", "[2048]", shape=[2048]),
    with_csi("negative shape", ".shape", "[32, 64]", "[-32, -64]", shape=[-32, -64]),
    with_csi("huge shape", ".shape", "[32, 64]", "[32, 1", shape=[32, 10**12]),
    with_csi("fractional shape", ".shape[0]", "a valid integer", "32.5", shape=[32.5, 64]),
    with_csi("wrong dtype", ".dtype", "'complex64'", "'float32'", dtype="float32"),
    with_csi("unknown dtype", ".dtype", "'complex64'", "'object'", dtype="object"),
    with_csi("too few bytes", ".data", "16384 bytes", "16376 bytes", data=base64_of(CHANNEL.tobytes()[:-8])),
    with_csi("too many bytes", ".data", "16384 bytes", "16392 bytes", data=base64_of(CHANNEL.tobytes() + bytes(8))),
    with_csi("no bytes", ".data", "16384 bytes", "0 bytes", data=""),
    with_csi("a letter that is not base64", ".data", "base64", "'!", data="!" + tensor(CHANNEL)["data"][1:]),
    with_csi("base64 cut short", ".data", "base64", "characters", data=tensor(CHANNEL)["data"][:-2]),
    with_csi("base64 with a letter beyond ASCII", ".data", "base64", "é", data="é" * 8),
    with_csi("data as numbers", ".data", "a valid string", "a list of 3", data=[1, 2, 3]),
    with_scene(
        "wrong columns of a scene's tensor",
        ".lidar.shape",
        "[0 to 65536, 5]",
        "[10, 6]",
        lidar=tensor(np.zeros((10, 6), np.float32)),
    ),
    with_scene(
        "too many rows of a scene's tensor",
        ".radar.shape",
        "[0 to 16384, 6]",
        "[16385, 6]",
        radar=tensor(np.zeros((16_385, 6), np.float32)),
    ),
    with_scene(
        "wrong dtype of a scene's tensor", ".lidar.dtype", "'float32'", "'float64'", lidar=tensor(np.zeros((10, 5)))
    ),
    with_scene(
        "wrong byte count of a scene's tensor",
        ".lidar.data",
        "1000 bytes",
        "980 bytes",
        lidar={**tensor(returns()), "data": tensor(returns()[:-1])["data"]},
    ),
    # NaN and infinity
    with_csi("NaN in csi", ".data", "finite numbers", "at [1, 2]", **tensor(spoilt(CHANNEL, complex(0, np.nan)))),
    with_csi("infinity in csi", ".data", "finite numbers", "inf", **tensor(spoilt(CHANNEL, complex(-np.inf, 0)))),
    with_scene(
        "NaN in radar", ".radar.data", "finite numbers", "nan at [1, 2]", radar=tensor(spoilt(detections(), np.nan))
    ),
    with_scene(
        "infinity in lidar", ".lidar.data", "finite numbers", "inf at [1, 2]", lidar=tensor(spoilt(returns(), np.inf))
    ),
    # unknown site, scene, task
    with_field("unknown site", ".site", "a served site (city, indoor)", "'atlantis'", 404, site="atlantis"),
    with_field("unknown scene", ".scene", "a scene in this request ('good')", "'s9'", 404, scene="s9"),
    with_field("unknown task", ".tasks", "tasks of site city (position, los)", "'speed'", tasks=["los", "speed"]),
    with_field("a task of another site", ".tasks", "tasks of site city", "'activity'", tasks=["activity"]),
    with_field("no task", ".tasks", "at least 1 item", "a list of 0", tasks=[]),
    with_scene(
        "a scene of an unknown site", ".site", "a served site (city, indoor)", "'atlantis'", 404, site="atlantis"
    ),
    Bad(
        "a scene of another site",
        city_frame(scene="room"),
        422,
        "frames[{}].scene",
        "a scene of site city",
        "scenes[1] of site indoor",
        [room_scene()],
    ),
    Bad(
        "two scenes of one id",
        city_frame(scene="twin"),
        422,
        "scenes[2].id",
        "an id of its own",
        "'twin', which scenes[1]",
        [city_scene("twin"), city_scene("twin")],
    ),
    Bad(
        "a scene without an id",
        city_frame(scene="s"),
        404,
        "frames[{}].scene",
        "'good'",
        "'s'",
        [without(city_scene(), "id")],
    ),
    Bad("a scene that is no object", city_frame(scene="s"), 404, "frames[{}].scene", "'good'", "'s'", [[]]),
    # camera
    with_scene("a truncated JPEG", ".camera", "a complete JPEG", "", camera=base64_of(jpeg()[:-900])),
    with_scene("a truncated PNG", ".camera", "a complete PNG", "", camera=base64_of(encoded(picture(), "PNG")[:-90])),
    with_scene("half a JPEG header", ".camera", "a JPEG image", "", camera=base64_of(jpeg()[:20])),
    with_scene(
        "a huge JPEG",
        ".camera",
        "1 to 8192 px",
        "60000 x 60000",
        camera=base64_of(jpeg_of_claimed_size(60_000, 60_000)),
    ),
    with_scene(
        "a huge PNG", ".camera", "1 to 8192 px", "2147483647 x 1", camera=base64_of(png_of_claimed_size(2**31 - 1, 1))
    ),
    with_scene(
        "no image", ".camera", "a JPEG or PNG image", "14 bytes starting with", camera=base64_of(b"hello, camera!")
    ),
    with_scene("another kind of image", ".camera", "a JPEG or PNG", "", camera=base64_of(encoded(picture(), "GIF"))),
    with_scene("an empty camera", ".camera", "a JPEG or PNG image", "0 bytes", camera=""),
    with_scene("a camera that is not base64", ".camera", "base64", "'data:image", camera="data:image/jpeg;base64,/9j/"),
    with_scene("a camera that is no string", ".camera", "a valid string", "an object", camera={"data": ""}),
    # time
    with_field(
        "a timestamp in the future", ".timestamp_s", "at most 5 s ahead", "in the future", 409, timestamp_s=NOW_S + 5.1
    ),
    with_field(
        "a timestamp in ms", ".timestamp_s", "a Unix time in seconds", "in the future", 409, timestamp_s=NOW_S * 1000
    ),
    with_field("a negative timestamp", ".timestamp_s", "greater than or equal to 0", "-1.0", timestamp_s=-1.0),
    with_field("a timestamp as text", ".timestamp_s", "a valid number", "'2026", timestamp_s="2026-09-21T00:00:00Z"),
    # carrier, distance and path
    with_field(
        "a carrier that the site has not", ".carrier_hz", "site city in Hz (28000000000)", "3.5", carrier_hz=3.5
    ),
    with_field("a carrier of nought", ".carrier_hz", "greater than 0", "0", carrier_hz=0),
    with_field("a carrier as text", ".carrier_hz", "a valid number", "'28 GHz'", carrier_hz="28 GHz"),
    Bad(
        "a carrier where there is none",
        room_frame(scene="room", carrier_hz=28e9),
        422,
        "frames[{}].carrier_hz",
        "a carrier of site indoor in Hz (none)",
        "28000000000.0",
        [room_scene()],
    ),
    with_field("a negative distance", ".distance_m", "greater than or equal to 0", "-1", distance_m=-1),
    with_field(
        "a distance beyond any cell", ".distance_m", "less than or equal to 100000", "1000000", distance_m=10**6
    ),
    with_field(
        "a distance that no model takes", ".distance_m", "none, for the model of site city", "12.5", distance_m=12.5
    ),
    with_field("a path that no model answers", ".path", "false, for the model of site city", "true", path=True),
    with_field("a path that is neither true nor false", ".path", "a valid boolean", "'yes'", path="yes"),
    # nothing to sense
    Bad("no modality", without(city_frame(), "csi"), 422, "frames[{}]", "at least one of csi, camera", "neither"),
    Bad(
        "a scene without modality",
        {**without(city_frame(), "csi"), "scene": "void"},
        422,
        "frames[{}]",
        "at least one of csi, camera",
        "an empty scenes[1]",
        [{"id": "void", "site": "city"}],
    ),
    Bad(
        "csi where there is no array",
        {**city_frame(), "site": "indoor"},
        422,
        "frames[{}].csi",
        "no antenna array",
        "a channel",
    ),
]
