"""What a frame must satisfy beyond its own shape: its site, its scene, its tasks, its time."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from service.contract.captures import SceneCapture
from service.contract.labels import MODALITIES, SCENE_MODALITIES
from service.contract.sites import Site
from service.contract.tensors import RADIO, Contract
from service.errors import InvalidInput, TimestampConflict, UnknownSite, UnknownTask
from service.pipeline.frames import Batch, SiteFrame


def check_batch(
    batch: Batch,
    sites: Mapping[str, Site],
    contracts: Mapping[str, Contract],
    now_s: float,
    future_tolerance_s: float,
) -> list[InvalidInput | None]:
    """The error of each frame, None for a frame that may go on.

    Args:
        batch: the request.
        sites: every site that is served, by name.
        contracts: what the artifact of each site takes.
        now_s: Unix time.
        future_tolerance_s: how far ahead of `now_s` a timestamp may be.
    """
    errors: list[InvalidInput | None] = []
    for index, entry in enumerate(batch.frames):
        field = f"frames[{index}]"
        if isinstance(entry, InvalidInput):
            errors.append(entry)
        elif entry.site not in sites:
            errors.append(unknown_site(entry.site, sites, f"{field}.site"))
        else:
            errors.append(
                _time_error(entry, field, now_s, future_tolerance_s)
                or _site_error(entry, field, sites[entry.site])
                or _contract_error(entry, field, sites[entry.site], contracts[entry.site])
                or _scene_error(entry, field, batch, sites)
            )
    return errors


def unknown_site(name: str, sites: Collection[str], field: str) -> UnknownSite:
    """The error for a site that is not served, naming those that are."""
    return UnknownSite(field, f"a served site ({', '.join(sorted(sites)) or 'there are none'})", repr(name[:64]))


def _time_error(entry: SiteFrame, field: str, now_s: float, tolerance_s: float) -> InvalidInput | None:
    ahead_s = entry.frame.timestamp_s - now_s
    if ahead_s <= tolerance_s:
        return None
    expected = f"a Unix time in seconds, at most {tolerance_s:g} s ahead of this machine's clock ({now_s:.3f})"
    return TimestampConflict(f"{field}.timestamp_s", expected, f"{entry.frame.timestamp_s!r}, in the future")


def _site_error(entry: SiteFrame, field: str, site: Site) -> InvalidInput | None:
    """What the site cannot do for the frame."""
    for task in entry.tasks or ():
        if task not in site.tasks:
            expected = f"tasks of site {site.name} ({', '.join(site.tasks)})"
            return UnknownTask(f"{field}.tasks", expected, repr(task[:64]))
    if entry.frame.csi is not None and site.array_rows is None:
        return InvalidInput(f"{field}.csi", f"none, for site {site.name} has no antenna array", "a channel")
    carrier_hz = entry.frame.carrier_hz
    if carrier_hz is not None and carrier_hz not in site.carriers:
        known = ", ".join(f"{hz:.0f}" for hz in site.carriers) or "none"
        return InvalidInput(f"{field}.carrier_hz", f"a carrier of site {site.name} in Hz ({known})", repr(carrier_hz))
    return None


def _contract_error(entry: SiteFrame, field: str, site: Site, contract: Contract) -> InvalidInput | None:
    """What the artifact of the site has no input for, or cannot do without."""
    frame = entry.frame
    if contract is not RADIO:
        if frame.distance_m is not None:
            expected = f"none, for the model of site {site.name} does not take it"
            return InvalidInput(f"{field}.distance_m", expected, f"{frame.distance_m:g}")
        if entry.path:
            return InvalidInput(f"{field}.path", f"false, for the model of site {site.name} answers no paths", "true")
        return None
    reason = f"for the model of site {site.name} senses by radio alone"
    if frame.csi is None:
        return InvalidInput(f"{field}.csi", f"a channel, {reason}", "none")
    if frame.scene is not None:
        return InvalidInput(f"{field}.scene", f"none, {reason}", f"scenes[{frame.scene}]")
    if frame.text is not None:
        return InvalidInput(f"{field}.text", f"none, {reason}", repr(frame.text[:64]))
    return None


def _scene_error(entry: SiteFrame, field: str, batch: Batch, sites: Mapping[str, Site]) -> InvalidInput | None:
    """A frame fails with the scene that it refers to, and where it has nothing to sense at all."""
    sensed = f"at least one of {', '.join(MODALITIES)}, in the frame or in its scene"
    has_csi, row = entry.frame.csi is not None, entry.frame.scene
    if row is None:
        return None if has_csi else InvalidInput(field, sensed, "neither csi nor scene")
    scene = batch.scenes[row]
    if isinstance(scene, InvalidInput):
        return scene
    if scene.site not in sites:
        return unknown_site(scene.site, sites, f"scenes[{row}].site")
    if scene.site != entry.site:
        return InvalidInput(f"{field}.scene", f"a scene of site {entry.site}", f"scenes[{row}] of site {scene.site}")
    if not has_csi and _is_empty(scene.capture):
        return InvalidInput(field, sensed, f"no csi, and an empty scenes[{row}]")
    return None


def _is_empty(capture: SceneCapture) -> bool:
    return all(getattr(capture, name) is None for name in SCENE_MODALITIES)
