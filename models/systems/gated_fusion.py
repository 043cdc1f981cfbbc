"""Gated fusion in the style of MMSense (arXiv 2511.12305).

Two graphs. *Encode* turns a frame and the scene capture that it refers to into an embedding and a gate; *fuse* turns
the embeddings of the last frames of one UE into answers. The embedding carries, beside learned features, the frame's
own estimate of position, covariance and line of sight, so that a trajectory of embeddings can be filtered.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from models.encoders.csi import CsiEncoder, PolarGuess
from models.encoders.scene import CameraEncoder, PolarMap, RadarMotionEncoder, Surroundings
from models.estimates import ESTIMATES, pack_estimates, unpack_estimates
from models.fusion import ModalityGate, SceneAttention
from models.heads import GaussianHead
from models.novelty import Novelty
from models.sequence import CausalAttention, TrajectoryLayer, causal_gaps
from service.contract.labels import ACTIVITIES, MODALITIES, TASKS
from service.contract.tensors import EMBEDDING_DIM
from service.normalizers.text import VOCABULARY

DIM = 128  # width of a UE's features
TOKEN_DIM = 64  # width of a camera's tokens
MAP_DIM = 16  # width of the maps of radar and LiDAR


class Encoder(nn.Module):
    """One frame to its embedding. Inputs and outputs as in `service.contract.tensors.ENCODE_INPUTS`.

    In training a modality that no frame of the batch has may be passed as None; the exported graph gets all of them.
    """

    def __init__(self) -> None:
        super().__init__()
        self.csi = CsiEncoder(DIM)
        self.guess = PolarGuess()
        self.camera = CameraEncoder(TOKEN_DIM)
        self.coarse = GaussianHead(DIM)
        self.radar = PolarMap(1, MAP_DIM, across_sites=True)
        self.radar_motion = RadarMotionEncoder(DIM)
        self.lidar = PolarMap(3, MAP_DIM)
        self.no_csi = nn.Parameter(0.02 * torch.randn(DIM))
        self.look_camera = SceneAttention(DIM, TOKEN_DIM)
        self.near_radar = Surroundings(MAP_DIM, DIM)
        self.near_lidar = Surroundings(MAP_DIM, DIM)
        self.gate = ModalityGate(DIM, len(MODALITIES))
        self.norm = nn.LayerNorm(DIM)
        self.features = nn.Sequential(nn.Linear(DIM, EMBEDDING_DIM - ESTIMATES), nn.Tanh())
        self.position = GaussianHead(DIM)
        self.los = nn.Linear(DIM, 1)

    def forward(
        self,
        camera: Tensor | None,
        radar: Tensor | None,
        lidar: Tensor | None,
        scene_mask: Tensor,
        csi: Tensor | None,
        aoa: Tensor | None,
        distance: Tensor | None,
        gain: Tensor | None,
        csi_mask: Tensor,
        scene_index: Tensor | None,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Embedding `[B, 128]`, gate `[B, 4]` (csi, camera, radar, lidar), and the radio's own estimates `[B, 6]`.

        The radio's own estimates (see `pack_estimates`) say where in the scene to look. `scene_index` may be None in
        training, see `SceneAttention`.
        """
        frames = csi_mask.shape[0]
        none = scene_mask.new_zeros(frames, DIM)
        own = none
        guess = scene_mask.new_zeros(frames, 2)
        query = self.no_csi.expand(frames, DIM)
        if csi is not None and aoa is not None and distance is not None and gain is not None:
            own = self.csi(csi, aoa, distance, gain)
            guess = self.guess(aoa, distance) * csi_mask
            query = own * csi_mask + query * (1 - csi_mask)
        coarse, coarse_scale = self.coarse(query, guess)
        place = coarse.detach()
        index = scene_index
        if index is None:
            index = torch.arange(len(scene_mask)).repeat_interleave(frames // len(scene_mask))
        seen_camera = seen_radar = seen_lidar = none
        if camera is not None:
            seen_camera = self.look_camera(query, self.camera(camera), scene_index)
        if radar is not None:
            seen_radar = self.near_radar(self.radar(radar[:, :1]), place, query, index)
            seen_radar = seen_radar + self.radar_motion(radar[:, 1:]).index_select(0, index)
        if lidar is not None:
            seen_lidar = self.near_lidar(self.lidar(lidar), place, query, index)
        mask = torch.cat([csi_mask, scene_mask.index_select(0, index)], 1)
        fused, gate = self.gate(torch.stack([own, seen_camera, seen_radar, seen_lidar], 1), mask)
        fused = self.norm(fused)
        mean, scale = self.position(fused, coarse)
        los = self.los(fused)
        embedding = torch.cat([self.features(fused), pack_estimates(mean, scale, los)], -1)
        return embedding, gate, pack_estimates(coarse, coarse_scale, los)


class Fuser(nn.Module):
    """A trajectory of embeddings to the answers at every step, each from the steps up to it."""

    def __init__(self, layers: int = 2) -> None:
        super().__init__()
        self.enter = nn.Linear(EMBEDDING_DIM, DIM)
        self.layers = nn.ModuleList(TrajectoryLayer(DIM) for _ in range(layers))
        self.words = nn.Embedding(len(VOCABULARY), 48, padding_idx=0)
        self.read = nn.Sequential(nn.Linear(48, 64), nn.ReLU())
        self.wanted = nn.Linear(64, len(TASKS))
        self.steer = nn.Linear(64, 2 * DIM)
        self.task = nn.Parameter(0.02 * torch.randn(len(TASKS), DIM))
        self.attend = nn.ModuleList(CausalAttention(DIM) for _ in TASKS)
        self.norm = nn.ModuleList(nn.LayerNorm(DIM) for _ in TASKS)
        self.position = GaussianHead(DIM)
        self.los = nn.Sequential(nn.Linear(DIM, 64), nn.ReLU(), nn.Linear(64, 1))
        self.activity = nn.Sequential(nn.Linear(DIM, 64), nn.ReLU(), nn.Dropout(0.3), nn.Linear(64, len(ACTIVITIES)))

    def forward(self, embedding: Tensor, age: Tensor, step_mask: Tensor, text: Tensor) -> dict[str, Tensor]:
        """Answers at every step.

        position `[B, T, 2]`, scale_tril `[B, T, 3]`, los_logit `[B, T]`, activity_logits `[B, T, 5]` and step_weight
        `[B, T, T]`; and task_logits `[B, 3]`, which rest on the text alone.
        """
        gap_s, allowed = causal_gaps(age, step_mask)
        steps = self.enter(embedding)
        for layer in self.layers:
            steps = layer(steps, gap_s, allowed)
        known = (text > 0).float()
        sentence = (self.words(text) * known.unsqueeze(-1)).sum(1) / known.sum(1, keepdim=True).clamp(min=1)
        meaning = self.read(sentence)
        scale, shift = self.steer(meaning).unsqueeze(1).chunk(2, -1)
        views, weights = [], []
        for index, (attend, norm) in enumerate(zip(self.attend, self.norm, strict=True)):
            query = (steps + self.task[index]) * (1 + scale) + shift
            mixed, weight = attend(query, steps, gap_s, allowed)
            views.append(norm(steps + mixed))
            weights.append(weight)
        base, _, base_logit = unpack_estimates(embedding)
        mean, scale_tril = self.position(views[0], base)
        return {
            "position": mean,
            "scale_tril": scale_tril,
            "los_logit": base_logit + self.los(views[1]).squeeze(-1),
            "activity_logits": self.activity(views[2]),
            "task_logits": self.wanted(meaning),
            "step_weight": weights[0],
        }


class GatedFusion(nn.Module):
    """Both graphs and the novelty score."""

    def __init__(self, domains: int = 2) -> None:
        super().__init__()
        self.encoder = Encoder()
        self.fuser = Fuser()
        self.novelty = Novelty(domains)
