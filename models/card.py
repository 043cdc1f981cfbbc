"""The model card, written from the manifest and the table: no figure in it was typed by hand."""

from __future__ import annotations

import json
from pathlib import Path

from models.compare import Table, markdown
from service.contract.manifest import Manifest

_GOALS = (
    ("trajectories", "position_median_m", "median position error, m", "≤ 3"),
    ("trajectories", "position_p95_m", "95th percentile, m", "≤ 12"),
    ("trajectories", "los_balanced_accuracy", "LoS balanced accuracy, moving blockers", "≥ 0.95"),
    ("trajectories", "region_90_coverage", "coverage of the 90 % region", "0.88 to 0.92"),
    ("radhar windows", "activity_accuracy", "RadHAR accuracy, split by file, one window", "≥ 0.95"),
    ("radhar streams", "activity_accuracy", "RadHAR accuracy, stream of up to 8 windows", "–"),
    ("instructions", "instruction_exact", "unseen instructions understood exactly", "–"),
)
_INTENT = """\
Locates user terminals around one ray-traced base station in Munich, tells line of sight from blockage, and names what a
person in front of a mmWave radar does. It was trained on exactly those two sites: on others its answers mean nothing,
and the out-of-distribution flag is there to say so. Ray-traced figures are not measured ones; the two are never mixed.
"""
_ROWS = """\
*trajectories*: each frame with up to 7 earlier ones of its UE, as served. *single frames*: without them. *only …*: the
same full model, asked with fewer modalities. `<system>-only-<modality>` was trained on that modality alone, with the
same budget. CSI is the best single modality by far: without it nothing says which of the vehicles in sight is meant.
"""
_LIMITS = """\
- One city sector, one carrier (6 GHz, 100 MHz), vertical polarisation, no diffuse scattering; pedestrians and vehicles
  are boxes. Camera frames are ray-cast, not photographs.
- Held-out trajectories share streets with the training ones: this is the in-distribution split. Unseen streets, sites
  and cities are not claimed.
- Positions are in the plane; the height of a UE is not estimated.
- RadHAR: one room; the split is by file, not by subject, for its files do not name subjects.
- Regions are split-conformal on validation episodes: their coverage holds for traffic like that of the set.
"""


def write_card(folder: Path) -> None:
    """Write `card.md` into an artifact's folder."""
    manifest = Manifest.load(folder)
    path = folder / "table.json"
    table: Table = json.loads(path.read_text()) if path.exists() else {}
    size = sum((folder / f"{name}.onnx").stat().st_size for name in manifest.files) / 1e6
    parts = [
        f"# {manifest.name} {manifest.version}\n",
        _INTENT,
        "## Figures of the shipped weights (the first seed, not the best), on the test split\n",
        "| figure | goal | measured |\n|---|---|---|",
        *(f"| {label} | {goal} | {_figure(manifest, split, key)} |" for split, key, label, goal in _GOALS),
        "\nMeasured on the exported graphs by `python -m models.evaluate " + manifest.name + " --radhar FOLDER`.\n",
        "## Beside the baselines, over seeds\n",
        _ROWS,
        markdown(table),
        "\n`python -m models.compare --radhar FOLDER` prints this table from the finished runs.\n",
        "## Training data\n",
        *(f"- {d['name']}: {d['licence']}. {d['source']}" for d in manifest.training_data),
        "\nSplit by whole episodes (65 % train, 15 % validation, 20 % test); chosen and calibrated on validation.\n",
        "## Limits\n",
        _LIMITS,
        "## Form\n",
        f"Two ONNX graphs (opset {manifest.opset}, {manifest.precision}, {size:.1f} MB), contract "
        f"{manifest.fingerprint}; largest gap to torch {max(manifest.metrics['parity'].values()):.1e}"
        f" over batch sizes, masks and trajectory lengths. Commit {manifest.commit[:12]}.\n",
    ]
    (folder / "card.md").write_text("\n".join(parts))


def _figure(manifest: Manifest, split: str, key: str) -> str:
    figures = manifest.metrics.get(split)
    return f"{figures[key]:.3f}" if isinstance(figures, dict) and key in figures else "not measured"
