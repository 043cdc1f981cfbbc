from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from functools import partial
from itertools import pairwise
from pathlib import Path

import pytest

from models.data.build import FAILURES, INTERRUPTED, ROUND, main, plan
from models.data.checksums import NAME as SUMS
from models.data.checksums import wrong_sums
from models.data.recipe import RECIPES
from models.data.schema import Arrays
from models.data.shard_job import Factory
from models.data.shards import ShardSet
from models.data.throughput import reports
from tests.models.data.fake_recorder import FakeRecorder, fail, fail_at_2, no_tracer

SMALL = RECIPES["small"]
EPISODES = len(SMALL.purposes("munich"))


def _build(folder: Path, *options: str, factory: Factory = FakeRecorder) -> int:
    return main(["--profile", "small", "--out", str(folder), "--json", *options], factory)


def _files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.glob("*.safetensors")}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("whole")
    assert _build(folder, "--workers", "1") == 0
    return folder


def test_help_says_what_it_builds_without_loading_the_ray_tracer() -> None:
    program = """
import sys
from models.data.build import main
try:
    main(["--help"])
finally:
    assert not {"mitsuba", "ray", "torch"} & set(sys.modules)
"""
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False)
    assert run.returncode == 0, run.stderr
    for word in ("--profile", "--site", "--seed", "--workers", "--ray", "--shards", "--out", "--verify"):
        assert word in run.stdout


def test_set_is_whole_and_says_what_it_is(whole: Path) -> None:
    shards = ShardSet.open(whole)
    assert shards.recipe == SMALL
    for site in SMALL.sites:
        assert shards.episodes(site) == list(range(EPISODES))
        assert shards.ground(site)["zone"].shape == (2, 3)
    described = json.loads((whole / "set.json").read_text())
    assert described["splits"] == shards.splits != {}
    (maker,) = described["provenance"]
    assert maker["numpy"]
    assert maker["commit"] is None or re.fullmatch("[0-9a-f]{40}", maker["commit"])
    assert wrong_sums(whole) == []


def test_build_in_parts_and_by_more_workers_gives_the_same_bytes(whole: Path, tmp_path: Path) -> None:
    shares = [("--shards", "2", "--shard", "1"), ("--shards", "2", "--shard", "0", "--workers", "2")]
    counts = []
    for share in shares:
        assert _build(tmp_path, *share) == 0
        counts.append(len(_files(tmp_path)))
    assert counts == [EPISODES + 1, 2 * EPISODES + 2]
    assert _files(tmp_path) == _files(whole)
    assert (tmp_path / SUMS).read_bytes() == (whole / SUMS).read_bytes()


def test_sites_and_first_episodes_can_be_chosen(whole: Path, tmp_path: Path) -> None:
    assert _build(tmp_path, "--site", "etoile-south", "--episodes", "2") == 0
    names = ["etoile-south-00000", "etoile-south-00001", "ground-etoile-south"]
    assert sorted(_files(tmp_path)) == [f"{name}.safetensors" for name in names]
    assert _files(tmp_path).items() <= _files(whole).items()


