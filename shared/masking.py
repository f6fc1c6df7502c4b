"""What must not be read by everyone who reads a log: URL credentials, tokens, customers' addresses; and what
must not be obeyed by a terminal: control characters.

Owns how each is masked. Does not decide where: settings' errors and logs do. Imports nothing of ours.
"""

import re
from typing import Final

MASK: Final = "***"

#: `scheme://user:password@`, up to the last @ before a blank: passwords may hold @, / and ? unescaped.
_USER_INFO: Final = re.compile(r"(?<=://)\S*@")
#: A sentence that goes on, such as "Session has expired" after "access token: ": two words of letters.
_PROSE: Final = r"(?-i:[A-Z]?[a-z]{1,15} [a-z]{2,15}\b(?![-_.~+/=|]))"
#: Credentials in a query or a header, such as `?password=x`, `access_token: x`, `Authorization: Bearer x`.
_NAMED_SECRET: Final = re.compile(
    rf"(?i)\b(?!token:\s{_PROSE})((?:ssl|pg)?password|passwd|(?:access_|verify_)?token|(?:app_|client_)?secret|api_?key)"
    r"([\"']?\s*[=:]\s*[\"']?)[^\s&\"',;)}]+"
)
_BEARER: Final = re.compile(
    rf"(?i)\b(bearer\s+(?!{_PROSE})|authorization[\"']?\s*[:=]\s*[\"']?basic\s+)[A-Za-z0-9._~+/=|-]{{6,}}"
)
#: Access tokens of the Graph API begin with EAA.
_GRAPH_TOKEN: Final = re.compile(r"\bEAA[A-Za-z0-9]{16,}")


def mask_url(url: str) -> str:
    """`url` without its user, password and secret query values; host, port and path stay readable."""
    return _NAMED_SECRET.sub(rf"\1\2{MASK}", _USER_INFO.sub(f"{MASK}@", url))


def mask_secrets(text: str) -> str:
    """`text` without URL credentials, bearer tokens and values that stand beside a secret's name."""
    if not any(sign in text for sign in ("@", "=", ":", "EAA", "earer", "asic")):
        return text
    text = _BEARER.sub(rf"\1{MASK}", text)
    return _GRAPH_TOKEN.sub(MASK, mask_url(text))


def mask_address(wa_id: str) -> str:
    """A customer's address by which operators still tell two apart: country and the last two characters."""
    return f"{wa_id[:2]}{MASK}{wa_id[-2:]}" if len(wa_id) > 6 else MASK


def escape_controls(text: str) -> str:
    """`text` as one line that moves, colours and reorders nothing on a terminal (`\\n`, `\\x1b`)."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
