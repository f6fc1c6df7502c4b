"""`pytest -p tests.support.recorded_bodies --record-bodies FILE`: notes every body that the tests decode.

One JSON line each: the model's name, the body in base64, and the decoder's error or null.
"""

import json
from base64 import b64encode
from pathlib import Path
from typing import Any

import pytest

from shared import payloads
from shared.payloads import InvalidPayload, decoding


def pytest_addoption(parser: pytest.Parser) -> None:
    """Where to."""
    parser.addoption("--record-bodies", type=Path, required=True)


def pytest_configure(config: pytest.Config) -> None:
    """Put a decoder that notes in the decoder's place, before a test imports it."""
    read = decoding.read
    file = config.getoption("--record-bodies").open("w", encoding="utf-8")
    config.add_cleanup(file.close)

    def noting(model: Any, body: bytes) -> Any:
        error: str | None = None
        try:
            return read(model, body)
        except InvalidPayload as refused:
            error = str(refused)
            raise
        finally:
            file.write(json.dumps([model.__name__, b64encode(body).decode(), error]) + "\n")

    for module in (decoding, payloads):
        setattr(module, read.__name__, noting)
