"""The ``infgen`` command group. It turns exceptions into one line and an exit code."""

import signal
import sys
import traceback

import click

from infgen.errors import exit_code
from infgen.process import import_for_good, use_large_pages
from infgen.signals import Interrupt, interrupts
from infgen.version import __version__

# name -> (module, one line of help). The modules import PyTorch. With this table, ``infgen --help`` stays fast.
COMMANDS = {
    "render": ("infgen.cli.render", "Render any window of an endless image to a file."),
    "styles": ("infgen.cli.styles", "Render a sheet of styles to choose from."),
    "planet": ("infgen.cli.planet", "Render a whole planet as a map, whose edges meet."),
    "video": ("infgen.cli.video", "Move a camera over a world, and write a video."),
    "outpaint": ("infgen.cli.outpaint", "Continue a photograph on any side."),
    "inbetween": ("infgen.cli.inbetween", "Join photographs in a row and generate the gaps."),
    "panorama": ("infgen.cli.panorama", "Make a seamless 360 degree image around a photograph."),
    "resample": ("infgen.cli.resample", "Render a region of a world again, or undo that."),
    "verify": ("infgen.cli.verify", "Compare a rendered picture with its provenance."),
    "info": ("infgen.cli.info", "Show what a file made by infgen contains."),
    "data": ("infgen.cli.data", "Check photographs before training, and pack them into shards."),
    "train": ("infgen.cli.train", "Train a model on photographs."),
    "eval": ("infgen.cli.eval", "Measure the quality of a model's pictures."),
    "bench": ("infgen.cli.bench", "Measure how fast this machine renders."),
    "serve": ("infgen.cli.serve", "Explore and paint endless pictures in a browser."),
    "schema": ("infgen.cli.schema", "Print the JSON schema of layout or world files."),
    "export": ("infgen.cli.export", "Export a model for other runtimes."),
    "convert": ("infgen.cli.convert", "Convert a released InfinityGAN checkpoint."),
}


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
        """Format the list of commands from the table, without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])


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
        sys.exit(cli.main(words, prog_name="infgen", standalone_mode=False) or 0)
    except (click.Abort, KeyboardInterrupt):
        _print_error("interrupted" if interrupt.signal is signal.SIGINT else f"stopped by {interrupt.signal.name}")
        sys.exit(interrupt.exit_code)
    except click.exceptions.Exit as leave:
        sys.exit(leave.exit_code)
    except click.exceptions.NoArgsIsHelpError as error:  # a group without a command
        click.echo(error.ctx.get_help() if error.ctx is not None else error.format_message())
        sys.exit(0)
    except click.ClickException as error:
        hint = " (see: infgen --help)" if isinstance(error, click.UsageError) else ""
        _print_error(" ".join(error.format_message().split()) + hint)
        sys.exit(error.exit_code if isinstance(error, click.UsageError) else 2)
    except Exception as error:
        if "--debug" in words:
            traceback.print_exc()
        _print_error(_one_line(error))
        sys.exit(exit_code(error))


def _one_line(error: Exception) -> str:
    text = " ".join(str(error).split())
    known = type(error).__module__ == "infgen.errors"
    return text if known else f"unexpected {type(error).__name__}: {text} (run again with: infgen --debug ...)"


def _print_error(text: str) -> None:
    click.echo(f"Error: {text}", err=True)
