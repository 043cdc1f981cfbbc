"""The columns of a ray-traced shard: what each array holds, in which type, shape and unit.

A shard holds one episode: K snapshots at one site, with U user terminals (UEs), M bodies (the cast), B carrier bands
and P propagation paths, ragged over (snapshot, UE). Positions are ENU metres of the site, as on the wire; angles are in
radians, azimuth counter-clockwise from east and elevation upwards from the horizon.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

VERSION = 2
Arrays = dict[str, NDArray[np.generic]]


class SchemaError(ValueError):
    """A shard does not have the columns, types or shapes of the schema."""


@dataclass(frozen=True)
class Column:
    """One array of a shard.

    Attributes:
        dtype: NumPy name of the element type.
        dims: each a fixed size, or the name of a size that all columns of the shard share; `KU+1` is K * U + 1.
        unit: of the values; empty for counts, flags and indices.
        about: what it holds, in one line.
    """

    dtype: str
    dims: tuple[int | str, ...]
    unit: str
    about: str


COLUMNS: dict[str, Column] = {
    "time_s": Column("float64", ("K",), "s", "instant of each snapshot"),
    "pose": Column("float32", ("K", "M", 3), "m, m, rad", "east, north and heading of each body"),
    "velocity_mps": Column("float32", ("K", "M", 2), "m/s", "east and north velocity of each body"),
    "present": Column("uint8", ("M",), "", "1 where the body is in this episode at all"),
    "ue_body": Column("int16", ("U",), "", "index of the body that carries the UE"),
    "ue_present": Column("uint8", ("U",), "", "0 in an empty scene: nobody transmits, the CSI is noise"),
    "ue_position_m": Column("float32", ("K", "U", 3), "m", "truth: antenna position"),
    "ue_velocity_mps": Column("float32", ("K", "U", 2), "m/s", "truth: east and north velocity"),
    "blocker": Column("uint8", ("K", "U"), "", "what the direct path meets first: 0 nothing (line of sight), "
                      "1 a building, 2 a vehicle, 3 a person; means nothing where there is no UE"),
    "zone": Column("uint8", ("K", "U"), "", "ground under the UE, see `raytraced.zones`"),
    "box_px": Column("int16", ("K", "U", 4), "pixel", "left, top, right, bottom of the carrying body's visible part in "
                     "the camera frame, right and bottom exclusive; -1 where it cannot be seen"),
    "box_share": Column("float32", ("K", "U"), "", "share of the frame's pixels that show the carrying body"),
    "path_offset": Column("int64", ("KU+1",), "", "paths of (snapshot k, UE u) are rows offset[kU+u] : offset[kU+u+1]; "
                          "none is an outage"),
    "path_gain": Column("float32", ("P", "B", 2), "", "complex baseband amplitude gain at the array's centre, at each "
                        "band, real and imaginary"),
    "path_delay_s": Column("float32", ("P",), "s", "propagation delay"),
    "path_site_angle": Column("float32", ("P", 2), "rad", "azimuth and elevation in which the path leaves the site"),
    "path_ue_angle": Column("float32", ("P", 2), "rad", "azimuth and elevation in which the path leaves the UE"),
    "path_rate_mps": Column("float32", ("P",), "m/s", "growth of the path's length; Doppler is -rate / wavelength"),
    "path_kind": Column("uint8", ("P", 4), "", "interactions from site to UE: 0 none, 1 specular reflection, "
                        "2 diffuse scattering, 8 diffraction"),
    "path_vertex_m": Column("float32", ("P", 4, 3), "m", "points of interaction from site to UE, NaN past the last"),
    "csi_levels": Column("int8", ("K", "U", "B", 32, 64, 2), "", "quantised uplink CSI, in-phase and quadrature"),
    "csi_scale": Column("float32", ("K", "U", "B"), "sqrt(mW)", "amplitude of one level"),
    "aoa_profile": Column("float16", ("K", "U", "B", 64), "", "beamspace spectrum of the measured CSI, its peak at 1"),
    "distance_m": Column("float32", ("K", "U", "B"), "m", "round-trip measurement; NaN where no path was detected"),
    "gain_db": Column("float32", ("K", "U", "B"), "dBm", "measured power per antenna and subcarrier"),
    "camera": Column("uint8", ("C",), "", "JPEG files, one after the other"),
    "camera_offset": Column("int64", ("K+1",), "", "file of snapshot k is bytes offset[k] : offset[k + 1]"),
    "lidar_range": Column("uint16", ("K", "rings", "columns"), "4 mm", "range of each return, 0 where there is none"),
    "lidar_intensity": Column("uint8", ("K", "rings", "columns"), "1/255", "intensity of each return"),
    "radar": Column("float32", ("D", 6), "s, m, m, m, m/s, dB", "detections: time, ENU position, radial speed "
                    "(positive: away), SNR"),
    "radar_offset": Column("int64", ("K+1",), "", "detections of snapshot k are rows offset[k] : offset[k + 1]"),
    "radar_range_azimuth": Column("uint8", ("K", "radar_ranges", "radar_azimuths"), "0.5 dB", "power over noise, "
                                  "strongest Doppler cell; azimuth from right to left, 0 is noise level and less"),
    "radar_range_doppler": Column("uint8", ("K", "radar_ranges", "radar_dopplers"), "0.5 dB", "power over noise, "
                                  "strongest azimuth cell"),
}  # fmt: skip


def check(arrays: Arrays) -> dict[str, int]:
    """Sizes of the named dimensions of a shard.

    Raises:
        SchemaError: a column is missing, unknown, of another type or shape, or two disagree about a size.
    """
    for name in COLUMNS.keys() ^ arrays.keys():
        expected = "this column" if name in COLUMNS else "no such column"
        raise SchemaError(f"{name}: expected {expected} in a shard of schema {VERSION}, got the contrary")
    sizes: dict[str, int] = {}
    for name, column in COLUMNS.items():
        array = arrays[name]
        if array.dtype != np.dtype(column.dtype):
            raise SchemaError(f"{name}: expected {column.dtype}, got {array.dtype}")
        if array.ndim != len(column.dims):
            raise SchemaError(f"{name}: expected dimensions {column.dims}, got shape {array.shape}")
        for dim, size in zip(column.dims, array.shape, strict=True):
            if isinstance(dim, str) and "+" not in dim:
                known = sizes.setdefault(dim, size)
            else:
                known = dim if isinstance(dim, int) else -1
            if known not in (-1, size):
                raise SchemaError(f"{name}: expected {dim} to be {known}, got shape {array.shape}")
    snapshots, ues = sizes["K"], sizes["U"]
    for name, length, rows in (
        ("path_offset", snapshots * ues + 1, sizes["P"]),
        ("camera_offset", snapshots + 1, sizes["C"]),
        ("radar_offset", snapshots + 1, sizes["D"]),
    ):
        offset = arrays[name]
        if len(offset) != length or offset[0] != 0 or offset[-1] != rows or (np.diff(offset) < 0).any():
            raise SchemaError(f"{name}: expected {length} rising offsets from 0 to {rows}, got {offset}")
    return sizes
