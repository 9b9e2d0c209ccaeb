"""The ``infgen`` command group. It turns exceptions into one line and an exit code."""

import os
import signal
import sys
import traceback
from typing import NoReturn

import click

from infgen.cli.words import COMMAND_PANELS, COMMANDS, COMPLETE_VARIABLE
from infgen.errors import exit_code
from infgen.process import import_for_good, use_large_pages
from infgen.signals import Interrupt, interrupts
from infgen.version import __version__


class LazyGroup(click.Group):
    """A group that imports a command only when it runs."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """List the commands in the order of the table."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the command ``cmd_name``. Returns None for an unknown name."""
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = import_for_good(COMMANDS[cmd_name][0]).command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Format the list of commands from the table, in panels, without importing them."""
        rest = [name for name in COMMANDS if not any(name in names for names in COMMAND_PANELS.values())]
        for panel, names in (*COMMAND_PANELS.items(), ("Other", rest)):
            if not names:
                continue
            with formatter.section(click.style(panel, bold=True, fg="cyan")):
                formatter.write_dl([(name, COMMANDS[name][1]) for name in names])


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="infgen")
@click.option("--debug", is_flag=True, help="Show tracebacks.")
def cli(debug: bool) -> None:
    """Render any window of an endless image, in constant memory."""


def main(arguments: list[str] | None = None) -> None:
    """Run the command line. Exits with code 0, 1 (failed), 2 (bad usage or input) or 128 + n (ended by signal n)."""
    with interrupts() as interrupt:
        _run(sys.argv[1:] if arguments is None else arguments, interrupt)


def _run(words: list[str], interrupt: Interrupt) -> None:
    use_large_pages()
    try:
        if COMPLETE_VARIABLE in os.environ:  # click's own machinery, which ends the process
            cli.main(words, prog_name="infgen", complete_var=COMPLETE_VARIABLE)
        sys.exit(cli.main(words, prog_name="infgen", standalone_mode=False, color=_colour()) or 0)
    except (click.Abort, KeyboardInterrupt):
        _print_error("interrupted" if interrupt.signal is signal.SIGINT else f"stopped by {interrupt.signal.name}")
        sys.exit(interrupt.exit_code)
    except click.exceptions.Exit as leave:
        sys.exit(leave.exit_code)
    except click.exceptions.NoArgsIsHelpError as error:  # a group without a command
        click.echo(error.ctx.get_help() if error.ctx is not None else error.format_message())
        sys.exit(0)
    except click.ClickException as error:
        hint = f" (see: {_help_command(error)})" if isinstance(error, click.UsageError) else ""
        code = error.exit_code if isinstance(error, click.UsageError) else 2
        _fail(words, " ".join(error.format_message().split()) + hint, kind=type(error).__name__, code=code)
    except Exception as error:
        if "--debug" in words:
            traceback.print_exc()
        _fail(words, _one_line(error), kind=type(error).__name__, code=exit_code(error))


def _colour() -> bool | None:
    """Return False where colours are not wanted; None lets click decide by the kind of output."""
    return False if os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb" else None


def _help_command(error: click.UsageError) -> str:
    return f"{error.ctx.command_path if error.ctx is not None else 'infgen'} --help"


def _fail(words: list[str], text: str, *, kind: str, code: int) -> NoReturn:
    """Print the error, with --json as JSON to standard output, too, and exit."""
    _print_error(text)
    if "--json" in words:
        from infgen.cli.answer import print_failure

        print_failure(_command_of(words), kind=kind, message=text, code=code)
    sys.exit(code)


def _one_line(error: Exception) -> str:
    text = " ".join(str(error).split())
    known = type(error).__module__ == "infgen.errors"
    return text if known else f"unexpected {type(error).__name__}: {text} (run again with: infgen --debug ...)"


def _command_of(words: list[str]) -> str:
    """Return the words of the command, such as "bench render", also if it could not be parsed."""
    names = [word for word in words if not word.startswith("-")]
    count = 2 if names[0] in ("bench", "data") or names[:2] == ["eval", "outpaint"] else 1
    return " ".join(names[:count])


def _print_error(text: str) -> None:
    click.echo(f"Error: {text}", err=True)
