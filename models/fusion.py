"""Fusion of modalities: each UE looks into the scene, then a gate weighs what the modalities say."""

import torch
from torch import Tensor, nn


class SceneAttention(nn.Module):
    """Multi-head attention from one query a UE to the tokens of its scene capture.

    Keys and values are projected once a capture, then gathered by UE, so that a capture shared by many UEs costs once.

    Args:
        dim: width of the query and of the output.
        token_dim: width of the tokens.
    """

    def __init__(self, dim: int, token_dim: int, heads: int = 4) -> None:
        super().__init__()
        self.heads = heads
        self.query = nn.Linear(dim, token_dim)
        self.key = nn.Linear(token_dim, token_dim)
        self.value = nn.Linear(token_dim, token_dim)
        self.out = nn.Sequential(
            nn.Linear(dim + token_dim, dim),
            nn.ReLU(),
            nn.Linear(dim, dim),
            nn.LayerNorm(dim),
        )

    def forward(self, query: Tensor, tokens: Tensor, scene_index: Tensor | None, place: Tensor | None = None) -> Tensor:
        """`query` `[B, dim]`, `tokens` `[S, K, token_dim]`, `place` `[S, K, 2]` to `[B, dim]`.

        `scene_index` `[B]` names the capture of each UE; None where the UEs are in the order of the captures and every
        capture has as many, which saves the gather in training.
        """
        key, value = self._split(self.key(tokens)), self._split(self.value(tokens))  # [S, H, K, d]
        if scene_index is not None:
            key, value = key.index_select(0, scene_index), value.index_select(0, scene_index)
        asked = self.query(query).view(key.shape[0], -1, self.heads, key.shape[-1]).transpose(1, 2)  # [G, H, U, d]
        weight = torch.softmax(asked @ key.transpose(-1, -2) / key.shape[-1] ** 0.5, -1)  # [G, H, U, K]
        seen = (weight @ value).transpose(1, 2).flatten(2).flatten(0, 1)  # [B, token_dim]
        out: Tensor = self.out(torch.cat([query, seen], -1))
        return out

    def _split(self, tokens: Tensor) -> Tensor:
        return tokens.unflatten(-1, (self.heads, -1)).transpose(1, 2)  # [S, H, K, d]


class ModalityGate(nn.Module):
    """A weight for each modality that is present, from the content of all of them (the gate of MMSense).

    Missing modalities get a weight of exactly 0 and the rest sums to 1. Where none is present, the gate means nothing.
    """

    def __init__(self, dim: int, modalities: int) -> None:
        super().__init__()
        self.score = nn.Sequential(nn.Linear(modalities * (dim + 1), dim), nn.ReLU(), nn.Linear(dim, modalities))
        self.out = nn.Sequential(nn.Linear(modalities * dim, 2 * dim), nn.ReLU(), nn.Linear(2 * dim, dim))

    def forward(self, embeddings: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """`embeddings` `[B, M, dim]` and `mask` `[B, M]` (1 present) to `[B, dim]` and the gate `[B, M]`."""
        present = embeddings * mask.unsqueeze(-1)
        logits = self.score(torch.cat([present.flatten(1), mask], 1))
        gate = torch.softmax(logits + (1 - mask) * -1e4, -1)
        fused: Tensor = self.out((present * gate.unsqueeze(-1)).flatten(1))
        return fused, gate
