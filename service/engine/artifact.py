"""An artifact on disk: its manifest and its graphs, read once and checked before anything runs."""

from __future__ import annotations

import hashlib
from pathlib import Path

from service.contract.labels import TASKS
from service.contract.manifest import Manifest, contract_fingerprint
from service.contract.tensors import GENERIC
from service.errors import ArtifactError


def read_artifact(folder: Path) -> tuple[Manifest, dict[str, bytes]]:
    """The manifest of an artifact and the bytes of its graphs by name, checked against each other and this code.

    Raises:
        ArtifactError: a file is missing or was changed, or the artifact was made for another contract.
    """
    try:
        manifest = Manifest.load(folder)
    except ValueError as error:
        raise ArtifactError(f"{error}: export the artifact again with this version") from error
    if manifest.contract == GENERIC:
        return manifest, _read_graphs(folder, manifest)
    if manifest.fingerprint != (ours := contract_fingerprint(manifest.tensors)):
        raise ArtifactError(
            f"{folder}: expected contract fingerprint {ours}, got {manifest.fingerprint}: this artifact was made for "
            "other tensors, labels or normalizers; export it again with this version, or serve it with its own"
        )
    _check_sites(folder, manifest)
    return manifest, _read_graphs(folder, manifest)


def _read_graphs(folder: Path, manifest: Manifest) -> dict[str, bytes]:
    if set(manifest.files) != (graphs := set(manifest.tensors.graphs)):
        raise ArtifactError(f"{folder}: expected the graphs {sorted(graphs)}, got {sorted(manifest.files)}")
    return {name: _read_graph(folder / f"{name}.onnx", digest) for name, digest in manifest.files.items()}


def _read_graph(path: Path, digest: str) -> bytes:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ArtifactError(f"{path}: expected a graph that can be read, got: {error}") from error
    if (found := hashlib.sha256(content).hexdigest()) != digest:
        raise ArtifactError(
            f"{path}: expected SHA-256 {digest} as in the manifest, got {found}: the file was changed or not copied "
            "whole; fetch or export the artifact again"
        )
    return content


def _check_sites(folder: Path, manifest: Manifest) -> None:
    names = [site.name for site in manifest.sites]
    if not names or len(set(names)) != len(names):
        raise ArtifactError(f"{folder}: expected one or more sites of different names, got {names}")
    for site in manifest.sites:
        if not site.tasks or not set(site.tasks) <= set(TASKS):
            raise ArtifactError(f"{folder}: site {site.name!r}: expected tasks out of {TASKS}, got {site.tasks}")
