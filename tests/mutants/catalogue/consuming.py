"""Every delivery: dispositions, their order, copies, batches, the broker's queues (rules 2)."""

from typing import Final

from tests.mutants.mutation import Mutation

_UNIT: Final = "tests/unit/test_consuming.py"
_TOPOLOGY: Final = "tests/integration/amqp/test_topology.py"
_ACKS: Final = "tests/integration/amqp/test_acknowledging.py"
_SAFE: Final = (
    "tests/integration/consuming/test_settlement.py::"
    "test_what_is_not_safe_yet_is_still_in_the_queue_when_its_worker_dies"
)
_SETTLEMENT: Final = "shared/consuming/settlement.py"
_ACK: Final = "        await inlet.acknowledge([delivery for delivery, _ in final])\n"
_PUBLISH: Final = "        errors = await self._publish(final)\n"
_DEFER: Final = (
    "        kept, refused = await self._defer([item for item in final if isinstance(item[1], Defer)])\n"
)

MUTATIONS: Final = (
    Mutation(
        "the ack before the confirm of a copy",
        _SETTLEMENT,
        _PUBLISH,
        f"{_ACK}{_PUBLISH}",
        "2.2 publishes are confirmed before the acknowledgement",
        (_SAFE,),
    ),
    Mutation(
        "the ack before the row of a deferral",
        _SETTLEMENT,
        _DEFER,
        f"{_ACK}{_DEFER}",
        "2.2 effects commit before the acknowledgement",
        (_SAFE,),
    ),
    Mutation(
        "a refused copy counts as published",
        _SETTLEMENT,
        "        return errors\n",
        "        return {}\n",
        "2.2 publishes are confirmed before the acknowledgement",
        (_SAFE,),
    ),
    Mutation(
        "a store that is away is not waited for",
        _SETTLEMENT,
        "except (StoreUnavailable, StoreConflict) as error:",
        "except StoreConflict as error:",
        "2.9 while PostgreSQL is away nothing is lost",
        (_SAFE,),
    ),
    Mutation(
        "a row stays when its message is handled",
        _SETTLEMENT,
        "        if handled:\n",
        "        if handled and not handled:\n",
        "2.4 a row is kept until its message is handled, and no longer",
        (
            "tests/integration/outbound_sender/test_outbound_sender.py::"
            "test_copies_do_not_take_the_row_of_a_message_that_is_deferred_again",
        ),
    ),
    Mutation(
        "one retry too many",
        _SETTLEMENT,
        "delivery.attempt > disposition.attempts",
        "delivery.attempt > disposition.attempts + 1",
        "2.3 attempts are counted",
        (_UNIT,),
    ),
    Mutation(
        "every exhausted retry dies of the same reason",
        _SETTLEMENT,
        "return Dead(disposition.exhausted,",
        "return Dead(DeadReason.MAX_RETRIES_EXCEEDED,",
        "2.3 the last retry dies by the reason it names",
        (_UNIT,),
    ),
    Mutation(
        "the attempt is not counted on",
        _SETTLEMENT,
        "attempt=delivery.attempt + 1",
        "attempt=delivery.attempt",
        "2.3 attempts count in our own header",
        (_UNIT,),
    ),
    Mutation(
        "a dead letter does not say how often it was tried",
        _SETTLEMENT,
        "                ATTEMPTS: delivery.attempt,\n",
        "",
        "INTERFACE 2, 7.1 what a dead letter carries",
        (_UNIT,),
    ),
    Mutation(
        "a copy need not reach its tier",
        _SETTLEMENT,
        "mandatory=True",
        "mandatory=False",
        "2.2 what goes to our own queues must be known to have reached them",
        (_UNIT,),
        count=2,
    ),
    Mutation(
        "the broker's history of deaths travels along",
        "shared/amqp/headers.py",
        '("x-death", "x-first-death-", "x-last-death-")',
        '("x-first-death-", "x-last-death-")',
        "2.3 x-death does not travel",
        (_UNIT,),
    ),
    Mutation(
        "where a copy first came from is forgotten",
        "shared/amqp/headers.py",
        "kept[ROUTING_KEY] = delivery.origin_routing_key",
        "kept[ROUTING_KEY] = delivery.routing_key",
        "2.3 origin exchange and routing key travel along",
        (_UNIT,),
    ),
    Mutation(
        "headers may burst a frame of the size that the server allows",
        "shared/amqp/properties.py",
        "excess = len(frame) - frame_max",
        "excess = len(frame) - 131_072",
        "7.1 what is dead reaches the dead letters",
        ("tests/integration/amqp/test_small_frames.py",),
    ),
    Mutation(
        "what is ours goes with the foreign headers",
        "shared/amqp/properties.py",
        "(name in _KEPT and size < _KEPT_BYTES)",
        "(name in _KEPT and size < 0)",
        "2.3 origin exchange and routing key travel along",
        ("tests/unit/test_properties.py",),
    ),
    Mutation(
        "the idempotency key of a copy is a new one",
        "shared/amqp/headers.py",
        "given = bounded_key(delivery.headers.get(IDEMPOTENCY_KEY)) or",
        "given = None and",
        "INTERFACE 2 the same key for each repetition",
        (_UNIT,),
    ),
    Mutation(
        "a trace of its own for each copy",
        "shared/amqp/headers.py",
        "delivery.headers.get(TRACEPARENT), seed + delivery.body",
        "delivery.headers.get(TRACEPARENT), str(uuid4()).encode()",
        "INTERFACE 2 the trace id is carried through",
        (_UNIT,),
    ),
    Mutation(
        "a multiple ack covers what is in hand",
        "shared/amqp/acknowledgement.py",
        "            break\n",
        "            continue\n",
        "2.5 a multiple ack covers only deliveries that are all done",
        (_UNIT,),
    ),
    Mutation(
        "two hands acknowledge at once",
        "shared/amqp/kept/inlet.py",
        "    async def acknowledge(self, deliveries: Sequence[Delivery]) -> None:\n"
        '        """Acknowledge; see `shared.amqp.broker.Inlet`."""\n'
        "        async with self._answering:\n",
        "    async def acknowledge(self, deliveries: Sequence[Delivery]) -> None:\n"
        '        """Acknowledge; see `shared.amqp.broker.Inlet`."""\n'
        "        if True:\n",
        "2.5 a tag is answered once",
        (_ACKS,),
    ),
    Mutation(
        "a tag of a lost channel answers on the next one",
        "shared/amqp/in_hand.py",
        "{item.tag for item in deliveries if item.generation == self.generation}",
        "{item.tag for item in deliveries}",
        "2.2 what is acknowledged is what was worked",
        (_ACKS,),
    ),
    Mutation(
        "bytes in hand without a bound",
        "shared/amqp/in_hand.py",
        "> self._bytes_allowed and self._bytes:",
        "> 1000 * self._bytes_allowed and self._bytes:",
        "2.6 the bytes in flight are bounded",
        ("tests/integration/amqp/test_bytes_in_hand.py",),
    ),
    Mutation(
        "an unroutable message counts as published",
        "shared/amqp/pika/publisher.py",
        "            return outcomes.returned(item)",
        "            return None",
        "2.2 returned is failed",
        ("tests/integration/amqp/test_publishing.py::test_only_what_no_queue_takes_fails",),
    ),
    Mutation(
        "a confirm that never came counts as one",
        "shared/amqp/pika/publisher.py",
        "        return outcomes.unconfirmed(item)",
        "        return None",
        "2.2 publishes are confirmed",
        (
            "tests/integration/amqp/test_publishing.py::"
            "test_without_confirms_a_publish_fails_in_time_and_the_next_one_goes_through",
        ),
    ),
    Mutation(
        "published messages do not survive a restart",
        "shared/amqp/pika/publisher.py",
        "delivery_mode=PERSISTENT",
        "delivery_mode=1",
        "INTERFACE 2 what the cluster sets on all that it publishes",
        (
            "tests/integration/messaging/conversations/test_inbound_resolver.py::test_properties_of_what_is_published_follow_the_contract",
        ),
    ),
    Mutation(
        "a start compares names only",
        "shared/amqp/pika/declare.py",
        "    try:\n        await declare_topology(connection, topology)\n",
        "    try:\n        pass\n",
        "INTERFACE 10 an unprepared server is refused at start",
        (_TOPOLOGY,),
    ),
    Mutation(
        "a check compares names only",
        "shared/amqp/pika/declare.py",
        "confirms=False) as channel:\n            await _declare(channel, item)",
        "confirms=False) as channel:\n            pass",
        "INTERFACE 6 topology check: what is there is as it must be",
        (_TOPOLOGY,),
    ),
    Mutation(
        "the alarm check publishes an empty body",
        "workers/cli/diagnosis/rabbitmq.py",
        '"wabus.doctor", b"{}"',
        '"wabus.doctor", b""',
        "INTERFACE 6 doctor: a check does what the work does",
        ("tests/integration/amqp/test_alarms.py",),
    ),
    Mutation(
        "a queue of work without a delivery limit",
        "shared/amqp/topology.py",
        "delivery_limit=durations.delivery_limit,",
        "delivery_limit=UNLIMITED,",
        "2.7 queues of work have a delivery limit of 20",
        (_UNIT,),
    ),
    Mutation(
        "a dead letter may be lost on its way",
        "shared/amqp/topology.py",
        '"x-overflow": "reject-publish"',
        '"x-overflow": "drop-head"',
        "7.1 every dead letter is stored",
        (_UNIT,),
    ),
    Mutation(
        "each attempt waits in the first tier",
        "shared/amqp/topology.py",
        "RETRY_TIER_NAMES[min(attempt, len(RETRY_TIER_NAMES)) - 1]",
        "RETRY_TIER_NAMES[0]",
        "2.3 5 s, 30 s, 2 min, 10 min",
        (_UNIT,),
    ),
    Mutation(
        "a redelivered message is worked with its neighbours",
        "shared/consuming/arrangement.py",
        "        if item.redelivered:\n",
        "        if item.redelivered and item.deliveries_before > 1:\n",
        "2.7 a redelivered message is worked alone",
        (_UNIT,),
    ),
    Mutation(
        "the order of a customer is shuffled",
        "shared/consuming/arrangement.py",
        "groups.setdefault(item.tag if key is None else key, [])",
        "groups.setdefault(item.tag, [])",
        "3.3 messages of one customer leave in their order",
        (_UNIT,),
    ),
    Mutation(
        "two batches hold messages of one customer",
        "shared/consuming/hands.py",
        "(waiting if self._order_key(item) in self._keys else free).append(item)",
        "free.append(item)",
        "3.3 messages of one customer leave in their order",
        (_UNIT,),
    ),
    Mutation(
        "the brake trips at its share",
        "shared/consuming/brake.py",
        "> self._window * self._share",
        ">= self._window * self._share",
        "2.8 more than half of the last 100 deliveries",
        (_UNIT,),
    ),
    Mutation(
        "the brake does not wait for a full window",
        "shared/consuming/brake.py",
        "full = len(self._failures) == self._window",
        "full = True",
        "2.8 more than half of the last 100 deliveries",
        (_UNIT,),
    ),
    Mutation(
        "the brake is never released",
        "shared/consuming/brake.py",
        "            self._tripped = False\n            return\n",
        "            return\n",
        "2.8 the worker resumes by itself",
        (_UNIT,),
    ),
    Mutation(
        "a collector blames the whole batch for one",
        "shared/consuming/collector.py",
        "            if len(part) > 1:\n                return False\n",
        "",
        "2.5 a batch with a bad message loses nothing else",
        ("tests/unit/test_collector.py",),
    ),
)
