"""The path of a batch: check, normalise, encode, buffer, fuse, decode."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from service.contract.manifest import Manifest
from service.contract.sites import Site
from service.engine.cores import usable_cores
from service.engine.protocol import Described
from service.errors import (
    ArtifactError,
    CellsenseError,
    DeadlineExceeded,
    InvalidInput,
    NotReady,
    ShuttingDown,
    Unavailable,
    UnknownUe,
)
from service.metrics import Metrics
from service.normalizers.camera import CameraLimits
from service.normalizers.text import text_tokens
from service.pipeline.answers import TrajectoryAnswer
from service.pipeline.assembly import fuse_inputs
from service.pipeline.checks import check_batch, unknown_site
from service.pipeline.completion import Completion, Encoded
from service.pipeline.frames import Batch, SiteFrame, SiteScene
from service.pipeline.model import Model
from service.pipeline.normalise import ModelBatch, Work, normalise
from service.pipeline.outcomes import Outcome, Outcomes, trajectory_answer
from service.pipeline.together import Together
from service.runner.runner import Runner
from service.settings import Settings
from service.telemetry.stages import Stages
from service.trajectory.buffer import TrajectoryBuffer
from service.trajectory.vertex import TrajectoryKey

WARMING_UP = "the models are being warmed up: ask /readyz until it says 200"

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
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="normalise")
        self._normalising = Together(self._normalise, at_once=threads)
        self._completions = {model: Completion(model, buffer, metrics, stages) for model in self.models}
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
        await asyncio.gather(*(model.close() for model in self.models))
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def sense(self, batch: Batch, deadline_s: float) -> list[Outcome]:
        """Answer a batch, one outcome a frame in the same order.

        Args:
            batch: the request.
            deadline_s: time of `time.monotonic()` after which a frame fails with `DeadlineExceeded`.

        Raises:
            NotReady, ShuttingDown: nothing can be answered now.
        """
        self.require_available()
        errors = check_batch(batch, self._sites, self._contracts, self._now_s(), self._settings.future_tolerance_s)
        outcomes: Outcomes = {index: error for index, error in enumerate(errors) if error is not None}
        try:
            async with asyncio.timeout(deadline_s - time.monotonic()):
                await self._answer(batch, outcomes, deadline_s)
        except TimeoutError:
            late = DeadlineExceeded(
                f"no answer within the deadline of {self._settings.deadline_s:g} s: send fewer frames"
            )
            outcomes = {index: outcomes.get(index, late) for index in range(len(batch.frames))}
        return [outcomes[index] for index in range(len(batch.frames))]

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

    async def _answer(self, batch: Batch, outcomes: Outcomes, deadline_s: float) -> None:
        """Add the outcome of every frame that has none yet."""
        frames: dict[int, SiteFrame] = {}
        scenes: dict[int, SiteScene] = {}
        for index, entry in enumerate(batch.frames):
            if index in outcomes or isinstance(entry, InvalidInput):
                continue
            frames[index] = entry
            if entry.frame.scene is not None and isinstance(scene := batch.scenes[entry.frame.scene], SiteScene):
                scenes[entry.frame.scene] = scene
        if not frames:
            return
        work = Work(frames, scenes)
        with self._stages.stage("normalise"):
            await self._normalising.do(work)
        outcomes.update(work.errors)
        groups = [self._answer_group(group, outcomes, deadline_s) for group in work.groups]
        if len(groups) == 1:
            await groups[0]
        else:
            await asyncio.gather(*groups)

    async def _normalise(self, requests: list[Work]) -> None:
        await asyncio.get_running_loop().run_in_executor(
            self._threads, normalise, requests, self._models, self._sites, self._limits
        )

    async def _answer_group(self, group: ModelBatch, outcomes: Outcomes, deadline_s: float) -> None:
        try:
            encoded = await group.model.encode(group.inputs, deadline_s)
        except CellsenseError as error:
            for index in group.indices:
                outcomes.setdefault(index, error)
            return
        await self._completions[group.model].answer(Encoded(group, encoded, deadline_s, outcomes))


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
