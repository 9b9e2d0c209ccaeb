"""Commands with options in panels, examples, defaults from files and the environment, and former names of options."""

import logging
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import click

from infgen.cli.defaults import Defaults, find_defaults, long_name, note_former_name
from infgen.cli.words import MESSAGES, PANELS, find_word
from infgen.errors import InputError

Example = tuple[str, str]  # what it does, the command without "infgen"
_PANELS = [*PANELS, "Options"]


def heading(text: str) -> str:
    """Return the heading of a panel. click removes the colour where the output is no terminal."""
    return click.style(text, bold=True, fg="cyan")


class Command(click.Command):
    """A command of infgen.

    ``examples``: for the help text. ``renamed``: former name of an option -> its name now. A former name works on the
    command line, in files and in the environment, with a note.
    ``files_of_json``: --json was followed by a file before, which -o names now.
    """

    def __init__(
        self,
        *args: Any,
        examples: Sequence[Example] = (),
        renamed: Mapping[str, str] | None = None,
        files_of_json: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        self.examples, self.renamed, self._files_of_json = tuple(examples), dict(renamed or {}), files_of_json
        if not any("-v" in option.opts for option in self.params):
            self.params.append(verbose_option())

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse ``args`` with the defaults of files and the environment. An error names the place of the value."""
        options = [o for o in self.params if isinstance(o, click.Option)]
        defaults = find_defaults(command_words(ctx), options, renamed=self.renamed)
        defaults.note_former_variables()
        for option in options:
            option.envvar = defaults.variables(option) or option.envvar
        ctx.default_map = {**(ctx.default_map or {}), **defaults.values}
        try:
            return super().parse_args(ctx, list(self._rename(args)))
        except click.BadParameter as error:
            _add_place(error, ctx, defaults)
            raise

    def _rename(self, args: Sequence[str]) -> Iterator[str]:
        """Replace former names of options up to "--", and print a line for each."""
        for i, word in enumerate(args):
            if word == "--":
                yield from args[i:]
                return
            name, equals, value = word.partition("=")
            now = self.renamed.get(name)
            if self._files_of_json and name == "--json" and (value or "".join(args[i + 1 : i + 2])).endswith(".json"):
                now = "--output"
            if now is None:
                yield word
                continue
            note_former_name(name, now)
            yield now + equals + value

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the options in panels, then the examples."""
        self._show_metavars(ctx)
        panels: dict[str, list[tuple[str, str]]] = {panel: [] for panel in _PANELS}
        for option in self.get_params(ctx):
            record = option.get_help_record(ctx)
            if record is not None and isinstance(option, click.Option):
                name = long_name(option)
                panel = MESSAGES if name == "--help" else find_word(command_words(ctx), name)[0]
                panels[panel].append(record)
        for panel, records in panels.items():
            if records:
                with formatter.section(heading(panel)):
                    formatter.write_dl(records)
        self._format_examples(ctx, formatter)

    def _show_metavars(self, ctx: click.Context) -> None:
        for option in self.params:
            if isinstance(option, click.Option) and option.metavar is None:
                option.metavar = find_word(command_words(ctx), long_name(option))[1]

    def _format_examples(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        if not self.examples:
            return
        with formatter.section(heading("Examples")):
            for title, words in self.examples:
                formatter.write(f"{'':{formatter.current_indent}}# {title}\n")
                formatter.write(f"{'':{formatter.current_indent}}infgen {words}\n")


class Group(click.Group):
    """A group whose commands are of the class ``Command``."""

    command_class = Command


def command_words(ctx: click.Context) -> str:
    """Return the words of the command after "infgen", such as "bench render"."""
    return " ".join(ctx.command_path.split(" ")[1:]) or str(ctx.command.name)


def verbose_option() -> click.Option:
    """Return the option -v, which every command has."""
    return click.Option(
        ["-v", "--verbose"],
        count=True,
        expose_value=False,
        callback=_configure_logging,
        help="Print log messages; -vv prints those for developers, too.",
    )


def _configure_logging(ctx: click.Context, param: click.Parameter, value: int) -> None:
    if value:
        logging.basicConfig(format="%(name)s: %(message)s")
        logging.getLogger("infgen").setLevel(logging.INFO if value == 1 else logging.DEBUG)


def _add_place(error: click.BadParameter, ctx: click.Context, defaults: Defaults) -> None:
    """Add the file or variable that a bad value comes from to the message."""
    if not isinstance(error.param, click.Option) or error.param.name is None:
        return
    source = ctx.get_parameter_source(error.param.name)
    place = defaults.place(error.param, source)
    if place is not None:
        raise InputError(f"{place}: {error.message.rstrip('.')}; correct it, or remove it") from None
