"""Everybody of the day: customers of one address and of several, and who is on the campaign's list. Pure."""

from dataclasses import dataclass
from random import Random

from deploy.demo.customers import BYSTANDERS, TOO_LONG, Customer, make_customers
from deploy.demo.day import Day
from deploy.demo.people import People, make_people


@dataclass(frozen=True, slots=True)
class Cast:
    """Everybody of the day. The campaign's `recipients` are customers; the `opted_out` and the `too_long` are
    recipients, of this campaign or of one for a hidden customer. `refusals`: under which addresses the opted
    out said so. `bystanders` talk to the locked number, and nothing else happens to them.
    """

    customers: tuple[Customer, ...]
    recipients: tuple[Customer, ...]
    opted_out: frozenset[str]
    refusals: frozenset[str]
    too_long: frozenset[str]
    bystanders: tuple[Customer, ...]
    people: People

    @property
    def known_as(self) -> dict[str, frozenset[str]]:
        """Every address ever of who has several, by the one that they have at the end of the day."""
        return {customer.wa_id: customer.addresses for customer in self.customers if customer.others}


def make_cast(day: Day) -> Cast:
    """Customers, and the campaign's recipients among those whom the sandbox treats as any other."""
    random = Random(day.seed)  # noqa: S311 - repeatable, not secret
    people = make_people(day, random)
    customers = make_customers(day, random, day.customers - len(people.everybody))
    too_long = [customer for customer in customers if customer.wa_id.endswith(TOO_LONG)]
    plain = [customer for customer in customers if customer.is_plain]
    asked = [*too_long, *people.twofold]
    recipients = [*random.sample(plain, day.campaign - len(asked)), *asked]
    opted_out = {customer.wa_id for customer in recipients[: day.opted_out]}
    # said under one address of theirs, and held against each
    opted_out |= {customer.wa_id for customer in people.twofold[:1]}
    hidden = people.hidden[:1]
    return Cast(
        customers=(*customers, *people.everybody),
        recipients=tuple(random.sample(recipients, day.campaign)),
        opted_out=frozenset(opted_out | {one.customer.wa_id for one in hidden}),
        refusals=frozenset(opted_out | {one.user_id for one in hidden}),
        too_long=frozenset(customer.wa_id for customer in too_long),
        bystanders=tuple(customers[-BYSTANDERS:]),
        people=people,
    )
