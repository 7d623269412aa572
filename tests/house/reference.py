"""
reference: the pages of docs/reference that the code writes itself, so that they cannot go stale.

Regenerate them from the project's root::

    python -m tests.house.reference
"""

import inspect
import re
from collections.abc import Callable, Iterable
from dataclasses import MISSING, Field, fields
from pathlib import Path
from typing import Any

from typer.main import get_command

import jetq.errors
import jetq.settings
from jetq.cli.main import app
from jetq.errors import InvalidScheduleError
from jetq.model.cron import FIVE
from jetq.model.cron_part import SECOND
from jetq.model.operation import RULES, Effect, Operation, Rule
from jetq.model.schedule import DESCRIPTORS, parse_schedule
from jetq.model.schedule_words import describe
from jetq.model.state import FINAL, TRANSITIONS, State, display_state
from jetq.observe.answering_metrics import ANSWERING_METRICS
from jetq.observe.metrics import BUCKETS, METRICS, SUPERVISOR_METRICS, Metric
from jetq.observe.scheduler_metrics import SCHEDULER_METRICS
from jetq.web.api import ENDPOINTS
from jetq.web.endpoint import Endpoint
from jetq.web.openapi import document
from jetq.web.problem import STATUS
from jetq.wire.names import Names
from tests.house.rights import ROLES

FOLDER = Path(__file__).parents[2] / "docs" / "reference"
OPERATED = (
    "By a handle (`handle.cancel()`, `retry`, `run_now`, `delete`, `change`), by id (`app.cancel(id)`), or with "
    "`jetq tasks`. `retry (queued)` is a task in the state `retry` whose item is in its queue; `active (Go)` is run by "
    "a program of asyncjobs. What is refused raises `OperationRefusedError`, and changes nothing."
)
NOTE = "<!-- Written by: python -m tests.house.reference -->"
SPECS = [
    "*/5 * * * *", "30 2 * * *", "0 8-17 * * mon-fri", "0 9,17 * * *", "0 0 1 */3 *", "0 0 L * *", "0 7 * * mon#1",
    "*/15 * * * * *", "@every 90s", "@at 2026-11-24T03:00:00Z",
]  # fmt: skip
REFUSED = [
    "0 0 30 2 *", "60 * * * *", "*/0 * * * *", "*/90 * * * *", "0 22-2 * * *", "0 0 * january *", "0 3 * *",
    "@every 1d", "@every 500ms", "CRON_TZ=europe/malta @daily",
]  # fmt: skip
ATTRIBUTE = re.compile(r"^    (?P<name>\w+): (?P<text>.*(?:\n {6,}.*)*)", re.MULTILINE)


def page(title: str, *parts: str) -> str:
    return "\n\n".join([f"# {title}", NOTE, *(part for part in parts if part)]) + "\n"


def table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    lines = [list(head)]
    lines += [["---"] * len(lines[0]), *(list(row) for row in rows)]
    return "\n".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |" for line in lines)


def markdown(text: str) -> str:
    """Turn the little markup of docstrings into Markdown, on one line."""
    text = re.sub(r":\w+:`~?(?:[\w.]*\.)?(\w+)`", r"`\1`", text.replace("``", "`"))
    return " ".join(text.split())


def sentence(thing: object) -> str:
    return markdown((inspect.getdoc(thing) or "").partition("\n\n")[0])


def errors() -> str:
    tree = inspect.cleandoc(jetq.errors.__doc__ or "").partition("::\n\n")[2]
    drawing = "\n".join(line.removeprefix("    ") for line in tree.splitlines() if line.startswith("    "))
    kinds = [value for value in vars(jetq.errors).values() if isinstance(value, type) and issubclass(value, Exception)]
    rows = [(f"`{kind.__name__}`", sentence(kind)) for kind in kinds]
    return page("Errors and signals", f"```text\n{drawing}\n```", table(("class", "raised when"), rows))


def states() -> str:
    rows = [
        (name(state), "yes" if state in FINAL else "", ", ".join(name(target) for target in State if target in targets))
        for state, targets in TRANSITIONS.items()
    ]
    shown = {
        "a `new` task that waits for its due time": display_state(State.NEW, due=True, end=""),
        "an `expired` task whose `end` is `cancelled`": display_state(State.EXPIRED, due=False, end="cancelled"),
        "a record without a state": display_state(State.UNKNOWN, due=False, end=""),
    }
    words = "\n".join(f"- {what} is shown as `{word}`" for what, word in shown.items())
    return page(
        "States of a task",
        table(("state", "final", "may become"), rows),
        f"People see the same words, but:\n\n{words}",
        "## What may be done to a task",
        OPERATED,
        table(("state", *Operation), ((f"`{state}`", *map(cell, row.values())) for state, row in RULES.items())),
    )


