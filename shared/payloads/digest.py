"""A digest of what a payload says, to tell a repetition from an id used twice."""

import json
from collections.abc import Mapping
from hashlib import blake2b
from typing import Any, Final

DIGEST_BYTES: Final = 16


def digest(fields: Mapping[str, Any]) -> bytes:
    """16 bytes of the fields that are not None: the same for equal values, whatever the order of their keys.

    The values are JSON's own. Stable across processes and releases: stored digests are compared to new ones.
    """
    said = {name: value for name, value in fields.items() if value is not None}
    text = json.dumps(said, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return blake2b(text.encode(), digest_size=DIGEST_BYTES).digest()
