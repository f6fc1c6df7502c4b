"""Fixtures of the security tests."""

from tests.support.processes import processes

__all__ = ["processes"]
