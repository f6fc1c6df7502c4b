"""The dashboards on file are those that are described, name only what there is, and Grafana finds them."""

import json
import re
from typing import Any, Final

import pytest
import yaml

from deploy.grafana.__main__ import main
from deploy.grafana.boards import BOARDS
from deploy.grafana.model import COLUMNS, FOLDER, build_model, write_model
from deploy.grafana.panels import Board, Panel
from tests.contract.test_compose import ROOT, SERVICES, interpolate
from tests.support.promql import find_impossible, find_unknown, known_labels

PANELS: Final = [
    pytest.param(panel, id=f"{board.name}: {panel.title}") for board in BOARDS for panel in board.panels
]
#: Grafana's units that are used here.
UNITS: Final = {"none", "short", "s", "bytes", "percentunit", "mps", "reqps", "eps", "cps", "ops"}
GRAFANA: Final = SERVICES["grafana"]
#: Where each file or folder of ours is in Grafana's container.
MOUNTED: Final = dict(reversed(volume.removesuffix(":ro").split(":")) for volume in GRAFANA["volumes"])


def provisioned(kind: str) -> dict[str, Any]:
    """A file that says what Grafana has from its start."""
    content: dict[str, Any] = yaml.safe_load(
        (ROOT / MOUNTED[f"/etc/grafana/provisioning/{kind}/wabus.yml"]).read_text(encoding="utf-8")
    )
    return content


def test_the_files_are_those_that_are_described() -> None:
    described = {f"{board.name}.json": write_model(board) for board in BOARDS}

    on_file = {path.name: path.read_text(encoding="utf-8") for path in FOLDER.iterdir()}

    assert on_file == described, "run: python -m deploy.grafana"


def test_generating_writes_them(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("deploy.grafana.__main__.FOLDER", tmp_path)

    main()

    assert {path.name for path in tmp_path.iterdir()} == {path.name for path in FOLDER.iterdir()}


@pytest.mark.parametrize("panel", PANELS)
def test_a_panel_names_only_metrics_labels_and_values_that_exist(panel: Panel) -> None:
    for legend, expr in panel.queries.items():
        assert find_unknown(expr) == set()
        assert find_impossible(expr) == set()
        assert set(re.findall(r"\{\{(\w+)\}\}", legend)) <= known_labels(expr)


@pytest.mark.parametrize("panel", PANELS)
def test_a_panel_tells_a_stranger_what_it_shows_and_what_is_normal(panel: Panel) -> None:
    assert "_" not in panel.title
    assert "Normal:" in panel.about
    assert panel.about.endswith(".")
    assert "\n" not in panel.about
    assert panel.unit in UNITS


@pytest.mark.parametrize("board", BOARDS, ids=lambda board: board.name)
def test_panels_have_their_own_ids_and_places_on_the_grid(board: Board) -> None:
    panels = build_model(board)["panels"]
    ids = [panel["id"] for panel in panels]
    cells = [
        (x, y)
        for place in (panel["gridPos"] for panel in panels)
        for x in range(place["x"], place["x"] + place["w"])
        for y in range(place["y"], place["y"] + place["h"])
    ]

    assert len(set(ids)) == len(ids) == len(board.panels)
    assert len(set(cells)) == len(cells), "two panels overlap"
    assert max(x for x, _ in cells) < COLUMNS


def test_a_dashboard_has_a_title_and_an_address_of_its_own() -> None:
    models = [json.loads(path.read_text(encoding="utf-8")) for path in FOLDER.iterdir()]

    assert {model["title"] for model in models} == {
        "Overview",
        "Queues",
        "Sending",
        "Campaigns",
        "Recovery",
        "Notices",
        "Dead letters",
        "Servers",
    }
    assert len({model["uid"] for model in models}) == len(models)
    assert all(re.fullmatch(r"[a-z-]{1,40}", model["uid"]) for model in models)


def test_each_dashboard_has_a_picture_in_the_readme() -> None:
    pictures = {path.name: path for path in (FOLDER.parent / "pictures").iterdir()}
    readme = (ROOT / "README.md").read_text(encoding="utf-8")

    assert set(pictures) == {f"{board.name}.png" for board in BOARDS}, "run: make pictures"
    for name, path in pictures.items():
        assert f"(deploy/grafana/pictures/{name})" in readme
        assert path.stat().st_size < 150_000


def test_grafana_reads_the_dashboards_and_opens_the_first() -> None:
    [provider] = provisioned("dashboards")["providers"]
    folder = provider["options"]["path"]
    home = GRAFANA["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"]

    assert (ROOT / MOUNTED[folder]).resolve() == FOLDER
    assert home == f"{folder}/{BOARDS[0].name}.json"


def test_grafana_asks_the_prometheus_of_compose_as_often_as_that_scrapes() -> None:
    [source] = provisioned("datasources")["datasources"]
    scraped = yaml.safe_load((ROOT / "deploy/prometheus/prometheus.yml").read_text())["global"]
    [published] = SERVICES["prometheus"]["ports"]

    assert source["type"] == "prometheus"
    assert source["url"] == f"http://prometheus:{interpolate(published).rpartition(':')[2]}"
    assert source["jsonData"]["timeInterval"] == scraped["scrape_interval"]
