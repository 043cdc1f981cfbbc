"""Labels on the wire: bytes of a request to labels, verdicts to results."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import asdict, replace
from typing import Any

from service.api.media import load_json
from service.api.problems import problem
from service.api.reading import read
from service.api.schemas import Label as LabelSchema
from service.api.schemas import LabelsEnvelope
from service.errors import CellsenseError, InvalidInput, PayloadTooLarge
from service.feedback.judging import Label, Verdict
from service.pipeline.checks import unknown_site

_TRUTHS = "position_enu_m, line_of_sight, activity"


def parse_labels(body: bytes | bytearray, most: int, sites: Collection[str]) -> list[Label | InvalidInput]:
    """The labels of a `LabelsRequest`; a bad one becomes an error in its place.

    Args:
        body: JSON.
        most: most labels of a request.
        sites: those that are served.

    Raises:
        MalformedBody: not JSON.
        InvalidInput: the envelope does not fit, or there is no label.
        PayloadTooLarge: too many labels.
    """
    entries = read(LabelsEnvelope, load_json(body), "").labels
    if not entries:
        raise InvalidInput("labels", f"1 to {most} labels", "none")
    if len(entries) > most:
        raise PayloadTooLarge("labels", f"at most {most} in a request: split the batch", str(len(entries)))
    return [_label(entry, f"labels[{index}]", sites) for index, entry in enumerate(entries)]


def label_result(index: int, verdict: Verdict | CellsenseError) -> dict[str, Any]:
    """A result of a `LabelsResponse`."""
    if isinstance(verdict, Verdict):
        error_m = verdict.position_error_m
        rounded = replace(verdict, position_error_m=None if error_m is None else round(error_m, 3))
        return {"index": index, "status": 200, **asdict(rounded)}
    members = problem(verdict, index)
    return {"index": index, "status": members["status"], "error": members}


def _label(entry: object, field: str, sites: Collection[str]) -> Label | InvalidInput:
    try:
        label = read(LabelSchema, entry, field)
    except InvalidInput as error:
        return error
    if label.site not in sites:
        return unknown_site(label.site, sites, f"{field}.site")
    position = label.position_enu_m
    known = Label(
        site=label.site,
        ue=label.ue,
        timestamp_s=label.timestamp_s,
        position_enu_m=None if position is None else (position[0], position[1]),
        line_of_sight=label.line_of_sight,
        activity=label.activity,
    )
    return known if known.tasks else InvalidInput(field, f"at least one of {_TRUTHS}", "none of them")
