"""The two kinds of payload, what comes in and what goes out; and what is a part of one."""

from typing import ClassVar, Literal

from pydantic import BaseModel, ConfigDict


class Part(BaseModel):
    """A part of what comes in: immutable; unknown fields are carried through, never refused."""

    model_config = ConfigDict(extra="allow", frozen=True)


class Payload(Part):
    """A payload in. Its class name is the AMQP `type`."""


class Event(BaseModel):
    """A payload out, published to `wa.events`. Its class name is the AMQP `type`."""

    model_config = ConfigDict(frozen=True)

    EVENT_TYPE: ClassVar[str]

    event_version: Literal[1] = 1

    @property
    def event_type(self) -> str:
        """The event's name and routing key."""
        return self.EVENT_TYPE
