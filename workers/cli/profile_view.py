"""What `wabus profile show` shows of a person.

Owns the tables and the words in which a doubt is told.
"""

from dataclasses import asdict
from typing import Any, Final

import click

from shared.messaging.customers.notation import kind_of
from shared.messaging.customers.profile import StoredCustomer
from shared.messaging.customers.whose import KnownAddress
from workers.cli.printing import format_time, print_facts, print_table

#: Why evidence about an address was not followed, by its word in `customer_addresses.doubt`.
DOUBTS: Final = {
    "two_phones": "it came with two different phones, and no change of number was told",
    "shared_device": "more than 20 ids came from this phone, so it may be shared",
    "own_number": "it is a number of the business itself",
    "no_new_address": "a change of it was told, without the new one",
    "unlinked": "an operator said that it is another person's",
    "stale": "a change was told that is older than the last one of this address",
}


def describe_customer(customer: StoredCustomer) -> dict[str, Any]:
    """For programs."""
    return {
        "customer": customer.known.customer,
        "profile": None if customer.profile is None else asdict(customer.profile),
        "addresses": [asdict(row) | {"doubt_explained": _explain(row)} for row in customer.known.addresses],
        "addresses_of_before": customer.known.before,
        "shop": None if customer.shop is None else asdict(customer.shop),
        "conversations": asdict(customer.stored),
        "consents": [asdict(item) for item in customer.consents],
        "audit": [
            {"at": line.at, "actor": line.actor, "action": line.action, "details": line.details}
            for line in customer.audit
        ],
    }


def print_customer(customer: StoredCustomer) -> None:
    """For people."""
    facts = {"profile": "none"} if customer.profile is None else asdict(customer.profile)
    print_facts(f"Customer {customer.known.customer}", facts)
    rows = customer.known.addresses
    cells: list[tuple[object, ...]] = [
        (row.address, row.kind, row.source, row.first_seen_at, row.last_seen_at, row.released_at)
        for row in rows
    ]
    cells += [(address, kind_of(address), "before", None, None, None) for address in customer.known.before]
    if cells:
        columns = ("address", "kind", "source", "first seen", "last seen", "released")
        print_table("Addresses", columns, cells)
    for row in rows:
        if row.doubt is not None:
            click.echo(f"{row.address} was kept apart{_since(row)}: {_explain(row)}")
    if customer.shop is not None:
        print_facts("Shops", asdict(customer.shop))
    if customer.consents:
        headings = ("consent", "wanted", "source", "said at", "received", "evidence", "answered")
        print_table("Consent", headings, (asdict(item).values() for item in customer.consents))
    print_facts("Stored", asdict(customer.stored))
    if customer.audit:
        lines = ((line.at, line.actor, line.action) for line in customer.audit)
        print_table("Audit log", ("at", "by", "action"), lines)


def _explain(row: KnownAddress) -> str | None:
    return None if row.doubt is None else DOUBTS.get(row.doubt, row.doubt)


def _since(row: KnownAddress) -> str:
    return "" if row.doubted_at is None else f" at {format_time(row.doubted_at)}"
