"""Fixtures of the end-to-end tests."""

from tests.support.processes import processes

__all__ = ["processes"]
