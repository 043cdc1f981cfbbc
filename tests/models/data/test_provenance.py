from __future__ import annotations

import re
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

from models.data.provenance import machine, software, source


def test_software_names_what_the_bytes_depend_on() -> None:
    found = software()
    assert found["numpy"] == version("numpy")
    assert found["python"] == ".".join(map(str, sys.version_info[:3]))
    assert sys.platform.lower() in found["platform"].lower()
    assert "no such package" not in found


def test_source_is_a_digest_of_the_generator() -> None:
    assert re.fullmatch("[0-9a-f]{16}", source())


def test_machine_has_a_processor_and_cores() -> None:
    assert machine()["cpu"]
    assert machine()["cores"] >= 1


def _commit_of(folder: Path) -> str:
    """What the module says of itself when it lies in `folder`."""
    package = folder / "models" / "data"
    package.mkdir(parents=True, exist_ok=True)
    source = sys.modules[machine.__module__].__file__
    assert source
    (package / "provenance.py").write_text(Path(source).read_text())
    program = "import runpy; print(runpy.run_path('provenance.py')['commit']())"
    run = subprocess.run([sys.executable, "-c", program], cwd=package, capture_output=True, text=True, check=True)
    return run.stdout.strip()


def test_commit_of_an_installed_package_is_unknown(tmp_path: Path) -> None:
    assert _commit_of(tmp_path) == "{'commit': None, 'changed': None}"


def test_commit_of_a_checkout_says_whether_files_were_changed(tmp_path: Path) -> None:
    def git(*arguments: str) -> None:
        identity = ["-c", "user.name=t", "-c", "user.email=t@example.org"]
        subprocess.run(["git", *identity, *arguments], cwd=tmp_path, check=True, capture_output=True)

    (tmp_path / "a").write_text("a")
    git("init")
    git("add", "a")
    git("commit", "-m", "a")
    assert re.fullmatch(r"\{'commit': '[0-9a-f]{40}', 'changed': False\}", _commit_of(tmp_path))
    (tmp_path / "a").write_text("b")
    assert "'changed': True" in _commit_of(tmp_path)
