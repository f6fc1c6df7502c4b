"""Notices a server that has fallen silent: a statement waits, and nobody at the other end works on it.

Owns the question whether that is so. A statement may take long; the server then says so.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from typing import Final

import asyncpg

from shared.addresses import Unreached
from shared.postgres.connecting import Connector, PostgresConnection

log = logging.getLogger(__name__)

#: A statement that has waited so long is asked after, and again after as long.
_SILENCE_S: Final = 3.0
_LOOK_EVERY_S: Final = 1.0
#: A new connection must be there by then, and its question answered.
_ANSWER_S: Final = 4.0
#: Sessions of ours on which the server works, or has just worked: it may be about to answer.
_AT_WORK: Final = """
select count(*) from pg_stat_activity
where pid = any($1::integer[])
  and (state in ('active', 'disabled') or state_change > now() - interval '2 s')
"""


async def watch_for_silence(connector: Connector, drop: Callable[[], None]) -> None:
    """Look after the connections of a pool, and `drop` them all once one waits in vain; then return."""
    while True:
        await asyncio.sleep(_LOOK_EVERY_S)
        waiting = _overdue(connector)
        if not waiting:
            continue
        if not await _is_at_work(connector, waiting):
            log.warning(
                "PostgreSQL has fallen silent: its connections are dropped, and its name resolved anew"
            )
            drop()
            return
        await asyncio.sleep(_SILENCE_S - _LOOK_EVERY_S)


def _overdue(connector: Connector) -> list[PostgresConnection]:
    before = time.monotonic() - _SILENCE_S
    return [one for one in connector.opened if one.asked_at is not None and one.asked_at < before]


async def _is_at_work(connector: Connector, waiting: Sequence[PostgresConnection]) -> bool:
    """Asked on a new connection, wherever the name leads now. A refusal is an answer, too."""
    try:
        async with asyncio.timeout(_ANSWER_S):
            fresh = await connector.open(_ANSWER_S)
            try:
                if fresh.behind_pooler:  # which tells nobody on which session it works for whom
                    return await fresh.execute("select 1") == "SELECT 1"
                pids = [one.get_server_pid() for one in waiting if not one.is_closed()]
                return bool(await fresh.fetchval(_AT_WORK, pids) == len(pids))
            finally:
                fresh.terminate()
    except Unreached as unreached:
        return not isinstance(unreached.telling, OSError)
    except OSError:
        return False
    except asyncpg.PostgresError:
        return True
