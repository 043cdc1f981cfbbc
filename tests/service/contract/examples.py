"""A city site, an indoor site and one sensed by radio alone, with manifests, as small as the contract allows."""

from dataclasses import replace

from service.contract.manifest import Calibration, Manifest, contract_fingerprint
from service.contract.sites import Site
from service.contract.tensors import RADIO

CITY = Site(
    name="city",
    origin_wgs84=(48.137, 11.575, 520.0),
    boresight_deg=40.0,
    mast_height_m=27.0,
    range_max_m=160.0,
    velocity_max_mps=20.0,
    height_min_m=0.0,
    height_max_m=32.0,
    radar_window_s=1.0,
    tasks=("position", "los"),
    carrier_hz=28e9,
    bandwidth_hz=100e6,
    array_rows=4,
    array_cols=8,
)
INDOOR = Site(
    name="indoor",
    origin_wgs84=(34.1, -118.4, 0.0),
    boresight_deg=90.0,
    mast_height_m=1.0,
    range_max_m=6.4,
    velocity_max_mps=3.2,
    height_min_m=-1.0,
    height_max_m=3.0,
    radar_window_s=2.0,
    tasks=("activity",),
)
EASTWARD = replace(CITY, name="eastward", boresight_deg=90.0)  # its mast frame is ENU itself
STREET = replace(CITY, name="street", carriers_hz=(3.55e9, 28e9))  # sensed by radio alone


def manifest() -> Manifest:
    return Manifest(
        name="city-and-indoor",
        version="1.2.0",
        fingerprint=contract_fingerprint(),
        opset=20,
        files={"encode": "0" * 64, "fuse": "1" * 64},
        sites=(CITY, INDOOR),
        calibration=Calibration({"0.90": 4.6, "0.95": 6.0}, 1.3, 1.1, 0.9, {"city": 2.0, "indoor": 2.5}),
        metrics={"held-out": {"position_median_m": 1.5, "seeds": [0, 1, 2]}},
        training_data=({"name": "traced city", "licence": "Apache-2.0", "source": "this repository"},),
        commit="abc1234",
    )


def radio_manifest() -> Manifest:
    """Of a model that is good at 28 GHz, the carrier of the site, and not so good at 3.55 GHz."""
    good = Calibration({"0.90": 4.0}, 1.5, 1.0, 1.0, {"street": 2.0}, {"0.90": 3.0}, {"0.90": 2.0})
    poor = Calibration({"0.90": 9.0}, 2.5, 3.0, 1.0, {"street": 1e-6}, {"0.90": 5.0}, {"0.90": 6.0})
    return replace(
        manifest(),
        name="street-radio",
        fingerprint=contract_fingerprint(RADIO),
        sites=(STREET,),
        calibration=good,
        contract=RADIO.name,
        carriers={"3550000000": poor},
    )
