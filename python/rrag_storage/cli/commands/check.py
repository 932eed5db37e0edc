"""`check`: whether all is well."""

from __future__ import annotations

from typing import Annotated

import typer

from .. import output
from ..checking import check_entries, check_file, check_health
from ..exits import CommandError, Exit
from ..findings import Finding, Status
from ..large_values import check_large_values
from ..output import Json
from ..places import Place

_GRACE = 3600.0
_SHOWN = 10


async def check(
    place: Place,
    grace: Annotated[
        float, typer.Option("--grace", min=0, metavar="SECONDS", help="Younger orphans are left alone.")
    ] = _GRACE,
    delete_orphans: Annotated[
        bool, typer.Option("--delete-orphans", help="Delete large values that nothing points to.")
    ] = False,
    json: Json = False,
) -> None:
    """Check that the storage answers, that every entry can be read and that counts agree; with --large-values also for
    large values that nothing points to. SQLite files are checked by SQLite too.
    """
    if delete_orphans and place.large_values is None:
        raise CommandError("--delete-orphans needs --large-values")
    findings: list[Finding] = []
    deleted: int | None = None
    file = await check_file(place.url)
    findings += [] if file is None else [file]
    async with place.open() as storage:
        findings.append(await check_health(storage))
        with output.progress("entries") as bar:
            task = bar.add_task("check", total=await storage.count())
            findings += await check_entries(storage, lambda read: bar.update(task, completed=read))
        if place.large_values is not None:
            findings.append(await check_large_values(place, grace))
        if delete_orphans:
            deleted = await storage.collect_garbage(older_than=grace)
    _report(findings, deleted, json=json)
    left = [each for each in findings if each.status is Status.FAILED]
    if left and not (deleted and [each.name for each in left] == ["large values"]):
        raise typer.Exit(Exit.NOT_FOUND)


def _report(findings: list[Finding], deleted: int | None, *, json: bool) -> None:
    if json:
        checks = [
            {"name": each.name, "status": each.status.value, "detail": each.detail, **each.figures} for each in findings
        ]
        output.say_json({"checks": checks, "deleted_orphans": deleted})
        return
    for each in findings:
        output.say(f"{each.status.value:<8} {each.name:<13} {each.detail}")
        for line in _lines(each):
            output.say(f"           {line}")
    if deleted is not None:
        output.say(f"{deleted} orphans deleted")


def _lines(finding: Finding) -> list[str]:
    """The first of what was found, for people."""
    errors = finding.figures.get("errors", {})
    found = [f"{key}: {error}" for key, error in errors.items()] if isinstance(errors, dict) else list(errors)
    found += finding.figures.get("names", [])
    shown = [output.printable(line) for line in found[:_SHOWN]]
    return [*shown, f"and {len(found) - _SHOWN} more: --json has them"] if len(found) > _SHOWN else shown
