"""Build a ray-traced set: `python -m models.data.build`.

Deterministic: a shard depends on the settings and its own number only, so a build can be interrupted at any time,
resumed, and split over processes and machines. Refuses to mix settings in one folder.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import sys
from collections.abc import Generator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

from tqdm import tqdm

from models.data.checksums import sum_of, write_sums
from models.data.provenance import commit, source
from models.data.ray_cluster import on_ray
from models.data.recipe import RECIPES, Recipe, settings
from models.data.shard_job import NO_TRACER, Factory, Job, Order, Product, trace
from models.data.shards import SettingsMismatch, ShardSet, replace_file
from models.data.splits import describe
from models.data.throughput import Throughput, append_report
from models.data.verify import wrong_files
from models.data.workers import on_processes

ROUND = 30  # episodes of a site before the next site's turn: few loads of scenes, and every site early on
FAILURES = 5  # after which a build is given up
INTERRUPTED = 130  # exit status, as a shell has it


def main(argv: list[str] | None = None, factory: Factory = trace) -> int:
    """Command line; returns the exit status. `factory` makes what records a site, see `shard_job.trace`."""
    args = _parse(argv)
    recipe = replace(RECIPES[args.profile], seed=args.seed)
    folder = args.out or Path("data") / recipe.name
    try:
        if args.verify:
            return _verify(ShardSet.open(folder), args.json)
        shards = ShardSet(folder, settings(recipe), describe(recipe))
        shards.create()
        jobs = plan(recipe, args.site or list(recipe.sites), args.episodes)[args.shard :: args.shards]
        return _build(shards, jobs, Order(recipe, shards.fingerprint, factory), args)
    except (SettingsMismatch, FileNotFoundError) as error:
        print(error, file=sys.stderr)
    except NO_TRACER as error:
        print(f"cannot trace rays: {error}. `make raytrace` installs the Python side.", file=sys.stderr)
    except ConnectionError as error:
        print(f"--ray {args.ray}: expected a running Ray cluster, got: {error}", file=sys.stderr)
    return 2


def plan(recipe: Recipe, sites: list[str], episodes: int | None = None) -> list[Job]:
    """Jobs of a set, or of the first `episodes` of its sites: the ground of a site, then `ROUND` episodes, in turn.

    An interrupted build thus has some of every purpose at every site, and a worker seldom has to load another scene.
    """
    numbers = {site: range(len(recipe.purposes(site)))[:episodes] for site in sites}
    jobs = []
    for start in range(0, max(map(len, numbers.values())), ROUND):
        for site in sites:
            jobs += [Job(site, None)] if start == 0 else []
            jobs += [Job(site, episode) for episode in numbers[site][start : start + ROUND]]
    return jobs


def _build(shards: ShardSet, jobs: list[Job], order: Order, args: argparse.Namespace) -> int:
    """Do the jobs whose files are not there yet, and report."""
    missing = [job for job in jobs if not _path(shards, job).exists()]
    if missing:
        _check_code(shards, order, args)
    snapshots = order.recipe.snapshots
    total = snapshots * sum(job.episode is not None for job in jobs)
    there = total - snapshots * sum(job.episode is not None for job in missing)
    throughput = Throughput("ray" if args.ray else "local", snapshots)
    fresh: dict[str, str] = {}
    failed: list[str] = []
    interrupted = False
    bar = tqdm(initial=there, total=total, unit=" snapshots", disable=args.json)
    with bar, closing(_products(missing, order, args)) as products:
        try:
            for product in products:
                if product.error:
                    failed.append(str(product.job))
                    tqdm.write(f"{product.job} failed: {product.error}", file=sys.stderr)
                    if len(failed) == FAILURES:
                        break
                    continue
                path = _path(shards, product.job)
                replace_file(path, product.data)
                shards.note_provenance(_provenance(product))
                fresh[path.name] = sum_of(product.data)
                throughput.add(product)
                bar.update(0 if product.job.episode is None else snapshots)
        except KeyboardInterrupt:
            interrupted = True
    write_sums(shards.folder, fresh)
    report = throughput.report(complete=len(fresh) == len(missing))
    if report["snapshots"]:
        append_report(shards.folder, report)
    _print(args.json, folder=shards.folder, fingerprint=shards.fingerprint, **_counts(shards), **report)
    if len(fresh) < len(missing):
        what = "interrupted" if interrupted else f"failed: {', '.join(failed)}"
        print(f"{what}. What is built is whole; the same command goes on from there.", file=sys.stderr)
        return INTERRUPTED if interrupted else 1
    return 0


def _check_code(shards: ShardSet, order: Order, args: argparse.Namespace) -> None:
    """Where the code has changed since the shards that are there, make one of them again.

    Raises `SettingsMismatch` where its bytes are others: then `GENERATOR` should have been raised.
    """
    there = [job for job in plan(order.recipe, list(order.recipe.sites)) if _path(shards, job).exists()]
    again = next((job for job in there if job.episode is not None), None)
    if not again or source() in {made.get("source") for made in shards.provenance}:
        return
    (product,) = _products([again], order, args)
    if product.data != _path(shards, again).read_bytes():
        got = product.error or "other bytes"
        raise SettingsMismatch(
            f"{_path(shards, again)}: expected that the code makes this shard again, got {got}; "
            "choose another --out, and raise GENERATOR in models/data/recipe.py if the change is meant to stay"
        )
    shards.note_provenance(_provenance(product))


def _provenance(product: Product) -> dict[str, object]:
    return {**commit(), "source": source(), **product.made_by}


def _products(jobs: list[Job], order: Order, args: argparse.Namespace) -> Generator[Product]:
    if args.ray and jobs:
        yield from on_ray(jobs, order, args.ray, args.workers)
    else:
        yield from on_processes(jobs, order, args.workers)


def _path(shards: ShardSet, job: Job) -> Path:
    return shards.ground_path(job.site) if job.episode is None else shards.path(job.site, job.episode)


def _verify(shards: ShardSet, as_json: bool) -> int:
    wrong = list(tqdm(wrong_files(shards), desc="verify", unit=" wrong", disable=as_json))
    _print(as_json, folder=shards.folder, fingerprint=shards.fingerprint, **_counts(shards), wrong=wrong)
    return 1 if wrong else 0


def _counts(shards: ShardSet) -> dict[str, object]:
    sites = shards.recipe.sites
    return {
        "shards": sum(len(shards.episodes(site)) for site in sites),
        "shards_of_the_whole_set": sum(len(shards.recipe.purposes(site)) for site in sites),
        "bytes": sum(path.stat().st_size for path in shards.folder.glob("*.safetensors")),
    }


def _print(as_json: bool, **report: object) -> None:
    lines = (f"{key:26} {value}" for key, value in report.items())
    print(json.dumps(report, default=str) if as_json else "\n".join(lines))


def _parse(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m models.data.build", description=__doc__)
    parser.add_argument("--profile", choices=sorted(RECIPES), default="full")
    parser.add_argument("--site", nargs="+", help="only these sites of the profile")
    parser.add_argument("--episodes", type=int, help="only the first so many episodes of a site")
    parser.add_argument("--out", type=Path, help="folder of the set (default data/<profile>)")
    parser.add_argument("--seed", type=int, default=2026)
    parser.add_argument("--workers", type=int, default=len(os.sched_getaffinity(0)), help="processes (default: cores)")
    parser.add_argument("--ray", metavar="ADDRESS", help="use the Ray cluster there; `local` starts one of --workers")
    parser.add_argument("--shard", type=int, default=0, help="build only every --shards'th file, from this one on")
    parser.add_argument("--shards", type=int, default=1)
    parser.add_argument("--verify", action="store_true", help="check the checksums and the schema of a built set")
    parser.add_argument("--json", action="store_true", help="one JSON line instead of a progress bar")
    args = parser.parse_args(argv)
    if not 0 <= args.shard < args.shards:
        parser.error(f"--shard: expected a number from 0 to {args.shards - 1} (--shards - 1), got {args.shard}")
    if args.workers < 1:
        parser.error(f"--workers: expected at least 1, got {args.workers}")
    if unknown := sorted(set(args.site or ()) - set(RECIPES[args.profile].sites)):
        parser.error(f"--site: expected sites of {', '.join(RECIPES[args.profile].sites)}, got {', '.join(unknown)}")
    if args.ray and importlib.util.find_spec("ray") is None:
        parser.error("--ray: expected Ray to be installed, got none; `pip install 'cellsense[ray]'` installs it")
    return args


if __name__ == "__main__":
    sys.exit(main())
