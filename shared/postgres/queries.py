"""Named SQL: statements stand in a `.sql` file beside who runs them, one after each `-- name:` line.

Owns the loading. A line `-- name: claim_batch` opens a statement; the comment lines after it describe it.
"""

from importlib.resources import files

_MARK = "-- name:"


class Queries:
    """The statements of one file, as `queries["claim_batch"]`."""

    def __init__(self, package: str, file: str = "queries.sql") -> None:
        self._origin = f"{package}/{file}"
        self._statements = parse_queries((files(package) / file).read_text(encoding="utf-8"))

    def __getitem__(self, name: str) -> str:
        try:
            return self._statements[name]
        except KeyError:
            raise KeyError(f"no statement {name!r} in {self._origin}") from None

    @property
    def names(self) -> tuple[str, ...]:
        """Names of all statements, in the file's order."""
        return tuple(self._statements)


def parse_queries(text: str) -> dict[str, str]:
    """Split a file into its statements. Raises ValueError for a name given twice."""
    statements: dict[str, str] = {}
    for block in text.split(_MARK)[1:]:
        name, _, statement = block.partition("\n")
        if name.strip() in statements:
            raise ValueError(f"the statement {name.strip()!r} stands twice in one file")
        statements[name.strip()] = statement.strip().rstrip(";")
    return statements
