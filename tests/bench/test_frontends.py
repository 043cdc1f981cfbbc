"""The parts of `tests.bench.frontends` that could be wrong without anyone noticing."""

from __future__ import annotations

import pytest

from tests.bench.frontends.__main__ import SERVERS, Measurement, table
from tests.bench.frontends.echo import Message, app


@pytest.mark.parametrize(("path", "answer"), [("/echo", b"ab" * 3), ("/length", b"6")])
async def test_application_reads_a_body_that_comes_in_parts(path: str, answer: bytes) -> None:
    parts = [{"body": b"ab", "more_body": True}, {"more_body": True}, {"body": b"abab"}]
    sent: list[Message] = []

    async def receive() -> Message:
        return parts.pop(0)

    async def send(message: Message) -> None:
        sent.append(message)

    await app({"type": "http", "path": path}, receive, send)
    assert parts == []
    assert (b"content-length", b"%d" % len(answer)) in sent[0]["headers"]
    assert sent[1]["body"] == answer


def test_table_has_medians_and_the_cheapest_first() -> None:
    dear, cheap = list(SERVERS)[:2]
    found = [
        Measurement(number, server, path, 1e9 / cost, cost + number, 3.0, 9.0, number)
        for server, cost in ((dear, 300.0), (cheap, 100.0))
        for path in ("/echo", "/length")
        for number in (1, 2, 9)
    ]
    rows = table(found).splitlines()
    assert rows[2].startswith(f"| {cheap} | 10,000,000 | 102 | 3.0 ms, 9.0 ms |")
    assert rows[3].startswith(f"| {dear} | 3,333,333 | 302 |")
    assert rows[3].endswith(" 24 |")
    assert len({row.count("|") for row in rows}) == 1
