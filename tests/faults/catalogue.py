"""Every kind of fault that a schedule draws from."""

from typing import Final

from tests.faults import injections, killing, replacing
from tests.faults.fault import FaultKind

KINDS: Final[tuple[FaultKind, ...]] = (*killing.KINDS, *replacing.KINDS, *injections.KINDS)
