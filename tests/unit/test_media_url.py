"""Media URLs: which may be handed on, and the many ways of looking like one."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.settings.media_url import InvalidMediaUrl, check_media_url

ALLOWED = ("cdn.example.org", ".fbcdn.net", "müller.de", "10.0.0.5", "[2001:db8::5]", "storage")


@pytest.mark.parametrize(
    "url",
    [
        "https://cdn.example.org/a.jpg",
        "http://cdn.example.org",
        "HTTPS://CDN.Example.ORG/a.jpg",
        "https://cdn.example.org:8443/a.jpg?token=a%20b#top",
        "https://cdn.example.org/ä/ö.jpg",
        "https://scontent.fbcdn.net/v/1",
        "https://a.b.fbcdn.net/v/1",
        "https://müller.de/a.jpg",
        "https://MÜLLER.de/a.jpg",
        "https://xn--mller-kva.de/a.jpg",
        "http://10.0.0.5/a.jpg",
        "http://[2001:DB8:0::5]:80/a.jpg",
        "http://storage/a.jpg",
    ],
)
def test_a_url_on_an_allowed_host_passes(url: str) -> None:
    check_media_url(url, ALLOWED)


@pytest.mark.parametrize(
    "url",
    [
        "https://evil-cdn.example.org/a",
        "https://cdn.example.org.evil.com/a",
        "https://evil.com/cdn.example.org",
        "https://evil.com?cdn.example.org",
        "https://evil.com#cdn.example.org",
        "https://cdn-example.org/a",
        "https://example.org/a",
        "https://www.cdn.example.org/a",
        "https://evilfbcdn.net/a",
        "https://fbcdn.net/a",
        "https://fbcdn.net.evil.com/a",
        "https://scontent.fbcdn.net.evil.com/a",
        "https://cdn.ex\N{CYRILLIC SMALL LETTER A}mple.org/a",
        "https://muller.de/a",
        "http://10.0.0.50/a",
        "http://10.0.0.6/a",
        "http://[2001:db8::6]/a",
        "http://storage.evil.com/a",
    ],
)
def test_a_look_alike_of_an_allowed_host_fails(url: str) -> None:
    with pytest.raises(InvalidMediaUrl, match="is not allowed"):
        check_media_url(url, ALLOWED)


@pytest.mark.parametrize(
    ("url", "rule"),
    [
        ("", "neither http nor https"),
        ("cdn.example.org/a", "neither http nor https"),
        ("//cdn.example.org/a", "neither http nor https"),
        ("ftp://cdn.example.org/a", "neither http nor https"),
        ("file:///etc/passwd", "neither http nor https"),
        ("javascript:alert(1)", "neither http nor https"),
        ("data:image/png;base64,AA==", "neither http nor https"),
        ("https:cdn.example.org", "neither a host"),
        ("https:///cdn.example.org/a", "neither a host"),
        ("https://", "neither a host"),
        ("https://:443/a", "neither a host"),
        ("https://cdn.example.org:/a", "neither a host"),
        ("https://cdn.example.org:0/a", "neither a host"),
        ("https://cdn.example.org:65536/a", "not a URL"),
        ("https://cdn.example.org:http/a", "not a URL"),
        ("https://cdn.example.org:\uff18\uff10/a", "a host|not a URL"),
        ("https://cdn.example.org:80:80/a", "a host|not a URL"),
        ("https://cdn.example.org@evil.com/a", "user information"),
        ("https://user:secret@cdn.example.org/a", "user information"),
        ("https://@cdn.example.org/a", "user information"),
        ("https://evil.com\\@cdn.example.org/a", "backslashes"),
        ("https:\\\\cdn.example.org\\a", "backslashes"),
        (" https://cdn.example.org/a", "white space"),
        ("https://cdn.example.org/a b", "white space"),
        ("https://cdn.example.org/a\n", "white space"),
        ("https://cdn.exa\tmple.org/a", "white space"),
        ("https://cdn.example.org\r\nHost: evil.com/a", "white space"),
        ("https://cdn.example.org\0.evil.com/a", "white space"),
        ("https://cdn.example\u200b.org/a", "white space"),
        ("https://cdn.example.org/\u202egpj.exe", "white space"),
        ("https://cdn.example.org\u00a0/a", "white space"),
        ("https://cdn.example.org./a", "not a host name"),
        ("https://.fbcdn.net/a", "not a host name"),
        ("https://a..fbcdn.net/a", "not a host name"),
        ("https://-a.fbcdn.net/a", "not a host name"),
        ("https://%63dn.example.org/a", "not a host name"),
        ("https://cdn.example.org%2eevil.com/a", "not a host name"),
        ("https://*.fbcdn.net/a", "not a host name"),
        ("https://a,b.fbcdn.net/a", "not a host name"),
        ("https://" + "a" * 64 + ".fbcdn.net/a", "not a host name"),
        ("https://" + "a." * 130 + "fbcdn.net/a", "not a host name"),
        ("https://cdn\uff0eexample\uff0eorg/a", "normal form"),
        ("https://cdn\u3002example\u3002org/a", "not a host name"),
        ("https://\uff43dn.example.org/a", "normal form"),
        ("https://cdn.example.org\uff0f.fbcdn.net/a", "not a URL|normal form"),
        ("https://cdn.ⓔxample.org/a", "normal form"),
        ("https://☃.fbcdn.net/a", "not a host name"),
        ("https://evil.com[::1]/a", "not a URL|neither a host"),
        ("https://[::1].fbcdn.net/a", "not a URL|neither a host"),
        ("https://[cdn.example.org]/a", "not a URL|neither a host"),
        ("https://[::1/a", "not a URL"),
        ("https://[fe80::1%25eth0]/a", "not a URL|neither a host"),
        ("https://[::ffff:1.2.3]/a", "not a URL|IPv6"),
        ("http://2130706433/a", "not four decimal numbers"),
        ("http://0x7f000001/a", "not four decimal numbers"),
        ("http://0x7f.0.0.1/a", "not four decimal numbers"),
        ("http://017700000001/a", "not four decimal numbers"),
        ("http://0177.0.0.1/a", "not four decimal numbers"),
        ("http://127.1/a", "not four decimal numbers"),
        ("http://127.0.0.0x1/a", "not four decimal numbers"),
        ("http://1.2.3.4.5/a", "not four decimal numbers"),
        ("http://256.1.1.1/a", "not four decimal numbers"),
        ("http://①②⑦.0.0.1/a", "normal form"),
    ],
)
def test_what_is_no_plain_web_address_fails_whatever_is_allowed(url: str, rule: str) -> None:
    for allowed in (ALLOWED, ()):
        with pytest.raises(InvalidMediaUrl, match=rule):
            check_media_url(url, allowed)


@pytest.mark.parametrize(
    "url",
    [
        "https://cdn.example.org/a",
        "https://my_bucket.s3.example.com/a",
        "https://bücher.example/a",
        "http://1.1.1.1/a",
        "http://172.32.0.1/a",
        "http://[2606:4700::1111]/a",
        "http://[::ffff:1.1.1.1]/a",
        "http://[64:ff9b::101:101]/a",
        "https://localhost.example.org/a",
        "https://10.example.org/a",
    ],
)
def test_without_a_list_any_public_host_passes(url: str) -> None:
    check_media_url(url, ())


@pytest.mark.parametrize(
    "host",
    [
        *("localhost", "LOCALHOST", "a.localhost", "intranet", "printer.local", "db.internal"),
        *("metadata.google.internal", "router.home.arpa", "host.localdomain"),
        *("127.0.0.1", "127.255.0.1", "0.0.0.0", "10.1.2.3", "172.16.0.1", "192.168.1.1"),
        *("169.254.169.254", "100.64.0.1", "198.18.0.1", "192.0.0.8", "192.0.2.1", "203.0.113.1"),
        *("224.0.0.1", "240.0.0.1", "255.255.255.255", "192.88.99.1"),
        *("[::]", "[::1]", "[fe80::1]", "[fc00::1]", "[fd12:3456::1]", "[fec0::1]", "[ff02::1]"),
        *("[2001:db8::1]", "[100::1]", "[64:ff9b:1::1]"),
        *("[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[::127.0.0.1]", "[64:ff9b::7f00:1]"),
        *("[2002:7f00:1::]", "[2002:a00:1::]", "[2001:0:a00:1::]"),
    ],
)
def test_without_a_list_no_private_host_passes(host: str) -> None:
    with pytest.raises(InvalidMediaUrl, match="is not public"):
        check_media_url(f"https://{host}/a", ())


def test_an_error_never_repeats_the_url() -> None:
    with pytest.raises(InvalidMediaUrl) as caught:
        check_media_url("https://evil.com/private?token=secret", ALLOWED)

    assert str(caught.value) == "media_url: host evil.com is not allowed"


names = st.from_regex(r"[a-z0-9]{1,10}(\.[a-z0-9]{1,10}){0,3}", fullmatch=True)


@given(names, st.sampled_from(["", ".", "-", "x", "@", "%2e", "\uff0e", "\u3002", "\\", "/", "#", "?", ":"]))
def test_no_host_passes_for_one_it_merely_contains(name: str, glue: str) -> None:
    """Whatever stands before or behind an allowed host makes it another, or no host at all."""
    for url in (f"https://{name}{glue}cdn.example.org.{name}/a", f"https://cdn.example.org{glue}{name}.org"):
        if glue in ("/", "#", "?") and url.startswith("https://cdn.example.org" + glue):
            continue
        with pytest.raises(InvalidMediaUrl):
            check_media_url(url, ("cdn.example.org",))


@given(st.text(max_size=60))
def test_no_text_raises_anything_but_invalid_media_url(text: str) -> None:
    for url in (text, f"https://{text}", f"https://cdn.example.org{text}"):
        for allowed in (ALLOWED, ()):
            try:
                check_media_url(url, allowed)
            except InvalidMediaUrl as error:
                assert str(error).isprintable()  # noqa: PT017 - the text may be a good URL
