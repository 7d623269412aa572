"""
server: ``jetq server run``: the HTTP API.
"""

import sys
from pathlib import Path
from typing import Annotated

import typer

from jetq.cli import options

commands = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Serve tasks, queues and schedules over HTTP.")


@commands.command("run")
def run(
    target: Annotated[
        str | None,
        typer.Argument(metavar="[MODULE:APP]", help="An App; the options of its handlers count for what is made here."),
    ] = None,
    *,
    listen: Annotated[
        str,
        typer.Option("--listen", "--bind", metavar="[HOST:]PORT", help="Where to listen; on 127.0.0.1 without a host."),
    ] = "127.0.0.1:8080",
    token_file: Annotated[
        Path | None,
        typer.Option(
            "--token-file",
            metavar="FILE",
            help="Holds the token that callers must show, else JETQ_HTTP_TOKEN is that.",
        ),
    ] = None,
    no_auth: Annotated[
        bool, typer.Option("--no-auth", help="Let in whoever reaches it, also where other machines do.")
    ] = False,
    allowed_host: Annotated[
        list[str] | None,
        typer.Option("--allowed-host", metavar="NAME", help="Also a name of this server; repeated or comma-separated."),
    ] = None,
    allow_create_default: Annotated[
        bool, typer.Option("--allow-create-default", help="Let callers create the default queue, with their limits.")
    ] = False,
    tls_cert: Annotated[
        Path | None, typer.Option("--tls-cert", metavar="FILE", help="Serve HTTPS with this certificate, in PEM.")
    ] = None,
    tls_key: Annotated[Path | None, typer.Option("--tls-key", metavar="FILE", help="Its key.")] = None,
    servers: options.Servers = None,
    context: options.Context = None,
    namespace: options.Namespace = None,
    sign: options.Sign = None,
    log_level: options.LogLevel = "info",
    log_format: options.LogFormat = "auto",
    app_dir: options.AppDir = None,
    uvloop: options.Uvloop = "auto",
) -> None:
    """
    Serve the HTTP API until TERM or Ctrl-C.

    Where other machines reach it, callers must show a token. What it does is told by /v1/openapi.json.
    """
    from jetq.app.application import App
    from jetq.cli.serving import choose_uvloop, configure_logs, parse_address
    from jetq.cli.signing import with_keys
    from jetq.errors import MissingExtraError
    from jetq.runtime.loading import load_app
    from jetq.runtime.worker_process import Place
    from jetq.settings import Settings, http_token

    try:
        from jetq.web.serving import LISTEN, Access, read_token, run_server
    except ModuleNotFoundError as missing:
        if missing.name is None or missing.name.startswith("jetq"):
            raise
        raise MissingExtraError("jetq server", "web") from missing

    access = Access(
        listen=parse_address("--listen", listen) or LISTEN,
        token=http_token() if token_file is None else read_token(token_file),
        no_auth=no_auth,
        allowed_hosts=options.split_names(allowed_host),
        certificate=tls_cert,
        key=tls_key,
        makes_default=allow_create_default,
    )
    place, loop = Place(servers=servers, context=context, namespace=namespace), choose_uvloop(uvloop)
    app = App("jetq", settings=Settings.from_env()) if target is None else load_app(target, app_dir)
    if sign is not None:
        app.reconfigure(with_keys(app.settings, sign=sign))
    configure_logs(log_level, log_format, sys.stderr)
    run_server(app, access, place=place, uvloop=loop)
