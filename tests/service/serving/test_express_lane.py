from __future__ import annotations

import asyncio
import socket
from pathlib import Path

import numpy as np

from service.api.app import create_app
from service.remote.link import EngineLink
from service.remote.messages import Served
from service.remote.mirror import Mirror
from service.serving.express_lane import ExpressLane
from service.settings import Settings

ROOM = 1 << 18


async def test_requests_are_received_in_the_memory_that_the_engine_shares_while_there_is_room(tmp_path: Path) -> None:
    here, there = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with here, there:
        link = EngineLink(here, ROOM)
        lane = ExpressLane.of(create_app(Settings(models=tmp_path), Mirror(tmp_path, link, Served([], True))))
        view, slot = lane.room(100_000)
        assert slot is not None
        assert len(view) >= 100_000
        assert link.segment.place(np.frombuffer(view, np.uint8)) == slot.start  # so tensors in it are not copied
        other, no_slot = lane.room(ROOM)
        assert (len(other), no_slot) == (ROOM, None)
        slot.release()
        assert link.segment.taken_bytes == 0
        await link.close()


async def test_all_connections_share_one_timer(tmp_path: Path) -> None:
    class Waiting:
        def __init__(self) -> None:
            self.looked_at_s: list[float] = []

        def tidy(self, now_s: float) -> None:
            self.looked_at_s.append(now_s)

    lane = ExpressLane.of(create_app(Settings(models=tmp_path), {}))
    first, second = Waiting(), Waiting()
    lane.enter(first)
    lane.enter(second)
    lane.leave(second)
    async with asyncio.timeout(10):
        while not first.looked_at_s:
            await asyncio.sleep(0.05)
    assert second.looked_at_s == []
