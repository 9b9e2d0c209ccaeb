"""``infgen serve``: serve the infinite canvas to a browser."""

import ipaddress
import os
import sys
import webbrowser
from collections.abc import Collection
from functools import partial
from pathlib import Path
from typing import Literal
from urllib.parse import quote

import click

from infgen.cli.command import Command
from infgen.cli.options import engine_file_option, engine_option, model_option, threads_option
from infgen.errors import InputError
from infgen.rendering.studio import Options

TOKEN_VARIABLE = "INFGEN_TOKEN"
LEAST_TOKEN = 16  # characters
ENGINE_STYLES = 4  # that may meet in a tile of an engine file made for the canvas


@click.command(
    "serve",
    cls=Command,
    examples=[
        ("Open the canvas in a browser", "serve --open"),
        ("For other machines, behind a proxy with TLS", "serve --host 0.0.0.0 --allow-host canvas.example.org"),
    ],
)
@click.option(
    "--host",
    default="127.0.0.1",
    show_default=True,
    help="Address to listen on. --token is needed if other machines can reach it.",
)
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=8600,
    show_default=True,
    help="Port to listen on. 0: any free port.",
)
@click.option(
    "--data",
    type=click.Path(path_type=Path),
    help="Folder of worlds, tiles and jobs. [default: infgen in the user's data folder]",
)
@model_option
@engine_option
@engine_file_option
@threads_option
@click.option("--exact", type=click.IntRange(0, 4), hidden=True, help="Has no effect: the model's scales decide.")
@click.option("--token", help=f"Require this token of at least {LEAST_TOKEN} characters. Prefer {TOKEN_VARIABLE}.")
@click.option("--allow-host", multiple=True, help="Name in addresses that lead here, such as a proxy's. Repeatable.")
@click.option("--root-path", default="", help="Prefix of all addresses behind a proxy, such as /canvas.")
@click.option(
    "--trust-proxy", multiple=True, help="Address or network of a proxy whose X-Forwarded-* headers count. Repeatable."
)
@click.option(
    "--log-format", type=click.Choice(["text", "json"]), default="text", show_default=True, help="Format of log lines."
)
@click.option("--access-log", is_flag=True, help="Log every request, without its query.")
@click.option("--open", "open_page", is_flag=True, envvar="INFGEN_OPEN", help="Open the page in a browser.")
def command(
    host: str,
    port: int,
    data: Path | None,
    model: str | None,
    engine: str,
    engine_file: str | None,
    threads: int | None,
    exact: int | None,
    token: str | None,
    allow_host: tuple[str, ...],
    root_path: str,
    trust_proxy: tuple[str, ...],
    log_format: Literal["text", "json"],
    access_log: bool,
    open_page: bool,
) -> None:
    """Serve the infinite canvas: a page to explore and paint endless images, and its API.

    Prints the address of the page. Ctrl-C or SIGTERM stops the server: it finishes queued tiles and cancels running
    jobs. An environment variable can set each option, such as INFGEN_PORT or INFGEN_ALLOW_HOST.
    """
    check_token(host, token)
    if exact is not None:
        click.echo("--exact has no effect: zoomed-out tiles come from the scales of the model", err=True)
    from infgen.serve import create_app, serve
    from infgen.serve.lifecycle import listen
    from infgen.serve.logs import configure_logging
    from infgen.serve.proxy import check_prefix, parse_networks

    check_prefix(root_path)
    parse_networks(trust_proxy)
    configure_logging(log_format, access=access_log)
    with listen(host, port) as listener:
        make = partial(
            create_app,
            default_data() if data is None else data,
            model=model,
            options=Options(threads=threads, engine=engine, engine_file=engine_file, engine_styles=ENGINE_STYLES),
            token=token,
            hosts=allowed_hosts(host, allow_host),
            root_path=root_path,
            proxies=trust_proxy,
        )
        url = page_url(host, listener.getsockname()[1], root_path)
        serve(
            make,
            listener,
            listening=lambda: print_address(url, token),
            ready=lambda: open_browser(url, token) if open_page else None,
        )


def is_loopback(host: str) -> bool:
    """Whether only programs on this machine can reach ``host``."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def check_token(host: str, token: str | None) -> None:
    """Raise InputError for a token that is too short, and for no token if other machines can reach ``host``."""
    if token is not None and (len(token) < LEAST_TOKEN or not (token.isascii() and token.isprintable())):
        raise InputError(
            f"the token has {len(token)} characters; give at least {LEAST_TOKEN} ASCII characters, such as the output "
            "of openssl rand -hex 16"
        )
    if token is None and not is_loopback(host):
        raise InputError(
            f"--host {host} is open to other machines and there is no token; give --token or {TOKEN_VARIABLE}, or "
            "listen on 127.0.0.1"
        )


def allowed_hosts(host: str, extra: Collection[str]) -> Collection[str] | None:
    """Return the allowed names in Host headers; None: any, for a server that other machines reach by unknown names."""
    from infgen.serve.guard import LOOPBACK_NAMES

    return (*LOOPBACK_NAMES, *extra) if extra or is_loopback(host) else None


def page_url(host: str, port: int, root_path: str) -> str:
    """Return the address of the page on this server."""
    name = f"[{host}]" if ":" in host else host
    return f"http://{name}:{port}{root_path.rstrip('/')}/"


def sign_in_url(url: str, token: str | None) -> str:
    """Return the address that signs a browser in."""
    return f"{url}?token={quote(token)}" if token else url


def print_address(url: str, token: str | None) -> None:
    """Print the address. Only a terminal gets the token, because a pipe may end in a log."""
    click.echo(sign_in_url(url, token) if sys.stdout.isatty() else url)


def open_browser(url: str, token: str | None) -> None:
    """Open the page in a browser."""
    webbrowser.open(sign_in_url(url, token))


def default_data() -> Path:
    """Return the user's folder for data of infgen."""
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Application Support" / "infgen"
    return Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share") / "infgen"
