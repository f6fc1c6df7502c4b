"""Ids made here: time-ordered ones (UUID version 7, RFC 9562), so that a batch's ids rise in its order.

They are unique, not secret: a generator that was seeded by the system spares a system call for each.
"""

import random
import time
from uuid import UUID

_random = random.Random()  # noqa: S311 - see above
_last = 0


def random_uuid() -> str:
    """Return a UUID version 4 as text: each publication has one, and a `UUID` takes twice as long."""
    bits = _random.getrandbits(128) & ~(0xF000 << 64 | 0xC000 << 48) | 4 << 76 | 2 << 62
    digits = f"{bits:032x}"
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"


def read_uuid(value: object) -> UUID | None:
    """The id that a text is; None for anything else."""
    try:
        return UUID(value) if isinstance(value, str) else None
    except ValueError:
        return None


def random_hex(size: int) -> str:
    """Return `size` random bytes in hexadecimal digits."""
    return _random.randbytes(size).hex()


def time_ordered_uuid() -> UUID:
    """Return an id above every id that this process made before."""
    global _last
    # Milliseconds and 12 bits below them; where the clock stands still, it counts on.
    ticks = time.time_ns() * 4096 // 1_000_000
    _last = ticks if ticks > _last else _last + 1
    milliseconds, fraction = divmod(_last, 4096)
    tail = _random.getrandbits(62)
    return UUID(int=milliseconds << 80 | 7 << 76 | fraction << 64 | 2 << 62 | tail)
