"""`wabus doctor`: is everything there, and what to run where it is not.

Owns asking all servers at once and showing what was found; the looking is `diagnosis`'s.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import asdict
from typing import Final

import click
from rich.table import Column, Table

from shared.settings.settings import Settings
from workers.cli.diagnosis.cloud_api import diagnose_cloud_api
from workers.cli.diagnosis.finding import Finding, Level, is_failed
from workers.cli.diagnosis.postgres import diagnose_postgres
from workers.cli.diagnosis.rabbitmq import diagnose_rabbitmq
from workers.cli.diagnosis.redis import diagnose_redis
from workers.cli.operation import json_option, read_settings, silence_logs
from workers.cli.printing import escape_cell, open_console, print_json

_EPILOG: Final = """\b
Example:
  wabus doctor
  wabus doctor --json"""
_STYLES: Final = {Level.OK: "green", Level.WARN: "yellow", Level.ERROR: "bold red"}
_LOOKS: Final = (diagnose_rabbitmq, diagnose_postgres, diagnose_redis, diagnose_cloud_api)


@click.command(epilog=_EPILOG)
@json_option
def doctor(as_json: bool) -> None:
    """Look at every server and at the work itself; name what is wrong and how to mend it.

    Each server is looked at whether or not the others answer. Nothing is sent and nothing is changed. Exits 1
    where anything is an error; a warning alone is none.
    """
    silence_logs()
    findings = asyncio.run(_look(read_settings()))
    worst = next((level for level in (Level.ERROR, Level.WARN) if _count(findings, level)), Level.OK)
    if as_json:
        told = [asdict(finding) for finding in findings]
        print_json({"status": worst, "servers": _servers(findings), "findings": told})
    else:
        _print_findings(findings)
    if is_failed(findings):
        raise SystemExit(1)


async def _look(settings: Settings) -> list[Finding]:
    found = await asyncio.gather(*(look(settings) for look in _LOOKS))
    return [finding for findings in found for finding in findings]


def _servers(findings: Sequence[Finding]) -> list[dict[str, object]]:
    return [
        {
            "server": item.subject,
            "reached": item.latency_ms is not None,
            "version": item.version,
            "latency_ms": item.latency_ms,
        }
        for item in findings
        if item.check == "reached"
    ]


def _count(findings: Sequence[Finding], level: Level) -> int:
    return sum(finding.level is level for finding in findings)


def _print_findings(findings: Sequence[Finding]) -> None:
    table = Table("", "state", "check", Column("found", overflow="fold"), Column("to mend", overflow="fold"))
    subject = ""
    for finding in findings:
        if finding.subject != subject and subject:
            table.add_section()
        state = f"[{_STYLES[finding.level]}]{finding.level}[/]"
        name = "" if finding.subject == subject else finding.subject
        subject = finding.subject
        table.add_row(name, state, finding.check, escape_cell(finding.detail), escape_cell(finding.mend))
    open_console().print(table)
    errors, warnings = _count(findings, Level.ERROR), _count(findings, Level.WARN)
    click.echo(f"errors: {errors}, warnings: {warnings}" if errors or warnings else "All is well.")