def cell(rule: Rule) -> str:
    return f"refused: {rule.text}" if rule.effect is Effect.REFUSED else rule.text


def name(state: State) -> str:
    return f"`{state.value or 'unknown'}`"


def settings() -> str:
    classes = [value for value in vars(jetq.settings).values() if hasattr(value, "__dataclass_fields__")]
    return page("Settings", *(f"## {kind.__name__}\n\n{sentence(kind)}\n\n{fields_of(kind)}" for kind in classes))


def fields_of(kind: Any) -> str:
    documented = (inspect.getdoc(kind) or "").partition("Attributes:\n")[2]
    meanings = {found["name"]: markdown(found["text"]) for found in ATTRIBUTE.finditer(documented)}
    rows = [(f"`{field.name}`", default(field), meanings.get(field.name, "")) for field in fields(kind)]
    return table(("setting", "default", "meaning"), rows)


def default(field: "Field[Any]") -> str:
    if field.default is not MISSING:
        return f"`{field.default!r}`"
    return "required" if field.default_factory is MISSING else f"`{field.default_factory.__name__}()`"


def subjects() -> str:
    names = Names("JETQ")
    rows: list[tuple[str, str, str]] = []
    for word, member in vars(Names).items():
        if word.startswith("_") or word in Names._fields:
            continue
        value: Any = getattr(names, word)
        if callable(value):
            value = value(*(f"<{parameter}>" for parameter in inspect.signature(value).parameters))
        spelled = value if isinstance(value, str) else ", ".join(value)
        rows.append((f"`{word}`", f"`{spelled}`", sentence(member)))
    return page(
        "Streams, subjects and buckets", "In the namespace `JETQ`.", table(("name", "spelled", "what it is"), rows)
    )


def command_line() -> str:
    root: Any = get_command(app)
    exits = re.search(r"Exit status: (.*)", root.help or "")
    introduction = f"Exit status: {exits[1]}" if exits else ""
    return page("Command line", introduction, *sections(("jetq",), root))


def sections(words: tuple[str, ...], command: Any) -> Iterable[str]:
    """Describe the commands below *command*, those of a group one after the other; aliases are left out."""
    for name, inner in command.commands.items():
        if hasattr(inner, "commands"):
            yield from sections((*words, name), inner)
        elif not inner.hidden:
            yield section((*words, name), inner)


def section(words: tuple[str, ...], command: Any) -> str:
    shown = [parameter for parameter in command.params if not getattr(parameter, "hidden", False)]
    arguments = [spelled(parameter) for parameter in shown if parameter.param_type_name == "argument"]
    usage = " ".join([*words, "[OPTIONS]", *arguments])
    rows = [(f"`{spelled(parameter)}`", markdown(parameter.help or ""), from_where(parameter)) for parameter in shown]
    text = markdown(inspect.cleandoc(command.help or ""))
    return f"## {' '.join(words)}\n\n{text}\n\n```text\n{usage}\n```\n\n{table(('option', 'meaning', 'default'), rows)}"


def spelled(parameter: Any) -> str:
    if parameter.param_type_name == "argument":
        return str(parameter.metavar) if parameter.required else f"[{parameter.metavar}]"
    names = ", ".join([*parameter.opts, *parameter.secondary_opts])
    return names if parameter.is_flag else f"{names} {parameter.metavar}"


def from_where(parameter: Any) -> str:
    """Say what counts where the parameter is left out."""
    told = [f"`{parameter.envvar}`"] if parameter.envvar else []
    if parameter.required:
        told.append("required")
    elif parameter.default not in (None, False):
        told.append(f"`{parameter.default}`")
    return ", else ".join(told)


