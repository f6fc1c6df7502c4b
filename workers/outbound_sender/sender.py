"""The outbound sender's handler: a batch taken in, its messages sent as their turns come.

Owns what runs at once and in what order: batches of a queue are taken in one after the other, messages of one
customer and lane are sent one after the other, all else together. A message that hangs keeps nobody waiting
but its own customer, and what is only told of keeps nobody waiting at all.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, aclosing
from dataclasses import dataclass
from uuid import UUID

from shared.amqp.delivery import Delivery
from shared.amqp.disposition import Ack, Defer, Disposition, Retry, Told, Undone
from shared.consuming.collector import Collector
from shared.consuming.handling import Handler
from shared.consuming.settlement import Settled
from shared.errors import StoreLocked, StoreUnavailable
from shared.observability.metrics import Metrics, count_repairs
from workers.outbound_sender.chains import Chains, Turn
from workers.outbound_sender.claiming.store import ClaimStore
from workers.outbound_sender.intake.admission import Admission, Admitted
from workers.outbound_sender.intake.candidates import Candidate, take_in
from workers.outbound_sender.intake.shares import Shares
from workers.outbound_sender.message import EARLIER_MESSAGE, Outgoing, Repeated, Unaddressed
from workers.outbound_sender.results.telling import Teller
from workers.outbound_sender.sending import Sending

#: From so many deliveries on a message is worked alone among its like: it may be what kills the process.
_SUSPECT = 3


@dataclass(frozen=True, slots=True)
class Place:
    """A message in line. `would_go`: as things stood at the intake."""

    message: Outgoing
    turn: Turn
    would_go: bool


@dataclass(frozen=True, slots=True)
class Untold:
    """What is to be told of deliveries before they are done."""

    deliveries: Sequence[Delivery]
    what: Repeated | Unaddressed


@dataclass(frozen=True, slots=True)
class Taken:
    """What the intake made of a batch.

    What is settled already or was left, who stands in line, and of whom something is to be told first.
    """

    settled: list[Told]
    places: list[Place]
    untold: list[Untold]


@dataclass(frozen=True, slots=True)
class _Outcome:
    deliveries: Sequence[Delivery]
    result: Disposition | Exception


class IntakeLine:
    """Takes batches in, one call after the other for each queue: who comes first stands first."""

    def __init__(
        self, admission: Admission, claims: ClaimStore, chains: Chains, shares: Shares, metrics: Metrics
    ) -> None:
        self._admission = admission
        self._claims = claims
        self._chains = chains
        self._shares = shares
        self._metrics = metrics

    def has_left(self, delivery: Delivery) -> bool:
        """Whether it was left, since its customer was locked."""
        return delivery in self._admission.left

    async def take_left(self, delivery: Delivery, batch: Sequence[Candidate]) -> Taken:
        """As `take`, one that was left, beside calls for others: it waits. Raises StoreLocked if in vain."""
        with self._admission.left.admitting([delivery]):
            return (await self._take([batch], patiently=True))[0]

    async def take(self, batches: Sequence[Sequence[Candidate]]) -> list[Taken]:
        """Admit the candidates of several batches together and give each message its place, or none."""
        return await self._take(batches, patiently=False)

    async def _take(self, batches: Sequence[Sequence[Candidate]], *, patiently: bool) -> list[Taken]:
        candidates = [candidate for batch in batches for candidate in batch]
        with self._shares.taking() as hands:
            admitted = await self._admission.admit(candidates, hands, patiently=patiently)
            placed = [item for item in admitted.values() if isinstance(item, Outgoing)]
            going = await self._claims.screen(placed) if placed else set[UUID]()
        return [self._place(batch, admitted, going) for batch in batches]

    def _place(
        self, batch: Sequence[Candidate], admitted: Mapping[Candidate, Admitted], going: set[UUID]
    ) -> Taken:
        taken = Taken([], [], [])
        for candidate in batch:
            match admitted[candidate]:
                case Outgoing() as message:
                    turn = self._chains.join(message.chain)
                    taken.places.append(Place(message, turn, message.id in going))
                case Undone() as undone:
                    taken.settled.extend((delivery, undone) for delivery in candidate.deliveries)
                case Repeated() | Unaddressed() as what:
                    taken.untold.append(Untold(candidate.deliveries, what))
                    self._count_repeated(candidate, what.then)
                case disposition:
                    taken.settled.extend(_settle(candidate.deliveries, disposition))
                    self._count_repeated(candidate, disposition)
        return taken

    def _count_repeated(self, candidate: Candidate, disposition: Disposition) -> None:
        count_duplicates(self._metrics, len(candidate.deliveries) - (not isinstance(disposition, Ack)))


class OutboundSender(Handler):
    """Handles one of the three queues. `intake` is the `take` of `line`, fed in the order of coming."""

    def __init__(
        self,
        line: IntakeLine,
        intake: Collector[Sequence[Candidate], Taken],
        sending: Sending,
        teller: Teller,
        shares: Shares,
        metrics: Metrics,
        *,
        allowed_hosts: tuple[str, ...],
    ) -> None:
        self._line = line
        self._intake = intake
        self._sending = sending
        self._teller = teller
        self._shares = shares
        self._metrics = metrics
        self._allowed_hosts = allowed_hosts
        self._suspects = asyncio.Lock()

    async def handle(self, batch: Sequence[Delivery]) -> AsyncIterator[Sequence[Told]]:
        """Send a batch; see `shared.consuming.consumer.Handler`."""
        async with AsyncExitStack() as stack:
            if any(delivery.deliveries_before >= _SUSPECT for delivery in batch):
                await stack.enter_async_context(self._suspects)
            intake = take_in(batch, self._allowed_hosts)
            count_repairs(
                self._metrics,
                "outbound-sender",
                intake.characters_replaced,
                intake.fields_dropped,
                intake.texts_flattened,
            )
            taken = Taken([], [], [])
            if intake.candidates:
                if len(batch) == 1 and self._line.has_left(batch[0]):
                    taken = await self._line.take_left(batch[0], intake.candidates)
                else:
                    taken = await self._intake.submit(intake.candidates)
            settled = [*intake.dead, *taken.settled]
            groups = await stack.enter_async_context(aclosing(self._go_on(settled, taken)))
            async for group in groups:
                yield group

    async def _go_on(self, settled: Sequence[Told], taken: Taken) -> AsyncGenerator[Sequence[Told], None]:
        """Give dispositions as they come; an error of one is raised when all others are done.

        Who finds the store away or a row locked need not wait for others.
        """
        done: asyncio.Queue[_Outcome] = asyncio.Queue()
        tasks = [
            asyncio.create_task(self._send_one(place, done), name="send outbound message")
            for place in taken.places
        ]
        if taken.untold:
            tasks.append(asyncio.create_task(self._tell(taken.untold, done), name="tell of what is not sent"))
        errors: list[Exception] = []
        left = len(taken.places) + len(taken.untold)
        try:
            if settled:
                yield settled
            while left:
                outcomes = [await done.get()]
                while not done.empty():
                    outcomes.append(done.get_nowait())
                left -= len(outcomes)
                group: list[Told] = []
                for item in outcomes:
                    match item.result:
                        case StoreUnavailable() | StoreLocked() as error:
                            group += [(delivery, Undone(error)) for delivery in item.deliveries]
                        case Exception() as error:
                            errors.append(error)
                        case disposition:
                            group += _settle(item.deliveries, disposition)
                if group:
                    yield group
        finally:
            await _end(tasks)
        if errors:
            raise errors[0]

    async def _send_one(self, place: Place, done: "asyncio.Queue[_Outcome]") -> None:
        message = place.message
        waiting: frozenset[UUID] = frozenset()
        try:
            earlier = await place.turn.come()
            if earlier - {message.id}:
                disposition: Disposition = message.defer(EARLIER_MESSAGE, None)
            else:
                disposition = await self._sending.send(message, needs_permit=place.would_go)
            if isinstance(disposition, Defer | Retry):
                waiting = earlier if _is_behind(disposition) else earlier | {message.id}
            count_duplicates(self._metrics, len(message.copies))
            done.put_nowait(_Outcome(_deliveries(message), disposition))
        except Exception as error:
            done.put_nowait(_Outcome(_deliveries(message), error))
        finally:
            place.turn.leave(waiting)
            self._shares.give_back(message)

    async def _tell(self, untold: Sequence[Untold], done: "asyncio.Queue[_Outcome]") -> None:
        try:
            await self._teller.tell([item.what for item in untold])
            for item in untold:
                done.put_nowait(_Outcome(item.deliveries, item.what.then))
        except Exception as error:
            for item in untold:
                done.put_nowait(_Outcome(item.deliveries, error))


def _is_behind(disposition: Disposition) -> bool:
    """Whether it waits for an earlier message, which may come after it: then nobody must wait for it here."""
    return isinstance(disposition, Defer) and disposition.reason == EARLIER_MESSAGE


def count_duplicates(metrics: Metrics, count: int) -> None:
    """Deliveries of what was done already."""
    if count:
        metrics.duplicate_messages.labels("outbound-sender").inc(count)


def _settle(deliveries: Sequence[Delivery], disposition: Disposition) -> list[Settled]:
    """The first copy gets the disposition; the others are done with it."""
    first, *copies = deliveries
    return [(first, disposition), *((copy, Ack()) for copy in copies)]


def _deliveries(message: Outgoing) -> list[Delivery]:
    return [message.delivery, *message.copies]


async def _end(tasks: Sequence[asyncio.Task[None]]) -> None:
    """Cancel what runs still (we were cancelled) and wait for it: nothing outlives its batch."""
    for task in tasks:
        task.cancel()
    if tasks:
        await asyncio.wait(tasks)
