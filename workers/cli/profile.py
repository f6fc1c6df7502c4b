"""`wabus profile`: what is stored of a person, and their consent; joining, parting and erasing them.

Owns the question, the options and the tables; what is done is `shared.messaging.customers`'.
"""

from dataclasses import asdict
from typing import Any

import click

from shared.coordination.client import RedisUnavailable
from shared.coordination.removal import count_keys, remove_keys
from shared.errors import WabusError
from shared.masking import escape_controls
from shared.messaging.customers.consent import record_consent
from shared.messaging.customers.erasure import Erasure
from shared.messaging.customers.erasure import erase as erase_person
from shared.messaging.customers.profile import StoredCustomer, read_customer
from shared.messaging.customers.suppressions import Suppressions
from shared.settings.settings import Settings
from shared.tables import TABLES
from workers.cli.confirmation import Unconfirmed, can_ask, demand_consent, yes_option
from workers.cli.customer import phone_argument
from workers.cli.operation import (
    by_option,
    json_option,
    read_settings,
    run_on_database,
    run_on_redis,
    silence_logs,
)
from workers.cli.printing import format_time, print_json, print_table
from workers.cli.profile_export import export
from workers.cli.profile_linking import link, unlink
from workers.cli.profile_view import describe_customer, print_customer


@click.group(epilog="\b\nExample:\n  wabus profile show +491700000001")
def profile() -> None:
    """Show what is stored of a customer, record their consent, say which addresses are theirs, or erase them.

    PHONE is a phone number in any notation, or a business-scoped id: each address of a person stands for all
    of them.
    """


@profile.command(epilog="\b\nExample:\n  wabus profile show +491700000001 --json")
@phone_argument
@json_option
def show(phone: str, as_json: bool) -> None:
    """Show the person: their profile, each address of theirs, how much is stored, and what operators did.

    Any of their addresses will do, a past one too. Where evidence about an address was not followed, it says
    why. Exits 1 where nothing is stored.
    """
    customer = run_on_database(read_settings(), lambda database: read_customer(database, phone))
    if customer.is_nothing:
        raise click.ClickException(f"{phone}: not found{_erased(customer)}")
    if as_json:
        print_json(describe_customer(customer))
    else:
        print_customer(customer)


@profile.command("opt-in", epilog="\b\nExample:\n  wabus profile opt-in +491700000001 --by ana")
@phone_argument
@by_option
@json_option
def opt_in(phone: str, by: str, as_json: bool) -> None:
    """Record that the customer wants marketing; a refusal of all automatic messages ends with it."""
    _record_consent(phone, True, by, as_json)


@profile.command("opt-out", epilog="\b\nExample:\n  wabus profile opt-out +491700000001 --by ana")
@phone_argument
@by_option
@json_option
def opt_out(phone: str, by: str, as_json: bool) -> None:
    """Record that the customer wants no marketing: none is sent from then on."""
    _record_consent(phone, False, by, as_json)


@profile.command(
    epilog="\b\nExample:\n  wabus profile erase +491700000001 --dry-run\n"
    "  wabus profile erase +491700000001 --yes --by ana"
)
@phone_argument
@click.option("--dry-run", is_flag=True, help="Count what would go, remove nothing.")
@yes_option
@by_option
@json_option
def erase(phone: str, dry_run: bool, yes: bool, by: str, as_json: bool) -> None:
    """Remove everything that is stored of a customer, for good.

    Their profile, consent and its proofs, conversations, messages, attempts, status events, places in
    campaigns, deferred messages, dead letters, recorded events and cached keys. The audit log keeps that it
    was done, with counts and without the number. With SUPPRESSION_KEY a refusal of theirs stays as a hash
    under that key, so that nobody begins to write to them again. What is on its way in RabbitMQ is not
    reached: where they write meanwhile, run it again.
    """
    settings = read_settings()
    if not (dry_run or yes or can_ask(as_json=as_json)):
        raise Unconfirmed("nobody can confirm here: give --yes, or --dry-run to count first")
    silence_logs()
    if not (dry_run or yes):
        _confirm(settings, phone, by)
    erasure = _erase(settings, phone, by, dry_run=dry_run)
    keys, failure = _reach_keys(settings, erasure, dry_run=dry_run)
    if as_json:
        print_json(_summary(phone, erasure, keys, dry_run=dry_run))
    else:
        _print_erasure(phone, erasure, keys, dry_run=dry_run)
    if failure is not None:
        raise WabusError(f"{failure}: what Redis caches of them could not be reached; it goes within 24 h")


def _confirm(settings: Settings, phone: str, by: str) -> None:
    erasure = _erase(settings, phone, by, dry_run=True)
    _print_erasure(phone, erasure, None, dry_run=True)
    demand_consent(f"Everything of {phone} would be erased", phone, yes=False, as_json=False)


def _erase(settings: Settings, phone: str, by: str, *, dry_run: bool) -> Erasure:
    suppressions = Suppressions.of(settings.suppression_key)
    return run_on_database(
        settings,
        lambda database: erase_person(
            database, phone, TABLES, by=by, dry_run=dry_run, suppressions=suppressions
        ),
    )


def _reach_keys(
    settings: Settings, erasure: Erasure, *, dry_run: bool
) -> tuple[int | None, RedisUnavailable | None]:
    """Count or remove the cached keys. After the commit, so that nothing caches them anew."""
    keys = erasure.person.keys([settings.whatsapp_phone_number_id, *settings.whatsapp_numbers])
    reach = count_keys if dry_run else remove_keys
    try:
        return run_on_redis(settings, lambda redis: reach(redis, keys)), None
    except RedisUnavailable as error:
        return None, error


profile.add_command(export)
profile.add_command(link)
profile.add_command(unlink)


def _record_consent(phone: str, wanted: bool, by: str, as_json: bool) -> None:
    consent = run_on_database(
        read_settings(), lambda database: record_consent(database, phone, wanted=wanted, by=by)
    )
    if as_json:
        print_json(asdict(consent))
    else:
        already = " already" if consent.before is wanted else ""
        click.echo(f"{phone}: {'wants marketing' if wanted else 'wants no marketing'}{already}")


def _erased(customer: StoredCustomer) -> str:
    last = customer.last_erasure
    return "" if last is None else f"; erased {format_time(last.at)} by {last.actor}"


def _summary(phone: str, erasure: Erasure, keys: int | None, *, dry_run: bool) -> dict[str, Any]:
    return {
        "phone": phone,
        "addresses": erasure.person.addresses,
        "dry_run": dry_run,
        "rows": erasure.rows,
        "shortened_dead_letters": erasure.shortened,
        "redis_keys": keys,
    }


def _print_erasure(phone: str, erasure: Erasure, keys: int | None, *, dry_run: bool) -> None:
    if erasure.is_nothing and not keys:
        click.echo(f"Nothing is stored of {phone}.")
        return
    rows: list[tuple[str, object]] = [(table, count) for table, count in erasure.rows.items() if count]
    if erasure.shortened:
        rows.append(("dead letters of campaigns, without this recipient", erasure.shortened))
    if keys:
        rows.append(("keys in Redis", keys))
    print_table("", ("would be removed" if dry_run else "removed", "rows"), rows)
    others = [address for address in erasure.person.addresses if address != phone]
    if others:
        click.echo(f"The same person: {escape_controls(', '.join(sorted(others)))}")
