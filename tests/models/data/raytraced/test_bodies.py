from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from models.data.raytraced.bodies import KINDS, Kind

each_kind = pytest.mark.parametrize("kind", KINDS.values(), ids=list(KINDS))


@each_kind
def test_mesh_is_closed(kind: Kind) -> None:
    _, faces = kind.mesh()
    edges = Counter((int(a), int(b)) for face in faces for a, b in zip(face, np.roll(face, -1), strict=True))
    assert set(edges.values()) == {1}  # each edge is used once in each direction
    assert all((b, a) in edges for a, b in edges)


@each_kind
def test_normals_point_outwards(kind: Kind) -> None:
    vertices, faces = kind.mesh()
    a, b, c = vertices[faces].transpose(1, 0, 2)
    normal = np.cross(b - a, c - a)
    assert (np.linalg.norm(normal, axis=1) > 0).all()
    per_box = len(faces) // len(kind.boxes)
    for index, (x0, x1, y0, y1, z0, z1) in enumerate(kind.boxes):
        part = slice(index * per_box, (index + 1) * per_box)
        volume = (a[part] * normal[part]).sum() / 6  # divergence theorem: negative if turned inside out
        assert volume == pytest.approx((x1 - x0) * (y1 - y0) * (z1 - z0))
        centre = np.array([x0 + x1, y0 + y1, z0 + z1]) / 2
        assert (((a[part] + b[part] + c[part]) / 3 - centre) * normal[part]).sum(1).min() > 0


@each_kind
def test_mesh_stands_on_the_street_and_fills_its_extent(kind: Kind) -> None:
    vertices, _ = kind.mesh()
    length, width = kind.half_extent_m
    assert 0 <= vertices[:, 2].min() <= 0.5
    np.testing.assert_allclose(np.abs(vertices[:, :2]).max(0), [length, width])


@each_kind
def test_discs_cover_the_footprint_and_little_more(kind: Kind) -> None:
    offsets, radius = kind.discs()
    length, width = kind.half_extent_m
    x, y = (axis.ravel() for axis in np.meshgrid(np.linspace(-length, length, 81), np.linspace(-width, width, 41)))
    nearest = np.hypot(x[:, None] - offsets, y[:, None]).min(1)
    assert nearest.max() <= radius + 1e-9
    assert radius < 2 * width  # or a body would need far more room than it has


@each_kind
def test_antenna_is_outside_of_the_body_that_carries_it(kind: Kind) -> None:
    low, high = np.array(kind.antenna_m)
    assert (low < high).all()
    for x0, x1, y0, y1, z0, z1 in kind.boxes:
        apart = (low > [x1, y1, z1]) | (high < [x0, y0, z0])
        assert apart.any()  # on one axis at least, the whole box of places lies beside the body
    length, width = kind.half_extent_m
    assert np.abs([low, high])[:, 0].max() <= length + 0.7  # but not far from it
    assert np.abs([low, high])[:, 1].max() <= width + 0.1
