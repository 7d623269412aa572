"""
explaining: ``jetq explain``.
"""

from typing import Annotated

import typer

from jetq.cli.choosing import Where
from jetq.cli.expanding import expanded


@expanded
def explain(
    task_id: Annotated[str, typer.Argument(metavar="ID", help="The task's id.")],
    *,
    where: Where,
) -> None:
    """
    Say why a task does not run, and what can be done.

    Or that it runs, and where; or how it ended. The exit status is 1 if there is no such task.
    """
    from jetq.admin.explaining import Explainer
    from jetq.cli.chosen import settings_at
    from jetq.cli.exits import FAILED
    from jetq.cli.render import print_advice, print_fields, print_json
    from jetq.cli.session import in_session

    settings = settings_at(where)
    found = in_session(settings, lambda session: Explainer(session.backend).explain(task_id))
    if where.as_json:
        print_json(found)
    else:
        if found.state:
            fields = [("Task", found.id), ("Type", found.type), ("Queue", found.queue), ("State", found.state)]
            print_fields(fields)
            typer.echo("")
        print_advice((reason.text, reason.advice) for reason in found.reasons)
    if not found.state:
        raise typer.Exit(FAILED)
