"""What the URL of a server may be, before anybody connects, and what is read from it.

Owns schemes, hosts and paths; parameters are `shared.settings.url_parameters`'. Their use is the clients'.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from ipaddress import AddressValueError, IPv6Address
from typing import Final, TypeAlias
from urllib.parse import SplitResult, unquote, urlsplit

from pydantic import AfterValidator, SecretStr

from shared.addresses import Host
from shared.settings.url_parameters import check_parameters, read_parameters

#: What gives a URL at the moment when a connection is made: the file that holds it may have changed.
UrlSource: TypeAlias = Callable[[], str]

_LAST_PORT: Final = 65535
_PORTS: Final[Mapping[str, int]] = {
    "amqp": 5672,
    "amqps": 5671,
    "redis": 6379,
    "rediss": 6379,
    "redis+sentinel": 26379,
    "rediss+sentinel": 26379,
    "postgresql": 5432,
    "postgres": 5432,
}
_KINDS: Final[Mapping[str, str]] = {
    "amqps": "amqp",
    "postgres": "postgresql",
    "rediss": "redis",
    "redis+sentinel": "redis",
    "rediss+sentinel": "redis",
}
_HOST: Final = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]*)(?::(\d{0,5}))?")
#: Up to the hosts, then these.
_HOSTS: Final = re.compile(r"([A-Za-z+]+://(?:[^/?#]*@)?)([^/?#@]*)")
#: libpq's way to name a folder of sockets: `postgresql://%2Frun%2Fpostgresql/wabus`.
_SOCKET_FOLDER: Final = re.compile(r"(%2[Ff][A-Za-z0-9._%-]*)(?::(\d{0,5}))?")


@dataclass(frozen=True, slots=True, repr=False)
class ServerUrl:
    """A URL in its parts, decoded. `hosts`: those named, with their ports, in order."""

    scheme: str
    user: str | None
    password: str | None
    hosts: tuple[Host, ...]
    path: str
    parameters: Mapping[str, str]


def check_url(url: str, schemes: tuple[str, ...]) -> str:
    """`url`, where it has one of the schemes and a host. Raises ValueError with the rule, never the URL."""
    try:
        parts = _split(url)
    except ValueError:  # its text quotes the host's part, with the password
        raise ValueError("must be a URL") from None
    if parts.scheme not in schemes:
        raise ValueError(f"must start with {' or '.join(f'{scheme}://' for scheme in schemes)}")
    if any(character.isspace() or not character.isprintable() for character in url):
        raise ValueError("must be one URL without spaces")
    for host in parts.netloc.rpartition("@")[2].split(","):
        _read_host(host, 0, may_be_folder=parts.scheme in ("postgresql", "postgres"))
    return url


def read_server_url(url: str) -> ServerUrl:
    """A URL that `check_server_url` took, in its parts. Raises ValueError with the rule."""
    parts = _split(url)
    if "#" in url:
        raise ValueError("must not hold a # (write %23)")
    login, at, named = parts.netloc.rpartition("@")
    user, colon, password = login.partition(":")
    decoded = unquote(user), unquote(password), unquote(parts.path)
    if any("\0" in text for text in decoded):
        raise ValueError("must not hold a %00")
    folder = parts.scheme in ("postgresql", "postgres")
    hosts = [_read_host(host, _PORTS[parts.scheme], may_be_folder=folder) for host in named.split(",")]
    parameters = read_parameters(parts.query)
    port = _PORTS[parts.scheme]
    elsewhere = _hosts_behind(parameters, port) if folder else (("localhost", port),)
    return ServerUrl(
        scheme=parts.scheme,
        user=decoded[0] if at and user else None,
        password=decoded[1] if colon else None,
        hosts=tuple(host for host in hosts if host[0]) or elsewhere,
        path=decoded[2],
        parameters=parameters,
    )


def current_url(url: str | UrlSource) -> str:
    """What the URL is now."""
    return url if isinstance(url, str) else url()


def with_host(url: str, host: str, port: int) -> str:
    """`url` with one host in place of those that it names."""
    parts = _split(url)
    login, at, _ = parts.netloc.rpartition("@")
    shown = f"[{host}]" if ":" in host else host
    return parts._replace(netloc=f"{login}{at}{shown}:{port}").geturl()


def check_server_url(url: str, schemes: tuple[str, ...]) -> str:
    """`url`, where a client could use it. Raises ValueError with the rule, never the URL."""
    parts = read_server_url(check_url(url, schemes))
    kind = _KINDS.get(parts.scheme, parts.scheme)
    if kind == "redis":
        _check_redis(parts)
    check_parameters(kind, parts.scheme, parts.parameters)
    if kind == "postgresql" and "service" in parts.parameters and parts.hosts:
        raise ValueError("service names its own hosts: leave out those of the URL")
    return url


def server_url(*schemes: str) -> AfterValidator:
    """The validator of one server's URL."""

    def check(url: SecretStr) -> SecretStr:
        check_server_url(url.get_secret_value(), schemes)
        return url

    return AfterValidator(check)


def sentinel_service(url: ServerUrl) -> tuple[str, str]:
    """The service and the database (a number, 0 where none is named) of `redis+sentinel://…/service/db`."""
    service, _, db = url.path.removeprefix("/").rstrip("/").partition("/")
    return service, db or "0"


def _split(url: str) -> SplitResult:
    """`url` in its parts. Newer Pythons' `urlsplit` takes no second host in brackets, so it is given none."""
    begun = _HOSTS.match(url)
    if begun is None:
        return urlsplit(url)
    parts = urlsplit(begun[1] + url[begun.end() :])
    return parts._replace(netloc=parts.netloc + begun[2])


def _hosts_behind(parameters: Mapping[str, str], default_port: int) -> tuple[Host, ...]:
    """libpq's other way to name them: `?host=a,b&port=1,2`."""
    named = parameters.get("host", "").split(",")
    ports = parameters.get("port", "").split(",")
    if len(ports) not in (1, len(named)) or (named == [""] and ports != [""]):
        raise ValueError("must name one port, or as many as hosts")
    if len(ports) == 1:
        ports *= len(named)
    numbers = [int(port) if re.fullmatch(r"[0-9]{1,5}", port) else default_port for port in ports]
    return tuple((host, port) for host, port in zip(named, numbers, strict=True) if host)


def _check_redis(url: ServerUrl) -> None:
    if url.scheme.endswith("+sentinel"):
        service, db = sentinel_service(url)
        if not service or re.fullmatch(r"[0-9]{1,5}", db) is None:
            raise ValueError("must end in /SERVICE or /SERVICE/DATABASE, the database a number")
        return
    if len(url.hosts) > 1:
        raise ValueError("must name one host; for several use redis+sentinel://host,host/SERVICE")


def _read_host(text: str, default_port: int, *, may_be_folder: bool) -> Host:
    named = _HOST.fullmatch(text) or (_SOCKET_FOLDER.fullmatch(text) if may_be_folder else None)
    if named is None or int(named[2] or 0) > _LAST_PORT:
        raise ValueError("must name a host and, after a colon, a port number")
    host = unquote(named[1]).strip("[]")
    if named[1].startswith("["):
        try:
            IPv6Address(host)
        except AddressValueError:
            raise ValueError("must name an IPv6 address in its brackets") from None
    if "\0" in host:
        raise ValueError("must not hold a %00")
    return host, int(named[2] or default_port)
