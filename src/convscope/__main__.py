"""The entry point of `convscope`: Ctrl-C works before anything slow is imported."""

import signal
import sys

_AGAIN = 5.0  # seconds; longer than closing what is open takes


def main() -> None:
    """Runs the command line and exits with its code; with 130 and 143 on Ctrl-C and SIGTERM."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _leave)
    from convscope.cli.app import main as command  # noqa: PLC0415

    try:
        command()
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


def _leave(number: int, frame: object) -> None:
    """What is open is closed in order, and no traceback is shown.

    Python drops what is raised inside its import system's callbacks and in destructors, and goes
    on; therefore once more after a while, until we are out.
    """
    del frame
    signal.signal(signal.SIGALRM, lambda *_: sys.exit(128 + number))
    signal.setitimer(signal.ITIMER_REAL, _AGAIN, _AGAIN)
    sys.stderr.write("convscope: stopped\n")
    sys.exit(128 + number)


if __name__ == "__main__":
    main()
