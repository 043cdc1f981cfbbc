"""Radio frames to tensors: every cue is where its mask says, and a site is known by its row in the manifest."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from service.contract.captures import SensingFrame
from service.contract.tensors import RADIO_ENCODE_INPUTS
from service.normalizers.csi import csi_planes
from service.normalizers.cues import aoa_profile, gain
from service.pipeline.assembly import frame_digests
from service.pipeline.radio_assembly import carriers_hz, radio_inputs
from tests.service.api.requests import channel
from tests.service.contract.examples import INDOOR, STREET

AVENUE = replace(STREET, name="avenue")
FRAMES = [
    SensingFrame("a", 1.0, csi=channel(1), distance_m=123.0),
    SensingFrame("b", 1.0, csi=channel(2), carrier_hz=3.55e9),
    SensingFrame("c", 1.0, csi=channel(3), carrier_hz=28e9, distance_m=0.0),
]
SITES = [AVENUE, STREET, STREET]
ROWS = {"street": 0, "avenue": 4}


def test_tensors_are_those_of_the_contract() -> None:
    inputs = radio_inputs(FRAMES, SITES, ROWS)
    for spec in RADIO_ENCODE_INPUTS:
        spec.check(inputs[spec.name])
    assert set(inputs) == {spec.name for spec in RADIO_ENCODE_INPUTS}


def test_channels_are_normalised_each_by_itself() -> None:
    inputs = radio_inputs(FRAMES, SITES, ROWS)
    for row in range(3):
        csi = channel(row + 1)[None]
        assert np.array_equal(inputs["csi"][row], csi_planes(csi)[0])
        assert np.array_equal(inputs["aoa"][row], aoa_profile(csi)[0])
        assert np.array_equal(inputs["gain"][row], gain(csi)[0])


def test_a_distance_that_was_not_measured_is_masked_and_one_of_nought_is_not() -> None:
    inputs = radio_inputs(FRAMES, SITES, ROWS)
    assert inputs["cue_mask"].tolist() == [[1, 1, 1, 1], [1, 1, 0, 1], [1, 1, 1, 1]]
    assert np.allclose(inputs["measured_distance"], [[1.23], [0], [0]])


def test_the_carrier_is_that_of_the_frame_or_else_of_its_site() -> None:
    assert np.allclose(radio_inputs(FRAMES, SITES, ROWS)["carrier"], np.log10([[28], [3.55], [28]]))
    assert carriers_hz(FRAMES, SITES) == [28e9, 3.55e9, 28e9]


def test_a_frame_without_a_channel_was_measured_on_no_carrier() -> None:
    frames = [SensingFrame("a", 1.0, scene=0), SensingFrame("b", 1.0, scene=0, carrier_hz=28e9)]
    assert np.isnan(carriers_hz(frames, [INDOOR, STREET])).all()


def test_the_site_is_its_row_in_the_manifest() -> None:
    assert radio_inputs(FRAMES, SITES, ROWS)["site"].tolist() == [4, 0, 0]


def test_digest_tells_carriers_and_distances_apart() -> None:
    frames = [
        SensingFrame("a", 1.0, csi=channel(), carrier_hz=carrier_hz, distance_m=distance_m)
        for carrier_hz, distance_m in [(None, None), (28e9, None), (None, 28e9), (3.55e9, None), (None, 0.0)]
    ]
    nothing = [None] * len(frames)
    digests = frame_digests(frames, nothing, {})
    assert len(set(digests)) == len(frames)
    assert frame_digests([replace(frame, timestamp_s=2.0) for frame in frames], nothing, {}) == digests
