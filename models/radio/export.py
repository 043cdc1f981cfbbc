"""Export a trained SCADF-MoE as a served artifact: `python -m models.radio.export --run runs/scadf-moe-seed0`.

Writes into `models/zoo/scadf-moe/`: the two graphs, checked against torch; `manifest.json` with a calibration for every
carrier and the figures, measured on the exported graphs; `sample.jsonl.gz` and `map.npz` for the demo.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import shutil
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from models import sample
from models.data.provenance import commit
from models.data.radio_batches import Radio
from models.data.raytraced.bands import BANDS
from models.data.shards import ShardSet
from models.ground_map import write_map
from models.novelty import Novelty
from models.onnx_file import OPSET, write_graph
from models.radio.calibration import calibrate
from models.radio.exported import ExportedRadio
from models.radio.graphs import modules, random_inputs, run_module, sites_of
from models.radio.paths import path_residuals
from models.radio.predict import RadioEmbeddings, embed, fuse
from models.radio.quantize import quantize_encoder
from models.radio.reporting import report, sample_figures
from models.radio.sample import radio_lines
from models.radio.table import SPLITS, load_data, load_run
from models.systems.scadf_moe import ScadfMoe
from models.systems.scadf_run import load
from service.contract.manifest import Manifest, contract_fingerprint
from service.contract.sites import Site
from service.contract.tensors import RADIO, RADIO_STEPS

VERSION = "0.1.0"
TOLERANCE = 1e-4  # between torch and ONNX Runtime, relative to the larger of 1 and the value
NOVELTY_FRAMES = 20_000  # of the training part that the novelty score is fitted on
SAMPLE_SITE = "florence"
SAMPLE_UES = 8
TASKS = ("position", "los")


def export_graphs(model: ScadfMoe, novelty: Novelty, folder: Path) -> None:
    """Write `encode.onnx` and `fuse.onnx`; frames B and steps T are free."""
    for name, module in modules(model, novelty).items():
        inputs = random_inputs(name, 5, np.random.default_rng(0))
        free = {spec.name: {0: "B"} for spec in RADIO.graphs[name][0]}
        if name == "fuse":
            free = {tensor: {0: "B", 1: "T"} for tensor in free}
        write_graph(module, inputs, free, [spec.name for spec in RADIO.graphs[name][1]], folder / f"{name}.onnx")


def parity(model: ScadfMoe, novelty: Novelty, folder: Path, seed: int = 0) -> dict[str, float]:
    """Largest difference of each output between torch and ONNX Runtime, relative to max(1, |value|).

    Over batch sizes 1 to 33, T from 1 to 16, random masks of cues and steps.
    """
    exported, torch_modules = ExportedRadio(folder), modules(model, novelty)
    rng = np.random.default_rng(seed)
    worst: dict[str, float] = {}
    for frames, steps in ((1, 1), (2, 2), (7, 3), (16, 8), (5, 11), (33, RADIO_STEPS)):
        for name, (_, results) in RADIO.graphs.items():
            inputs = random_inputs(name, frames, rng, steps, sites_of(model))
            got = exported.run(name, inputs)
            for spec, expected in zip(results, run_module(torch_modules[name], inputs), strict=True):
                gap = np.abs(got[spec.name] - expected) / np.maximum(1, np.abs(expected))
                if name == "fuse" and spec.name.startswith("path_"):
                    gap = gap[inputs["step_mask"] > 0]  # where nothing is present nothing is meant
                worst[spec.name] = max(worst.get(spec.name, 0.0), float(gap.max()))
    return worst


def fit_novelty(model: ScadfMoe, train: Radio) -> Novelty:
    """The score of training embeddings at every band."""
    rows = np.sort(np.random.default_rng(0).permutation(len(train.frames))[:NOVELTY_FRAMES])
    bands = np.random.default_rng(1).integers(0, len(train.frames.bands), len(rows))
    found = []
    with torch.no_grad():
        for some in np.array_split(np.arange(len(rows)), max(1, len(rows) // 1024)):
            found.append(model.encoder(**train.inputs(rows[some], bands[some]))[0].half().float())
    novelty = Novelty(1)
    novelty.fit(0, torch.cat(found))
    return novelty.eval()


def novelty_scores(novelty: Novelty, embedded: RadioEmbeddings) -> np.ndarray:
    """Scores `[F, B]`."""
    with torch.no_grad():
        every = [novelty(torch.from_numpy(embedded.embedding[:, b])) for b in range(embedded.embedding.shape[1])]
    return np.stack([scores.numpy() for scores in every], 1)


def publish(
    folder: Path, precision: str, data: dict[str, Radio], train: Radio, novelty: Novelty, shards: ShardSet,
    more: dict[str, object],
) -> None:  # fmt: skip
    """Calibrate and measure the graphs in `folder`, and write their manifest; `more` goes into its metrics."""
    exported, val = ExportedRadio(folder), data["val"]
    embedded = embed(exported, val)
    calibration, carriers = calibrate(
        fuse(exported, val, embedded, RADIO_STEPS),
        path_residuals(exported, val, embedded, RADIO_STEPS),
        novelty_scores(novelty, embedded),
        val,
    )
    metrics: dict[str, object] = {split: report(exported, carriers, data[split]) for split in SPLITS}
    metrics["sample"] = sample_figures(exported, carriers, _sampled(data[SPLITS[0]]))
    Manifest(
        name="scadf-moe",
        version=VERSION,
        fingerprint=contract_fingerprint(RADIO),
        opset=OPSET,
        files={name: hashlib.sha256((folder / f"{name}.onnx").read_bytes()).hexdigest() for name in RADIO.graphs},
        sites=tuple(_served(site) for site in train.frames.sites),
        calibration=calibration,
        carriers=carriers,
        metrics=metrics | more,
        training_data=(_training_data(shards, train),),
        commit=str(commit()["commit"] or "unknown"),
        precision=precision,
        contract=RADIO.name,
        graphs=dict(RADIO.to_json()),
    ).save(folder)


def main(argv: list[str] | None = None) -> int:
    """Command line; returns the exit status."""
    args = _parse(argv)
    folder = args.out / "scadf-moe"
    names = tuple(band.name for band in BANDS)
    try:
        model, _ = load_run(args.run)
        shards = ShardSet.open(args.set)
        data = load_data(args.set, names, args.json)
        train = load(args.set, SPLITS[0], "train", names, args.json)
        sampled = _sampled(data[SPLITS[0]])
    except (FileNotFoundError, ValueError) as error:
        print(error, file=sys.stderr)
        return 2
    folder.mkdir(parents=True, exist_ok=True)
    novelty = fit_novelty(model, train)
    export_graphs(model, novelty, folder)
    gaps = parity(model, novelty, folder)
    if max(gaps.values()) > TOLERANCE:
        print(f"the exported graphs: expected gaps to torch below {TOLERANCE}, got {gaps}", file=sys.stderr)
        return 1
    site = sampled.frames.sites[sampled.frames.site[0]]
    ues = np.unique(sampled.frames.ue).tolist()
    sample.write(radio_lines(shards, int(sampled.frames.episode[0]), ues, site), folder / "sample.jsonl.gz")
    write_map(shards.ground(site.name), folder / "map.npz")
    publish(folder, "fp32", data, train, novelty, shards, {"parity": gaps})
    if args.int8:
        small = folder / "int8"
        small.mkdir(exist_ok=True)
        quantize_encoder(folder / "encode.onnx", data["val"], small / "encode.onnx")
        shutil.copy(folder / "fuse.onnx", small / "fuse.onnx")
        publish(small, "int8", data, train, novelty, shards, {})
    print(json.dumps({"folder": str(folder), "parity": gaps}) if args.json else f"wrote {folder}")
    return 0


def _served(site: Site) -> Site:
    return replace(site, tasks=TASKS, carriers_hz=tuple(band.carrier_hz for band in BANDS))


def _sampled(test: Radio) -> Radio:
    """The first UEs of the first held-out episode of the sample's site, not chosen by how well it goes.

    Raises:
        ValueError: the part does not have the site.
    """
    frames, names = test.frames, [site.name for site in test.frames.sites]
    if SAMPLE_SITE not in names:
        raise ValueError(f"site of the sample: expected {SAMPLE_SITE} in the test part, got {', '.join(names)}")
    here = frames.site == names.index(SAMPLE_SITE)
    here &= frames.episode == frames.episode[here][0]
    return test.take(np.flatnonzero(here & np.isin(frames.ue, np.unique(frames.ue[here])[:SAMPLE_UES])))


def _training_data(shards: ShardSet, train: Radio) -> dict[str, str]:
    recipe, sites = shards.recipe, ", ".join(site.name for site in train.frames.sites)
    return {
        "name": f"ray-traced {sites} at {', '.join(b.name for b in BANDS)}, {len(train.frames)} frames, "
        f"{shards.fingerprint}",
        "licence": "Apache-2.0; city geometry of sionna-rt from OpenStreetMap, ODbL",
        "source": f"python -m models.data.build --profile {recipe.name} --seed {recipe.seed}",
    }


def _parse(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m models.radio.export", description=__doc__)
    parser.add_argument("--run", type=Path, default=Path("runs/scadf-moe-seed0"), help="folder of a finished run")
    parser.add_argument("--set", type=Path, default=Path("data/full"), help="folder of the set (default %(default)s)")
    parser.add_argument("--out", type=Path, default=Path("models/zoo"), help="(default %(default)s)")
    parser.add_argument("--int8", action="store_true", help="write the 8-bit variant, too, in the folder int8")
    parser.add_argument("--json", action="store_true", help="no progress bars")
    return parser.parse_args(argv)


if __name__ == "__main__":
    sys.exit(main())
