import errno
import os
import resource
import subprocess
import sys

import pytest

from backend.cli import _MENDS, run_command
from backend.errors import DataError

COMMANDS = ["backend.tune", "backend.data", "backend.store", "backend.augment", "backend.benchmark"]
PARTS = [f"backend.data {part}" for part in ("synth", "import", "check")] + ["backend.store doctor"]


def _fail(error: BaseException):
    def main(argv):
        raise error

    return main


def test_what_the_user_can_mend_is_one_line_and_exit_code_2(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command(_fail(DataError("no fruit", where="manifest.csv"))) == 2
    captured = capsys.readouterr()
    assert captured.err == "error: manifest.csv: no fruit\n"
    assert captured.out == ""


@pytest.mark.parametrize("code", sorted(_MENDS))
def test_a_path_that_the_system_refuses_is_one_line(capsys: pytest.CaptureFixture[str], code: int) -> None:
    assert run_command(_fail(OSError(code, os.strerror(code), "some/file"))) == 2
    [line] = capsys.readouterr().err.splitlines()
    assert line.startswith(f"error: some/file: {os.strerror(code)}; ")


@pytest.mark.parametrize(
    "error", [OSError(errno.EACCES, "no"), OSError(errno.EBADF, "no", "file"), OSError("no")]
)
def test_what_the_system_says_of_no_path_keeps_its_traceback(error: OSError) -> None:
    with pytest.raises(OSError, match="no"):
        run_command(_fail(error))


@pytest.mark.parametrize(("module", "is_ours"), [("sqlite_utils.db", False), ("backend.nowhere", True)])
def test_a_python_without_the_packages_is_named(
    capsys: pytest.CaptureFixture[str], module: str, is_ours: bool
) -> None:
    def main(argv: list[str] | None) -> int:
        raise ModuleNotFoundError(f"No module named {module!r}", name=module)

    if is_ours:
        with pytest.raises(ModuleNotFoundError):
            run_command(main)
    else:
        assert run_command(main) == 2
        [line] = capsys.readouterr().err.splitlines()
        assert "no package 'sqlite_utils'" in line and "make install" in line


def test_an_interrupt_is_exit_code_130(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command(_fail(KeyboardInterrupt())) == 130
    assert "kept" in capsys.readouterr().err


def test_our_own_defects_keep_their_traceback() -> None:
    with pytest.raises(ZeroDivisionError):
        run_command(_fail(ZeroDivisionError()))


def test_a_progress_bar_does_not_flood_a_log() -> None:
    """A scheduler keeps stderr in a file, where every repainting of a bar is one more line."""
    code = (
        "import time\n"
        "from backend.cli import run_program\n"
        "def main(argv):\n"
        "    from tqdm import tqdm\n"
        "    for _ in tqdm(range(10)):\n"
        "        time.sleep(.12)\n"
        "    return 0\n"
        "run_program(main)\n"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stderr.count("it/s") <= 2  # at the beginning and at the end
    assert "10/10" in result.stderr


@pytest.mark.parametrize("module", COMMANDS)
def test_help_imports_nothing_heavy(module: str) -> None:
    code = (
        "import sys, runpy\n"
        f"sys.argv = [{module!r}, '--help']\n"
        "try:\n"
        f"    runpy.run_module({module!r}, run_name='__main__', alter_sys=True)\n"
        "except SystemExit as end:\n"
        "    assert end.code in (0, None), end.code\n"
        "heavy = {'torch', 'pandas', 'numpy', 'optuna', 'sklearn', 'PIL', 'scipy'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    assert "usage" in result.stdout


@pytest.mark.parametrize("command", [*COMMANDS, *PARTS])
def test_help_is_immediate(command: str) -> None:
    """Half of the promised 0.3 s, counted by the processor, so that busy neighbours change nothing."""

    def seconds() -> float:
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([sys.executable, "-m", *command.split(), "--help"], capture_output=True, check=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

    assert min(seconds() for _ in range(3)) < 0.15
