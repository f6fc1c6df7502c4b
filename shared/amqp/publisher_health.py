"""Since when publishing fails, told by what became of each publication. Pure.

Owns what is known of the publisher as a whole and of single destinations. It decides nothing.
"""

from collections.abc import Callable, Sequence
from typing import TypeAlias

from shared.amqp.delivery import Publication
from shared.errors import PublishRefused, WabusError

#: Exchange and routing key.
Destination: TypeAlias = tuple[str, str]


class PublisherHealth:
    """Derived from outcomes alone; a success, whoever had it, ends what the failures before it began."""

    def __init__(self) -> None:
        self._answers = _Run()
        self._destinations: dict[Destination, _Run] = {}

    @property
    def silent_since(self) -> float | None:
        """Since when RabbitMQ answers nobody who publishes; None while it does."""
        return self._answers.failing_since

    def follow(self, destination: Destination | None) -> Callable[[], float | None]:
        """Keep a destination in mind: what is returned tells since when nothing published there is confirmed.

        It returns None while that is, and for None.
        """
        if destination is None:
            return lambda: None
        run = self._destinations.setdefault(destination, _Run())
        return lambda: run.failing_since

    def note_answer(self, at: float) -> None:
        """RabbitMQ has answered the publisher, whatever it was asked."""
        self._answers.note(True, at, at)

    def note(
        self, batch: Sequence[Publication], outcomes: Sequence[WabusError | None], began: float, ended: float
    ) -> None:
        """Outcomes of what was published together, at these (monotonic) times."""
        answered = any(error is None or isinstance(error, PublishRefused) for error in outcomes)
        self._answers.note(answered, began, ended)
        for item, error in zip(batch, outcomes, strict=True):
            run = self._destinations.get((item.exchange, item.routing_key))
            if run is not None:
                run.note(error is None, began, ended)


class _Run:
    """A run of failures. One that began before the last success ended counts from that success on."""

    __slots__ = ("_succeeded", "failing_since")

    def __init__(self) -> None:
        self.failing_since: float | None = None
        self._succeeded = 0.0

    def note(self, succeeded: bool, began: float, ended: float) -> None:
        if succeeded:
            self.failing_since = None
            self._succeeded = ended
        elif self.failing_since is None:
            self.failing_since = max(began, self._succeeded)
