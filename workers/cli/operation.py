"""What commands of operators share: settings, a connection to PostgreSQL, who acts.

Owns how an absent database or schema is told. What a command does is its own.
"""

import asyncio
import getpass
import logging
import os
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Final, TypeVar

import asyncpg
import click

from shared.coordination.client import RedisClient
from shared.durations import DURATIONS
from shared.errors import BrokerUnavailable, StoreError, StoreUnavailable, WabusError
from shared.masking import escape_controls, mask_url
from shared.postgres.database import Database
from shared.settings.settings import Settings, tell_unknown

_Result = TypeVar("_Result")
#: What helps where a server is away.
SAYS_MORE: Final = "; `wabus doctor` says what to do"
#: A command may wait for Redis where a message may not.
_REDIS_CALL_S: Final = 5.0
_UNPREPARED: Final = (asyncpg.UndefinedTableError, asyncpg.UndefinedColumnError)


def current_user() -> str:
    """The system's name of who runs this program."""
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return "unknown"


#: `--by`: who is written down in the audit log.
by_option = click.option(
    "--by", default=current_user, show_default="your user name", metavar="WHO", help="Who does it (audited)."
)
#: `--json`: for programs.
json_option = click.option("--json", "as_json", is_flag=True, help="One JSON object, for programs.")


def read_settings() -> Settings:
    """The settings of the environment, after a line for each variable meant for us that is none.

    Raises SettingsError.
    """
    warn_of_unknown()
    return Settings.from_env(os.environ)


def warn_of_unknown() -> None:
    """A line for each variable that nobody reads though it was meant for us."""
    for line in tell_unknown(os.environ):
        click.echo(f"wabus: {escape_controls(line)}", err=True)


def run_on_database(settings: Settings, work: Callable[[Database], Awaitable[_Result]]) -> _Result:
    """Run `work` with a database of its own; what fails leaves as a WabusError of one line."""

    async def run() -> _Result:
        database = Database(settings.database_url.get_secret_value(), size=1)
        try:
            return await work(database)
        except StoreError as error:
            raise WabusError(_explain(error, settings)) from error
        finally:
            await database.close()

    return asyncio.run(run())


def run_on_redis(settings: Settings, work: Callable[[RedisClient], Awaitable[_Result]]) -> _Result:
    """Run `work` with a client of its own. Raises RedisUnavailable."""

    async def run() -> _Result:
        url = settings.redis_url.get_secret_value()
        redis = RedisClient(url, replace(DURATIONS, redis_call_s=_REDIS_CALL_S))
        try:
            return await work(redis)
        finally:
            await redis.close()

    return asyncio.run(run())


def _explain(error: StoreError, settings: Settings) -> str:
    url = settings.database_url.get_secret_value()
    if isinstance(error.__cause__, _UNPREPARED):
        return f"the database at {mask_url(url)} has no schema, or an old one: run `wabus migrate`"
    return str(unreached_database(url, error))


def unreached_database(url: str, error: BaseException) -> StoreUnavailable:
    """PostgreSQL is away, or cannot do it: where, why, and what helps."""
    return StoreUnavailable(f"PostgreSQL at {mask_url(url)}: {error}{SAYS_MORE}")


def unreached_broker(url: str, error: BaseException) -> BrokerUnavailable:
    """RabbitMQ is away: where, why, and what helps."""
    why = str(error) or type(error).__name__
    return BrokerUnavailable(f"cannot reach RabbitMQ at {mask_url(url)}: {why}{SAYS_MORE}")


def silence_logs() -> None:
    """Keep what libraries log off the terminal: a command tells itself what went wrong."""
    logging.getLogger().addHandler(logging.NullHandler())
