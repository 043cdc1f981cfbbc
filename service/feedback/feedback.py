"""Keeps answers in the background, and counts how true they were once labels come."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress

from service.errors import BufferUnavailable, InvalidInput, UnknownFrame
from service.feedback.judging import KeptAnswer, Label, Verdict, judge
from service.feedback.store import AnswerStore
from service.metrics.sensing import TruthMetrics
from service.pipeline import Answer

PAUSE_S = 0.01  # in which answers gather, so that small requests share a round trip to Redis
MAX_HELD = 16_384  # answers on their way to Redis; where it is too slow for more, they are not kept


class Feedback:
    """Belongs to one event loop."""

    def __init__(self, store: AnswerStore | None, metrics: TruthMetrics) -> None:
        """Count in `metrics`; without a store nothing is kept, and no frame is known."""
        self._store = store
        self._metrics = metrics
        self._gathered: list[Answer] = []
        self._departure: asyncio.TimerHandle | None = None
        self._held = 0
        self._trips: set[asyncio.Task[None]] = set()

    def keep(self, answers: Sequence[Answer]) -> None:
        """Keep answers for labels that come later. Nobody waits for it: a label must not follow within milliseconds."""
        if self._store is None or not answers:
            return
        if self._held + len(answers) > MAX_HELD:
            self._metrics.answers_dropped.inc(len(answers))
            return
        self._held += len(answers)
        self._gathered.extend(answers)
        if self._departure is None:
            self._departure = asyncio.get_running_loop().call_later(PAUSE_S, self._depart, self._store)

    async def label(self, labels: Sequence[Label | InvalidInput]) -> list[Verdict | InvalidInput]:
        """Judge the answer of each label and count what has not been counted before.

        Returns:
            For each label the verdict, an `UnknownFrame` where nothing is known of the frame, or the error that it is.

        Raises:
            BufferUnavailable: the answers cannot be reached.
        """
        await self.close()  # what has gathered may be what is labelled
        whole = [label for label in labels if isinstance(label, Label)]
        kept = iter([None] * len(whole) if self._store is None else await self._store.mark(whole))
        return [
            self._judge(label, next(kept), index) if isinstance(label, Label) else label
            for index, label in enumerate(labels)
        ]

    async def close(self) -> None:
        """Wait for what is on its way to Redis, which is bounded in time."""
        if self._departure is not None and self._store is not None:
            self._depart(self._store)
        await asyncio.gather(*self._trips)

    def _depart(self, store: AnswerStore) -> None:
        """Send all that has gathered on its way."""
        if self._departure is not None:
            self._departure.cancel()
        answers, self._gathered, self._departure = self._gathered, [], None
        trip = asyncio.get_running_loop().create_task(self._keep(store, answers))
        self._trips.add(trip)
        trip.add_done_callback(self._trips.discard)

    async def _keep(self, store: AnswerStore, answers: Sequence[Answer]) -> None:
        kept = 0
        with suppress(BufferUnavailable):
            kept = await store.keep(answers)
        self._held -= len(answers)
        self._metrics.answers_dropped.inc(len(answers) - kept)

    def _judge(self, label: Label, answer: KeptAnswer | None, index: int) -> Verdict | UnknownFrame:
        if answer is None:
            expected = "site, ue and timestamp_s of a frame that was answered lately"
            got = f"{label.timestamp_s!r} of {label.ue[:64]!r} at {label.site!r}"
            return UnknownFrame(f"labels[{index}]", expected, got)
        verdict = judge(label, answer)
        self._count(label.site, answer.labelled, verdict)
        return verdict

    def _count(self, site: str, labelled: frozenset[str], verdict: Verdict) -> None:
        if verdict.position_error_m is not None and "position" not in labelled:
            self._metrics.position_error.labels(site).observe(verdict.position_error_m)
            self._metrics.region_labels.labels(site, str(verdict.region_covered).lower()).inc()
        if verdict.line_of_sight_correct is not None and "los" not in labelled:
            self._metrics.los_labels.labels(site, str(verdict.line_of_sight_correct).lower()).inc()
        if verdict.activity_correct is not None and "activity" not in labelled:
            self._metrics.activity_labels.labels(site, str(verdict.activity_correct).lower()).inc()
