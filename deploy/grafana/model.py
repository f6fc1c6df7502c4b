"""A dashboard as Grafana reads it: the JSON model, and where each panel stands."""

import json
from collections.abc import Iterable, Iterator
from itertools import count
from pathlib import Path
from typing import Any, Final

from deploy.grafana.panels import Board, Kind, Panel

FOLDER: Final = Path(__file__).parent / "dashboards"
#: The grid of Grafana, and how high a panel stands in it.
COLUMNS: Final = 24
_HEIGHTS: Final = {Kind.NUMBER: 4, Kind.LINES: 8, Kind.STATES: 8}
#: Chosen at the top of the dashboard, so that it can be imported where Prometheus has another name.
_DATASOURCE: Final = {"type": "prometheus", "uid": "${datasource}"}
_SCHEMA_VERSION: Final = 41
#: A graph with many lines is read by its last and largest values.
_LEGEND: Final = {
    "showLegend": True,
    "displayMode": "table",
    "placement": "bottom",
    "calcs": ["lastNotNull", "max"],
}

Model = dict[str, Any]


def write_model(board: Board) -> str:
    """Its text as it stands on file. Deterministic: the same board gives the same."""
    return json.dumps(build_model(board), indent=2, ensure_ascii=False) + "\n"


def build_model(board: Board) -> Model:
    """The model of a whole dashboard."""
    return {
        "uid": f"wabus-{board.name}",
        "title": board.title,
        "description": board.about,
        "tags": ["wabus"],
        "schemaVersion": _SCHEMA_VERSION,
        "graphTooltip": 1,
        "refresh": "30s",
        "time": {"from": "now-1h", "to": "now"},
        "timezone": "",
        "links": [{"type": "dashboards", "title": "wabus", "tags": ["wabus"], "keepTime": True}],
        "templating": {
            "list": [
                {"name": "datasource", "label": "Prometheus", "type": "datasource", "query": "prometheus"}
            ]
        },
        "panels": list(_panels(board)),
    }


def _panels(board: Board) -> Iterator[Model]:
    ids, top = count(1), 0
    for line in _lines(board.panels):
        height, left = max(_HEIGHTS[panel.kind] for panel in line), 0
        for panel in line:
            place = {"x": left, "y": top, "w": panel.width, "h": height}
            left += panel.width
            yield {"id": next(ids), "gridPos": place, **_panel(panel)}
        top += height


def _lines(panels: Iterable[Panel]) -> Iterator[list[Panel]]:
    """As many beside each other as the grid is wide."""
    line: list[Panel] = []
    for panel in panels:
        if sum(other.width for other in (*line, panel)) > COLUMNS:
            yield line
            line = []
        line.append(panel)
    yield line


def _panel(panel: Panel) -> Model:
    return {
        "type": panel.kind.value,
        "title": panel.title,
        "description": panel.about,
        "datasource": _DATASOURCE,
        "targets": [
            {"refId": chr(ord("A") + place), "datasource": _DATASOURCE, "expr": expr, "legendFormat": legend}
            for place, (legend, expr) in enumerate(panel.queries.items())
        ],
        "fieldConfig": {"defaults": _field(panel), "overrides": []},
        "options": _OPTIONS[panel.kind],
    }


def _field(panel: Panel) -> Model:
    words = {
        str(value): {"text": text, "color": color, "index": place}
        for place, (value, (text, color)) in enumerate(panel.words.items())
    }
    return {
        "unit": panel.unit,
        "min": 0,
        "color": {"mode": "palette-classic" if panel.kind is Kind.LINES else "thresholds"},
        "thresholds": {
            "mode": "absolute",
            "steps": [{"color": color, "value": value} for value, color in panel.steps],
        },
        "mappings": [{"type": "value", "options": words}] if words else [],
        "custom": {"fillOpacity": 10} if panel.kind is Kind.LINES else {},
    }


_OPTIONS: Final[dict[Kind, Model]] = {
    Kind.LINES: {"legend": _LEGEND, "tooltip": {"mode": "multi", "sort": "desc"}},
    Kind.NUMBER: {"colorMode": "background", "reduceOptions": {"calcs": ["lastNotNull"]}},
    Kind.STATES: {"showValue": "auto", "mergeValues": True},
}
