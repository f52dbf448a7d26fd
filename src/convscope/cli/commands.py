"""The commands by name. A command is imported only when it runs."""

from importlib import import_module
from typing import Any

import typer
from typer.core import TyperGroup

from convscope.lenses.catalog import LENSES, lens

# Commands that are not lenses: module and function, and help.
OWN = {
    "check": ("check:check", "Check a data set for problems before training on it."),
    "train": ("train:train", "Train a classifier on images and write a run folder."),
    "evaluate": ("evaluate:evaluate", "Evaluate a run on held-out images."),
    "predict": ("predict:predict", "Classify images."),
    "explore": ("explore:explore", "Open a page in the browser to explore a network."),
    "models": ("models:models", "List the networks with their numbers of parameters."),
    "import": ("import_weights:import_weights", "Import weights from another library as a run."),
    "reproduce": (
        "reproduce:reproduce",
        "Train a run again and check that its results are the same.",
    ),
}
_FIRST = ("check", "train", "evaluate", "predict", "explore")
NAMES = (*_FIRST, *LENSES, *(name for name in OWN if name not in _FIRST))


class Commands(TyperGroup):
    """The group of all commands."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        # Click suggests names after a misspelling; it reads only the keys.
        self.commands = dict.fromkeys(NAMES)  # type: ignore[assignment]

    def list_commands(self, ctx: Any) -> list[str]:
        """The names in the order of `convscope --help`."""
        del ctx
        return list(NAMES)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """The command of that name, imported now; None where there is none."""
        del ctx
        if cmd_name not in NAMES:
            return None
        app = typer.Typer(add_completion=False, rich_markup_mode=None)
        app.command(cmd_name)(_function(cmd_name))
        return typer.main.get_command(app)

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """The list below `convscope --help`: no command is imported for it."""
        del ctx
        with formatter.section("Commands"):
            formatter.write_dl([(name, about(name)) for name in NAMES])


def about(name: str) -> str:
    """The help of a command, one line."""
    return LENSES[name] if name in LENSES else OWN[name][1]


def _function(name: str) -> Any:
    if name in LENSES:
        from convscope.contract.command import command_of

        return command_of(lens(name), LENSES[name])
    module, _, function = OWN[name][0].partition(":")
    return getattr(import_module(f"convscope.cli.{module}"), function)
