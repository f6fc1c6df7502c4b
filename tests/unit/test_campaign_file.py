"""Recipients as a CSV file: what is read, and how faults are told."""

from pathlib import Path

import pytest

from shared.messaging.campaigns.file import FileError, Problem, check_file, read_columns, read_rows

ANA = ("491700000001", {"name": "Ana"})


def written(tmp_path: Path, content: str | bytes) -> Path:
    path = tmp_path / "customers.csv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


@pytest.mark.parametrize(
    "content",
    [
        "wa_id,name\n+491700000001,Ana\n",
        "phone,name\n491700000001,Ana",
        "name;wa_id\r\nAna;491700000001\r\n",
        "\ufeffwa_id\tname\n491700000001\tAna\n",
        ' wa_id , name \n 491700000001 ,"Ana"\n\n,\n',
    ],
    ids=["comma", "phone", "semicolon", "tab and mark", "blanks"],
)
def test_customers_and_their_variables_are_read_as_spreadsheets_write_them(
    tmp_path: Path, content: str
) -> None:
    path = written(tmp_path, content)
    assert list(read_rows(path)) == [ANA]
    assert read_columns(path) == ["name"]
    assert check_file(path).problem_count == 0


def test_a_file_of_customers_alone_has_no_variables(tmp_path: Path) -> None:
    assert list(read_rows(written(tmp_path, "wa_id\n491700000001\nUS.abc1\n"))) == [
        ("491700000001", None),
        ("US.abc1", None),
    ]


def test_a_phone_beside_a_wa_id_is_a_variable(tmp_path: Path) -> None:
    path = written(tmp_path, "phone,wa_id\n0170,491700000001\n")
    assert list(read_rows(path)) == [("491700000001", {"phone": "0170"})]


def test_of_a_customer_named_twice_the_first_line_counts(tmp_path: Path) -> None:
    path = written(tmp_path, 'wa_id,name\n+491700000001,"An\na"\n491700000002,Ben\n491700000001,Eve\n')
    checked = check_file(path)

    assert (checked.recipients, checked.duplicates) == (2, [5])
    assert [variables for _, variables in read_rows(path)] == [{"name": "An\na"}, {"name": "Ben"}]


def test_every_wrong_line_is_told_by_its_number(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        'wa_id,name\nabc,Ana\n491700000001,Ana\n491700000002\n491700000003,a,b\n491700000004,\0\n5,"x"y\n',
    )
    checked = check_file(path)
    assert [problem.line for problem in checked.problems] == [2, 4, 5, 6, 7]
    assert checked.problem_count == 5
    assert checked.problems[0].error.startswith("wa_id: neither a phone number")
    assert checked.problems[1:4] == [
        Problem(4, "1 fields, where the header has 2"),
        Problem(5, "3 fields, where the header has 2"),
        Problem(6, "a NUL character"),
    ]
    assert checked.problems[4].error.startswith("not CSV")
    assert checked.recipients == 1
    with pytest.raises(FileError, match="line 2: wa_id"):
        list(read_rows(path))


@pytest.mark.parametrize(
    ("content", "error"),
    [
        ("", "must name the columns"),
        ("name,city\nAna,Ulm\n", "one of them wa_id or phone"),
        ("wa_id,name,name\n", "a name of its own"),
        ("wa_id,,name\n", "a name of its own"),
        (b"wa_id,name\n491700000001,\xff\n", "not UTF-8"),
        (b"wa_id,name\n" + b"491700000001,Ana\n" * 2000 + b"491700000001,\xff\n", "not UTF-8"),
        (b'"wa_id\n\xf1', "not UTF-8 text, on line 2"),
    ],
)
def test_a_file_that_is_none_is_refused(tmp_path: Path, content: str | bytes, error: str) -> None:
    with pytest.raises(FileError, match=error):
        check_file(written(tmp_path, content))


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FileError, match="No such file"):
        check_file(tmp_path / "nowhere.csv")
