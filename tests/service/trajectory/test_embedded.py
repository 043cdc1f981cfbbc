from __future__ import annotations

import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from redis import Redis

from service.errors import BufferUnavailable
from service.trajectory import embedded
from service.trajectory.embedded import EmbeddedRedis

CHILD = """
import sys, time
from service.trajectory.embedded import EmbeddedRedis
print(EmbeddedRedis().url, flush=True)
time.sleep(60)
"""


def folder_of(url: str) -> Path:
    return Path(unquote(urlsplit(url).path)).parent


def answers(url: str) -> bool:
    with socket.socket(socket.AF_UNIX) as connection:
        try:
            connection.connect(unquote(urlsplit(url).path))
        except OSError:
            return False
        return True


def test_it_is_a_real_server_that_writes_nothing_to_disk() -> None:
    with EmbeddedRedis() as server, Redis.from_url(server.url) as client:
        assert client.info("server")["process_id"] == server.pid
        assert client.config_get("save") == {"save": ""}
        assert client.config_get("appendonly") == {"appendonly": "no"}
        assert client.config_get("port") == {"port": "0"}


def test_stopping_ends_the_server_and_removes_its_folder() -> None:
    server = EmbeddedRedis()
    server.stop()
    server.stop()
    assert not answers(server.url)
    assert not folder_of(server.url).exists()


def test_two_servers_do_not_meet() -> None:
    with EmbeddedRedis() as one, EmbeddedRedis() as other, Redis.from_url(one.url) as client:
        client.set("mine", 1)
        with Redis.from_url(other.url) as stranger:
            assert stranger.get("mine") is None


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_the_server_dies_with_its_process_however_that_ends(how: signal.Signals) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", CHILD], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as child:
        assert child.stdout is not None
        url = child.stdout.readline().strip()
        assert answers(url)
        child.send_signal(how)
        child.wait(timeout=10)
    deadline_s = time.monotonic() + 5
    while folder_of(url).exists() and time.monotonic() < deadline_s:
        time.sleep(0.01)
    assert not answers(url)
    assert not folder_of(url).exists()


def test_a_server_that_does_not_start_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = tmp_path / "redis-server"
    broken.write_text("#!/bin/sh\n[ $1 = --version ] && exit 0\necho no memory today; exit 3\n")
    broken.chmod(0o755)
    monkeypatch.setattr(embedded, "_server_binary", lambda: str(broken))
    with pytest.raises(BufferUnavailable, match="it ended with 3: no memory today"):
        EmbeddedRedis()


def test_without_any_server_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(embedded, "PACKAGES", ("no_such_package",))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(BufferUnavailable, match="install redis-server"):
        EmbeddedRedis()


def test_a_deep_temporary_folder_leaves_room_for_the_socket(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    deep = tmp_path / ("d" * 120)
    deep.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(deep))
    with EmbeddedRedis() as server:
        assert answers(server.url)
    assert list(deep.iterdir()) == []
