"""STOP and its like on real servers: kept with the message, answered once, marked for whoever hears of it."""

import json
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any, Final

from shared.amqp.topology import OUTBOUND_REPLY
from shared.messaging.customers.erasure import erase
from shared.messaging.customers.suppressions import Suppressions
from shared.postgres.database import Database
from shared.tables import TABLES
from tests.support.cluster import Cluster
from tests.support.program import run_wabus
from tests.support.rows import only_row
from tests.support.waiting import until

ANA: Final = "491700000001"
BEN: Final = "491700000002"
RESOLVER: Final = "inbound-resolver"
KEY: Final = "a key of sixteen bytes or more"


def message(wamid: str, text: str | None, customer: str = ANA, **fields: Any) -> dict[str, Any]:
    return {
        "wamid": wamid,
        "timestamp": datetime.now(UTC).isoformat(),
        "wa_id": customer,
        "message_text": text,
        "phone_number_id": "1001",
    } | fields


async def hear(cluster: Cluster, *messages: dict[str, Any]) -> None:
    """Have them resolved, one after the other."""
    for item in messages:
        await cluster.publish("wa.inbound", item["wa_id"], item)
        await until(partial(is_marked, cluster, item["wamid"]))


def is_marked(cluster: Cluster, wamid: str) -> bool:
    return any(told == wamid for told, _ in marks(cluster))


def marks(cluster: Cluster) -> list[tuple[str, str | None]]:
    return [(item["wamid"], item.get("consent")) for item in cluster.told("inbound.enriched")]


async def answers(cluster: Cluster) -> list[dict[str, Any]]:
    """What waits for the sender, taken."""
    return [json.loads(item.body) for item in await cluster.take(OUTBOUND_REPLY)]


async def profile(cluster: Cluster, customer: str = ANA) -> tuple[Any, ...]:
    row = await only_row(
        cluster.conn,
        "select opt_in_marketing, notification_opt_out, consent_source from customer_profiles"
        " where phone = $1",
        customer,
    )
    return tuple(row)


async def test_a_word_is_kept_marked_and_answered_once(cluster: Cluster) -> None:
    async with cluster.running(RESOLVER):
        # When somebody refuses, and the gateway repeats it
        stop = message("wamid.1", "  STOP! 🛑", note="carried", consent="opt_in")
        await hear(cluster, message("wamid.0", "stop, I am late"), stop)
        refused = await profile(cluster)
        told = await answers(cluster)
        await cluster.publish("wa.inbound", ANA, stop)
        # Then it counts at once, and is answered once
        assert refused == (False, False, "message")
        assert [(item["wa_id"], item["phone_number_id"], item["category"]) for item in told] == [
            (ANA, "1001", "service")
        ]
        assert told[0]["client_message_id"].startswith("consent:")
        assert "START" in told[0]["message_text"]
        # When they refuse once more, then everything, and come back, all within the hour
        await hear(
            cluster,
            message("wamid.2", "unsubscribe"),
            message("wamid.3", None, message_type="button", content={"button": {"text": "Stop all"}}),
        )
        refused_all = await profile(cluster)
        await hear(cluster, message("wamid.4", "start"))
        wanted = await profile(cluster)
        # Then it counts, unanswered
        assert refused_all == (False, True, "message")
        assert wanted == (True, False, "message")
        assert await answers(cluster) == []
        # When they refuse an hour later
        await cluster.conn.execute("update consent_events set answered_at = answered_at - interval '1 hour'")
        await hear(cluster, message("wamid.5", "Stop"))
        # Then they are answered again
        assert len(await answers(cluster)) == 1

    assert marks(cluster) == [
        ("wamid.0", None),
        ("wamid.1", "opt_out"),
        ("wamid.2", "opt_out"),
        ("wamid.3", "opt_out_all"),
        ("wamid.4", "opt_in"),
        ("wamid.5", "opt_out"),
    ]
    changes = [(item["kind"], item["value"], item["source"]) for item in cluster.told("consent.changed")]
    assert sorted(changes) == sorted(
        [
            ("marketing", False, "message"),
            ("notifications", False, "message"),
            ("marketing", True, "message"),
            ("notifications", True, "message"),
            ("marketing", False, "message"),
        ]
    )
    proofs = await cluster.conn.fetch(
        "select evidence, value from consent_events where kind = 'marketing' order by evidence"
    )
    assert [tuple(row) for row in proofs] == [
        ("wamid.1", False),
        ("wamid.2", False),
        ("wamid.3", False),
        ("wamid.4", True),
        ("wamid.5", False),
    ]


async def test_of_contradictions_in_one_batch_the_latest_counts_and_the_old_are_not_answered(
    cluster: Cluster,
) -> None:
    now = datetime.now(UTC)
    stop = message("wamid.1", "stop", timestamp=(now - timedelta(minutes=1)).isoformat())
    start = message("wamid.2", "start", timestamp=(now - timedelta(minutes=2)).isoformat())
    late = message("wamid.3", "stop", BEN, timestamp=(now - timedelta(hours=25)).isoformat())
    for item in (stop, start, late):
        await cluster.publish("wa.inbound", item["wa_id"], item)

    async with cluster.running(RESOLVER):
        await until(lambda: len(marks(cluster)) == 3)

    told = await answers(cluster)
    assert [item["wa_id"] for item in told] == [ANA]
    assert (await profile(cluster), await profile(cluster, BEN)) == ((False, False, "message"),) * 2


async def test_words_and_answers_are_those_of_the_file(cluster: Cluster, tmp_path: Path) -> None:
    file = tmp_path / "words.json"
    texts = {"out": "Schade!", "out_all": "Still.", "in": "Willkommen!"}
    file.write_text(json.dumps({"out": ["Genug jetzt"], "answers": {"en": texts, "de": texts}}))

    async with cluster.running(RESOLVER, CONSENT_WORDS_FILE=str(file)):
        await hear(cluster, message("wamid.1", "stop"), message("wamid.2", "genug JETZT!"))

    assert [mark for _, mark in marks(cluster)] == [None, "opt_out"]
    assert [item["message_text"] for item in await answers(cluster)] == ["Schade!"]


async def test_whoever_was_erased_after_a_refusal_writes_again_as_one_who_refused(cluster: Cluster) -> None:
    async with cluster.running(RESOLVER, SUPPRESSION_KEY=KEY):
        await hear(cluster, message("wamid.1", "stop"))
        await answers(cluster)
        database = Database(cluster.database_url, size=1)
        key = Suppressions(KEY.encode())
        await erase(database, ANA, TABLES, by="ana", dry_run=False, suppressions=key)
        await database.close()

        await hear(cluster, message("wamid.2", "hello"))
        refused = await profile(cluster)
        await hear(cluster, message("wamid.3", "start"))

    assert refused == (False, False, "suppression")
    assert await profile(cluster) == (True, False, "message")


async def test_a_bad_file_of_words_is_one_line_and_exit_2(tmp_path: Path) -> None:
    file = tmp_path / "words.json"
    file.write_text('{"out": ["stop"], "in": ["Stop!"]}')

    outcome = await run_wabus("worker", RESOLVER, environ={"CONSENT_WORDS_FILE": str(file)})

    assert (outcome.code, outcome.out) == (2, "")
    assert outcome.err == "wabus: CONSENT_WORDS_FILE: in: 'stop' stands in out already\n"
