"""What a tester may set on a running sandbox, at start and through `PUT /_sandbox/settings`.

Owns names, defaults and bounds. Delays and latency are milliseconds.
"""

from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field

Fraction = Annotated[float, Field(ge=0, le=1)]
Milliseconds = Annotated[float, Field(ge=0, le=3_600_000)]


class StatusDelays(BaseModel):
    """When each status follows acceptance; null leaves that status out (a customer without read receipts)."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    sent: Milliseconds | None = 50
    delivered: Milliseconds | None = 150
    read: Milliseconds | None = 400


class Fault(BaseModel):
    """A fault for every send call, or the next `times`, or those of one number.

    `code` null answers without a Graph error, as a gateway in between would; `http_status` null is the
    code's usual one. `accepted` takes the message all the same: it is recorded and its statuses are sent.
    `answer`: "error" is the above; the others take every message and answer "none" at all, the connection
    left open, "closed", or "half" of the answer that it has earned.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    code: int | None = 131000
    error_subcode: int | None = None
    http_status: Annotated[int, Field(ge=400, le=599)] | None = None
    retry_after_s: Annotated[int, Field(ge=0)] | None = None
    accepted: bool = False
    answer: Literal["error", "none", "closed", "half"] = "error"
    times: Annotated[int, Field(ge=1)] | None = None
    phone_number_id: str | None = None


class SandboxSettings(BaseModel):
    """`token` null takes any bearer token. `number_mps` null and `pair_rate_limit` false mean no limit.

    `hide_phones`: answers, statuses and system messages name customers by their ids alone.
    `message_status` is what the answer to a template says of it.
    `reorder` and `repeat` are fractions of statuses: those told in place of the next one, those told twice.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    token: Annotated[str, Field(min_length=1)] | None = Field(default=None, exclude=True, repr=False)
    latency_ms: Milliseconds = 0
    number_mps: Annotated[int, Field(ge=1)] | None = None
    pair_rate_limit: bool = False
    hide_phones: bool = False
    message_status: Literal["accepted", "held_for_quality_assessment", "paused"] = "accepted"
    statuses: bool = True
    status_delay_ms: StatusDelays = StatusDelays()
    status_jitter: Fraction = 0.2
    reorder: Fraction = 0
    repeat: Fraction = 0
    fault: Fault | None = None

    def changed(self, changes: dict[str, Any]) -> Self:
        """These settings with `changes` over them, validated. Raises `pydantic.ValidationError`."""
        delays = changes.get("status_delay_ms")
        if isinstance(delays, dict):
            changes = changes | {"status_delay_ms": dict(self.status_delay_ms) | delays}
        return self.model_validate(dict(self) | changes)
