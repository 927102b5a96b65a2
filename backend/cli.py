"""What every command shares: exit codes, error lines, log and progress on stderr.

Exit codes: 0 done, 1 finished but some runs failed, 2 unusable input or arguments (one line, no
traceback), 130 interrupted with everything finished so far kept.
"""

from __future__ import annotations

import argparse
import errno
import json
import os
import signal
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import Any, NoReturn

from backend.errors import AvocadoError, ConfigError

STOPS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""What asks a command to end in order: Ctrl-C, a scheduler, a closed terminal."""
EXIT_OK = 0
EXIT_SOME_FAILED = 1
EXIT_UNUSABLE = 2
EXIT_INTERRUPTED = 130
_SECONDS_A_LINE = "10"
_MENDS = {
    errno.EACCES: "check the permissions of the file and its folder",
    errno.EPERM: "check the permissions of the file and its folder",
    errno.ENAMETOOLONG: "pass a shorter name",
    errno.ENOTDIR: "a part of the path is a file: pass another path",
    errno.EISDIR: "name a file in that folder",
    errno.ELOOP: "its links lead in a circle: pass another path",
    errno.ENOENT: "check the spelling and that its folder exists",
    errno.ENOSPC: "free space and start the same command again",
}
"""What to do about a path that the system refuses."""


class CommandParser(argparse.ArgumentParser):
    """Reports an argument that cannot be used in one line, like every other error."""

    def error(self, message: str) -> NoReturn:
        """Raise what ``run_command`` turns into that line and exit code 2."""
        raise ConfigError(message, action=f"see {self.prog} --help")


def run_command(main: Callable[[list[str] | None], int], argv: list[str] | None = None) -> int:
    """Run a command's ``main`` and turn what the user can mend into one line and exit code 2.

    Args:
        main: takes the arguments (None = ``sys.argv[1:]``) and returns an exit code.
        argv: the arguments.

    Returns:
        The exit code of the process.
    """
    try:
        return main(argv)
    except AvocadoError as error:
        _say(f"error: {error}")
        return EXIT_UNUSABLE
    except ModuleNotFoundError as error:
        missing = (error.name or "").partition(".")[0]
        if missing in ("", "backend", "dashboard"):
            raise  # a defect of ours
        _say(
            f"error: {sys.executable} has no package {missing!r}; expected those of requirements.txt; "
            "run `make install` and start with .venv/bin/python"
        )
        return EXIT_UNUSABLE
    except KeyboardInterrupt:
        _say("interrupted: everything finished so far is kept; the same command goes on")
        return EXIT_INTERRUPTED
    except BrokenPipeError:
        # The reader of our stdout went away (``| head``): not an error of ours.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_OK
    except OSError as error:
        action = _MENDS.get(error.errno or 0)
        if error.filename is None or action is None:
            raise
        _say(f"error: {AvocadoError(str(error.strerror), where=str(error.filename), action=action)}")
        return EXIT_UNUSABLE


def run_program(main: Callable[[list[str] | None], int]) -> NoReturn:
    """Be a process: run ``main`` on its arguments and end with its exit code, see ``run_command``.

    A progress bar is drawn ten times a second on a terminal and a line every ten seconds in a file.
    """
    if not sys.stderr.isatty():
        os.environ.setdefault("TQDM_MININTERVAL", _SECONDS_A_LINE)  # read when tqdm is imported, by main
    code = run_command(main)
    # An impatient second signal must not turn an end in order into a death while Python tidies up.
    for number in STOPS:
        signal.signal(number, signal.SIG_IGN)
    sys.exit(code)


def end_in_order() -> None:
    """Let a scheduler's SIGTERM and a closed terminal's SIGHUP end like Ctrl-C: what is finished is kept.

    Under nohup the latter is ignored, and stays so.
    """
    for number in STOPS:
        if signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, signal.default_int_handler)


def _say(line: str) -> None:
    with suppress(OSError):  # the terminal may be what has gone
        print(line, file=sys.stderr, flush=True)


def print_json(value: Any) -> None:
    """Print ``value`` as one JSON document on stdout."""
    print(json.dumps(value, indent=2, ensure_ascii=False, default=str))
