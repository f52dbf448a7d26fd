"""An extension of griffe for the Python reference: doctests in docstrings become code blocks."""

# pyright: reportMissingImports=false

import re
from typing import Any

import griffe

_DOCTEST = re.compile(r"^( *)>>> .*(?:\n(?! *$).+)*", re.MULTILINE)


def fenced(docstring: str) -> str:
    """The docstring with every doctest, up to the next empty line, as a Markdown code block."""
    return _DOCTEST.sub(lambda match: f"{match[1]}```pycon\n{match[0]}\n{match[1]}```", docstring)


class DoctestFences(griffe.Extension):
    """Without it, Markdown reads the lines that begin with `>>>` as quotations."""

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        """Changes one object's docstring."""
        if obj.docstring:
            obj.docstring.value = fenced(obj.docstring.value)
