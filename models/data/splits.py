"""The named protocols of a ray-traced set: what is trained on, chosen on and tested on.

They are stored in the set (`set.json`, under `splits`), so that two models of different times were trained on the same.
A part is a purpose (see `recipe.PURPOSES`) at some sites. Parts are made of whole episodes, each with its own traffic,
paint and light, so neither a trajectory nor a scene capture is ever in two of them; and since the UEs of a purpose keep
to its zone of the ground, `region` and `nlos` are tested where no training frame was taken.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from models.data.raytraced.layouts import LAYOUTS, Layout
from models.data.recipe import Recipe
from models.data.shards import ShardSet

PARTS = ("train", "val", "test")
FEW_LABELS = (1, 5, 20)  # percent
_IN_PLACE = {
    "held-out-trajectories": "test",
    "unseen-region": "region",
    "unseen-nlos": "nlos",
    "empty": "empty",
}  # protocols that train and test at the same sites, and the purpose that each tests


Track = tuple[str, int, int]  # site, episode, UE


def describe(recipe: Recipe, layouts: Mapping[str, Layout] = LAYOUTS) -> dict[str, object]:
    """The protocols that a recipe allows, JSON-ready: `{protocol: {part: {"purpose", "sites"[, "labelled"]}}}`.

    Few labels are a share of the planned training tracks `[episode, UE]` of each site, the smaller share within the
    larger; `labelled` lists them. A part that no site has is left out, and so is a protocol without a test.
    """
    planned = {site: set(recipe.purposes(site)) for site in recipe.sites}
    seen = [site for site in recipe.sites if site not in recipe.reserved]
    scenes = [layouts[site].scene for site in seen]
    first = [site for nth, site in enumerate(seen) if scenes.index(scenes[nth]) == nth]
    rules = {name: (seen, seen, purpose) for name, purpose in _IN_PLACE.items()}
    rules |= {f"few-label-{percent}": (seen, seen, "test") for percent in FEW_LABELS}
    rules["unseen-site"] = first, [site for site in seen if site not in first], "test"
    rules["unseen-city"] = seen, list(recipe.reserved), "test"
    rules["unseen-city-empty"] = seen, list(recipe.reserved), "empty"
    splits: dict[str, object] = {}
    for name, (near, there, purpose) in rules.items():
        parts = {"train": ("train", near), "val": ("val", near), "test": (purpose, there)}
        split = {
            part: {"purpose": wanted, "sites": [site for site in sites if wanted in planned[site]]}
            for part, (wanted, sites) in parts.items()
        }
        split = {part: chosen for part, chosen in split.items() if chosen["sites"]}
        if "test" in split:
            splits[name] = split
    for percent in FEW_LABELS:
        split = splits.get(f"few-label-{percent}", {})
        if "train" in split:
            split["train"]["labelled"] = {site: _few(recipe, site, percent) for site in split["train"]["sites"]}
    return splits


@dataclass(frozen=True)
class Part:
    """One part of a protocol.

    Attributes:
        purpose: of its episodes.
        sites: where they are.
        labelled: tracks (episode, UE) of each site whose truth may be trained on; None where all may.
    """

    purpose: str
    sites: tuple[str, ...]
    labelled: Mapping[str, frozenset[tuple[int, int]]] | None = None

    def episodes(self, shards: ShardSet) -> list[tuple[str, int]]:
        """(site, episode) of those that have been built, in order."""
        purposes = shards.settings["purposes"]
        return [
            (site, episode)
            for site in self.sites
            for episode in shards.episodes(site)
            if purposes[site][episode] == self.purpose
        ]

    def tracks(self, shards: ShardSet) -> list[Track]:
        """Those of the built episodes that have labels."""
        ues = sum(body.carries_ue for body in shards.recipe.bodies)
        return [
            (site, e, ue) for site, e in self.episodes(shards) for ue in range(ues) if self.is_labelled(site, e, ue)
        ]

    def is_labelled(self, site: str, episode: int, ue: int) -> bool:
        """Whether the truth of a track may be used."""
        return self.labelled is None or (episode, ue) in self.labelled[site]


def part(shards: ShardSet, split: str, name: str) -> Part:
    """A part of one of the set's protocols.

    Raises:
        ValueError: the set has no such protocol, or the protocol no such part.
    """
    known = shards.splits
    if split not in known:
        raise ValueError(f"{shards.folder}: expected a split of {', '.join(known) or 'none at all'}, got {split!r}")
    parts = known[split]
    if name not in parts:
        raise ValueError(f"{shards.folder}: expected a part of {split} among {', '.join(parts)}, got {name!r}")
    stored = parts[name]
    labelled = stored.get("labelled")
    if labelled is not None:
        labelled = {site: frozenset((episode, ue) for episode, ue in tracks) for site, tracks in labelled.items()}
    return Part(stored["purpose"], tuple(stored["sites"]), labelled)


def _few(recipe: Recipe, site: str, percent: int) -> list[list[int]]:
    """The first `percent` of a site's training tracks in an order that is drawn once."""
    tracks = [[e, ue] for e, p in enumerate(recipe.purposes(site)) if p == "train" for ue in range(_ues(recipe))]
    order = np.random.default_rng([recipe.seed, 0xFE3, *site.encode()]).permutation(len(tracks))
    return sorted(tracks[i] for i in order[: max(1, round(len(tracks) * percent / 100))])


def _ues(recipe: Recipe) -> int:
    return sum(body.carries_ue for body in recipe.bodies)
