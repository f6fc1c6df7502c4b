"""Graph API errors as the Cloud API words them: codes, their usual HTTP status, and the JSON body.

Owns the form of a refusal; `send_request`, `recipients` and `platform` decide which request is refused.
Codes and statuses follow Meta's public list of Cloud API error codes.
"""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import orjson

NUMBER_GONE_SUBCODE = 33
INVALID_PARAMETER = 100
ACCESS_TOKEN_INVALID = 190
NUMBER_RATE_LIMIT = 130429
COUNTRY_RESTRICTED = 130497
GENERIC_FAILURE = 131000
PARAMETER_MISSING = 131008
PARAMETER_VALUE_INVALID = 131009
UNDELIVERABLE = 131026
ACCOUNT_LOCKED = 131031
WINDOW_CLOSED = 131047
OPTED_OUT = 131050
PAIR_RATE_LIMIT = 131056
TEMPLATE_UNKNOWN = 132001
TEMPLATE_TEXT_TOO_LONG = 132005

#: code -> (usual HTTP status, title)
KNOWN_ERRORS: Mapping[int, tuple[int, str]] = MappingProxyType(
    {
        0: (401, "AuthException"),
        1: (400, "API Unknown"),
        2: (503, "API Service"),
        3: (500, "API Method"),
        4: (400, "API Too Many Calls"),
        10: (403, "Permission Denied"),
        33: (400, "Parameter value is not valid"),
        INVALID_PARAMETER: (400, "Invalid parameter"),
        ACCESS_TOKEN_INVALID: (401, "Access token has expired"),
        200: (403, "API Permission"),
        368: (403, "Temporarily blocked for policies violations"),
        613: (400, "Calls to this api have exceeded the rate limit"),
        2500: (404, "Unknown path components"),
        80007: (400, "Rate limit issues"),
        NUMBER_RATE_LIMIT: (429, "Rate limit hit"),
        130472: (400, "User's number is part of an experiment"),
        COUNTRY_RESTRICTED: (403, "Business account is restricted from messaging users in this country"),
        GENERIC_FAILURE: (500, "Something went wrong"),
        131005: (403, "Access denied"),
        PARAMETER_MISSING: (400, "Required parameter is missing"),
        PARAMETER_VALUE_INVALID: (400, "Parameter value is not valid"),
        131016: (500, "Service unavailable"),
        131021: (400, "Recipient cannot be sender"),
        UNDELIVERABLE: (400, "Message Undeliverable"),
        131030: (400, "Recipient phone number not in allowed list"),
        ACCOUNT_LOCKED: (403, "Account has been locked"),
        131037: (400, "Display name approval is needed"),
        131042: (400, "Business eligibility payment issue"),
        131045: (500, "Incorrect certificate"),
        WINDOW_CLOSED: (400, "Re-engagement message"),
        131048: (400, "Spam Rate limit hit"),
        131049: (400, "Message was not delivered to maintain healthy ecosystem engagement"),
        OPTED_OUT: (400, "User has stopped marketing messages"),
        131051: (400, "Unsupported message type"),
        131052: (400, "Media download error"),
        131053: (400, "Media upload error"),
        PAIR_RATE_LIMIT: (400, "(Business Account, Consumer Account) pair rate limit hit"),
        131057: (500, "Account in maintenance mode"),
        131062: (400, "Business-scoped user id is not supported for this message"),
        132000: (400, "Template Param Count Mismatch"),
        TEMPLATE_UNKNOWN: (404, "Template does not exist in the translation"),
        TEMPLATE_TEXT_TOO_LONG: (400, "Template Hydrated Text Too Long"),
        132007: (400, "Template Format Character Policy Violated"),
        132012: (400, "Template Parameter Format Mismatch"),
        132015: (400, "Template is Paused"),
        132016: (400, "Template is Disabled"),
        133010: (400, "Phone number Not Registered"),
        133016: (400, "Account register deregister rate limit exceeded"),
        135000: (400, "Generic user error"),
    }
)
_TRANSIENT = frozenset({1, 2, GENERIC_FAILURE, 131016, 131057})


@dataclass(frozen=True, slots=True)
class GraphError:
    """One refusal. `retry_after_s` becomes the header Retry-After."""

    code: int
    http_status: int
    title: str
    details: str
    retry_after_s: int | None = None
    subcode: int | None = None

    def encode(self) -> bytes:
        """The error as the JSON body of an answer, with a trace id of its own."""
        error: dict[str, object] = {
            "message": f"(#{self.code}) {self.title}",
            "type": "OAuthException",
            "code": self.code,
            "error_data": {"messaging_product": "whatsapp", "details": self.details},
            "fbtrace_id": f"A{secrets.token_urlsafe(16)}",
        }
        if self.subcode is not None:
            error["error_subcode"] = self.subcode
        if self.code in _TRANSIENT:
            error["is_transient"] = True
        return orjson.dumps({"error": error})


class RequestRefused(Exception):  # noqa: N818 - the name says what happened, as the platform sees it
    """The platform answers with an error instead of accepting the message."""

    def __init__(self, error: GraphError) -> None:
        super().__init__(f"{error.code}: {error.details}")
        self.error = error


def make_error(
    code: int,
    details: str = "",
    *,
    http_status: int | None = None,
    retry_after_s: int | None = None,
    subcode: int | None = None,
) -> GraphError:
    """An error with its usual HTTP status and title; a code that is not known here has 400."""
    usual_status, title = KNOWN_ERRORS.get(code, (400, "Error"))
    return GraphError(code, http_status or usual_status, title, details or title, retry_after_s, subcode)
