"""Export a trained run as a served artifact: `python -m models.export gated-fusion --run runs/gated-fusion-seed0`.

Writes into `models/zoo/<artifact>/`: the two graphs, checked against torch; `manifest.json` with calibration and
figures, measured on the exported graphs; `sample.jsonl.gz` for the demo; `map.npz` with the heights of the city.
`card.md` is written last, from the manifest and `table.json` (see `models.compare`).
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
from pathlib import Path

from models import sample
from models.card import write_card
from models.compare import load_run
from models.data import raytraced_set
from models.data.measured import radhar
from models.data.provenance import commit
from models.data.raytraced_set import RayTracedSet
from models.data.shards import ShardSet
from models.evaluation import Data, fit_calibration, fit_novelty, measure
from models.exported import ExportedModel
from models.graphs import TOLERANCE, export_graphs, parity
from models.ground_map import write_map
from models.metrics import position_figures, squared_mahalanobis
from models.onnx_file import OPSET
from models.predict import predict_scene, predict_windows
from service.contract.labels import MODALITIES
from service.contract.manifest import Calibration, Manifest, contract_fingerprint
from service.contract.tensors import GRAPHS, MULTIMODAL

VERSION = "0.1.0"
SAMPLE_EPISODES = 2  # the first of the test part, not chosen by how well they go


def sample_figures(
    model: ExportedModel, calibration: Calibration, scene: RayTracedSet, people: list[radhar.Recording]
) -> dict[str, object]:
    """The figures that the demo must reproduce, measured offline on the frames of the sample."""
    street = predict_scene(model, scene, MODALITIES)
    position = position_figures(street.position_m, street.truth_m)
    distance = squared_mahalanobis(street.truth_m - street.position_m, street.scale_tril)
    figures: dict[str, object] = {
        "frames": len(street.los),
        "position_median_m": position["position_median_m"],
        "position_p95_m": position["position_p95_m"],
        "region_coverage": float((distance <= calibration.region_quantile["0.90"]).mean()),
        "los_accuracy": float(((street.los_logit > 0) == street.los).mean()),
    }
    if people:
        person = predict_windows(model, people, sample.PEOPLE_WINDOWS, most=sample.PEOPLE_WINDOWS)
        figures["frames"] = len(street.los) + len(person.activity)
        figures["activity_accuracy"] = float((person.logits.argmax(1) == person.activity).mean())
    return figures


def main(argv: list[str] | None = None) -> int:
    """Command line; returns the exit status."""
    args = _parse(argv)
    folder = args.out / args.artifact
    folder.mkdir(parents=True, exist_ok=True)
    if not args.card_only:
        problem = _export(args, folder)
        if problem:
            print(problem, file=sys.stderr)
            return 1
    write_card(folder)
    print(json.dumps({"folder": str(folder)}) if args.json else f"wrote {folder}/card.md")
    return 0


def _export(args: argparse.Namespace, folder: Path) -> str | None:
    try:
        scene = raytraced_set.load_parts(args, ("train", "val", "test"), args.json)
        data = Data(scene, radhar.by_part(args.radhar))
    except (FileNotFoundError, ValueError) as error:
        return str(error)
    model, modalities = load_run(args.run)
    fit_novelty(model, data, modalities)
    calibration = fit_calibration(model, data, modalities)
    export_graphs(model, folder)
    gaps = parity(model, folder)
    if max(gaps.values()) > TOLERANCE:
        return f"the exported graphs do not give torch's numbers: expected gaps below {TOLERANCE}, got {gaps}"
    exported = ExportedModel(folder)
    shards = ShardSet.open(args.set)
    site = data.scene["test"].site
    chosen = [int(e) for e in data.scene["test"].episode[:SAMPLE_EPISODES]]
    people = sample.sample_people(data.people["test"])
    lines = sample.street_lines(shards, chosen, site, args.band) + (sample.people_lines(people) if people else [])
    sample.write(lines, folder / "sample.jsonl.gz")
    metrics: dict[str, object] = dict(measure(exported, calibration, data, MODALITIES))
    metrics["sample"] = sample_figures(exported, calibration, data.scene["test"].first(SAMPLE_EPISODES), people)
    metrics["parity"] = gaps
    Manifest(
        name=args.artifact,
        version=VERSION,
        fingerprint=contract_fingerprint(),
        opset=OPSET,
        files={name: hashlib.sha256((folder / f"{name}.onnx").read_bytes()).hexdigest() for name in GRAPHS},
        sites=(site, radhar.SITE) if people else (site,),
        calibration=calibration,
        metrics=metrics,
        training_data=_training_data(shards, site.name, args.band, bool(people)),
        commit=str(commit()["commit"] or "unknown"),
        graphs=dict(MULTIMODAL.to_json()),
    ).save(folder)
    write_map(shards.ground(site.name), folder / "map.npz")
    return None


def _training_data(shards: ShardSet, site: str, band: str, people: bool) -> tuple[dict[str, str], ...]:
    recipe = shards.recipe
    street = {
        "name": f"ray-traced {site} at {band}, {len(shards.episodes(site))} episodes, {shards.fingerprint}",
        "licence": "Apache-2.0; city geometry of sionna-rt from OpenStreetMap, ODbL",
        "source": f"python -m models.data.build --profile {recipe.name} --seed {recipe.seed}",
    }
    if not people:
        return (street,)
    return street, {"name": "RadHAR (subset of 186 files)", "licence": radhar.LICENCE, "source": radhar.SOURCE}


def _parse(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m models.export", description=__doc__)
    parser.add_argument("artifact", choices=["gated-fusion"])
    parser.add_argument("--run", type=Path, default=Path("runs/gated-fusion-seed0"), help="folder of a finished run")
    raytraced_set.add_arguments(parser)
    parser.add_argument("--radhar", type=Path, help="folder of the RadHAR set")
    parser.add_argument("--out", type=Path, default=Path("models/zoo"))
    parser.add_argument("--card-only", action="store_true", help="only write card.md anew from manifest and table")
    parser.add_argument("--json", action="store_true")
    return parser.parse_args(argv)


if __name__ == "__main__":
    sys.exit(main())
