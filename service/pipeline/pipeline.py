"""The path of a batch: check, normalise, encode, buffer, fuse, decode."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import TypeVar

from service.contract.manifest import Manifest
from service.contract.sites import Site
from service.engine.cores import usable_cores
from service.engine.protocol import Described
from service.errors import (
    ArtifactError,
    InvalidInput,
    NotReady,
    ShuttingDown,
    Unavailable,
    UnknownUe,
)
from service.metrics import Metrics
from service.metrics.compute import ComputeMetrics
from service.normalizers.camera import CameraLimits
from service.normalizers.text import text_tokens
from service.pipeline.answers import TrajectoryAnswer
from service.pipeline.asked import Asked, Done, work_of
from service.pipeline.assembly import fuse_inputs
from service.pipeline.checks import check_batch, unknown_site
from service.pipeline.completion import Completion
from service.pipeline.frames import Batch
from service.pipeline.model import Model
from service.pipeline.normalise import ModelBatch, Pictures, Place, Work, normalise, pictures
from service.pipeline.outcomes import Outcome, trajectory_answer
from service.pipeline.turns import TurnLimits, TurnMetrics, Turns
from service.runner.runner import Runner
from service.settings import Settings
from service.telemetry.stages import Stages
from service.trajectory.buffer import TrajectoryBuffer
from service.trajectory.vertex import TrajectoryKey

WARMING_UP = "the models are being warmed up: ask /readyz until it says 200"

TURNS = "sense"
"""The name of the queue for a turn, beside those of the models."""
TURN_WORK = 64
"""Most frames of a turn, a scene capture being `CAPTURE_WORK` more: half as much answers a tenth fewer frames."""
TURN_POINTS = 200_000
"""Most points of radar and LiDAR that are put in their cells on the event loop: so many take some 5 ms."""

AnEngine = TypeVar("AnEngine", bound=Described)


class Pipeline:
    """Answers batches of sensing frames. A frame fails alone, or with the scene capture that it refers to."""

    def __init__(
        self,
        engines: Mapping[str, AnEngine],
        runners: Callable[[AnEngine], Mapping[str, Runner]],
        buffer: TrajectoryBuffer,
        settings: Settings,
        metrics: Metrics,
        stages: Stages,
        now_s: Callable[[], float] = time.time,
    ) -> None:
        """Nothing is answered before `resume`.

        Args:
            engines: the engine of each site, by the site's name.
            runners: makes what runs the graphs of an engine, by the names of the graphs.
            buffer: where trajectories are kept; started and closed by its owner.
            settings: limits and deadlines.
            metrics: what is counted.
            stages: where stages are timed.
            now_s: Unix time.

        Raises:
            ArtifactError: a manifest lacks what answering needs.
        """
        served = {id(engine): Model(engine, runners(engine), stages) for engine in engines.values()}
        self._models = {name: served[id(engine)] for name, engine in engines.items()}
        self._contracts = {name: model.contract for name, model in self._models.items()}
        self._sites = {name: _site(model.manifest, name) for name, model in self._models.items()}
        self._buffer, self._settings, self._now_s = buffer, settings, now_s
        self._metrics, self._stages = metrics, stages
        self._limits = CameraLimits(max_side_px=settings.max_camera_side_px, max_pixels=settings.max_camera_pixels)
        threads = settings.threads or usable_cores()
        # Apart, so that what has its turn is not kept by pictures of what waits.
        self._decoders = ThreadPoolExecutor(threads, thread_name_prefix="decode")
        self._normalizers = ThreadPoolExecutor(threads, thread_name_prefix="normalise")
        self._completion = Completion(buffer, metrics, stages)
        self._turns = Turns(
            self._take_turn, _turn_limits(settings, threads, stages.traced), _turn_metrics(metrics.compute, stages)
        )
        _declare(self._sites.values(), self._models, metrics)
        self._unavailable: tuple[type[Unavailable], str] | None = (NotReady, WARMING_UP)
        self._closed = False

    @property
    def sites(self) -> Mapping[str, Site]:
        """Every site that is served, by name."""
        return self._sites

    @property
    def models(self) -> list[Model]:
        """Every model, each once."""
        return list(dict.fromkeys(self._models.values()))

    def manifest(self, site: str) -> Manifest:
        """Manifest of the artifact that serves a site. Raises `UnknownSite`."""
        return self._model(site).manifest

    @property
    def available(self) -> bool:
        """Whether frames are answered."""
        return self._unavailable is None

    def resume(self) -> None:
        """Answer from now on: the models are warm."""
        if not self._closed:
            self._unavailable = None
            self._metrics.system.ready.set(1)

    def suspend(self, reason: str) -> None:
        """Answer nothing until `resume`."""
        if not self._closed:
            self._unavailable = (NotReady, reason)
            self._metrics.system.ready.set(0)

    async def close(self) -> None:
        """Accept no more work, fail what waits, finish what runs."""
        self._closed = True
        self._unavailable = (ShuttingDown, "this instance is shutting down: send the request to another")
        self._metrics.system.ready.set(0)
        self._turns.close()
        await asyncio.gather(*(model.close() for model in self.models))
        for threads in (self._decoders, self._normalizers):
            threads.shutdown(wait=False, cancel_futures=True)

    def begin(self, batch: Batch, deadline_s: float, done: Done) -> Asked:
        """Answer a batch.

        Args:
            batch: the request.
            deadline_s: time of `time.monotonic()` after which a frame fails with `DeadlineExceeded`.
            done: called with one outcome a frame in the same order, at once where no frame can be answered; or with
                what nobody foresaw. Not called where the request is cancelled before.

        Raises:
            NotReady, ShuttingDown: nothing can be answered now.
        """
        self.require_available()
        errors = check_batch(batch, self._sites, self._contracts, self._now_s(), self._settings.future_tolerance_s)
        known = {index: error for index, error in enumerate(errors) if error is not None}
        asked = Asked(batch, known, deadline_s, self._settings.deadline_s, done)
        asked.begin(self._turns, self._decode)
        return asked

    async def sense(self, batch: Batch, deadline_s: float) -> list[Outcome]:
        """The outcomes that `begin` gives."""
        answer: asyncio.Future[list[Outcome]] = asyncio.get_running_loop().create_future()

        def done(outcomes: list[Outcome] | Exception) -> None:
            if answer.done():
                return
            if isinstance(outcomes, Exception):
                answer.set_exception(outcomes)
            else:
                answer.set_result(outcomes)

        asked = self.begin(batch, deadline_s, done)
        try:
            return await answer
        except asyncio.CancelledError:
            asked.cancel()
            raise

    async def trajectory(self, site: str, ue: str, deadline_s: float) -> TrajectoryAnswer:
        """The buffered trajectory of a UE, oldest first, every vertex answered from those up to it.

        Raises:
            UnknownSite, UnknownUe: no such site, or nothing is buffered.
            BufferUnavailable: the buffer cannot be reached.
            NotReady, ShuttingDown, Overloaded, DeadlineExceeded, EngineFailure: as for `sense`.
        """
        self.require_available()
        model = self._model(site)
        with self._stages.stage("buffer"):
            whole = await self._buffer.read(TrajectoryKey(site, ue, model.fingerprint))
        if not len(whole):
            expected = f"a UE with a frame at site {site} in the last {self._settings.trajectory_ttl_s:g} s"
            raise UnknownUe("ue", expected, repr(ue[:64]))
        prefixes = [whole.until(end) for end in range(1, len(whole) + 1)]
        no_text = text_tokens([None] * len(prefixes))
        fused = await model.fuse(fuse_inputs(model.contract, prefixes, no_text), deadline_s)
        return trajectory_answer(model, self._sites[site], whole, fused)

    def require_available(self) -> None:
        """Raise `NotReady` or `ShuttingDown` where nothing can be answered now."""
        if self._unavailable is not None:
            kind, detail = self._unavailable
            raise kind(detail)  # a new one each time: an exception that is raised again keeps every traceback

    def _model(self, site: str) -> Model:
        model = self._models.get(site)
        if model is None:
            raise unknown_site(site, self._sites, "site")
        return model

    async def _take_turn(self, requests: list[Asked]) -> None:
        """Answer every frame of some requests."""
        started_s = time.monotonic()
        batches, errors = await self._normalise(requests)
        self._stages.record("normalise", started_s, time.monotonic(), len(requests))
        _tell(requests, errors)
        deadline_s = max(asked.deadline_s for asked in requests)
        if len(batches) == 1:
            _tell(requests, await self._completion.answer(batches[0], deadline_s))
        else:
            for found in await asyncio.gather(*(self._completion.answer(batch, deadline_s) for batch in batches)):
                _tell(requests, found)

    def _decode(self, work: Work) -> Future[Pictures]:
        return self._decoders.submit(pictures, work, self._limits)

    async def _normalise(self, requests: Sequence[Asked]) -> tuple[list[ModelBatch], dict[Place, InvalidInput]]:
        """What `normalise` says. Pictures are decoded in a thread; what is no more than a turn is put together here.

        In a thread each of some hundred calls of NumPy lets go of the interpreter's lock, and then waits for it behind
        the event loop while a core is idle: that cost a sixth of the frames a second.
        """
        works = [asked.work for asked in requests]
        decoded = [await _decoded(asked) for asked in requests]
        if sum(map(work_of, works)) <= TURN_WORK and sum(map(_points, works)) <= TURN_POINTS:
            return normalise(works, decoded, self._models, self._sites)
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._normalizers, normalise, works, decoded, self._models, self._sites)


async def _decoded(asked: Asked) -> Pictures:
    """The pictures of a request that has its turn."""
    if asked.decoding is None:
        return {}
    if asked.decoding.done():  # as they mostly are where requests have waited: then nobody is woken up for each
        return asked.decoding.result()
    return await asyncio.wrap_future(asked.decoding)


def _points(work: Work) -> int:
    """Of all point clouds."""
    clouds = [cloud for scene in work.scenes.values() for cloud in (scene.capture.radar, scene.capture.lidar)]
    return sum(len(cloud) for cloud in clouds if cloud is not None)


def _tell(requests: Sequence[Asked], outcomes: Mapping[Place, Outcome]) -> None:
    for (number, index), outcome in outcomes.items():
        requests[number].tell(index, outcome)


def _turn_limits(settings: Settings, threads: int, traced: bool) -> TurnLimits:
    """Where stages become spans each request has a turn of its own, for a span belongs to one request."""
    rows = settings.max_queue_rows
    return TurnLimits(rows if traced else threads, TURN_WORK, 1 if traced else rows, rows)


def _turn_metrics(compute: ComputeMetrics, stages: Stages) -> TurnMetrics:
    return TurnMetrics(
        queue_rows=compute.queue_rows.labels(TURNS).inc,
        turn=compute.queue_duration.labels(TURNS).observe,
        part=partial(stages.record, "queue"),
    )


def _declare(sites: Iterable[Site], models: Mapping[str, Model], metrics: Metrics) -> None:
    """Start the series of every site, and say what serves it."""
    metrics.expect((site, models[site.name].contract) for site in sites)
    for name, model in models.items():
        manifest = model.manifest
        info = metrics.system.artifact_info.labels(name, manifest.name, manifest.version, model.engine.providers[0])
        info.set(1)


def _site(manifest: Manifest, name: str) -> Site:
    site = manifest.site(name)
    if site is None:
        raise ArtifactError(f"{manifest.name}: expected site {name} in its manifest, got none: export it again")
    return site
