"""Persons of several addresses at the sender, in statuses and in campaigns (rules 11)."""

from typing import Final

from tests.mutants.mutation import Mutation

_INTAKE: Final = "workers/outbound_sender/intake/queries.sql"
_RECIPIENTS: Final = "shared/messaging/campaigns/recipients.sql"
_CLAIMING: Final = "workers/outbound_sender/claiming/store.py"
_GATE: Final = "workers/outbound_sender/claiming/gate.py"
_PERSONS: Final = "tests/integration/outbound_sender/test_persons.py"
_LISTS: Final = "tests/integration/messaging/campaigns/test_same_customer.py"
MUTATIONS: Final = (
    Mutation(
        "nobody looks whose an address is that a message goes to",
        _INTAKE,
        "coalesce(known.phone, given.address) as whose",
        "given.address as whose",
        "11.2 customer_addresses says whose an address is",
        (f"{_PERSONS}::test_a_message_to_an_id_goes_to_its_person_where_they_were_named_last",),
    ),
    Mutation(
        "two notations that a message goes to are two customers",
        "workers/outbound_sender/intake/store.py",
        "return None if wa_id is None else platform_notation(wa_id)",
        "return wa_id",
        "11.3 equal by rule, before any evidence",
        (f"{_PERSONS}::test_two_notations_are_one_customer_before_any_evidence",),
    ),
    Mutation(
        "an opt-out under another address is not known",
        "workers/outbound_sender/claiming/queries.sql",
        "phone in (coalesce(mapping.customer, mapping.wa_id),",
        "phone in (mapping.wa_id,",
        "11.1 opt-outs are the person's",
        (f"{_PERSONS}::test_marketing_is_not_sent_to_who_opted_out_under_another_notation",),
    ),
    Mutation(
        "what the platform tells of an opt-out is an address's",
        "shared/messaging/customers/consent.sql",
        "select coalesce(mapping.customer, mapping.wa_id) as customer, tracked.id",
        "select mapping.wa_id as customer, tracked.id",
        "11.1 opt-outs are the person's",
        (f"{_PERSONS}::test_what_the_platform_tells_of_an_opt_out_is_the_persons",),
    ),
    Mutation(
        "a reply goes to the customer's name, not where they were named last",
        _CLAIMING,
        "return to, phone or to.wa_id",
        "return to, phone or to.customer",
        "11.5 a reply goes to the address that the platform named last",
        (f"{_PERSONS}::test_a_reply_goes_where_its_customer_was_named_last",),
    ),
    Mutation(
        "a login code goes to an id though a phone is known",
        _CLAIMING,
        "return to, phone or to.wa_id",
        "return to, to.wa_id",
        "11.5 what needs a phone",
        (f"{_PERSONS}::test_a_login_code_goes_to_the_phone_of_who_writes_under_an_id",),
    ),
    Mutation(
        "a login code to an id alone is asked for",
        "workers/outbound_sender/message.py",
        'return self.payload.category == "authentication"',
        "return False",
        "11.5 what needs a phone fails with that reason where none is known",
        (f"{_PERSONS}::test_a_login_code_fails_where_no_phone_is_known_before_anything_is_asked",),
    ),
    Mutation(
        "what an answer calls its customer is not heard",
        "workers/outbound_sender/sending.py",
        "        if named is None:\n            return\n",
        "        return\n",
        "11.4 joined by evidence: a send's answer",
        (f"{_PERSONS}::test_the_answers_notation_is_where_the_next_message_goes",),
    ),
    Mutation(
        "what a status calls its customer is not heard",
        "shared/messaging/messages/tracker.py",
        "if self._follower is not None and matched.customers:",
        "if False:",
        "11.4 joined by evidence: a status for a wamid of ours",
        (f"{_PERSONS}::test_a_status_joins_an_id_to_its_phone",),
    ),
    Mutation(
        "a status of a group names its customer",
        "shared/messaging/messages/reading.py",
        'if not is_theirs or not is_individual(said.get("recipient_type")):',
        "if not is_theirs:",
        "11.4 joined by evidence",
        (f"{_PERSONS}::test_a_status_of_a_group_or_of_a_foreign_message_tells_nothing",),
    ),
    Mutation(
        "what is deferred after a join waits under the old name",
        "shared/durable/deferral.sql",
        "coalesce(mapping.customer, mapping.wa_id, row.customer) as customer",
        "row.customer as customer",
        "11.6 safe against messages of both under way",
        (f"{_PERSONS}::test_what_is_put_off_after_a_join_waits_under_the_persons_name",),
    ),
    Mutation(
        "a message is tracked in a conversation that is being joined",
        _INTAKE,
        "    for key share\n",
        "",
        "11.6 safe against messages of both under way",
        (
            f"{_PERSONS}::test_a_reply_that_is_tracked_while_its_conversation_is_joined_ends_in_the_one_that_stays",
        ),
    ),
    Mutation(
        "a batch sends to each address of a person",
        "shared/messaging/campaigns/messages.py",
        "reachability.is_reached or reachability.customer in reached",
        "reachability.is_reached",
        "11.1 a list with two addresses of one person sends once",
        (f"{_LISTS}::test_two_batchers_queue_each_person_of_a_launch_once",),
    ),
    Mutation(
        "each batch sends to another address of a person",
        _RECIPIENTS,
        "twin.status in ('queued', 'sent', 'delivered', 'read', 'failed')) as is_reached",
        "false) as is_reached",
        "11.1 a list with two addresses of one person sends once",
        (f"{_LISTS}::test_two_batchers_queue_each_person_of_a_launch_once",),
    ),
    Mutation(
        "two that are queued already are both sent to though they are one",
        _GATE,
        "case _ if gate.is_reached and not gate.attempts:",
        "case _ if False:",
        "11.1 a list with two addresses of one person sends once",
        ("tests/unit/test_sender_gate.py",),
    ),
)
