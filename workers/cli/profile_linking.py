"""`wabus profile link|unlink`: an operator says which addresses are one person's.

Owns the question, the options and what is told; what is done is `shared.messaging.customers`'.
"""

from collections.abc import Sequence

import click

from shared.coordination.client import RedisUnavailable
from shared.coordination.removal import remove_keys
from shared.errors import WabusError
from shared.messaging.customers.linking import Linking, check_linkable
from shared.messaging.customers.linking import link as link_addresses
from shared.messaging.customers.unlinking import find_linked
from shared.messaging.customers.unlinking import unlink as unlink_address
from shared.observability.span_export import exporting_spans
from shared.postgres.database import Database
from shared.settings.settings import Settings
from workers.cli.confirmation import demand_consent, yes_option
from workers.cli.customer import CustomerParam
from workers.cli.operation import (
    by_option,
    json_option,
    read_settings,
    run_on_database,
    run_on_redis,
    silence_logs,
)
from workers.cli.printing import print_json
from workers.cli.publishing import PROGRAM, open_publisher


@click.command(epilog="\b\nExample:\n  wabus profile link +491700000001 DE.abc1 --by ana")
@click.argument("first", metavar="A", type=CustomerParam())
@click.argument("second", metavar="B", type=CustomerParam())
@yes_option
@by_option
@json_option
def link(first: str, second: str, yes: bool, by: str, as_json: bool) -> None:
    """Make one person of A and B, because you know that they are.

    Their conversations at one number become one, the later one; a refusal of either holds. The person is
    named by their phone, of two phones by A. What both wrote before cannot be parted again.
    """
    settings = read_settings()
    run_on_database(settings, lambda database: check_linkable(database, first, second))
    demand_consent(f"{first} and {second} would be one person", first, yes=yes, as_json=as_json)
    silence_logs()

    async def work(database: Database) -> Linking:
        async with exporting_spans(settings, PROGRAM), open_publisher(settings) as publisher:
            return await link_addresses(database, publisher, first, second, by=by)

    linking = run_on_database(settings, work)
    if as_json:
        print_json({"customer": linking.customer, "merged": linking.merged})
    else:
        already = " already" if linking.merged is None else ""
        click.echo(f"{first} and {second} are one person{already}: {linking.customer}")
    _forget(settings, linking.stale_keys)


@click.command(epilog="\b\nExample:\n  wabus profile unlink DE.abc1 --by ana")
@click.argument("address", type=CustomerParam())
@yes_option
@by_option
@json_option
def unlink(address: str, yes: bool, by: str, as_json: bool) -> None:
    """Make a customer of its own of an ADDRESS that is another person's; nothing but `link` joins it again.

    With it go its places in campaigns, and the conversations in whose time no other address of the person was
    seen. All others stay, for both may have written there. A refusal of marketing holds for both.
    """
    settings = read_settings()
    known = run_on_database(settings, lambda database: find_linked(database, address))
    deed = f"{address} would be a customer of its own, and no longer {known.customer}"
    demand_consent(deed, address, yes=yes, as_json=as_json)
    silence_logs()
    parted = run_on_database(settings, lambda database: unlink_address(database, address, by=by))
    if as_json:
        told = ("customer", "before", "conversations", "recipients")
        print_json({name: getattr(parted, name) for name in told})
    else:
        click.echo(
            f"{address} is a customer of its own, and no longer {parted.before}; with it went"
            f" {parted.conversations} conversations and {parted.recipients} places in campaigns"
        )
    _forget(settings, parted.stale_keys)


def _forget(settings: Settings, keys: Sequence[str]) -> None:
    """After the commit, so that nothing caches them anew."""
    if not keys:
        return
    try:
        run_on_redis(settings, lambda redis: remove_keys(redis, keys))
    except RedisUnavailable as error:
        raise WabusError(
            f"{error}: what Redis caches of them could not be reached; it goes within 24 h"
        ) from error
