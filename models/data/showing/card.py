"""The dataset card in Markdown, written from the set itself: figures from its shards, constants from its makers."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from models.data.schema import COLUMNS, VERSION, Column
from models.data.shards import GROUND, ShardSet
from models.data.showing.card_tables import (
    bands_table,
    cast_table,
    counts_tables,
    cues_table,
    power_tables,
    sites_table,
    splits_table,
)
from models.data.showing.frames import Frames, counts
from models.data.showing.instant import sites_of
from models.data.showing.markdown import percent, size, table
from models.data.showing.words import known_limits, sensor_models
from models.data.throughput import SCALING, reports
from service.contract.tensors import ENCODE_INPUTS

_CAPTIONS = ("One snapshot", "Sites", "Path loss")


def write_card(
    path: Path, shards: ShardSet, frames: Frames, pictures: Sequence[Path], quiet: bool
) -> dict[str, object]:
    """Write the card; returns what was written and the counts in it.

    Args:
        pictures: of a snapshot, the sites and the path loss.
    """
    figures = counts(frames)
    sections = [
        _summary(shards, frames),
        _made(shards),
        "## Pictures\n\n" + "\n\n".join(
            f"![{caption}]({os.path.relpath(picture, path.parent)})"
            for caption, picture in zip(_CAPTIONS, pictures, strict=True)
        ),
        sites_table(shards, frames),
        bands_table(frames),
        counts_tables(frames),
        splits_table(shards),
        power_tables(frames),
        cues_table(shards, frames, quiet),
        cast_table(shards, frames),
        sensor_models(shards, frames),
        _columns(shards),
        _tensors(),
        known_limits(shards, frames),
    ]  # fmt: skip
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n\n".join(sections) + "\n")
    return {"path": str(path), "bytes": path.stat().st_size, **figures}


def _summary(shards: ShardSet, frames: Frames) -> str:
    recipe, total = shards.recipe, _on_disk(shards)
    ues = sum(body["carries_ue"] for body in shards.settings["cast"])
    return "\n".join(
        [
            f"# Dataset card: ray-traced, recipe {recipe.name}\n",
            f"{len(frames.sites)} sites, {len(frames.episodes):,} episodes of {recipe.snapshots} snapshots, "
            f"{recipe.period_s:g} s apart, with up to {ues} UEs: {frames.snapshots:,} snapshots, {len(frames.site):,} "
            f"frames (a frame is one UE at one snapshot) at {', '.join(band.name for band in frames.bands)}. "
            f"{percent(frames.blocker == 0)} of the frames have line of sight, {percent(frames.outage, 2)} have no "
            "path at all. Each episode has its own traffic, light and paint. Everything is simulated; nothing was "
            "measured.\n",
            f"- Fingerprint `{shards.fingerprint}`, schema {VERSION}, generator {shards.settings['generator']}; built "
            f"by `python -m models.data.build --profile {recipe.name} --seed {recipe.seed}`.",
            f"- {size(total)} on disk, {size(total / frames.snapshots)} a snapshot; one safetensors file an episode, "
            "one for the ground of each site, checked by `python -m models.data.build --verify`.",
            "- Licence: Apache-2.0; city geometry of sionna-rt from OpenStreetMap, ODbL.\n",
            "`python -m models.data.show --set FOLDER --card FILE` writes this card and its pictures; no figure in it "
            "was typed.",
        ]
    )


def _on_disk(shards: ShardSet) -> int:
    return sum(path.stat().st_size for path in shards.folder.iterdir() if path.suffix == ".safetensors")


def _made(shards: ShardSet) -> str:
    """Provenance and throughput of the builds that made the set."""
    parts = ["## How it was made"]
    described = json.loads((shards.folder / "set.json").read_text())
    for made in described["provenance"]:
        versions = ", ".join(f"{name} {value}" for name, value in made.items() if name not in ("commit", "changed"))
        changed = ", with changes that were not committed" if made.get("changed") else ""
        parts.append(f"- Commit `{made.get('commit')}`{changed}; {versions}.")
    built = [report for report in reports(shards.folder) if report["snapshots"]]
    if built:
        parts.append("Builds, each for the part that it added:\n\n" + _builds_table(built))
    else:
        parts.append("No build has left a report of its throughput.")
    if scaling := reports(shards.folder, SCALING):
        parts.append(
            "How a build scales, over a few episodes of one site: `python -m tests.bench.building`. The time includes "
            "starting the workers, or the cluster, each of which loads the scene:\n\n" + _builds_table(scaling)
        )
    return "\n\n".join(parts)


def _builds_table(built: list[dict[str, Any]]) -> str:
    rows = [
        (str(r["finished"])[:10], r["kind"], r["workers"], r["snapshots"], f"{float(r['seconds']):,.0f} s",
         r["snapshots_per_s"], ", ".join(str(rate) for rate in r["snapshots_per_s_of_worker"]),
         size(float(r["bytes_per_snapshot"])), f"{r['cpu']}, {r['cores']} cores")
        for r in built
    ]  # fmt: skip
    head = ("finished", "kind", "workers", "snapshots", "time", "snapshots/s", "of each worker", "a snapshot",
            "machine")  # fmt: skip
    return table(head, rows)


def _columns(shards: ShardSet) -> str:
    site = sites_of(shards)[0]
    episode = shards.episodes(site)[0]
    first = shards.read(site, episode)
    rows = [
        (*_column(name, column), size(first[name].nbytes / len(first["time_s"]))) for name, column in COLUMNS.items()
    ]
    head = ("column", "type", "shape", "unit", "holds")
    return (
        "## Columns of a shard\n\nK snapshots, M bodies, U UEs, B bands, P paths; positions in ENU metres of the site. "
        f"Sizes: of a snapshot in episode {episode} of {site}.\n\n"
        + table((*head, "size"), rows)
        + "\n\nOf the ground of a site:\n\n"
        + table(head, [_column(name, column) for name, column in GROUND.items()])
    )


def _column(name: str, column: Column) -> tuple[str, ...]:
    return f"`{name}`", column.dtype, "[" + ", ".join(map(str, column.dims)) + "]", column.unit, column.about


def _tensors() -> str:
    rows = [
        (f"`{spec.name}`", spec.dtype, "[" + ", ".join(map(str, spec.shape)) + "]", spec.layout, spec.unit)
        for spec in ENCODE_INPUTS
        if "mask" not in spec.name and "index" not in spec.name
    ]
    head = ("tensor", "type", "shape", "axes", "unit")
    return (
        "## What the networks see of it\n\n`service.normalizers` makes these of the captures, in training and in "
        "serving alike.\n\n" + table(head, rows)
    )
