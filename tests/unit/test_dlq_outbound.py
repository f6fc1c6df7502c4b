"""What a death does to its outbound message: every case of the decision."""

from dataclasses import replace
from uuid import UUID, uuid4

import orjson
import pytest

from shared.deadletters.storing import DeadLetter
from shared.messaging.messages import STATUS_RETRY
from shared.payloads import OutboundMessage, decode
from shared.reasons import DeadReason
from workers.dlq_handler.outbound import DeadOutbound, DeathConsequence, TrackedMessage, decide, failed_event

BODY = {"wa_id": "491700000001", "client_message_id": "c1", "message_text": "hello"}
RAW = orjson.dumps(BODY)
HASH = decode(OutboundMessage, RAW).content_hash()
LETTER = DeadLetter(
    id=UUID(int=1),
    dedupe_key="key",
    source_queue="outbound-sender.bulk",
    exchange="wa.outbound",
    routing_key="bulk.491700000001",
    reason=DeadReason.DELIVERY_LIMIT,
    error_message="killed",
    raw_body=RAW,
    headers={},
    attempts=1,
    correlation_id="trace-1",
)
ROW = TrackedMessage(UUID(int=2), "queued", HASH, undecided=False)


def dead(letter: DeadLetter = LETTER) -> DeadOutbound:
    found = DeadOutbound.read(letter)
    assert found is not None
    return found


@pytest.mark.parametrize("queue", ["inbound-resolver", "status-updater", "broadcast-batcher", "wa.inbound"])
def test_what_died_elsewhere_is_no_outbound_message(queue: str) -> None:
    assert DeadOutbound.read(replace(LETTER, source_queue=queue)) is None


def test_a_queued_message_without_an_attempt_that_may_succeed_fails() -> None:
    assert decide(dead(), ROW) is DeathConsequence.FAIL


@pytest.mark.parametrize(
    ("row", "verdict"),
    [
        (replace(ROW, undecided=True), DeathConsequence.RECONCILE),
        (replace(ROW, status="sent"), DeathConsequence.LEAVE),
        (replace(ROW, status="failed"), DeathConsequence.LEAVE),
        (replace(ROW, content_hash=b"another"), DeathConsequence.LEAVE),
        (replace(ROW, content_hash=None), DeathConsequence.FAIL),
        (None, DeathConsequence.TELL),
    ],
)
def test_the_row_decides(row: TrackedMessage | None, verdict: DeathConsequence) -> None:
    assert decide(dead(), row) is verdict


def test_a_message_that_contradicts_another_leaves_it_alone() -> None:
    contradiction = replace(LETTER, reason=DeadReason.STATE_VIOLATION, message_id=ROW.id)
    assert decide(dead(contradiction), ROW) is DeathConsequence.LEAVE


@pytest.mark.parametrize(
    ("status", "undecided", "verdict"),
    [
        ("queued", False, DeathConsequence.FAIL),
        ("sent", False, DeathConsequence.FAIL),
        ("sent", True, DeathConsequence.RECONCILE),
        ("delivered", False, DeathConsequence.LEAVE),
        ("failed", False, DeathConsequence.LEAVE),
    ],
)
def test_a_retry_that_a_status_asked_for_is_the_last_word_on_a_sent_message(
    status: str, undecided: bool, verdict: DeathConsequence
) -> None:
    retry = replace(LETTER, message_id=ROW.id, headers={STATUS_RETRY: "1"})
    assert decide(dead(retry), replace(ROW, status=status, undecided=undecided)) is verdict


@pytest.mark.parametrize(
    ("ids", "row", "verdict"),
    [
        ({}, ROW, DeathConsequence.FAIL),
        ({}, replace(ROW, undecided=True), DeathConsequence.LEAVE),
        ({}, replace(ROW, status="sent"), DeathConsequence.LEAVE),
        ({"client_message_id": "c1"}, ROW, DeathConsequence.LEAVE),
        ({"campaign_id": "autumn"}, ROW, DeathConsequence.LEAVE),
    ],
)
def test_a_campaigns_message_with_other_content_ends_the_one_before(
    ids: dict[str, str], row: TrackedMessage, verdict: DeathConsequence
) -> None:
    own = {"campaign_id": "spring", "client_message_id": "campaign:spring:491700000001"}
    raw = orjson.dumps(BODY | own | {"message_text": "other"} | ids)

    assert decide(dead(replace(LETTER, reason=DeadReason.STATE_VIOLATION, raw_body=raw)), row) is verdict


def test_a_copy_published_with_a_wrong_key_leaves_the_message_alone() -> None:
    stray = replace(LETTER, source_queue="", routing_key="pigeon.1", reason=DeadReason.UNROUTED)
    assert decide(dead(stray), ROW) is DeathConsequence.LEAVE
    assert decide(dead(stray), None) is DeathConsequence.TELL


def test_a_row_named_by_our_id_needs_no_comparison() -> None:
    assert decide(dead(replace(LETTER, raw_body=b"cut", message_id=ROW.id)), ROW) is DeathConsequence.FAIL


def test_a_replay_that_never_became_a_row_is_told_unless_it_was() -> None:
    replay = dead(replace(LETTER, replay_of=uuid4()))
    assert decide(replace(replay, is_told=True), None) is DeathConsequence.LEAVE
    assert decide(replay, None) is DeathConsequence.TELL


@pytest.mark.parametrize(
    ("row", "verdict"),
    [
        (ROW, DeathConsequence.WAIT),
        (None, DeathConsequence.WAIT),
        (replace(ROW, undecided=True), DeathConsequence.RECONCILE),
        (replace(ROW, status="sent"), DeathConsequence.LEAVE),
    ],
)
def test_what_goes_back_by_itself_waits(row: TrackedMessage | None, verdict: DeathConsequence) -> None:
    assert decide(replace(dead(), goes_back=True), row) is verdict


def test_unknown_fields_are_carried_through_and_cannot_pose_as_ours() -> None:
    said = BODY | {"metadata": {"a": 1}, "colour": "blue", "error": "no", "wamid": "x", "trace_id": "y"}
    told = failed_event(dead(replace(LETTER, raw_body=orjson.dumps(said))), "491700000001")

    assert told.error is not None
    assert (told.error.code, told.trace_id, told.wamid) == ("delivery_limit", "trace-1", None)
    assert told.metadata == {"a": 1}
    assert told.model_extra == {"colour": "blue"}


def test_an_opaque_letter_is_told_without_ids() -> None:
    told = failed_event(dead(replace(LETTER, opaque=True)), None)
    assert told.client_message_id is None
    assert told.error is not None
