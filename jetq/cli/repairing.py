"""
repairing: ``jetq tasks repair``: a pass of the janitor by hand.
"""

from typing import Annotated

import typer

from jetq.cli.choosing import Where
from jetq.cli.expanding import expanded


@expanded
def repair(
    *,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only tell what would be mended.")] = False,
    patience: Annotated[
        str, typer.Option("--patience", metavar="TIME", help="Tasks that changed within that time are left alone.")
    ] = "30s",
    where: Where,
) -> None:
    """
    Mend what crashes left behind, as workers do by themselves.

    Tasks that nothing would bring to a worker get their items and schedules; what no task asks for any more is removed;
    tasks that wait for others hear of those that ended.
    A task whose item was removed ends only in the second pass of one worker that finds it so, never here.
    """
    from jetq.admin.blocked_pass import BlockedPass
    from jetq.admin.janitor import Janitor, always
    from jetq.cli.chosen import settings_at
    from jetq.cli.durations import parse_duration
    from jetq.cli.repair_page import RepairPage
    from jetq.cli.session import Session, in_session
    from jetq.settings import JanitorSettings

    settings = JanitorSettings(patience=parse_duration("--patience", patience))
    page = RepairPage(dry_run=dry_run, as_json=where.as_json)

    async def work(session: Session) -> None:
        janitor = Janitor(session.backend, settings, name="jetq tasks repair")
        if not dry_run:
            await BlockedPass(session.backend).run(always)
        page.print(await janitor.run_pass(tell=page.take, dry_run=dry_run))

    in_session(settings_at(where), work)
