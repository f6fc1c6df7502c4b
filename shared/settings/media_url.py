"""Whether a media URL may be handed on: http or https, on a host that is allowed.

Owns the check of the text. It asks no DNS: a public name that resolves to a private address is not found
here, and whoever fetches the URL must check the address it connects to. The port is not judged.
"""

import re
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_network
from typing import Final
from unicodedata import normalize
from urllib.parse import urlsplit

import idna

_AUTHORITY: Final = re.compile(r"(?:\[(?P<address>[0-9A-Fa-f:.]+)\]|(?P<name>[^\[\]:@]+))(?::[0-9]{1,5})?")
_LABEL: Final = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?")
_NUMBER: Final = re.compile(r"[0-9]+|0x[0-9a-f]*")
_HOST_LENGTH: Final = 253
#: Names that are never public, whole or as the end of a name.
_PRIVATE_ENDINGS: Final = (".localhost", ".local", ".internal", ".localdomain", ".home.arpa")
#: What `is_global` of some Python releases still takes for public.
_PRIVATE_NETWORKS: Final = tuple(
    ip_network(network)
    for network in ("192.0.0.0/24", "192.88.99.0/24", "64:ff9b:1::/48", "fec0::/10", "3fff::/20", "5f00::/16")
)
#: Networks whose last 32 bits are an IPv4 address: mapped, compatible, translated.
_EMBEDDING: Final = tuple(IPv6Network(n) for n in ("::ffff:0:0/96", "::/96", "64:ff9b::/96"))


class InvalidMediaUrl(Exception):  # noqa: N818 - the vocabulary of dead letters
    """A media URL that must not be handed on. Its text names the rule, never the URL (secrets)."""


def check_media_url(url: str, allowed_hosts: tuple[str, ...]) -> None:
    """Return where `url` may be handed on, raise InvalidMediaUrl where not. Pure and fast.

    `allowed_hosts`: exact hosts, or `.suffix` for every host below a domain (not the domain itself); names
    may be Unicode. Empty means any public host: no address that is private, loopback, link-local or otherwise
    reserved, in whatever notation, and no local name. A host that the list names is allowed whatever it is.
    """
    host = _host(url)
    if allowed_hosts:
        if not any(_matches(host, canonical_entry(entry)) for entry in allowed_hosts):
            raise InvalidMediaUrl(f"media_url: host {host} is not allowed")
    elif not _is_public(host):
        raise InvalidMediaUrl(f"media_url: host {host} is not public")


@lru_cache(maxsize=256)
def canonical_entry(entry: str) -> str:
    """An entry of a list of allowed hosts in its one form. Raises InvalidMediaUrl if it matches no host."""
    if entry.startswith("."):
        suffix = _canonical_name(entry[1:])
        if _NUMBER.fullmatch(suffix.rpartition(".")[2]):
            raise InvalidMediaUrl("an address has no hosts below it")
        return f".{suffix}"
    if entry.startswith("[") and entry.endswith("]"):
        return _canonical_address(entry[1:-1])
    return _canonical_address(entry) if ":" in entry else _canonical_name(entry)


def _host(url: str) -> str:
    """The host in its one form: lower-case ASCII, or an address as `ipaddress` writes it."""
    if not url.isprintable() or " " in url or "\\" in url:
        raise InvalidMediaUrl("media_url: white space, control characters and backslashes are not allowed")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise InvalidMediaUrl("media_url: not a URL") from None
    if parts.scheme not in ("http", "https"):
        raise InvalidMediaUrl("media_url: neither http nor https")
    if "@" in parts.netloc:
        raise InvalidMediaUrl("media_url: user information is not allowed")
    authority = _AUTHORITY.fullmatch(parts.netloc)
    if authority is None or port == 0:
        raise InvalidMediaUrl("media_url: neither a host nor a host and port")
    address = authority["address"]
    return _canonical_address(address) if address else _canonical_name(authority["name"])


def _canonical_address(host: str) -> str:
    try:
        return str(IPv6Address(host))
    except ValueError:
        raise InvalidMediaUrl("media_url: not an IPv6 address") from None


def _canonical_name(host: str) -> str:
    if len(host) > _HOST_LENGTH:  # before it is converted, which takes the square of its length
        raise InvalidMediaUrl("media_url: not a host name")
    name = host.lower() if host.isascii() else _ascii_name(host)
    labels = name.split(".")
    if len(name) > _HOST_LENGTH or not all(_LABEL.fullmatch(label) for label in labels):
        raise InvalidMediaUrl("media_url: not a host name")
    if _NUMBER.fullmatch(labels[-1]):
        return _canonical_number(name)
    return name


def _ascii_name(host: str) -> str:
    """Punycode of a Unicode name. Characters that stand for others (full-width letters, dots) are refused."""
    if normalize("NFKC", host) != host:
        raise InvalidMediaUrl("media_url: not a host name in normal form")
    try:
        return idna.encode(host.lower(), strict=True).decode()
    except idna.IDNAError:
        raise InvalidMediaUrl("media_url: not a host name") from None


def _canonical_number(name: str) -> str:
    """A name that ends in a number is an IPv4 address; only four decimal numbers mean one to everyone."""
    try:
        return str(IPv4Address(name))
    except ValueError:
        raise InvalidMediaUrl("media_url: an address that is not four decimal numbers") from None


def _matches(host: str, entry: str) -> bool:
    return host.endswith(entry) if entry.startswith(".") else host == entry


def _is_public(host: str) -> bool:
    if ":" in host:
        return all(map(_is_public_address, _meanings(IPv6Address(host))))
    if _NUMBER.fullmatch(host.rpartition(".")[2]):
        return _is_public_address(IPv4Address(host))
    return "." in host and not f".{host}".endswith(_PRIVATE_ENDINGS)


def _meanings(address: IPv6Address) -> list[IPv4Address | IPv6Address]:
    """The address that is reached in the end: an IPv4 address inside stands for the whole."""
    if any(address in network for network in _EMBEDDING):
        return [IPv4Address(int(address) & 0xFFFF_FFFF)]
    return [a for a in (address, address.sixtofour, *(address.teredo or ())) if a is not None]


def _is_public_address(address: IPv4Address | IPv6Address) -> bool:
    reserved = any(address in network for network in _PRIVATE_NETWORKS)
    return address.is_global and not address.is_multicast and not reserved
