"""``infgen serve``: the infinite canvas in a browser."""

import ipaddress
import os
import sys
import webbrowser
from pathlib import Path
from urllib.parse import quote

import click

from infgen.engines.selection import AUTO, NAMES
from infgen.errors import InputError
from infgen.rendering.studio import Options

TOKEN_VARIABLE = "INFGEN_TOKEN"
LEAST_TOKEN = 16  # characters


@click.command("serve")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on; others need --token.")
@click.option("--port", type=click.IntRange(0, 65535), default=8600, show_default=True, help="0: any that is free.")
@click.option("--data", type=click.Path(path_type=Path), help="Folder of worlds, tiles and jobs. [default: the user's]")
@click.option("--model", help="Model file or Hugging Face hub id. [default: the shipped model]")
@click.option("--engine", default=AUTO, show_default=True, help=f"What computes: {', '.join(NAMES)}.")
@click.option("--engine-file", help="A file of infgen export, .onnx or .engine.")
@click.option("--threads", type=click.IntRange(min=1), help="CPU threads.")
@click.option("--exact", type=click.IntRange(0, 4), hidden=True, help="Has no effect: the model's scales decide.")
@click.option("--token", help=f"Ask for this token, also {TOKEN_VARIABLE}. At least {LEAST_TOKEN} characters.")
@click.option("--open", "open_page", is_flag=True, help="Open the page in a browser.")
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
    open_page: bool,
) -> None:
    """Serve the infinite canvas: a page on which one travels through endless pictures, and the API behind it.

    Prints the page's address. Ctrl-C or SIGTERM ends it: tiles in line are finished, running jobs are cancelled.
    """
    token = token or os.environ.get(TOKEN_VARIABLE) or None
    check_token(host, token)
    if exact is not None:
        click.echo("--exact has no effect: zoomed-out tiles come from the scales of the model", err=True)
    from infgen.serve import create_app, serve
    from infgen.serve.guard import LOOPBACK_NAMES
    from infgen.serve.lifecycle import listen

    with listen(host, port) as listener:
        app = create_app(
            default_data() if data is None else data,
            model=model,
            options=Options(threads=threads, engine=engine, engine_file=engine_file),
            token=token,
            hosts=LOOPBACK_NAMES if is_loopback(host) else None,
        )
        url = page_url(host, listener.getsockname()[1], token)

        def started() -> None:
            click.echo(url)
            if open_page:
                webbrowser.open(url)

        serve(app, listener, started=started)


def is_loopback(host: str) -> bool:
    """Whether only programs of this machine reach ``host``."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def check_token(host: str, token: str | None) -> None:
    """Raise InputError where ``host`` is open to others and there is no token, or it is easily guessed."""
    if token is not None and (len(token) < LEAST_TOKEN or not (token.isascii() and token.isprintable())):
        raise InputError(
            f"the token has {len(token)} characters; give {LEAST_TOKEN} ASCII ones or more, as openssl rand -hex 16 makes"
        )
    if token is None and not is_loopback(host):
        raise InputError(
            f"--host {host} lets other machines in, and there is no token; give --token or {TOKEN_VARIABLE}, or listen on "
            "127.0.0.1"
        )


def page_url(host: str, port: int, token: str | None) -> str:
    """What to open."""
    name = f"[{host}]" if ":" in host else host
    return f"http://{name}:{port}/" + (f"?token={quote(token)}" if token else "")


def default_data() -> Path:
    """The folder for data of this user and program."""
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Application Support" / "infgen"
    return Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share") / "infgen"
