"""Recipes: which sites a ray-traced set covers, how many episodes of which purpose, and all else its bytes depend on.

What an episode is for is known before it is recorded, because it decides where its UEs may go: `train`, `val` and
`test` keep to open ground, `region` and `nlos` to zones that the others never enter (see `raytraced.zones`), and in
`empty` nobody transmits.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from models.data.raytraced.bands import BANDS
from models.data.raytraced.bodies import Body
from models.data.raytraced.layouts import LAYOUTS, Layout

GENERATOR = 1  # raise it with every change to a sensor, channel or traffic model: sets of two generators do not mix
PURPOSES = ("train", "val", "test", "region", "nlos", "empty")
CHOOSING = ("train", "val")  # purposes that shape a model; a reserved site has none of them

CASTS: dict[str, tuple[Body, ...]] = {
    "street": (
        *(Body("car", carries_ue=True) for _ in range(9)),
        *(Body("bus", carries_ue=True) for _ in range(1)),
        *(Body("bicycle", carries_ue=True) for _ in range(4)),
        *(Body("person", carries_ue=True) for _ in range(10)),
        *(Body("bus", carries_ue=False) for _ in range(4)),
        *(Body("truck", carries_ue=False) for _ in range(4)),
        *(Body("truck", carries_ue=False, parked=True) for _ in range(4)),
        *(Body("car", carries_ue=False, parked=True) for _ in range(4)),
        *(Body("person", carries_ue=False) for _ in range(4)),
    )
}


@dataclass(frozen=True)
class Recipe:
    """What a set is made of.

    Attributes:
        name: also of the folder in which it is built.
        sites: names in `LAYOUTS`, the reserved ones included.
        plan: episodes of each purpose at a site.
        reserved: another plan for some of the sites: those on which nothing is trained or chosen.
        snapshots: instants of an episode.
        period_s: time from one snapshot to the next.
        cast: name in `CASTS` of the bodies that are about.
    """

    name: str
    sites: tuple[str, ...]
    plan: Mapping[str, int]
    reserved: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    snapshots: int = 16
    period_s: float = 0.1
    seed: int = 2026
    cast: str = "street"

    def __post_init__(self) -> None:
        for plan in (self.plan, *self.reserved.values()):
            if unknown := sorted(set(plan) - set(PURPOSES)):
                raise ValueError(f"recipe {self.name}: expected purposes of {PURPOSES}, got {unknown}")
        if strays := sorted(set(self.reserved) - set(self.sites)):
            raise ValueError(f"recipe {self.name}: expected reserved sites of {self.sites}, got {strays}")
        for site, plan in self.reserved.items():
            if any(plan.get(purpose) for purpose in CHOOSING):
                raise ValueError(f"recipe {self.name}: {site} is reserved, expected no {' or '.join(CHOOSING)} there")

    def purposes(self, site: str) -> list[str]:
        """What each episode of a site is for, by number; interleaved, so that any first few are a balanced set."""
        plan = self.reserved.get(site, self.plan)
        places = [
            ((nth + 0.5) / plan[purpose], order, purpose)
            for order, purpose in enumerate(PURPOSES)
            for nth in range(plan.get(purpose, 0))
        ]
        return [purpose for _, _, purpose in sorted(places)]

    def purpose(self, site: str, episode: int) -> str:
        """What one episode is for."""
        return self.purposes(site)[episode]

    @property
    def bodies(self) -> tuple[Body, ...]:
        """The cast."""
        return CASTS[self.cast]

    def to_json(self) -> dict[str, object]:
        """The recipe as JSON-ready values."""
        return {**asdict(self), "sites": list(self.sites)}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Recipe:
        """The inverse of `to_json`."""
        return cls(**{**values, "sites": tuple(values["sites"])})


def settings(recipe: Recipe, layouts: Mapping[str, Layout] = LAYOUTS) -> dict[str, Any]:
    """Everything that the bytes of a set depend on, JSON-ready; the code stands in it as `GENERATOR`."""
    return {
        "generator": GENERATOR,
        "recipe": recipe.to_json(),
        "purposes": {site: recipe.purposes(site) for site in recipe.sites},
        "bands": [asdict(band) for band in BANDS],
        "cast": [asdict(body) for body in recipe.bodies],
        "layouts": {site: {**asdict(layouts[site]), "site": layouts[site].site.to_json()} for site in recipe.sites},
    }


_FULL = {"train": 36, "val": 6, "test": 8, "region": 5, "nlos": 5, "empty": 4}
_SMALL = {"train": 3, "val": 1, "test": 1, "region": 1, "nlos": 1, "empty": 1}
_UNSEEN_CITY = {"san-francisco": {"test": 16, "empty": 4}}

RECIPES: dict[str, Recipe] = {
    recipe.name: recipe
    for recipe in (
        Recipe("sample", ("munich",), {"train": 1, "empty": 1}, snapshots=3),
        Recipe("small", ("munich", "etoile-south"), _SMALL, snapshots=8),
        Recipe("full", tuple(LAYOUTS), _FULL, reserved=_UNSEEN_CITY),
    )
}
