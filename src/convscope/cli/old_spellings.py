"""Old spellings of options: they work until version 0.2, and are not in the help."""

import sys
from collections.abc import Sequence

# (command, option): the option now.
_OPTIONS = {
    ("atlas", "--layers"): "--layer",
    ("import", "--classes"): "--class-names",
}
# (command, option, value): option and value now.
_VALUES = {
    ("predict", "--format", "json"): ("--json",),
    ("shift", "--border", "circular"): ("--border", "wrap"),
    ("kernel", "--border", "circular"): ("--border", "wrap"),
}


def current(arguments: Sequence[str]) -> list[str]:
    """The arguments of `convscope` in today's spelling; says on stderr what was replaced.

    >>> current(["predict", "run", "a.png", "--format=csv"])
    ['predict', 'run', 'a.png', '--format=csv']
    """
    command = next((text for text in arguments if not text.startswith("-")), "")
    given, rest = [], list(arguments)
    while rest:
        text = rest.pop(0)
        if text == "--":  # what follows are no options
            return [*given, text, *rest]
        option, equals, value = text.partition("=")
        if (now := _OPTIONS.get((command, option))) is not None:
            _say(option, now)
            given.append(f"{now}{equals}{value}")
            continue
        if not equals and rest:
            value = rest[0]
        words = _VALUES.get((command, option, value))
        if words is None:
            given.append(text)
            continue
        _say(f"{option} {value}", " ".join(words))
        given += words
        if not equals:
            rest.pop(0)
    return given


def _say(before: str, now: str) -> None:
    sys.stderr.write(f"convscope: {before} is now {now}\n")
