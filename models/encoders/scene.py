"""Encoders of a scene capture: each turns its planes into tokens that a UE can attend to."""

import torch
from torch import Tensor, nn

from models.encoders.blocks import ConvStack, conv

RANGE_M = 192.0  # slant range at the end of the range axis of the sites that have positions


class CameraEncoder(nn.Module):
    """RGB `uint8 [S, 3, 96, 192]` to 72 tokens `[S, 72, dim]` of a 6 x 12 grid."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.image = ConvStack(conv(3, 16), conv(16, 32), conv(32, 48), conv(48, dim))  # [S, dim, 6, 12]
        self.place = nn.Parameter(0.02 * torch.randn(72, dim))

    def forward(self, camera: Tensor) -> Tensor:
        """See the class."""
        features = self.image(camera.float() / 127.5 - 1.0)
        return features.flatten(2).transpose(1, 2) + self.place


class PolarMap(nn.Module):
    """Azimuth-range planes `[S, planes, 64, 64]` to a feature map of the same resolution, `[S, dim, 64, 64]`."""

    def __init__(self, planes: int, dim: int, across_sites: bool = False) -> None:
        super().__init__()
        self.image = ConvStack(
            conv(planes, dim, stride=1, across_sites=across_sites), conv(dim, dim, stride=1, across_sites=across_sites)
        )

    def forward(self, planes: Tensor) -> Tensor:
        """See the class."""
        out: Tensor = self.image(planes)
        return out


class Surroundings(nn.Module):
    """What a polar map shows around the place where the radio puts a UE.

    The map is read by bilinear interpolation at `STEPS x STEPS` points, `STEP_M` apart along and across the line of
    sight, so that the network can move its estimate onto the vehicle that it sees there. Only those points are gathered
    from the map of the UE's capture; the map itself is never copied.
    """

    STEPS = 9
    STEP_M = 2.0

    def __init__(self, map_dim: int, dim: int) -> None:
        super().__init__()
        self.rise_m = nn.Parameter(torch.tensor(25.0))  # of the sensor above what it sees: turns ground to slant range
        offset = (torch.arange(self.STEPS) - self.STEPS // 2) * self.STEP_M
        along, across = torch.meshgrid(offset, offset, indexing="ij")
        self.register_buffer("along", along.reshape(-1), persistent=False)
        self.register_buffer("across", across.reshape(-1), persistent=False)
        self.read = nn.Sequential(
            nn.Linear(self.STEPS**2 * map_dim + dim, 2 * dim), nn.ReLU(), nn.Linear(2 * dim, dim), nn.LayerNorm(dim)
        )

    def forward(self, polar_map: Tensor, place_m: Tensor, query: Tensor, scene_index: Tensor) -> Tensor:
        """`polar_map` `[S, C, 64, 64]`, `place_m` `[B, 2]` (forward, left), `query` `[B, dim]` to `[B, dim]`."""
        ground = torch.sqrt((place_m**2).sum(1, keepdim=True) + 1.0)  # [B, 1]
        sine = place_m[:, 1:] / ground
        cosine = torch.sqrt((1 - sine**2).clamp(min=1e-4))
        reach = (ground + self.along).clamp(min=1.0)  # [B, P]
        turn = self.across / ground
        azimuth = (sine + cosine * turn - 0.5 * sine * turn**2).clamp(-1, 1)  # sin(azimuth + turn), second order
        slant = torch.sqrt(reach**2 + self.rise_m**2)
        row = (azimuth + 1) / 2 * 64 - 0.5
        column = slant / RANGE_M * 64 - 0.5
        seen = interpolate(polar_map, row, column, scene_index)  # [B, P, C]
        out: Tensor = self.read(torch.cat([seen.flatten(1), query], 1))
        return out


def interpolate(maps: Tensor, row: Tensor, column: Tensor, index: Tensor) -> Tensor:
    """Bilinear values of `maps` `[S, C, H, W]` at `row` and `column` `[B, P]` of map `index` `[B]`: `[B, P, C]`.

    Places beyond the edge get the value at the edge.
    """
    height, width = maps.shape[2], maps.shape[3]
    flat = maps.permute(0, 2, 3, 1).flatten(0, 2)  # [S H W, C]
    row, column = row.clamp(0.0, height - 1.001), column.clamp(0.0, width - 1.001)
    top, left = row.floor(), column.floor()
    down, right = (row - top).unsqueeze(-1), (column - left).unsqueeze(-1)
    corner = index.unsqueeze(1) * (height * width) + (top * width + left).long()  # [B, P]
    upper = flat[corner] * (1 - right) + flat[corner + 1] * right
    lower = flat[corner + width] * (1 - right) + flat[corner + width + 1] * right
    return upper * (1 - down) + lower * down


class RadarMotionEncoder(nn.Module):
    """Range-Doppler, time-Doppler and time-height planes `[S, 3, 64, 64]` to one vector a capture `[S, dim]`.

    The planes do not share their axes, so they are mixed only after two grouped convolutions. The last map is
    flattened, not pooled: when and how fast something moved is what tells the activity.
    """

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.image = ConvStack(
            conv(3, 24, groups=3, across_sites=True),
            conv(24, 48, groups=3, across_sites=True),
            conv(48, 64, across_sites=True),
            conv(64, 64, across_sites=True),
            nn.Flatten(),
        )  # [S, 64 * 4 * 4]
        self.project = nn.Sequential(nn.Linear(1024, dim), nn.ReLU(), nn.Linear(dim, dim), nn.LayerNorm(dim))

    def forward(self, planes: Tensor) -> Tensor:
        """See the class."""
        out: Tensor = self.project(self.image(planes))
        return out