def metrics() -> str:
    def shown(metrics: Iterable[Metric]) -> str:
        rows = [
            (f"`{each.name}`", each.kind.lower(), ", ".join(f"`{label}`" for label in each.labels), each.help)
            for each in metrics
        ]
        return table(("metric", "kind", "labels", "what it says"), rows)

    words = (
        "What `jetq worker --metrics` serves, and what a `jetq.Metrics()` counts that listens to an application's bus. "
        "Each process shows what it did itself. `type` is a handler's pattern; `outcome` is `succeeded` or how else a "
        "run ended; `state` is a [state](states.md) as stored; `error` is the [class](errors.md) that a caller of "
        "`enqueue` got."
    )
    buckets = f"Buckets of the histograms, in seconds: {', '.join(f'{bound:g}' for bound in BUCKETS)}."
    supervisor = (
        "## Of a supervisor\n\n`jetq worker -p N --metrics` shows the sum of its children: counters and histograms "
        "go on when a child is replaced, gauges are added up, and of `jetq_connection_up` the lowest counts. "
        "What a child that is killed counted in its last ten seconds may be missing. Beside that:"
    )
    scheduler = (
        "## Of a scheduler\n\nWhat `jetq beat` serves with `--metrics` or `--health`, and `jetq worker --beat` beside "
        "the above. Of several schedulers one leads: add them up."
    )
    responder = (
        "## Of a server of remote handlers\n\nWhat `jetq serve` serves with `--metrics` or `--health`, beside those at "
        "the top."
    )
    parts = (words, shown(METRICS), buckets, supervisor, shown(SUPERVISOR_METRICS), scheduler, shown(SCHEDULER_METRICS))
    return page("Metrics", *parts, responder, shown(ANSWERING_METRICS))


def schedules() -> str:
    introduction = (
        "What `app.cron(name, spec, ...)` and `jetq cron add NAME SPEC` take; how to use it is told in "
        "[schedule tasks](../how-to/schedule-tasks.md), and what becomes of times when clocks are put in "
        "[schedules](../explanation/schedules.md)."
    )
    forms = [
        ("`0 3 * * *`", "five fields: minute, hour, day of the month, month, day of the week"),
        ("`30 0 3 * * *`", "six fields: the second first"),
        ("`@daily`, `daily`", "a word, see below; in any letters, and without the `@`"),
        ("`@every 1h30m`, a timedelta", "an interval in whole seconds, counted from when the schedule was created"),
        ("`@at 2026-11-24T03:00:00Z`, an aware datetime", "once"),
        ("`CRON_TZ=Europe/Malta 0 3 * * *`", "in a time zone, as `timezone=` and `--timezone` say it; else UTC"),
    ]
    limits = [
        (f"{each.name}", f"{each.low}-{each.high}", ", ".join(f"`{name}`" for name in each.names))
        for each in (SECOND, *FIVE)
    ]
    parts = [
        ("`*`, `?`", "all"),
        ("`5`, `1,15`, `8-17`, `mon-fri`", "numbers or names, lists and ranges of them, in any letters"),
        ("`*/5`, `8-18/2`, `10/15`", "every so many from the first on; `10/15` is `10-59/15` among minutes"),
        ("`L` (day of the month)", "the last day"),
        ("`7` (day of the week)", "Sunday, as 0"),
        ("`fri#2`, `friL` (day of the week)", "the second, the last Friday of the month"),
    ]
    days = (
        "Where both the day of the month and the day of the week are restricted, either is enough: `0 0 13 * fri` is "
        "due on each 13th and on each Friday."
    )
    words = [(f"`{word}`", f"`{line}`", describe(parse_schedule(word))) for word, line in DESCRIPTORS.items()]
    said = [(f"`{spec}`", describe(parse_schedule(spec))) for spec in SPECS]
    refused = [(f"`{spec}`", *refusal(spec)) for spec in REFUSED]
    go = (
        "## Go\n\nGo's cron library (robfig/cron v3, which asyncjobs uses) and jetq find the same times in what "
        "both take. Go takes neither six fields, `L`, `#`, `7`, words without `@`, nor `@at`: a Go scheduler "
        "passes over such a schedule with a warning. Go's local time is that of its machine, where jetq's is UTC: "
        "name the time zone. What Go stored is run even where it is refused from people (fractions of a second, "
        "steps beyond the field, days that never come). Not taken at all are the slips `*-5`, `1,,2` and `+5`. Go "
        "counts an interval from when its program began, runs a time of the day twice that comes twice, and "
        "leaves one out that does not come; it knows no `misfire`, `max_late`, `limit`, `jitter`, `start`, `end`, "
        "and runs what is disabled."
    )
    return page(
        "Schedule specs", introduction, table(("spec", "meaning"), forms),
        "## Fields", table(("field", "numbers", "names"), limits), table(("part", "meaning"), parts), days,
        "## Words", table(("word", "fields", "due"), words),
        "## Examples", table(("spec", "due"), said),
        "## What is refused", "`InvalidScheduleError` names the `field` and the `reason`.",
        table(("spec", "field", "reason"), refused), go,
    )  # fmt: skip


