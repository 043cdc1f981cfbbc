"""The written boards, without Prometheus: drift, and what an operator may expect of every panel."""

from __future__ import annotations

import itertools
import json
import re
from pathlib import Path
from typing import Any

import pytest

from deploy.grafana import generate
from deploy.grafana.board import FLEET, SENSING, SERVICE
from deploy.grafana.generate import FOLDER, boards
from deploy.grafana.limits import alerts, limit
from deploy.grafana.pictures import DRAWERS
from deploy.grafana.reading import BoardPanel, chosen, fill, read_board
from service.metrics import Metrics

FILES = sorted(FOLDER.glob("*.json"))
PANELS = [pytest.param(panel, id=f"{f.stem}: {panel.title}") for f in FILES for panel in read_board(f)]
SHOWN = [parameter for parameter in PANELS if parameter.values[0].kind != "row"]
METRIC = re.compile(r"\b(cellsense_\w+)")
HISTOGRAM_PARTS = ("_bucket", "_count", "_sum")


def model(file: Path) -> dict[str, Any]:
    read: dict[str, Any] = json.loads(file.read_text())
    return read


def test_boards_are_what_their_source_makes() -> None:
    assert {file.name: file.read_text() for file in FILES} == boards()
    assert {model(file)["uid"] for file in FILES} == {SERVICE, SENSING, FLEET}


def test_check_fails_where_a_board_was_edited_by_hand(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(generate, "FOLDER", tmp_path)
    generate.main([])
    generate.main(["--check"])
    (tmp_path / "fleet.json").write_text("{}")
    with pytest.raises(SystemExit, match=r"fleet\.json: not what its source makes"):
        generate.main(["--check"])


@pytest.mark.parametrize("panel", SHOWN)
def test_panel_says_what_it_shows_and_in_which_unit(panel: BoardPanel) -> None:
    description = panel.model["description"]
    assert len(description) > 40
    assert description.endswith(".")
    assert panel.targets
    if panel.kind == "heatmap":
        assert panel.model["options"]["yAxis"]["unit"]
    elif panel.kind not in ("table", "state-timeline"):
        assert panel.defaults["unit"]
    assert panel.defaults["noValue"]
    assert panel.kind in DRAWERS


@pytest.mark.parametrize("panel", SHOWN)
def test_panel_names_alerts_that_there_are(panel: BoardPanel) -> None:
    assert set(re.findall(r"Cellsense\w+", panel.model["description"])) <= set(alerts())


@pytest.mark.parametrize("panel", SHOWN)
def test_panel_asks_for_metrics_that_the_service_has(panel: BoardPanel) -> None:
    families = {family.name: family for family in Metrics().families}
    for target in panel.targets:
        for name in METRIC.findall(re.sub(r"\w+:\w+:\w+", "", target.expr)):  # less what rules record
            part = next((part for part in HISTOGRAM_PARTS if name.endswith(part) and name not in families), "")
            family = families[name.removesuffix(part)]
            assert (family.kind == "histogram") == bool(part), name


@pytest.mark.parametrize("panel", SHOWN)
def test_panel_takes_its_source_and_its_choices_from_the_board(panel: BoardPanel) -> None:
    assert panel.model["datasource"]["uid"] == "${datasource}"
    for target in panel.targets:
        assert "$" not in fill(target.expr, chosen(60.0, 1.0))
        assert "[5m]" not in target.expr, "a window of its own hides what is newer, or shows nothing"


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_panels_have_a_place_of_their_own(file: Path) -> None:
    panels = read_board(file)
    assert len({panel.title for panel in panels}) == len({panel.model["id"] for panel in panels}) == len(panels)
    for panel in panels:
        column, _, width, _ = panel.place
        assert column + width <= 24
    for one, other in itertools.combinations(panels, 2):
        (left, top, width, height), (x, y, w, h) = one.place, other.place
        assert left + width <= x or x + w <= left or top + height <= y or y + h <= top, (one.title, other.title)


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_board_leads_to_the_others_with_time_and_choices(file: Path) -> None:
    board = model(file)
    (link,) = board["links"]
    assert link["type"] == "dashboards"
    assert link["keepTime"]
    assert link["includeVars"]
    assert set(link["tags"]) <= set(board["tags"])
    for variable in board["templating"]["list"]:
        assert variable["type"] == "datasource" or (variable["multi"] and variable["includeAll"])


def test_cells_lead_to_boards_and_variables_that_there_are() -> None:
    variables = {
        board["uid"]: {variable["name"] for variable in board["templating"]["list"]} for board in map(model, FILES)
    }
    urls = re.findall(r'"url": "(/d/[^"]+)"', "".join(file.read_text() for file in FILES))
    assert len(urls) == 2
    for url in urls:
        uid, variable = re.fullmatch(r"/d/([\w-]+)\?var-(\w+)=\$\{__value\.raw\}&\$\{__url_time_range\}", url).groups()  # type: ignore[union-attr]
        assert variable in variables[uid]


def test_red_lines_are_where_alerts_begin() -> None:
    assert limit("CellsenseQueueSlow") == 0.05
    (panel,) = [panel for panel in read_board(FOLDER / "service.json") if panel.title == "Wait for each model"]
    assert panel.defaults["thresholds"]["steps"][-1] == {"value": 0.05, "color": "red"}
    assert panel.defaults["custom"]["thresholdsStyle"]["mode"] == "dashed"
