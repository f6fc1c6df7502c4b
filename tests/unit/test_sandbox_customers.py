"""Who the sandbox's customers are: notations, ids, and what is left of those who changed."""

import re

import pytest

from deploy.sandbox.customers import Addressee, Customers, first_phone_of, notation_of, user_id_of

SAO_PAULO, FORTALEZA = "5511987654321", "558587654321"


@pytest.mark.parametrize(
    ("dialled", "wa_id"),
    [
        ("5511987654321", "5511987654321"),
        ("551187654321", "5511987654321"),
        ("5530987654321", "5530987654321"),
        ("5531987654321", "553187654321"),
        ("553187654321", "553187654321"),
        ("5585987654321", "558587654321"),
        ("551133334444", "551133334444"),  # a landline has no ninth digit
        ("5531933334444", "5531933334444"),  # nor is this a mobile number that had none
        ("525512345678", "5215512345678"),
        ("5215512345678", "5215512345678"),
        ("541112345678", "5491112345678"),
        ("5491112345678", "5491112345678"),
        ("491700000001", "491700000001"),
        ("5211234567890123", "5211234567890123"),
    ],
)
def test_a_phone_has_one_notation_on_the_platform(dialled: str, wa_id: str) -> None:
    assert notation_of(dialled) == wa_id
    assert notation_of(wa_id) == wa_id


@pytest.mark.parametrize(
    ("phone", "country"),
    [(SAO_PAULO, "BR"), ("15550001111", "US"), ("351912345678", "PT"), ("37060012345", "ZZ")],
)
def test_an_id_is_of_the_country_and_ends_like_the_phone(phone: str, country: str) -> None:
    user_id = user_id_of(phone)

    assert re.fullmatch(rf"{country}\.[a-zA-Z0-9]+{phone[-3:]}", user_id)
    assert first_phone_of(user_id) == phone
    assert Customers().find(user_id) == Customers().find(phone) == Addressee(phone, user_id)


def test_all_notations_of_a_phone_have_one_id() -> None:
    assert Customers().find("5585987654321") == Customers().find(FORTALEZA)
    assert user_id_of("5585987654321") == user_id_of(FORTALEZA)


@pytest.mark.parametrize("user_id", ["DE.8842", "BR.ENT.77ab", "DE.ejbhaaaaaaab002", "FR.ejbhaaaaaaab001"])
def test_an_id_that_the_sandbox_did_not_give_has_no_phone(user_id: str) -> None:
    assert Customers().find(user_id) == Addressee(None, user_id)


def test_who_has_a_phone_after_another_is_somebody_else() -> None:
    customers = Customers()
    old, new = "491700000001", "491700000002"
    ids = {user_id_of(old), user_id_of(new)}

    before, after = customers.change_number(old, new)

    assert (before, after.wa_id) == (Addressee(old, user_id_of(old)), new)
    assert customers.find(after.user_id) == customers.find(new) == after
    assert customers.find(before.user_id) == Addressee(None, before.user_id)
    assert len({after.user_id, customers.find(old).user_id, *ids}) == 4


def test_a_cycle_of_changes_gives_nobody_an_id_that_was_another_s() -> None:
    customers = Customers()
    seen = [customers.find("491700000001").user_id]
    for old, new in (("1", "2"), ("2", "3"), ("3", "1")):
        _, after = customers.change_number(f"49170000000{old}", f"49170000000{new}")
        seen.append(after.user_id)

    assert len(set(seen)) == 4
    assert customers.find("491700000001").user_id == seen[-1]


def test_a_changed_id_keeps_the_phone() -> None:
    customers = Customers()

    before, after = customers.change_user_id(user_id_of(FORTALEZA), "BR.new1")

    assert (before, after) == (
        Addressee(FORTALEZA, user_id_of(FORTALEZA)),
        Addressee(FORTALEZA, "BR.new1"),
    )
    assert customers.find("5585987654321") == customers.find("BR.new1") == after
    assert customers.find(before.user_id) == Addressee(None, before.user_id)


def test_an_id_without_a_phone_changes_too() -> None:
    assert Customers().change_user_id("DE.8842", "DE.8843") == (
        Addressee(None, "DE.8842"),
        Addressee(None, "DE.8843"),
    )
