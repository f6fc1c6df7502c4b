"""Which version of wabus this is: as `pyproject.toml` says, which an image of its sources does not hold."""

from typing import Final

VERSION: Final = "0.2.0"
