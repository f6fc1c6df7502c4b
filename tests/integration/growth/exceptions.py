"""Statements that nothing runs by itself, each with why it may read what it reads."""

from collections.abc import Mapping
from typing import Final

_PERSON: Final = "a person asks for one thing, and it is looked up in an index"
_LIST: Final = "a person asks for a page of dead letters, whichever they choose"
_ERASURE: Final = "an erasure searches whatever may name a person; it runs by itself, and rarely"
_EXPORT: Final = "a person asks for all of one customer, rarely"
_COUNTED: Final = "a person asks what waits: it is counted, by an index alone"
_WATCHED: Final = "a person asks; a page that goes on asking does so the more rarely the longer it takes"
_OWN_CAMPAIGN: Final = "a person or an end, once: the rows of one campaign"

#: By file and name.
EXCEPTIONS: Final[Mapping[str, str]] = {
    "shared/postgres/audit.sql:list": "a person asks; a row for each command of a person is few",
    **{
        f"shared/deadletters/queries.sql:{name}": _LIST
        for name in (
            "list",
            "bodies",
            "count_by_reason",
            "choose",
            "targets",
            "find",
            "get",
            "count_pending",
            "dismiss",
        )
    },
    "shared/messaging/campaigns/recipients.sql:count_recipients": _OWN_CAMPAIGN,
    "shared/durable/deferral.sql:release_campaign": _OWN_CAMPAIGN,
    "shared/durable/deferral.sql:recall_campaign": _OWN_CAMPAIGN,
    **{
        f"shared/messaging/campaigns/{place}": _OWN_CAMPAIGN
        for place in (
            *("launch.sql:open_draft", "launch.sql:lock", "launch.sql:clear_draft"),
            *("launch.sql:count_recipients", "launch.sql:count_known", "launch.sql:count_twins"),
            *("control.sql:find", "control.sql:is_carried_out"),
        )
    },
    **{f"shared/messaging/campaigns/status.sql:{name}": _WATCHED for name in ("list", "count")},
    **{
        f"shared/messaging/customers/erasure.sql:{name}": _ERASURE
        for name in (
            *(
                "lock_addresses",
                "mappings",
                "lock_mappings",
                "messages",
                "lock_messages",
                "wamids_of_attempts",
            ),
            *(
                "conversation_ids",
                "numbers",
                "find_dead_letters",
                "shorten_launches",
                "find_deferred",
                "find_events",
                "find_recipients",
                "find_unmatched_events",
                "delete_events_of",
                "forget_launches",
            ),
            *("delete_status_events", "delete_unmatched_events", "delete_attempts", "delete_bodies"),
            *(
                "delete_recipients",
                "delete_deferred",
                "delete_dead_letters",
                "delete_events",
                "delete_messages",
            ),
            *("delete_aliases", "delete_mappings", "delete_profiles", "delete_consents", "delete_addresses"),
        )
    },
    **{
        f"shared/messaging/numbers/control.sql:{name}": "a person looks at, pauses or resumes numbers"
        for name in ("set_state", "count_waiting")
    },
    **{f"shared/commerce/notices/view.sql:{name}": "a person asks" for name in ("list", "show", "why")},
    **{f"shared/commerce/notices/upkeep.sql:{name}": _ERASURE for name in ("erase", "erase_reengagement")},
    "shared/commerce/carts/store.sql:list": "a person asks for a page of carts, whichever they choose",
    **{
        f"shared/commerce/carts/stats.sql:{name}": "a person asks for figures of some days"
        for name in ("count_states", "sum_recovered")
    },
    **{f"shared/commerce/{noun}/store.sql:erase": _ERASURE for noun in ("carts", "orders")},
    **{f"shared/commerce/{noun}/store.sql:export": _EXPORT for noun in ("carts", "orders")},
    **{f"shared/commerce/notices/upkeep.sql:{name}": _EXPORT for name in ("export", "export_reengagement")},
    "shared/commerce/catalogue/store.sql:export_views": _EXPORT,
    **{
        f"shared/messaging/customers/export.sql:{name}": _EXPORT
        for name in (
            *("customer_profiles", "customer_addresses", "consent_events", "conversation_mappings"),
            *(
                "conversation_aliases",
                "message_tracking",
                "outbound_bodies",
                "send_attempts",
                "status_events",
            ),
            *("broadcast_recipients", "deferred_messages", "dead_letter_queue", "launches", "outbox_events"),
        )
    },
    **{
        f"shared/messaging/customers/profile.sql:{name}": _PERSON
        for name in ("profile", "conversations", "shop_figures")
    },
    **{
        f"shared/messaging/customers/consent.sql:{name}": _PERSON
        for name in ("copy_refusals", "read_events", "read_answer")
    },
    **{
        f"shared/messaging/customers/suppressions.sql:{name}": _ERASURE
        for name in ("read_refused", "keep_suppressions", "forget_suppressions")
    },
    **{
        f"shared/messaging/customers/people.sql:{name}": _PERSON
        for name in ("customer_of", "customer_before", "addresses_before")
    },
    **{
        f"shared/messaging/customers/unlinking.sql:{name}": _PERSON
        for name in (
            *("lock_addresses", "free_addresses", "find_own_mappings", "move_mappings", "forgive"),
            *("move_deferred", "move_recipients", "numbers"),
        )
    },
    **{
        f"shared/messaging/messages/story.sql:{name}": _PERSON
        for name in (
            *(
                "find_messages",
                "find_by_trace",
                "dead_letters_of_trace",
                "find_mappings",
                "find_mappings_of_customer",
                "last_messages",
                "mappings",
            ),
            *("messages", "attempts", "events", "unmatched_events", "deferrals", "dead_letters"),
            *("dead_letters_of_customer", "count_of_customer"),
        )
    },
    **{
        f"workers/cli/diagnosis/doctor.sql:{name}": _COUNTED
        for name in ("overdue_deferrals", "pending_dead_letters")
    },
}
