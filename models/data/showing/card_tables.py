"""The tables of a dataset card that count what is in the set."""

from __future__ import annotations

from collections import Counter

import numpy as np
from numpy.typing import NDArray

from models.data.raytraced.bands import Band
from models.data.raytraced.bodies import KINDS, Body
from models.data.raytraced.frontend import LIGHT_MPS, TX_POWER_DBM, noise_dbm
from models.data.raytraced.zones import MARGIN_M
from models.data.recipe import PURPOSES
from models.data.shards import ShardSet
from models.data.showing.cue_errors import cue_errors
from models.data.showing.frames import Frames
from models.data.showing.links import noise_over_band_dbm
from models.data.showing.look import BLOCKER_NAMES
from models.data.showing.markdown import FIVE, five, percent, table
from models.data.splits import part

_FAR_M = 5.0  # an error of the distance that is worth a count


def sites_table(shards: ShardSet, frames: Frames) -> str:
    """Where the masts stand."""
    rows = []
    for name in frames.sites:
        site, layout = shards.site(name), dict(shards.settings["layouts"][name])
        (near, far), (latitude, longitude, height) = layout["range_m"], site.origin_wgs84
        held = "unseen city: nothing is trained or chosen here" if name in shards.recipe.reserved else ""
        rows.append((
            name, layout["scene"], f"{latitude}° N, {longitude}° E, {height:g} m", f"{site.mast_height_m:g} m",
            f"{site.boresight_deg:g}°", f"±{layout['sector_deg']:g}°, {near:g} to {far:g} m", held,
        ))  # fmt: skip
    head = ("site", "layout", "origin, WGS 84", "mast", "facing, from north", "served sector", "")
    return (
        "## Sites\n\n"
        + table(head, rows)
        + "\n\nEach has an array of 4 × 8 elements half a wavelength apart, a camera, "
        "a LiDAR and a radar at the top of the mast. The scenes carry no georeference: the origins are true to some "
        "100 m."
    )


def bands_table(frames: Frames) -> str:
    """Carriers and what follows from them."""
    rows = [(band.name, *_band_row(band)) for band in frames.bands]
    head = ("band", "bandwidth", "subcarriers, spacing", "noise figure", "noise a subcarrier", "noise over the band",
            "delay resolved to", "delay wraps after")  # fmt: skip
    return (
        "## Bands\n\nAll bands are traced for the same snapshots. A UE sends "
        f"{TX_POWER_DBM:g} dBm over the band.\n\n" + table(head, rows)
    )


def cast_table(shards: ShardSet, frames: Frames) -> str:
    """Who is about."""
    cast = [Body(**body) for body in shards.settings["cast"]]
    here = frames.present.mean(0)
    rows = []
    for body, number in Counter(cast).items():
        kind = KINDS[body.kind]
        (low, high), (length, width) = kind.speed_mps, kind.half_extent_m
        share = float(np.mean([p for b, p in zip(cast, here, strict=True) if b == body]))
        antenna = " to ".join(f"{corner[2]:g}" for corner in kind.antenna_m)
        rows.append((
            body.kind, number, f"{antenna} m up" if body.carries_ue else "–",
            "parked" if body.parked else f"{low:g} to {high:g} m/s",
            f"{2 * length:g} × {2 * width:g} × {max(box[5] for box in kind.boxes):g} m", f"{100 * share:.0f} %",
        ))  # fmt: skip
    head = ("kind", "bodies", "UE's antenna", "cruising speed", "length × width × height", "present in")
    return f"## Cast of {len(cast)} bodies\n\n" + table(head, rows)


def counts_tables(frames: Frames) -> str:
    """Episodes by site and purpose, frames by blocker."""
    built = []
    for number, name in enumerate(frames.sites):
        mine = frames.episodes[frames.episodes[:, 0] == number]
        purposes = np.bincount(mine[:, 1], minlength=len(PURPOSES)).tolist()
        built.append((name, *purposes, len(mine), int(mine[:, 2].sum()), int((frames.site == number).sum())))
    total = ("all", *(sum(column) for column in list(zip(*built, strict=True))[1:]))
    episodes = table(("site", *PURPOSES, "episodes", "snapshots", "frames"), [*built, total])
    groups: list[tuple[str, NDArray[np.bool_]]] = [(name, frames.site == s) for s, name in enumerate(frames.sites)]
    groups += [(f"purpose {name}", frames.purpose == p) for p, name in enumerate(PURPOSES) if name != "empty"]
    groups.append(("all", np.ones(len(frames.site), bool)))
    rows = [
        (name, int(chosen.sum()), *(percent(frames.blocker[chosen] == b) for b in range(len(BLOCKER_NAMES))),
         percent(frames.visible[chosen]), percent(frames.outage[chosen], 2), percent(frames.late[chosen], 2))
        for name, chosen in groups
    ]  # fmt: skip
    blockers = table(("", "frames", *BLOCKER_NAMES, "seen by the camera", "no path at all", "only late paths"), rows)
    return (
        f"## Counts\n\nEpisodes by purpose:\n\n{episodes}\n\nFrames by what the direct path meets first:\n\n{blockers}"
    )


