"""The error tree: what can go wrong, in our own words.

Owns the classes only. Third-party errors are translated into these once, in the adapter that speaks to the
third party; what a consumer does about each is decided in `shared.consuming`. Imports nothing of ours.
"""

# ruff: noqa: N818 - the names say what happened, as one reads them in an `except`


class WabusError(Exception):
    """Anything this system raises knowingly. Its text is one line for an operator, without secrets."""


class SettingsError(WabusError):
    """A setting is missing or breaks its rule: the program prints the line and exits 2."""


class StackError(WabusError):
    """The local stack of servers cannot be started or stopped; the text says what is missing."""


class SchemaMismatch(WabusError):
    """The database's schema is absent, older or newer than this program knows."""


class TopologyMissing(WabusError):
    """A queue or an exchange is absent, or exists with other arguments than ours."""


class TopologyForbidden(WabusError):
    """The user may not declare or bind what is ours: the text names the right and the command."""


class StoreError(WabusError):
    """A statement on PostgreSQL did not succeed; one of those below is raised."""


class StoreUnavailable(StoreError):
    """Away: refused, lost, starting, read-only, full or out of connections. No message is to blame."""


class StoreMisconfigured(StoreUnavailable):
    """It answers, but does not let us work: a right, a table or a column is missing, or what is between us.

    The installation is to blame, never a message; the text ends in what to do.
    """


class StoreConflict(StoreError):
    """Deadlock, serialization failure, lock or statement time-out: the same again may well succeed."""


class StoreLocked(StoreConflict):
    """A row is locked by somebody who keeps it: whoever needs it waits alone, all others go on."""


class StoreDataError(StoreError):
    """Some message of the batch is to blame: its data, a constraint that it breaks, a limit it exceeds."""


class BrokerError(WabusError):
    """Something between us and RabbitMQ failed; one of those below is raised."""


class BrokerUnavailable(BrokerError):
    """RabbitMQ is away, or closed our connection or channel."""


class PublishFailed(BrokerError):
    """A publication was refused, returned as unroutable, or not confirmed in time (it may be out)."""


class PublishRefused(PublishFailed):
    """RabbitMQ said no: a queue is full, or no queue takes it. Whoever publishes it is told the same."""


class Unpublishable(PublishFailed):
    """No frame takes this message (a name over 255 bytes, too large headers), whenever it is tried."""


class ConsumerLost(BrokerError):
    """A consumer is gone though the connection is up, and could not be restored: the process must end."""
