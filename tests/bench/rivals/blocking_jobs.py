"""`jobs` for frameworks whose handlers block: psycopg, redis-py and requests."""

import os
from typing import Any, Final

import requests
from psycopg.rows import dict_row
from psycopg_pool import ConnectionPool
from redis import Redis

from shared.payloads import InboundMessage, OutboundMessage, StatusUpdate
from tests.bench.rivals import statements
from tests.bench.rivals.jobs import LOCK_S, Event, cloud_api, enriched, graph_body
from tests.bench.rivals.statements import for_psycopg

OPEN_MAPPING: Final = for_psycopg(statements.OPEN_MAPPING)
TRACK: Final = for_psycopg(statements.TRACK)
STORE_STATUS: Final = for_psycopg(statements.STORE_STATUS)
RAISE_STATUS: Final = for_psycopg(statements.RAISE_STATUS)
CLAIM_MESSAGE: Final = for_psycopg(statements.CLAIM_MESSAGE)
CLAIM_ATTEMPT: Final = for_psycopg(statements.CLAIM_ATTEMPT)
END_ATTEMPT: Final = for_psycopg(statements.END_ATTEMPT)
END_MESSAGE: Final = for_psycopg(statements.END_MESSAGE)


class BlockingJobs:
    """The three jobs, and the clients of one process; each takes the message as it was decoded from JSON."""

    def __init__(self, threads: int) -> None:
        options: dict[str, Any] = {"row_factory": dict_row}
        self._database = ConnectionPool(
            os.environ["DATABASE_URL"], min_size=threads, max_size=threads, kwargs=options, open=True
        )
        self._redis = Redis.from_url(os.environ["REDIS_URL"])
        self._http = requests.Session()
        self._http.mount("http://", requests.adapters.HTTPAdapter(pool_maxsize=threads))

    def inbound(self, body: dict[str, Any]) -> Event:
        """Open the customer's mapping and track the message."""
        message = InboundMessage.model_validate(body)
        number = message.phone_number_id or "default"
        with (
            self._redis.lock(f"lock:{number}:{message.wa_id}", timeout=LOCK_S),
            self._database.connection() as connection,
        ):
            facts = _named(number, message.wa_id, message.contact_name, message.wamid)
            mapping: Any = connection.execute(OPEN_MAPPING, facts).fetchone()
            connection.execute(
                TRACK,
                _named(
                    mapping["id"],
                    message.wamid,
                    message.message_type,
                    message.timestamp,
                    mapping["opened"],
                ),
            )
        return enriched(message, str(mapping["id"]), mapping["conversation_id"], mapping["opened"])

    def status(self, body: dict[str, Any]) -> Event:
        """Store the event and raise its message."""
        update = StatusUpdate.model_validate(body)
        with (
            self._redis.lock(f"lock:{update.wamid}", timeout=LOCK_S),
            self._database.connection() as connection,
        ):
            facts = _named(update.wamid, update.status, update.timestamp)
            connection.execute(STORE_STATUS, facts)
            connection.execute(RAISE_STATUS, facts)
        return {"wamid": update.wamid, "status": update.status}

    def outbound(self, body: dict[str, Any]) -> Event:
        """Claim an attempt, ask the Cloud API, note its answer."""
        message = OutboundMessage.model_validate(body)
        with self._redis.lock(f"lock:1001:{message.wa_id}", timeout=LOCK_S):
            with self._database.connection() as connection:
                mapping: Any = connection.execute(
                    OPEN_MAPPING, _named("1001", message.wa_id, None, None)
                ).fetchone()
                claim = _named(mapping["id"], message.client_message_id)
                claimed: Any = connection.execute(CLAIM_MESSAGE, claim).fetchone()
                connection.execute(CLAIM_ATTEMPT, _named(claimed["id"]))
            url, headers = cloud_api(os.environ)
            answer = self._http.post(url, json=graph_body(message), headers=headers, timeout=10)
            answer.raise_for_status()
            wamid = answer.json()["messages"][0]["id"]
            with self._database.connection() as connection:
                connection.execute(END_ATTEMPT, _named(claimed["id"], wamid))
                connection.execute(END_MESSAGE, _named(claimed["id"], wamid))
        return {"client_message_id": message.client_message_id, "wamid": wamid}


def _named(*values: object) -> dict[str, object]:
    return {f"p{place}": value for place, value in enumerate(values, start=1)}
