"""The pipeline without HTTP: what must not happen inside it."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import pytest

from service.contract.captures import SceneCapture, SensingFrame
from service.contract.manifest import Manifest
from service.engine.fake import FakeEngine
from service.engine.fake_radio import FakeRadioEngine
from service.engine.protocol import Engine, Inputs, Outputs
from service.errors import (
    ArtifactError,
    EngineFailure,
    InvalidInput,
    NotReady,
    Overloaded,
    TimestampConflict,
    UnknownSite,
    UnknownTask,
)
from service.metrics import Metrics
from service.normalizers.camera import CameraLimits
from service.normalizers.text import text_tokens
from service.pipeline import Answer, Batch, Pipeline, SiteFrame, SiteScene
from service.pipeline.normalise import Work, normalise, pictures
from service.pipeline.outcomes import Outcome
from service.pipeline.pipeline import TURN_POINTS, TURN_WORK
from service.runner.graph_runner import GraphRunner, runners
from service.settings import Settings
from service.telemetry.stages import Stages
from service.trajectory.buffer import TrajectoryBuffer
from service.trajectory.connection import RedisConnection
from tests.service.api.requests import NOW_S, channel, detections, jpeg
from tests.service.contract.examples import CITY, STREET, manifest, radio_manifest
from tests.service.trajectory.connections import connected

SETTINGS = Settings(redis="embedded://", deadline_s=30.0, threads=1)


class Recorder(FakeEngine):
    """Remembers what it was asked, and spoils one row where told to."""

    def __init__(self, described_by: Manifest | None = None) -> None:
        super().__init__(described_by or manifest())
        self.encoded: list[dict[str, int]] = []
        self.spoilt: dict[str, tuple[str, int]] = {}

    def encode(self, inputs: Inputs) -> Outputs:
        self.encoded.append({name: len(inputs[name]) for name in ("csi", "camera")})
        return self._spoil("encode", super().encode(inputs))

    def fuse(self, inputs: Inputs) -> Outputs:
        return self._spoil("fuse", super().fuse(inputs))

    def _spoil(self, graph: str, outputs: Outputs) -> Outputs:
        if graph in self.spoilt:
            name, row = self.spoilt[graph]
            outputs[name][row] = np.nan
        return outputs


@pytest.fixture
async def buffer() -> AsyncIterator[TrajectoryBuffer]:
    async with connected("embedded://") as connection:
        yield TrajectoryBuffer(connection)


def pipeline_of(engine: Engine, buffer: TrajectoryBuffer) -> Pipeline:
    engines = {site.name: engine for site in engine.manifest.sites}
    metrics = Metrics()

    def made(engine: Engine) -> dict[str, GraphRunner]:
        return runners(engine, SETTINGS, metrics.compute)

    return Pipeline(engines, made, buffer, SETTINGS, metrics, Stages(metrics.compute), now_s=lambda: NOW_S)


def frame(ue: str, seed: int = 0, **fields: object) -> SiteFrame:
    return SiteFrame("city", SensingFrame(ue, NOW_S, channel(seed), **fields))  # type: ignore[arg-type]


def deadline_s() -> float:
    return time.monotonic() + 30.0


async def test_each_capture_is_encoded_once_however_many_frames_share_it(buffer: TrajectoryBuffer) -> None:
    engine = Recorder()
    pipeline = pipeline_of(engine, buffer)
    pipeline.resume()
    scenes = tuple(SiteScene("city", SceneCapture(radar=detections(seed))) for seed in range(3))
    frames = tuple(frame(f"ue-{i}", i, scene=i % 2) for i in range(10))
    outcomes = await pipeline.sense(Batch(scenes, frames), deadline_s())
    assert all(isinstance(outcome, Answer) for outcome in outcomes)
    assert engine.encoded == [{"csi": 10, "camera": 2}]  # nobody refers to the third
    await pipeline.close()


@pytest.mark.parametrize(("graph", "name"), [("encode", "embedding"), ("encode", "gate"), ("fuse", "position")])
async def test_outputs_that_are_not_finite_fail_their_frame_alone(
    buffer: TrajectoryBuffer, graph: str, name: str
) -> None:
    engine = Recorder()
    pipeline = pipeline_of(engine, buffer)
    pipeline.resume()
    engine.spoilt[graph] = (name, 1)
    outcomes = await pipeline.sense(Batch((), (frame("a"), frame("b"), frame("c"))), deadline_s())
    assert isinstance(outcomes[1], EngineFailure)
    assert isinstance(outcomes[0], Answer)
    assert isinstance(outcomes[2], Answer)
    engine.spoilt.clear()
    again = await pipeline.sense(Batch((), (frame("b"),)), deadline_s())
    assert isinstance(again[0], Answer)
    assert np.isfinite(again[0].position.enu_m).all()  # type: ignore[union-attr] # nothing of it was buffered
    await pipeline.close()


@pytest.mark.parametrize("name", ["position", "path_position", "centroid_scale_tril"])
async def test_outputs_of_a_radio_model_that_are_not_finite_fail_their_frame_alone(
    buffer: TrajectoryBuffer, name: str
) -> None:
    class Spoilt(FakeRadioEngine):
        def fuse(self, inputs: Inputs) -> Outputs:
            outputs = super().fuse(inputs)
            outputs[name][1] = np.nan
            return outputs

    pipeline = pipeline_of(Spoilt(radio_manifest()), buffer)
    pipeline.resume()
    frames = tuple(replace(frame(ue), site="street", path=True) for ue in "abc")
    first, second, third = await pipeline.sense(Batch((), frames), deadline_s())
    assert isinstance(second, EngineFailure)
    for outcome in (first, third):
        assert isinstance(outcome, Answer)
        assert outcome.path is not None
        assert len(outcome.path.vertices) == 1
    await pipeline.close()


async def test_batches_of_any_size_are_answered(buffer: TrajectoryBuffer) -> None:
    pipeline = pipeline_of(FakeEngine(manifest()), buffer)
    pipeline.resume()
    for size in (1, 63, 64, 65, 256):
        frames = tuple(frame(f"{size}-{i}", i) for i in range(size))
        outcomes = await pipeline.sense(Batch((), frames), deadline_s())
        assert [o.ue for o in outcomes if isinstance(o, Answer)] == [f"{size}-{i}" for i in range(size)]
    await pipeline.close()


@pytest.mark.parametrize(
    ("frames", "points", "normalised_on_the_loop"),
    [(1, 10, True), (TURN_WORK - 3, 10, True), (TURN_WORK - 2, 10, False), (1, TURN_POINTS + 1, False)],
)
async def test_pictures_are_decoded_in_a_thread_and_large_requests_put_together_in_one(
    buffer: TrajectoryBuffer,
    monkeypatch: pytest.MonkeyPatch,
    frames: int,
    points: int,
    normalised_on_the_loop: bool,
) -> None:
    ran_in: dict[str, threading.Thread] = {}

    def watched(name: str, do: Callable[..., Any], *given: Any) -> Any:
        ran_in[name] = threading.current_thread()
        return do(*given)

    for each in (pictures, normalise):
        monkeypatch.setattr(f"service.pipeline.pipeline.{each.__name__}", partial(watched, each.__name__, each))
    pipeline = pipeline_of(FakeEngine(manifest()), buffer)
    pipeline.resume()
    scene = SceneCapture(camera=jpeg(), lidar=np.ones((points, 5), np.float32))
    asked = tuple(frame(f"ue-{i}", i, scene=0) for i in range(frames))
    outcomes = await pipeline.sense(Batch((SiteScene("city", scene),), asked), deadline_s())
    assert all(isinstance(outcome, Answer) for outcome in outcomes)
    assert ran_in["pictures"] is not threading.main_thread()
    assert (ran_in["normalise"] is threading.main_thread()) is normalised_on_the_loop
    await pipeline.close()


class Crowded(Recorder):
    """Holds its first run until it is opened, so that what comes meanwhile runs together; fails on a word."""

    def __init__(self) -> None:
        super().__init__()
        self.open = threading.Event()
        self.reached = threading.Event()
        self.fused: list[int] = []

    def encode(self, inputs: Inputs) -> Outputs:
        self.reached.set()
        assert self.open.wait(20.0)
        return super().encode(inputs)

    def fuse(self, inputs: Inputs) -> Outputs:
        self.fused.append(len(inputs["text"]))
        if (inputs["text"] == POISON).any():
            raise EngineFailure("poisoned")
        return super().fuse(inputs)


POISON = text_tokens(["boxing"])[0, 0]


async def crowd(pipeline: Pipeline, engine: Crowded, requests: Sequence[Batch]) -> list[list[Outcome]]:
    """What requests are answered that wait for their turn together, behind another one."""
    first = asyncio.create_task(pipeline.sense(Batch((), (frame("first"),)), deadline_s()))
    assert await asyncio.to_thread(engine.reached.wait, 20.0)
    rest = [asyncio.create_task(pipeline.sense(request, deadline_s())) for request in requests]
    rows = sum(len(request.frames) for request in requests)
    while pipeline._turns.queued_rows < rows:
        await asyncio.sleep(0.001)
    engine.open.set()
    await first
    return await asyncio.gather(*rest)


async def test_requests_that_are_answered_together_are_answered_as_if_alone(buffer: TrajectoryBuffer) -> None:
    scenes = (SiteScene("city", SceneCapture(radar=detections(1))), SiteScene("city", SceneCapture(camera=jpeg())))
    requests = [
        Batch(scenes, (frame(f"{n}-a", n, scene=n % 2), frame(f"{n}-b", n + 50, text="where?"), frame("shared", n)))
        for n in range(5)
    ]
    engine = Crowded()
    pipeline = pipeline_of(engine, buffer)
    pipeline.resume()
    together = await crowd(pipeline, engine, requests)
    assert sum(engine.fused) == 1 + 5 * 2 + 1  # of those with the same UE and time, the first
    assert len(engine.fused) == 2
    alone = [await pipeline.sense(renamed(request), deadline_s()) for request in requests]
    for many, few in zip(together, alone, strict=True):
        assert isinstance(few[0], Answer)
        assert many[0] == replace(few[0], ue=few[0].ue.removesuffix("'"))
        assert isinstance(few[1], UnknownTask)  # as it says, with its place in its own request
        assert str(many[1]) == str(few[1])
        assert few[1].field == "frames[1].text"
    kinds = [type(shared) for _, _, shared in together]
    assert sorted(kinds, key=str) == sorted([Answer, *[TimestampConflict] * 4], key=str)
    conflicts = [shared for _, _, shared in together if isinstance(shared, TimestampConflict)]
    assert {conflict.field for conflict in conflicts} == {"frames[2].timestamp_s"}
    await pipeline.close()


async def test_pictures_are_decoded_while_their_request_waits(
    buffer: TrajectoryBuffer, monkeypatch: pytest.MonkeyPatch
) -> None:
    decoded: list[dict[int, Any]] = []

    def watched(*given: Any) -> Any:
        decoded.append(dict(pictures(*given)))
        return decoded[-1]

    monkeypatch.setattr("service.pipeline.pipeline.pictures", watched)
    engine = Crowded()
    pipeline = pipeline_of(engine, buffer)
    pipeline.resume()
    scenes = tuple(SiteScene("city", SceneCapture(camera=camera)) for camera in (jpeg(), b"no picture"))
    first = asyncio.create_task(pipeline.sense(Batch((), (frame("first"),)), deadline_s()))
    assert await asyncio.to_thread(engine.reached.wait, 20.0)
    waits = asyncio.create_task(
        pipeline.sense(Batch(scenes, (frame("a", 1, scene=0), frame("b", 2, scene=1))), deadline_s())
    )
    while not decoded:  # though the first one still has the only turn
        await asyncio.sleep(0.001)
    engine.open.set()
    await first
    good, bad = await waits
    assert isinstance(good, Answer)
    assert isinstance(bad, InvalidInput)
    assert bad.field == "scenes[1].camera"
    assert [list(rows) for rows in decoded] == [[0, 1]]
    await pipeline.close()


async def test_pictures_that_nobody_waits_for_any_more_are_not_decoded(
    buffer: TrajectoryBuffer, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun: list[str] = []
    may_decode = threading.Event()

    def held(work: Work, limits: CameraLimits) -> Any:
        begun.extend(entry.frame.ue for entry in work.frames.values())
        assert may_decode.wait(20.0)
        return pictures(work, limits)

    monkeypatch.setattr("service.pipeline.pipeline.pictures", held)
    pipeline = pipeline_of(FakeEngine(manifest()), buffer)  # with one thread
    pipeline.resume()
    scenes = (SiteScene("city", SceneCapture(camera=jpeg())),)

    def ask(ue: str) -> asyncio.Task[list[Outcome]]:
        return asyncio.create_task(pipeline.sense(Batch(scenes, (frame(ue, scene=0),)), deadline_s()))

    has_the_turn = ask("has the turn")
    while not begun:
        await asyncio.sleep(0.001)
    leaves, stays = ask("leaves"), ask("stays")
    while pipeline._turns.queued_rows < 2:
        await asyncio.sleep(0.001)
    leaves.cancel()
    await asyncio.wait([leaves])
    may_decode.set()
    assert isinstance((await has_the_turn)[0], Answer)
    assert isinstance((await stays)[0], Answer)
    assert begun == ["has the turn", "stays"]
    await pipeline.close()


def renamed(request: Batch) -> Batch:
    """The same by other UEs."""
    frames = [e for e in request.frames if isinstance(e, SiteFrame)]
    return replace(request, frames=tuple(replace(e, frame=replace(e.frame, ue=f"{e.frame.ue}'")) for e in frames))


async def test_a_request_that_breaks_the_model_fails_alone(buffer: TrajectoryBuffer) -> None:
    engine = Crowded()
    pipeline = pipeline_of(engine, buffer)
    pipeline.resume()
    requests = [Batch((), (frame(f"ue-{n}", n, text="boxing" if n == 2 else None),)) for n in range(4)]
    outcomes = [outcome for (outcome,) in await crowd(pipeline, engine, requests)]
    assert [type(outcome) for outcome in outcomes] == [Answer, Answer, EngineFailure, Answer]
    assert [o.explanation.trajectory_length for o in outcomes if isinstance(o, Answer)] == [1, 1, 1]
    await pipeline.close()


async def test_where_not_all_fit_into_the_queue_some_are_answered(buffer: TrajectoryBuffer) -> None:
    engine = Crowded()
    pipeline = pipeline_of(engine, buffer)
    pipeline.resume()
    fuse, turned_away = pipeline.models[0].runners["fuse"].submit, 0

    async def full_for_more_than_one(inputs: Inputs, *args: Any) -> Outputs:
        nonlocal turned_away
        if len(inputs["text"]) > 1:
            turned_away += 1
            raise Overloaded(1.0)
        return await fuse(inputs, *args)

    pipeline.models[0].runners["fuse"].submit = full_for_more_than_one  # type: ignore[method-assign]
    outcomes = await crowd(pipeline, engine, [Batch((), (frame(f"ue-{n}"),)) for n in range(4)])
    assert all(isinstance(outcome, Answer) for (outcome,) in outcomes)
    assert turned_away == 1
    await pipeline.close()


async def test_a_text_that_asks_for_nothing_the_site_can_do_is_refused(buffer: TrajectoryBuffer) -> None:
    class Deaf(FakeEngine):
        def fuse(self, inputs: Inputs) -> Outputs:
            return {**super().fuse(inputs), "task_logits": np.full((len(inputs["text"]), 3), -1, np.float32)}

    pipeline = pipeline_of(Deaf(manifest()), buffer)
    pipeline.resume()
    deaf, spoken = await pipeline.sense(Batch((), (frame("a", text="sing"), frame("b"))), deadline_s())
    assert isinstance(deaf, UnknownTask)
    assert deaf.field == "frames[0].text"
    assert "position, los" in deaf.expected
    assert isinstance(spoken, Answer)
    await pipeline.close()


async def test_embeddings_of_another_model_do_not_enter_a_trajectory(buffer: TrajectoryBuffer) -> None:
    for version, files in (("1.0.0", {"encode": "a"}), ("1.0.0", {"encode": "b"}), ("2.0.0", {"encode": "b"})):
        pipeline = pipeline_of(FakeEngine(replace(manifest(), version=version, files=files)), buffer)
        pipeline.resume()
        (outcome,) = await pipeline.sense(Batch((), (frame("a"),)), deadline_s())
        assert isinstance(outcome, Answer)
        assert outcome.explanation.trajectory_length == 1
        assert len((await pipeline.trajectory("city", "a", deadline_s())).vertices) == 1
        await pipeline.close()


async def test_nothing_is_answered_before_warm_up(buffer: TrajectoryBuffer) -> None:
    pipeline = pipeline_of(FakeEngine(manifest()), buffer)
    with pytest.raises(NotReady, match="/readyz"):
        await pipeline.sense(Batch((), (frame("a"),)), deadline_s())
    await pipeline.close()


async def test_manifest_of_an_unknown_site_is_refused(buffer: TrajectoryBuffer) -> None:
    pipeline = pipeline_of(FakeEngine(manifest()), buffer)
    with pytest.raises(UnknownSite, match=r"a served site \(city, indoor\), got 'atlantis'"):
        pipeline.manifest("atlantis")
    await pipeline.close()


CALIBRATION = manifest().calibration
RADIO_CALIBRATION = radio_manifest().calibration


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"calibration": replace(CALIBRATION, region_quantile={"0.95": 6.0})}, "region_quantile with '0.90'"),
        ({"calibration": replace(CALIBRATION, ood_threshold={"city": 1.0})}, "ood_threshold of indoor"),
        ({"sites": (replace(CITY, bandwidth_hz=None),)}, "bandwidth_hz of city"),
    ],
)
def test_manifest_that_lacks_what_answering_needs_is_refused(changes: dict[str, object], message: str) -> None:
    engine = FakeEngine(replace(manifest(), **changes))  # type: ignore[arg-type]
    with pytest.raises(ArtifactError, match=message):
        pipeline_of(engine, TrajectoryBuffer(RedisConnection("embedded://")))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"calibration": replace(RADIO_CALIBRATION, path_quantile={})}, "calibration.path_quantile with '0.90'"),
        ({"calibration": replace(RADIO_CALIBRATION, centroid_quantile={"0.5": 1.0})}, "calibration.centroid_quantile"),
        (
            {"carriers": {"3550000000": replace(RADIO_CALIBRATION, region_quantile={})}},
            "carriers.3550000000.region_quantile with '0.90'",
        ),
        (
            {"carriers": {"3550000000": replace(RADIO_CALIBRATION, ood_threshold={})}},
            "at 3550000000 Hz to have an ood_threshold of street",
        ),
        ({"sites": (replace(STREET, array_rows=None, array_cols=None),)}, "an antenna array of street"),
        (
            {"sites": (replace(STREET, carrier_hz=None),)},
            r"a carrier_hz of street out of .* \(3550000000, 28000000000\)",
        ),
        ({"sites": (replace(STREET, carrier_hz=2.6e9),)}, "a carrier_hz of street out of its carriers_hz"),
        ({"sites": (replace(STREET, tasks=("los", "activity")),)}, "tasks of street without activity"),
    ],
)
def test_manifest_that_lacks_what_a_radio_model_needs_is_refused(changes: dict[str, object], message: str) -> None:
    engine = FakeRadioEngine(replace(radio_manifest(), **changes))  # type: ignore[arg-type]
    with pytest.raises(ArtifactError, match=message):
        pipeline_of(engine, TrajectoryBuffer(RedisConnection("embedded://")))


def test_a_carrier_that_no_site_has_needs_no_threshold() -> None:
    elsewhere = replace(RADIO_CALIBRATION, ood_threshold={"avenue": 1.0})
    engine = FakeRadioEngine(replace(radio_manifest(), carriers={"700000000": elsewhere}))
    pipeline_of(engine, TrajectoryBuffer(RedisConnection("embedded://")))
