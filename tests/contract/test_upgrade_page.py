"""`deploy/upgrade.md` says what is so: releases, schemas, servers."""

from deploy.stack.images import IMAGES
from schema.migrator import MINIMUM_POSTGRESQL, latest_version
from shared.version import VERSION
from tests.support.upgrade_page import releases, server_versions


def test_the_newest_entry_of_the_changelog_is_this_version_with_its_schema() -> None:
    newest = releases()[0]

    assert (newest.version, newest.schema) == (VERSION, latest_version())


def test_releases_are_told_newest_first_and_each_that_is_out_by_its_commit() -> None:
    told = releases()
    versions = [tuple(map(int, release.version.split("."))) for release in told]

    assert versions == sorted(set(versions), reverse=True)
    assert all(release.commit for release in told[1:])


def test_the_servers_of_the_page_are_those_that_the_program_takes_and_compose_starts() -> None:
    told = {row.server.lower(): row for row in server_versions()}

    assert {name: row.image for name, row in told.items()} == {
        "postgresql" if kind == "postgres" else str(kind): image for kind, image in IMAGES.items()
    }
    assert all(row.holds(row.image.partition(":")[2]) for row in told.values())
    assert told["postgresql"].oldest == (MINIMUM_POSTGRESQL,)
