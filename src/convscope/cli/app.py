"""The `convscope` command: its subcommands, and how errors leave it.

Exit codes: 0 done; 1 `reproduce` found a difference; 2 wrong input (a message, no traceback);
3 done, but some images could not be read; 130 and 143 stopped by Ctrl-C and SIGTERM.
"""

import io
import logging
import sys
import warnings
from typing import Annotated

import typer

from convscope import __version__
from convscope.base.errors import ConvscopeError
from convscope.cli.check import check
from convscope.cli.evaluate import evaluate
from convscope.cli.explore import explore
from convscope.cli.import_weights import import_weights
from convscope.cli.models import models
from convscope.cli.predict import predict
from convscope.cli.reproduce import reproduce
from convscope.cli.train import train
from convscope.lenses.activations.command import activations
from convscope.lenses.arithmetic.command import arithmetic
from convscope.lenses.atlas.command import atlas
from convscope.lenses.filters.command import filters
from convscope.lenses.kernel.command import kernel
from convscope.lenses.pathways.command import pathways
from convscope.lenses.receptive_field.command import receptive_field
from convscope.lenses.shift.command import shift
from convscope.lenses.summary.command import summary

app = typer.Typer(
    help="Trains, runs and sees through convolutional image classifiers.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
app.command()(check)
app.command()(train)
app.command()(evaluate)
app.command()(predict)
app.command()(explore)
app.command()(arithmetic)
app.command()(receptive_field)
app.command()(kernel)
app.command()(summary)
app.command()(activations)
app.command()(filters)
app.command()(pathways)
app.command()(atlas)
app.command()(shift)
app.command()(models)
app.command("import")(import_weights)
app.command()(reproduce)


def _version(asked: bool | None) -> None:
    if asked:
        print(f"convscope {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool | None,
        typer.Option("--version", callback=_version, is_eager=True, help="Print the version."),
    ] = None,
) -> None:
    del version


def main() -> None:
    """Runs the command line and exits with its code."""
    # Pillow warns of oddities in files; what cannot be read is an error with the file's name.
    warnings.filterwarnings("ignore", module="PIL")
    logging.getLogger("PIL").addHandler(logging.NullHandler())
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # file names may hold anything
            stream.reconfigure(errors="backslashreplace")
    try:
        app()
    except ConvscopeError as error:
        sys.stderr.write(f"convscope: {error}\n")
        sys.exit(2)
    except OSError as error:
        where = error.filename or "standard output"
        sys.stderr.write(f"convscope: {where}: {error.strerror or error}\n")
        sys.exit(2)
