"""Frames and captures to tensors: what is present is where its mask says, and nothing else is."""

from __future__ import annotations

import numpy as np

from service.contract.captures import SceneCapture, SensingFrame
from service.contract.tensors import ENCODE_INPUTS
from service.normalizers.camera import decode_camera
from service.normalizers.csi import csi_planes
from service.normalizers.cues import aoa_profile, distance, gain
from service.normalizers.lidar import lidar_planes
from service.normalizers.radar import radar_planes
from service.pipeline.assembly import PreparedScene, csi_inputs, frame_digests, scene_inputs
from tests.service.api.requests import channel, detections, jpeg, returns
from tests.service.contract.examples import CITY, INDOOR

CAMERA = decode_camera(jpeg())
SCENES = {
    (0, 4): PreparedScene(CITY, SceneCapture(camera=jpeg(), lidar=returns()), CAMERA),
    (1, 2): PreparedScene(INDOOR, SceneCapture(radar=detections()), None),
}
FRAMES = [
    SensingFrame("a", 1.0, csi=channel(1)),
    SensingFrame("b", 1.0, scene=2),
    SensingFrame("c", 1.0, csi=channel(2), scene=4),
]
SITES = [CITY, INDOOR, CITY]
CAPTURED = [None, (1, 2), (0, 4)]  # of requests 0 and 1


def test_tensors_are_those_of_the_contract() -> None:
    inputs = {**scene_inputs(CAPTURED, SCENES), **csi_inputs(FRAMES, SITES)}
    for spec in ENCODE_INPUTS:
        spec.check(inputs[spec.name])
    assert set(inputs) == {spec.name for spec in ENCODE_INPUTS}


def test_captures_keep_their_order_and_a_frame_without_one_has_their_number() -> None:
    inputs = scene_inputs(CAPTURED, SCENES)
    assert inputs["scene_index"].tolist() == [2, 1, 0]
    assert inputs["scene_mask"].tolist() == [[1, 0, 1], [0, 1, 0]]
    assert np.array_equal(inputs["camera"][0], CAMERA)
    assert np.array_equal(inputs["lidar"][0], lidar_planes([returns()], [CITY])[0])
    assert np.array_equal(inputs["radar"][1], radar_planes([detections()], [INDOOR])[0])
    for name, row in (("camera", 1), ("radar", 0), ("lidar", 1)):
        assert not inputs[name][row].any()


def test_channels_are_normalised_where_they_are_present() -> None:
    inputs = csi_inputs(FRAMES, SITES)
    assert inputs["csi_mask"].tolist() == [[1], [0], [1]]
    for row, seed in ((0, 1), (2, 2)):
        csi = channel(seed)[None]
        assert np.array_equal(inputs["csi"][row], csi_planes(csi)[0])
        assert np.array_equal(inputs["aoa"][row], aoa_profile(csi)[0])
        assert np.array_equal(inputs["distance"][row], distance(csi, 100e6)[0])
        assert np.array_equal(inputs["gain"][row], gain(csi)[0])
    for name in ("csi", "aoa", "distance", "gain"):
        assert not inputs[name][1].any()


def test_channels_of_all_frames_or_of_none() -> None:
    every, none = csi_inputs(FRAMES[::2], [CITY, CITY]), csi_inputs(FRAMES[1:2], [INDOOR])
    some = csi_inputs(FRAMES, SITES)
    for name, values in every.items():
        assert values.dtype == none[name].dtype == np.float32
        assert np.array_equal(values, some[name][::2])
        assert np.array_equal(none[name], some[name][1:2])
    assert not any(values.any() for values in none.values())


def test_digest_tells_contents_apart_and_nothing_else() -> None:
    first, second, third = frame_digests(FRAMES, CAPTURED, SCENES)
    assert len({first, second, third}) == 3
    again = [SensingFrame("z", 9.0, csi=channel(1), text="where?"), SensingFrame("z", 9.0, scene=2)]
    assert frame_digests(again, CAPTURED[:2], SCENES) == [first, second]
    other = {**SCENES, (1, 2): PreparedScene(INDOOR, SceneCapture(radar=detections(seed=1)), None)}
    assert frame_digests(FRAMES, CAPTURED, other)[1] != second
    bare = [SensingFrame("a", 1.0, csi=channel(1), scene=2)]
    assert frame_digests(bare, [(1, 2)], SCENES) != [first]
