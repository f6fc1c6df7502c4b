"""Notations of a phone: which are equal by rule, and which is WhatsApp's own."""

import random

import pytest

from shared.messaging.customers.notation import is_phone, kind_of, notations, platform_notation


@pytest.mark.parametrize(
    ("address", "own"),
    [
        ("5511987654321", "5511987654321"),
        ("551187654321", "5511987654321"),
        ("5531987654321", "553187654321"),
        ("553187654321", "553187654321"),
        ("5531 is not a number", "5531 is not a number"),
        ("553132654321", "553132654321"),  # a landline
        ("525512345678", "5215512345678"),
        ("5215512345678", "5215512345678"),
        ("541112345678", "5491112345678"),
        ("5491112345678", "5491112345678"),
        ("491700000001", "491700000001"),
        ("BR.5531987654321", "BR.5531987654321"),
    ],
)
def test_the_platforms_notation_is_one_key_for_all(address: str, own: str) -> None:
    assert platform_notation(address) == own


def test_every_notation_names_the_same_others_and_itself() -> None:
    chosen = random.Random(11)
    for country in ("55", "52", "54", "49", "1"):
        for _ in range(500):
            address = country + "".join(chosen.choices("0123456789", k=chosen.choice((9, 10, 11))))
            known = notations(address)
            assert address in known
            assert {notations(item) for item in known} == {known}, address


@pytest.mark.parametrize(
    ("address", "kind"),
    [("491700000001", "phone"), ("DE.8842", "bsuid"), ("DE.ENT.77", "parent_bsuid"), ("DE.ENT1", "bsuid")],
)
def test_an_address_is_known_by_its_form(address: str, kind: str) -> None:
    assert kind_of(address) == kind
    assert is_phone(address) == (kind == "phone")
