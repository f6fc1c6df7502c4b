"""What the URL of a server may be, before anybody connects: scheme, host, and its settings for TLS.

Owns the refusal of a URL that would speak in clear though it names certificates, and of certificates that are
not there. How each client uses the URL is the client's.
"""

import re
import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import Final
from urllib.parse import parse_qs, urlsplit

from pydantic import AfterValidator, SecretStr

_LAST_PORT: Final = 65535
_SSL_MODES: Final = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")
#: Modes in which PostgreSQL's client speaks in clear, or takes any certificate.
_UNCHECKED_MODES: Final = ("disable", "allow", "prefer")
#: By kind of server: the parameter that names certificates to trust, and those that name our own.
_TRUSTED: Final[Mapping[str, str]] = {"amqp": "cafile", "redis": "ssl_ca_certs", "postgresql": "sslrootcert"}
_OWN: Final[Mapping[str, tuple[str, ...]]] = {
    "amqp": ("certfile", "keyfile"),
    "redis": ("ssl_certfile", "ssl_keyfile"),
    "postgresql": ("sslcert", "sslkey"),
}
_OVER_TLS: Final[Mapping[str, str]] = {"amqp": "amqps", "redis": "rediss"}
_REDIS_PARAMETERS: Final = frozenset(
    {
        "db",
        "client_name",
        "health_check_interval",
        "socket_keepalive",
        "ssl_ca_certs",
        "ssl_ca_path",
        "ssl_certfile",
        "ssl_keyfile",
        "ssl_cert_reqs",
        "ssl_check_hostname",
    }
)


def check_url(url: str, schemes: tuple[str, ...]) -> str:
    """`url`, where it has one of the schemes and a host. Raises ValueError with the rule, never the URL."""
    try:
        parts = urlsplit(url)
    except ValueError:  # its text quotes the host's part, with the password
        raise ValueError("must be a URL") from None
    if parts.scheme not in schemes:
        raise ValueError(f"must start with {' or '.join(f'{scheme}://' for scheme in schemes)}")
    if any(character.isspace() or not character.isprintable() for character in url):
        raise ValueError("must be one URL without spaces")
    for host in parts.netloc.rpartition("@")[2].split(","):
        named = re.fullmatch(r"(?:\[[^\]]*\]|[^:]*)(?::(\d{0,5}))?", host)
        if named is None or int(named[1] or 0) > _LAST_PORT:
            raise ValueError("must name a host and, after a colon, a port number")
    return url


def server_url(*schemes: str) -> AfterValidator:
    """The validator of one server's URL. The first scheme names the server's kind."""
    kind = schemes[0]

    def check(url: SecretStr) -> SecretStr:
        text = check_url(url.get_secret_value(), schemes)
        parameters = {name: values[0] for name, values in parse_qs(urlsplit(text).query).items()}
        _check_tls(kind, urlsplit(text).scheme, parameters)
        return url

    return AfterValidator(check)


def _check_tls(kind: str, scheme: str, parameters: Mapping[str, str]) -> None:
    if kind == "postgresql":
        _check_mode(parameters)
    else:
        _check_scheme(kind, scheme, parameters)
    if (trusted := parameters.get(_TRUSTED[kind])) is not None:
        _load_certificates(_TRUSTED[kind], trusted)
    for name in _OWN[kind]:
        if name in parameters:
            _read(name, parameters[name])


def _check_mode(parameters: Mapping[str, str]) -> None:
    mode = parameters.get("sslmode", "prefer")
    if mode not in _SSL_MODES:
        raise ValueError(f"sslmode must be one of {', '.join(_SSL_MODES)}")
    if "sslrootcert" in parameters and mode in _UNCHECKED_MODES:
        raise ValueError("sslrootcert needs sslmode=verify-full, or verify-ca")


def _check_scheme(kind: str, scheme: str, parameters: Mapping[str, str]) -> None:
    if kind == "redis" and (unknown := sorted(parameters.keys() - _REDIS_PARAMETERS)):
        raise ValueError(f"has an unknown parameter {unknown[0][:50]!r}")
    if kind == "redis" and not parameters.get("db", "0").isdecimal():
        raise ValueError("db must be a number")
    if scheme in _OVER_TLS.values():
        return
    for name in parameters:
        if name in (_TRUSTED[kind], *_OWN[kind]) or name.startswith("ssl_"):
            raise ValueError(f"{name} needs {_OVER_TLS[kind]}://")


def _load_certificates(name: str, path: str) -> None:
    _read(name, path)
    try:
        ssl.create_default_context(cafile=path)
    except ssl.SSLError:
        raise ValueError(f"{name} must name a file of certificates in PEM") from None


def _read(name: str, path: str) -> None:
    try:
        Path(path).read_bytes()
    except (OSError, ValueError) as error:
        cause = error.strerror if isinstance(error, OSError) else "not a path"
        raise ValueError(f"{name} must name a readable file ({cause})") from None
