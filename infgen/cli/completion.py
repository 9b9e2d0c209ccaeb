"""``infgen completion``: print the completion script of a shell."""

import click
from click.shell_completion import get_completion_class

from infgen.cli.command import Command
from infgen.cli.words import COMPLETE_VARIABLE
from infgen.errors import InputError

SHELLS = ("bash", "zsh", "fish")


@click.command(
    "completion",
    cls=Command,
    examples=[
        ("Bash: add this line to ~/.bashrc", "completion bash > ~/.infgen-completion && . ~/.infgen-completion"),
        ("Fish", "completion fish > ~/.config/fish/completions/infgen.fish"),
    ],
)
@click.argument("shell", type=click.Choice(SHELLS))
@click.pass_context
def command(ctx: click.Context, shell: str) -> None:
    """Print the completion script of SHELL. It completes commands, options and choices."""
    kind = get_completion_class(shell)
    if kind is None:
        raise InputError(f"shell {shell} is not supported; give one of {', '.join(SHELLS)}")
    script = kind(ctx.find_root().command, {}, "infgen", COMPLETE_VARIABLE)
    click.echo(script.source())
