"""The parameters that the URL of a server may have, behind its `?`.

Owns their names and rules, the refusal of a URL that would speak in clear though it names certificates, and
of certificates that are not there. What a client does with them is the client's.
"""

import base64
import difflib
import re
import ssl
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final
from urllib.parse import parse_qsl

_SSL_MODES: Final = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")
#: Modes in which PostgreSQL's client speaks in clear, or takes any certificate.
_UNCHECKED_MODES: Final = ("disable", "allow", "prefer")
#: By kind of server: the parameter that names certificates to trust, and those that name our own.
_TRUSTED: Final[Mapping[str, str]] = {"amqp": "cafile", "redis": "ssl_ca_certs", "postgresql": "sslrootcert"}
_OWN: Final[Mapping[str, tuple[str, str]]] = {
    "amqp": ("certfile", "keyfile"),
    "redis": ("ssl_certfile", "ssl_keyfile"),
    "postgresql": ("sslcert", "sslkey"),
}
_OVER_TLS: Final[Mapping[str, str]] = {"amqp": "amqps", "redis": "rediss"}


def _any(_value: str) -> None:
    pass


def _number(value: str) -> None:
    if re.fullmatch(r"[0-9]{1,9}", value) is None:
        raise ValueError("must be a number")


def _one_of(*words: str) -> Callable[[str], None]:
    def check(value: str) -> None:
        if value not in words:
            raise ValueError(f"must be one of {', '.join(words)}")

    return check


def _certificates(value: str) -> None:
    try:
        ssl.create_default_context(cadata=base64.b64decode(value))
    except (ssl.SSLError, ValueError):
        raise ValueError("must be certificates in DER, in base64") from None


def _file(value: str) -> None:
    try:
        Path(value).read_bytes()
    except (OSError, ValueError) as error:
        cause = error.strerror if isinstance(error, OSError) else "not a path"
        raise ValueError(f"must name a readable file ({cause})") from None


def _ports(value: str) -> None:
    for port in value.split(","):
        _number(port or "0")


_FLAG: Final = _one_of("true", "false", "1", "0", "yes", "no", "on", "off")
#: Every parameter that is honoured; each refuses what its client could make nothing of.
_RULES: Final[Mapping[str, Mapping[str, Callable[[str], None]]]] = {
    "amqp": {
        "heartbeat": _number,
        "auth": _one_of("plain", "amqplain", "external"),
        "cafile": _file,
        "capath": _any,
        "cadata": _certificates,
        "certfile": _file,
        "keyfile": _file,
        "no_verify_ssl": _one_of("0", "1"),
    },
    "redis": {
        "db": _number,
        "client_name": _any,
        "health_check_interval": _number,
        "socket_keepalive": _FLAG,
        "ssl_ca_certs": _file,
        "ssl_ca_path": _any,
        "ssl_certfile": _file,
        "ssl_keyfile": _file,
        "ssl_cert_reqs": _one_of("none", "optional", "required"),
        "ssl_check_hostname": _FLAG,
    },
    "postgresql": {
        "host": _any,
        "port": _ports,
        "dbname": _any,
        "user": _any,
        "password": _any,
        "passfile": _any,
        "service": _any,
        "application_name": _any,
        "options": _any,
        "target_session_attrs": _one_of("read-write", "primary", "any"),
        "connect_timeout": _number,
        "keepalives": _one_of("0", "1"),
        "keepalives_idle": _number,
        "keepalives_interval": _number,
        "keepalives_count": _number,
        "tcp_user_timeout": _number,
        "sslmode": _one_of(*_SSL_MODES),
        "sslnegotiation": _one_of("postgres", "direct"),
        "sslrootcert": _file,
        "sslcert": _file,
        "sslkey": _file,
        "sslcrl": _file,
        "sslpassword": _any,
        "ssl_min_protocol_version": _one_of("TLSv1", "TLSv1.1", "TLSv1.2", "TLSv1.3"),
        "ssl_max_protocol_version": _one_of("TLSv1", "TLSv1.1", "TLSv1.2", "TLSv1.3"),
        "krbsrvname": _any,
        "gsslib": _one_of("gssapi", "sspi"),
    },
}


def read_parameters(query: str) -> dict[str, str]:
    """The parameters of a query. Raises ValueError with the rule, never a value."""
    if not query:
        return {}
    try:
        pairs = parse_qsl(query, keep_blank_values=True, strict_parsing=True)
    except ValueError:
        raise ValueError("must have its parameters in the form name=value") from None
    parameters = dict(pairs)
    if len(parameters) < len(pairs):
        raise ValueError("must have no parameter twice")
    if any("\0" in text for pair in pairs for text in pair):
        raise ValueError("must not hold a %00")
    return parameters


def check_parameters(kind: str, scheme: str, parameters: Mapping[str, str]) -> None:
    """Raise ValueError with the rule that one of them breaks."""
    rules = _RULES[kind]
    for name, value in parameters.items():
        if name not in rules:
            near = difflib.get_close_matches(name, rules, 1)
            hint = f": did you mean {near[0]}?" if near else f" (known: {', '.join(rules)})"
            raise ValueError(f"has an unknown parameter {name[:50]!r}{hint}")
        try:
            rules[name](value)
        except ValueError as error:
            raise ValueError(f"{name} {error}") from None
    if kind == "postgresql":
        _check_mode(parameters)
    elif scheme.partition("+")[0] not in _OVER_TLS.values():
        _check_clear(kind, parameters)
    _check_certificates(kind, parameters)


def _check_mode(parameters: Mapping[str, str]) -> None:
    mode = parameters.get("sslmode", "prefer")
    if "sslrootcert" in parameters and mode in _UNCHECKED_MODES:
        raise ValueError("sslrootcert needs sslmode=verify-full, or verify-ca")
    if parameters.get("sslnegotiation") == "direct" and mode in _UNCHECKED_MODES:
        raise ValueError("sslnegotiation=direct needs sslmode=require, verify-ca or verify-full")


def _check_clear(kind: str, parameters: Mapping[str, str]) -> None:
    for name in parameters:
        if name in (_TRUSTED[kind], *_OWN[kind]) or name.startswith("ssl_"):
            raise ValueError(f"{name} needs {_OVER_TLS[kind]}://")


def _check_certificates(kind: str, parameters: Mapping[str, str]) -> None:
    if (trusted := parameters.get(_TRUSTED[kind])) is not None:
        try:
            ssl.create_default_context(cafile=trusted)
        except ssl.SSLError:
            raise ValueError(f"{_TRUSTED[kind]} must name a file of certificates in PEM") from None
    certificate, key = (parameters.get(name) for name in _OWN[kind])
    if certificate is None:
        if key is not None:
            raise ValueError(f"{_OWN[kind][1]} needs {_OWN[kind][0]}")
        return
    try:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.load_cert_chain(certificate, key, password=parameters.get("sslpassword", ""))
    except (ssl.SSLError, ValueError):
        named = " and ".join(_OWN[kind])
        raise ValueError(f"{named} must name a certificate and its key, in PEM") from None