def refusal(spec: str) -> tuple[str, str]:
    try:
        parse_schedule(spec)
    except InvalidScheduleError as error:
        return error.field, error.reason
    raise AssertionError(spec)


def permissions() -> str:
    introduction = (
        "What a user of the server must be permitted, by what its program does, in the namespace `JETQ` and with a "
        "queue `EMAIL`; repeat the lines with `EMAIL` for each queue, or write another namespace. Tests run each "
        "program as a user of a server with accounts who has these rights and no others. Streams and queues must "
        "exist: make them once as a user with all rights, with `jetq tasks initialize` and `jetq queues add`."
    )
    inbox = (
        "A NATS context whose `inbox_prefix` is another one needs that in the place of `_INBOX`. What a user may not "
        "do is told once, in the log and by `PermissionDeniedError`, which names the subject."
    )
    parts = [
        f"## {role.title}\n\n{role.what}\n\n```text\n{role.rights('JETQ', ['EMAIL']).config()}\n```"
        for role in ROLES.values()
    ]
    return page("Permissions", introduction, inbox, *parts)


ENUMS = {"Code", "Misfire"}


def http() -> str:
    told = document(ENDPOINTS, "")
    introduction = (
        "What `jetq server run` serves; how to use it, and who may call, is told in [use HTTP](../how-to/use-http.md). "
        "`/v1/openapi.json` says the same to programs."
    )
    codes = table(("code", "status"), ((f"`{code}`", str(status)) for code, status in STATUS.items()))
    problems = (
        '## Errors\n\nAn error is `{"error": {"code", "message", "details": {"field", "reason"}}}`. 415 and 405 '
        "have the code `invalid_argument`. Any path of `/v1` may answer 401, 403, 500 or 503."
    )
    tags = dict.fromkeys(endpoint.tag for endpoint in ENDPOINTS)
    paths = [f"## {tag}\n\n{requests(endpoint for endpoint in ENDPOINTS if endpoint.tag == tag)}" for tag in tags]
    schemas: dict[str, Any] = told["components"]["schemas"]
    bodies = [body(name, schema) for name, schema in schemas.items() if schema.get("properties")]
    return page("HTTP", introduction, *paths, problems, codes, "## Bodies", *bodies)


def requests(endpoints: Iterable[Endpoint]) -> str:
    rows = [
        (
            f"`{each.method} {each.path}`",
            " ".join([each.summary, *(f"`{one.name}`: {one.meaning}" for one in each.parameters)]),
            linked(each.takes),
            f"{each.status} {linked(each.gives)}".strip(),
            ", ".join(map(str, each.refuses)),
        )
        for each in endpoints
    ]
    return table(("request", "does", "body", "answer", "says no with"), rows)


def linked(kind: type[Any] | None) -> str:
    return "" if kind is None else f"[{kind.__name__}](#{kind.__name__.lower()})"


def body(title: str, schema: dict[str, Any]) -> str:
    required = schema.get("required", ())
    rows = [
        (f"`{field}`", shape(told), "yes" if field in required else "", told.get("description", ""))
        for field, told in schema["properties"].items()
    ]
    return f"### {title}\n\n{schema['description']}\n\n{table(('field', 'JSON', 'required', 'meaning'), rows)}"


def shape(schema: dict[str, Any]) -> str:
    if "anyOf" in schema:
        return " or ".join(shape(each) for each in schema["anyOf"])
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return f"[{name}](#{name.lower()})" if name not in ENUMS else "string"
    if schema.get("type") == "array":
        return f"list of {shape(schema['items'])}"
    return str({"date-time": "time"}.get(schema.get("format", ""), schema.get("type", "any")))


PAGES: dict[str, Callable[[], str]] = {
    "cli.md": command_line,
    "errors.md": errors,
    "http.md": http,
    "metrics.md": metrics,
    "permissions.md": permissions,
    "schedules.md": schedules,
    "settings.md": settings,
    "states.md": states,
    "subjects.md": subjects,
}


if __name__ == "__main__":
    FOLDER.mkdir(parents=True, exist_ok=True)
    for file, write in PAGES.items():
        (FOLDER / file).write_text(write(), encoding="utf-8")