def test_finished_build_is_not_built_again(whole: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before, built = _files(whole), reports(whole)
    assert _build(whole, factory=no_tracer) == 0
    report = json.loads(capsys.readouterr().out)
    assert (report["shards"], report["snapshots"]) == (2 * EPISODES, 0)
    assert (_files(whole), reports(whole)) == (before, built)


def test_report_of_each_build_is_kept_for_the_card(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for episodes in (1, 3):
        assert _build(tmp_path, "--site", "munich", "--episodes", str(episodes), "--workers", "1") == 0
        printed = json.loads(capsys.readouterr().out)
    first, second = reports(tmp_path)
    assert (first["snapshots"], second["snapshots"]) == (SMALL.snapshots, 2 * SMALL.snapshots)
    assert second.items() <= printed.items()
    assert (second["kind"], second["workers"], second["complete"]) == ("local", 1, True)
    assert second["snapshots_per_s"] == pytest.approx(second["snapshots"] / second["seconds"], rel=0.01)
    sizes = [(tmp_path / f"munich-0000{episode}.safetensors").stat().st_size for episode in (1, 2)]
    assert second["bytes_per_snapshot"] == round(sum(sizes) / second["snapshots"])
    assert second["cpu"]
    assert second["cores"] >= 1


def test_folder_of_other_settings_is_refused(whole: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = {path.name: path.read_bytes() for path in whole.iterdir()}
    assert _build(whole, "--seed", "7") == 2
    assert ShardSet.open(whole).fingerprint in capsys.readouterr().err
    assert {path.name: path.read_bytes() for path in whole.iterdir()} == before


class OtherRecorder(FakeRecorder):
    """What the code has become."""

    def record(self, episode: int) -> Arrays:
        return super().record(episode + 1)


def test_set_is_not_continued_by_code_that_makes_other_shards(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _build(tmp_path, "--episodes", "1") == 0
    path = tmp_path / "set.json"
    described = json.loads(path.read_text())
    described["provenance"][0]["source"] = "another"
    path.write_text(json.dumps(described))
    before = _files(tmp_path)
    assert _build(tmp_path, "--episodes", "2", factory=OtherRecorder) == 2
    assert "munich-00000.safetensors: expected that the code makes this shard again" in capsys.readouterr().err
    assert _files(tmp_path) == before
    assert _build(tmp_path, "--episodes", "2") == 0  # the code has changed, the shards have not
    assert len(ShardSet.open(tmp_path).provenance) == 2
    assert len(_files(tmp_path)) == len(before) + 2


def test_failed_episode_leaves_the_others_and_can_be_built_later(
    whole: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _build(tmp_path, factory=partial(FakeRecorder, before=fail_at_2)) == 1
    assert "failed: episode 2 of munich, episode 2 of etoile-south" in capsys.readouterr().err
    assert len(_files(tmp_path)) == len(_files(whole)) - 2
    assert _build(tmp_path) == 0
    assert _files(tmp_path) == _files(whole)
    assert [report["complete"] for report in reports(tmp_path)] == [False, True]


def test_build_of_which_everything_fails_gives_up(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert _build(tmp_path, factory=partial(FakeRecorder, before=fail)) == 1
    assert capsys.readouterr().err.count("Traceback") == FAILURES


def test_missing_ray_tracer_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert _build(tmp_path, factory=no_tracer) == 2
    error = capsys.readouterr().err
    assert "No module named 'sionna'" in error
    assert "make raytrace" in error


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--site", "atlantis"), "munich, etoile-south, got atlantis"),
        (("--shard", "2", "--shards", "2"), "from 0 to 1"),
        (("--workers", "0"), "at least 1"),
    ],
)
def test_options_that_make_no_sense_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], options: tuple[str, ...], words: str
) -> None:
    with pytest.raises(SystemExit) as stopped:
        _build(tmp_path, *options)
    assert stopped.value.code == 2
    assert words in capsys.readouterr().err


def test_interrupted_build_has_every_site_and_seldom_changes_it() -> None:
    full = RECIPES["full"]
    jobs = plan(full, list(full.sites))
    assert len(jobs) == len(set(jobs)) == sum(len(full.purposes(site)) + 1 for site in full.sites)
    first = jobs[: len(full.sites) * (ROUND + 1)]
    assert {job.site for job in first} == set(full.sites)
    changes = sum(one.site != other.site for one, other in pairwise(jobs))
    assert changes < len(full.sites) * (90 / ROUND)
    for site in full.sites:
        mine = [job.episode for job in jobs if job.site == site]
        assert mine == [None, *range(len(full.purposes(site)))]


def test_verify_finds_what_is_wrong(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert _build(tmp_path, "--episodes", "2") == 0
    assert _build(tmp_path, "--verify") == 0
    shards = ShardSet.open(tmp_path)
    whole = bytearray(shards.path("munich", 0).read_bytes())
    whole[-1] ^= 1  # one bit of the last column
    shards.path("munich", 0).write_bytes(whole)
    shards.path("munich", 1).write_bytes(whole[:50])
    capsys.readouterr()
    assert _build(tmp_path, "--verify") == 1
    report = json.loads(capsys.readouterr().out)
    assert (report["shards"], report["shards_of_the_whole_set"]) == (4, 2 * EPISODES)
    assert [line.split(":")[0] for line in report["wrong"]] == [
        "munich-00000.safetensors",
        "munich-00001.safetensors",
        "munich-00001.safetensors",
    ]


def test_verify_of_nothing_says_what_to_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert _build(tmp_path / "nowhere", "--verify") == 2
    assert "run models.data.build" in capsys.readouterr().err


@pytest.mark.parametrize("group", [True, False], ids=["ctrl-c in a terminal", "signal to the build alone"])
def test_interrupt_leaves_whole_files_and_the_same_command_goes_on(whole: Path, tmp_path: Path, group: bool) -> None:
    program = """
import sys
from functools import partial
from models.data.build import main
from tests.models.data.fake_recorder import FakeRecorder, nap
sys.exit(main(sys.argv[1:], partial(FakeRecorder, before=nap)))
"""
    options = ["--profile", "small", "--out", str(tmp_path), "--workers", "2"]
    build = subprocess.Popen(
        [sys.executable, "-c", program, *options], stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    deadline_s = time.monotonic() + 120
    while len(_files(tmp_path)) < 4 and time.monotonic() < deadline_s:
        time.sleep(0.02)
    subprocess.run(["kill", "-s", "INT", "--", f"{'-' if group else ''}{build.pid}"], check=True)
    _, error = build.communicate(timeout=120)
    assert build.returncode == INTERRUPTED
    assert "the same command goes on from there" in error
    assert "Traceback" not in error
    assert not list(tmp_path.glob("*.tmp-*"))
    assert wrong_sums(tmp_path) == []
    assert 4 <= len(_files(tmp_path)) < len(_files(whole))
    assert _build(tmp_path) == 0
    assert _files(tmp_path) == _files(whole)