def splits_table(shards: ShardSet) -> str:
    """The protocols stored in the set."""
    rows = []
    for name, parts in shards.splits.items():
        cells = []
        for wanted in ("train", "val", "test"):
            if wanted not in parts:
                cells.append("–")
                continue
            chosen = part(shards, name, wanted)
            built = set(chosen.episodes(shards))
            tracks = [(site, e) for site, labelled in (chosen.labelled or {}).items() for e, _ in labelled]
            labels = f", {sum(track in built for track in tracks):,} labelled tracks" if tracks else ""
            cells.append(f"{chosen.purpose}: {len(built):,} episodes, sites: {len(chosen.sites)}{labels}")
        rows.append((name, *cells))
    return (
        "## Splits\n\n" + table(("protocol", "train", "val", "test"), rows) + "\n\nParts are whole episodes, each with "
        "its own traffic, paint and light: neither a trajectory nor a scene capture is in two of them. UEs of `region` "
        f"and `nlos` episodes keep to ground on which no UE of another purpose ever is, {MARGIN_M:g} m apart from it. "
        "A track is one UE in one episode; the fewer labels are among the more."
    )


def power_tables(frames: Frames) -> str:
    """Path loss and outage by site and band, received power by blocker and band."""
    links = [
        (name, band.name, *_loss_row(frames, frames.site == s, b))
        for s, name in enumerate(frames.sites) for b, band in enumerate(frames.bands)
    ]  # fmt: skip
    links += [("all", band.name, *_loss_row(frames, np.ones(len(frames.site), bool), b))
              for b, band in enumerate(frames.bands)]  # fmt: skip
    head = ("site", "band", "path loss, line of sight", "path loss, blocked", "below noise", "no distance")
    power = [
        (band.name, name, *five(TX_POWER_DBM - frames.path_loss_db[chosen & ~frames.outage, b]))
        for b, band in enumerate(frames.bands) for k, name in enumerate(BLOCKER_NAMES)
        if (chosen := frames.blocker == k).any()
    ]  # fmt: skip
    return (
        "## Power and outage by band\n\nPath loss: median in dB over all paths, the pattern of the site's element "
        "included. Below noise: the CSI is weaker than the noise of one element over the band. No distance: no path is "
        "detected, so the round trip measures none. Outages are kept and labelled: they count in both.\n\n"
        + table(head, links)
        + "\n\nReceived power per antenna element over the band in dBm, without frames that have no path at all:\n\n"
        + table(("band", "", *FIVE), power)
        + "\n\n"
        + table(("", *FIVE), [("slant range, m", *five(frames.range_m)), ("paths of a frame", *five(frames.paths, 0))])
    )


def cues_table(shards: ShardSet, frames: Frames, quiet: bool) -> str:
    """Errors of the measured cues."""
    purposes = shards.settings["purposes"]
    test = [(s, e) for s in frames.sites for e in shards.episodes(s) if purposes[s][e] == "test"]
    errors = cue_errors(shards, test, quiet)
    rows = []
    for b, band in enumerate(frames.bands):
        for name, chosen in (("line of sight", errors.clear), ("blocked", ~errors.clear)):
            metres = errors.distance_m[chosen, b]
            metres = metres[np.isfinite(metres)]
            sines = five(errors.sine[chosen, b], 3)[1:4]
            rows.append((band.name, name, *five(metres, 2)[1:4], percent(metres > _FAR_M), *sines))
    head = ("band", "", "distance 5 %", "median", "95 %", f"off by more than {_FAR_M:g} m", "direction 5 %", "median",
            "95 %")  # fmt: skip
    return (
        f"## Cues\n\nAbsolute errors over the {errors.clear.size:,} frames of the test episodes: the round-trip "
        "distance against the slant range in metres, where one was measured, and the sine of the strongest "
        "direction.\n\n" + table(head, rows)
    )


def _band_row(band: Band) -> tuple[str, ...]:
    step, wrap = (f"{1e9 / hz:g} ns ({LIGHT_MPS / hz:.3g} m)" for hz in (band.bandwidth_hz, band.spacing_hz))
    subcarriers = f"{band.bandwidth_hz / band.spacing_hz:.0f}, {band.spacing_hz / 1e6:.4g} MHz"
    return (
        f"{band.bandwidth_hz / 1e6:g} MHz", subcarriers, f"{band.noise_figure_db:g} dB", f"{noise_dbm(band):.1f} dBm",
        f"{noise_over_band_dbm(band):.1f} dBm", step, wrap,
    )  # fmt: skip


def _loss_row(frames: Frames, chosen: NDArray[np.bool_], band: int) -> tuple[str, ...]:
    loss, clear = frames.path_loss_db[:, band], frames.blocker == 0
    medians = (_median(loss[chosen & sight & ~frames.outage]) for sight in (clear, ~clear))
    return (*medians, percent(frames.below_noise[chosen, band]), percent(~frames.detected[chosen, band]))


def _median(loss_db: NDArray[np.float64]) -> str:
    return f"{np.median(loss_db):.1f} dB" if loss_db.size else "–"
