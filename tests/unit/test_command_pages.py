"""Every page that the program prints of itself, at every width: nothing but text and line ends."""

from collections.abc import Iterator

import click
import pytest

from workers.__main__ import cli, main


def commands(
    command: click.Command = cli, path: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    yield path, command
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            found = command.get_command(context, name)
            assert found is not None
            yield from commands(found, (*path, name))


PAGES = [path for path, _ in commands()]
#: Commands that want an argument and have none.
WANTING = [path for path, command in commands() if any(param.required for param in command.params)]


def assert_plain(text: str) -> None:
    assert text.replace("\n", "").isprintable(), repr(text)
    assert "\\t" not in text


@pytest.mark.parametrize("path", PAGES, ids=" ".join)
@pytest.mark.parametrize("columns", [60, 80, 200])
def test_a_help_page_has_an_example_and_no_control_character(
    path: tuple[str, ...],
    columns: int,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    monkeypatch.setattr("sys.argv", ["wabus", *path, "--help"])

    main()

    page = capsys.readouterr().out
    assert_plain(page)

    assert "Example:" in page


@pytest.mark.parametrize("path", WANTING, ids=" ".join)
def test_a_missing_argument_is_told_in_plain_text(
    path: tuple[str, ...], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["wabus", *path])

    with pytest.raises(SystemExit) as ended:
        main()

    told = capsys.readouterr().err
    assert ended.value.code == 2
    assert_plain(told)

    assert "wabus: Missing " in told
