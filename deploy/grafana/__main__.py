"""`python -m deploy.grafana`: writes `deploy/grafana/dashboards/` anew."""

import sys

from deploy.grafana.boards import BOARDS
from deploy.grafana.model import FOLDER, write_model


def main() -> None:
    """Write one file for each dashboard."""
    for board in BOARDS:
        path = FOLDER / f"{board.name}.json"
        path.write_text(write_model(board), encoding="utf-8")
        sys.stdout.write(f"{path}\n")


if __name__ == "__main__":
    main()
