"""Lists as spreadsheets write them, and numbers as people write them: made here, byte by byte."""

from collections.abc import Callable
from pathlib import Path

import pytest

from shared.messaging.campaigns.file import (
    FileError,
    Problem,
    check_file,
    read_address,
    read_columns,
    read_rows,
)

ANA = ("491700000001", {"name": "Ana Núñez", "note": "a;b"})
BEN = ("491700000002", {"name": 'Ben "B" Öz', "note": ""})


def excel_semicolons() -> bytes:
    rows = 'wa_id;name;note\r\n+49 170 0000001;Ana Núñez;"a;b"\r\n+49 170 0000002;"Ben ""B"" Öz";\r\n'
    return b"\xef\xbb\xbf" + rows.encode()


def excel_unicode_text() -> bytes:
    rows = 'wa_id\tname\tnote\r\n+491700000001\tAna Núñez\ta;b\r\n491700000002\t"Ben ""B"" Öz"\t\r\n'
    return b"\xff\xfe" + rows.encode("utf-16-le")


def big_endian() -> bytes:
    return b"\xfe\xff" + excel_unicode_text()[2:].decode("utf-16-le").encode("utf-16-be")


def excel_with_a_separator_line() -> bytes:
    return b"sep=;\r\n" + excel_semicolons()[3:]


def libreoffice_quoting_all() -> bytes:
    rows = '"wa_id","name","note"\n"+491700000001","Ana Núñez","a;b"\n"491700000002","Ben ""B"" Öz",""\n'
    return rows.encode()


def numbers_with_a_title_row_left_blank() -> bytes:
    rows = (
        ',,\nwa_id,name,note\n(+49) 170-000-0001,Ana Núñez,a;b\n , ,\n0049170/0000002,"Ben ""B"" Öz",\n,,\n'
    )
    return rows.encode()


def first_line_empty() -> bytes:
    return b"\r\n \r\n" + excel_semicolons()[3:]


@pytest.mark.parametrize(
    "make",
    [
        excel_semicolons,
        excel_unicode_text,
        big_endian,
        excel_with_a_separator_line,
        libreoffice_quoting_all,
        numbers_with_a_title_row_left_blank,
        first_line_empty,
    ],
)
def test_a_list_is_read_as_the_user_of_the_spreadsheet_means_it(
    tmp_path: Path, make: Callable[[], bytes]
) -> None:
    path = tmp_path / "customers.csv"
    path.write_bytes(make())

    assert check_file(path).problems == []
    assert list(read_rows(path)) == [ANA, BEN]
    assert read_columns(path) == ["name", "note"]


def test_a_separator_inside_a_quoted_header_separates_nothing(tmp_path: Path) -> None:
    path = tmp_path / "customers.csv"
    path.write_text('wa_id;"name, first, second, ""last"""\n491700000001;Ana\n')

    assert list(read_rows(path)) == [("491700000001", {'name, first, second, "last"': "Ana"})]


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("+49 170 000 0002", "+491700000002"),
        ("+49\u00a0170\u202f000\u00a00002", "+491700000002"),
        ("\u202a+49 170 0000002\u202c", "+491700000002"),
        ("\u200e491700000002\u200f\ufeff", "491700000002"),
        ("+49 (170) 000-0002", "+491700000002"),
        ("(+49) 170 0000002", "+491700000002"),
        ("+49 (0) 170 0000002", "+491700000002"),
        ("+49(0)170.000.0002", "+491700000002"),
        ("0049 170 000\u20110002", "00491700000002"),
        ("US.abc1", "US.abc1"),
        ("\u202aUS.abc1\u202c", "US.abc1"),
        ("call 49170", "call 49170"),
        ("49170; 49171", "49170; 49171"),
        ("", ""),
    ],
)
def test_a_number_is_read_as_people_write_it_and_nothing_else_is_made_one(written: str, read: str) -> None:
    assert read_address(written) == read


@pytest.mark.parametrize(
    ("written", "error"),
    [
        ("01700000001", "wa_id: a number that begins with 0 is not international"),
        ("(0170) 000 0001", "wa_id: a number that begins with 0 is not international"),
        ("000491700000001", "wa_id: a number that begins with 0 is not international"),
        ("4,9E+11", "wa_id: the spreadsheet has rounded the number"),
        ("4.917E+11", "wa_id: the spreadsheet has rounded the number"),
        ("49170; 49171", "wa_id: neither a phone number"),
        ("n/a", "wa_id: neither a phone number"),
    ],
)
def test_a_number_that_reaches_nobody_is_refused_with_its_line(
    tmp_path: Path, written: str, error: str
) -> None:
    path = tmp_path / "customers.csv"
    path.write_text(f'wa_id,name\n491700000001,Ana\n"{written}",Ben\n')

    [problem] = check_file(path).problems

    assert problem.line == 3
    assert problem.error.startswith(error)
    assert problem.cells == (written, "Ben")


def test_lines_that_are_wrong_are_told_one_by_one_and_left_out_where_they_may_be(tmp_path: Path) -> None:
    path = tmp_path / "customers.csv"
    path.write_text("wa_id,name\n0170,Ana\n491700000002,Ben\n491700000003\n")
    refused: list[Problem] = []

    checked = check_file(path, refused.append)

    assert [(problem.line, problem.cells) for problem in refused] == [
        (2, ("0170", "Ana")),
        (4, ("491700000003",)),
    ]
    assert checked.recipients == 1
    assert list(read_rows(path, skip_invalid=True)) == [("491700000002", {"name": "Ben"})]


def test_half_a_character_of_utf_16_is_told(tmp_path: Path) -> None:
    path = tmp_path / "customers.csv"
    path.write_bytes(excel_unicode_text() + b"\x00\xd8")

    with pytest.raises(FileError, match="not UTF-16 text, on line"):
        check_file(path)
