"""Consuming one queue: one channel, one consumer, kept as it is wanted.

Owns the channel's life: reopened when lost, the consumer restored when cancelled. What has arrived and may be
answered is `shared.amqp.in_hand`'s. What arrives only fills it: work runs elsewhere.
"""

import asyncio
import logging
import time
from collections.abc import Sequence
from typing import Final

from shared.amqp.delivery import Delivery
from shared.amqp.in_hand import InHand
from shared.amqp.kept.link import Link
from shared.amqp.wire import WIRE_ERRORS, ConsumerChannel, Listener
from shared.durations import Durations
from shared.errors import ConsumerLost

log = logging.getLogger(__name__)

#: How long a closing inlet waits for the broker to confirm that it stopped consuming.
_CANCEL_S: Final = 2.0


class KeptInlet:
    """See `shared.amqp.broker.Inlet`; `run` must be running beside it."""

    def __init__(
        self, queue: str, prefetch: int, link: Link, durations: Durations, inflight_bytes: int
    ) -> None:
        self.queue = queue
        self._usual_prefetch = prefetch
        self._prefetch = prefetch
        self._link = link
        self._durations = durations
        self._changed = asyncio.Event()
        self._in_hand = InHand(queue, inflight_bytes, self._changed.set)
        self._wanted = True
        self._closed = False
        #: A multiple ack answers for every tag below it: a tag answered again later would cost the channel.
        self._answering = asyncio.Lock()
        self._channel: ConsumerChannel | None = None
        self._consumer_tag: str | None = None
        #: RabbitMQ may cancel a consumer before we have been told its tag.
        self._cancelled_tag: str | None = None
        self._consumed_prefetch = prefetch
        self._cancelling = False

    @property
    def is_quiet(self) -> bool:
        """Whether nothing more arrives; see `shared.amqp.broker.Inlet`."""
        return not (self._is_wanted_now or self._cancelling or self._consumer_tag)

    @property
    def lacks_consumer(self) -> bool:
        """Whether a consumer of ours should be on the queue and, as far as is known, is not."""
        return self._is_wanted_now and self._consumer_tag is None

    async def next_batch(self, size: int, linger_s: float) -> list[Delivery]:
        """Take the next deliveries; see `shared.amqp.broker.Inlet`."""
        return await self._in_hand.arrivals.next_batch(size, linger_s)

    async def full_batch(self, size: int, enough: asyncio.Event) -> list[Delivery]:
        """Take many; see `shared.amqp.broker.Inlet`."""
        return await self._in_hand.arrivals.full_batch(size, enough)

    async def acknowledge(self, deliveries: Sequence[Delivery]) -> None:
        """Acknowledge; see `shared.amqp.broker.Inlet`."""
        async with self._answering:
            upto, single = self._in_hand.acknowledge(deliveries)
            channel = self._channel
            if channel is None or (upto is None and not single):
                return
            try:
                await channel.acknowledge(upto, single)
            except WIRE_ERRORS as error:
                log.debug("Acknowledging on %s: %s; they will be redelivered", self.queue, error)

    async def release(self, deliveries: Sequence[Delivery]) -> None:
        """Give back; see `shared.amqp.broker.Inlet`."""
        async with self._answering:
            tags = self._in_hand.give_back(deliveries)
            channel = self._channel
            if channel is None or not tags:
                return
            try:
                await channel.requeue(tags)
            except WIRE_ERRORS as error:
                log.debug("Giving back on %s: %s; they will be redelivered", self.queue, error)

    def put_back(self, deliveries: Sequence[Delivery]) -> None:
        """Undo the taking; see `shared.amqp.broker.Inlet`."""
        self._in_hand.put_back(deliveries)

    def empty(self) -> list[Delivery]:
        """Take all; see `shared.amqp.broker.Inlet`."""
        return self._in_hand.arrivals.empty()

    def pause(self) -> None:
        """Cancel the consumer and keep what is in hand."""
        self._wanted = False
        self._changed.set()

    def resume(self, prefetch: int | None = None) -> None:
        """Consume again, unless closed meanwhile; see `shared.amqp.broker.Inlet`."""
        self._wanted = not self._closed
        self._prefetch = self._usual_prefetch if prefetch is None else prefetch
        self._changed.set()

    async def close(self) -> None:
        """Stop for good: no more batches but those already buffered are given back."""
        self._closed = True
        self._wanted = False
        self._changed.set()
        self._in_hand.arrivals.close()
        try:
            async with asyncio.timeout(_CANCEL_S):
                await self._cancel()
        except WIRE_ERRORS as error:
            log.debug("Cancelling the consumer of %s: %s", self.queue, error)
        await self.release([*self.empty(), *self._in_hand.take_refused()])

    async def run(self) -> None:
        """Keep the consumer as it is wanted, until cancelled.

        Raises ConsumerLost when the connection is up and the consumer cannot be restored in time.
        """
        failing_since: float | None = None
        while True:
            self._changed.clear()
            try:
                await self._reconcile()
                failing_since = None
                await self._watch()
            except WIRE_ERRORS as error:
                failing_since = await self._back_off(error, failing_since)

    async def _watch(self) -> None:
        """Wait for a change. A consumer that gets nothing from a queue that has something is made anew."""
        suspicious = 0
        while not self._changed.is_set():
            heard = self._in_hand.heard
            try:
                async with asyncio.timeout(self._durations.consumer_watch_s):
                    await self._changed.wait()
            except TimeoutError:
                silent = heard == self._in_hand.heard and self._in_hand.is_empty
                suspicious = suspicious + 1 if silent and await self._has_ready_messages() else 0
                if self._in_hand.is_over_large_bodies:
                    await self._consume_many_again()
            if suspicious > 1:
                log.warning("%s has messages but its consumer gets none; consuming anew", self.queue)
                await self._close_channel()

    async def _consume_many_again(self) -> None:
        """The large bodies are done: back to the usual number at once."""
        self._in_hand.forget_large_bodies()
        await self._cancel()
        self._changed.set()

    async def _has_ready_messages(self) -> bool:
        if self._consumer_tag is None or not self._link.is_up:
            return False
        state = await (await self._link.wire()).queue_state(self.queue)
        return state is not None and bool(state.messages)

    async def _close_channel(self) -> None:
        channel = self._channel
        self._on_closed(self._in_hand.generation)
        if channel is not None:
            await channel.close()

    async def _reconcile(self) -> None:
        wanted = self._is_wanted_now
        if not wanted or self._in_hand.has_refused or self._prefetch != self._consumed_prefetch:
            await self._cancel()
            await self.release(self._in_hand.take_refused())
        if wanted and self._consumer_tag is None:
            await self._consume()

    @property
    def _is_wanted_now(self) -> bool:
        return self._wanted and not self._in_hand.is_throttled

    async def _cancel(self) -> None:
        channel, tag = self._channel, self._consumer_tag
        self._consumer_tag = None
        if channel is not None and tag is not None:
            self._cancelling = True
            try:
                await channel.cancel(tag)
            finally:
                self._cancelling = False

    async def _back_off(self, error: BaseException, failing_since: float | None) -> float | None:
        if not self._link.is_up:
            await self._link.wire()
            return None
        now = time.monotonic()
        since = now if failing_since is None else failing_since
        log.warning("Cannot consume %s (%s: %s); trying again", self.queue, type(error).__name__, error)
        if now - since > self._durations.consumer_restore_s:
            raise ConsumerLost(f"the consumer of {self.queue} could not be restored: {error}") from error
        await asyncio.sleep(self._durations.reconnect_s)
        return since

    async def _consume(self) -> None:
        if self._channel is None or self._channel.is_closed:
            opened = await (await self._link.wire()).open_consumer()
            generation = self._in_hand.begin_generation()
            opened.listen(
                Listener(
                    self.queue,
                    generation,
                    self._in_hand.add,
                    self._on_cancelled,
                    lambda reason: self._on_closed(generation, reason),
                )
            )
            self._channel = opened
        channel = self._channel
        self._consumed_prefetch = self._prefetch
        tag = await channel.consume(self.queue, self._in_hand.prefetch(self._prefetch))
        if tag != self._cancelled_tag and self._channel is channel:
            self._consumer_tag = tag

    def _on_closed(self, generation: int, reason: str | None = None) -> None:
        if generation == self._in_hand.generation:
            if reason is not None:
                log.warning("RabbitMQ closed the channel of %s: %s; consuming anew", self.queue, reason)
            self._channel = None
            self._consumer_tag = None
            self._in_hand.drop()
            self._changed.set()

    def _on_cancelled(self, tag: str) -> None:
        self._cancelled_tag = tag
        self._consumer_tag = None
        self._changed.set()
