"""Make a data set folder all at once or not at all.

Everything is written beside the target under a temporary name and renamed at the end, so a folder with a
manifest is always whole. ``recipe.json`` remembers what made it: the same recipe again is a no-op, and no
folder that this program did not make is ever touched.
"""

from __future__ import annotations

import csv
import errno
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from backend.data.problem import SPEC_FILE
from backend.data.spec import Spec
from backend.errors import DataError

RECIPE_FILE = "recipe.json"
SOURCE_STATE = "source_state"
"""Key of a recipe: what the source held. Where it is empty or missing nothing is known of it, and any
state is alike."""
_CANNOT_WRITE = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM, errno.EFBIG)

Recipe = Mapping[str, Any]


def note(text: str) -> None:
    """Tell the user something that is no error, on stderr."""
    sys.stderr.write(f"note: {text}\n")


def already_made(out: Path, recipe: Recipe) -> bool:
    """Whether ``out`` holds exactly what ``recipe`` would make.

    Raises:
        DataError: ``out`` exists and holds anything else, or cannot be looked at.
    """
    try:
        if not out.exists():
            return False
        if not out.is_dir():
            raise DataError("is a file", where=str(out), expected="a folder", action="choose another name")
        if not any(out.iterdir()):
            return False
    except OSError as error:
        raise _cannot_write(out, error) from error
    found = _read_recipe(out)
    what = _difference(found, recipe)
    if not what:
        note(f"{out} already holds exactly this data set; delete it to make it again")
        return True
    raise DataError(
        what, where=str(out), expected="an empty or new folder", action="choose another or delete it yourself"
    )


def expect_space(out: Path, needed: int) -> None:
    """Refuse before anything is written what the disk of ``out`` cannot hold.

    Args:
        out: what is to be made.
        needed: about how many bytes it takes.

    Raises:
        DataError: fewer are free.
    """
    place = next(path for path in (out, *out.absolute().parents) if path.exists())
    free = shutil.disk_usage(place).free
    if free < needed:
        raise DataError(
            f"{free / 1e9:,.1f} GB free",
            where=str(place),
            expected=f"about {needed / 1e9:,.1f} GB",
            action="ask for less, free some space or choose another folder",
        )


@contextmanager
def new_folder(out: Path, recipe: Recipe) -> Iterator[Path]:
    """A temporary folder that becomes ``out`` when the block ends well, and disappears when it does not.

    Args:
        out: the data set folder; ``already_made`` has said that it is new or empty.
        recipe: what makes the data set, as JSON types.

    Raises:
        DataError: the disk is full or may not be written.
    """
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(prefix=f".{out.name}-", suffix=".tmp", dir=out.parent))
    except OSError as error:
        raise _cannot_write(out, error) from error
    try:
        yield temporary
        (temporary / RECIPE_FILE).write_text(json.dumps(dict(recipe), indent=1) + "\n", encoding="utf-8")
        temporary.chmod(0o777 & ~_umask())
        if out.exists():
            out.rmdir()
        temporary.rename(out)
    except OSError as error:
        if error.errno in _CANNOT_WRITE:
            raise _cannot_write(out, error) from error
        raise
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def write_csv(path: Path, header: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Write a CSV file in UTF-8 with Unix line ends; None becomes an empty cell."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(rows)


def write_spec(folder: Path, spec: Spec) -> None:
    """Write ``dataset.toml`` (``spec.content`` is not used)."""
    import tomli_w

    names = ("name", "task", "healthy", "synthetic", "description", "licence", "source")
    content: dict[str, Any] = {name: getattr(spec, name) for name in names}
    parts = [tomli_w.dumps(content, multiline_strings=True)]
    # tomli_w would put small tables into one line each; the contract's [[defect]] is easier to edit
    parts += ["[[defect]]\n" + tomli_w.dumps(vars(defect)) for defect in spec.defects]
    (folder / SPEC_FILE).write_text("\n".join(parts), encoding="utf-8")


def _read_recipe(out: Path) -> dict[str, Any] | None:
    try:
        recipe = json.loads((out / RECIPE_FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return recipe if isinstance(recipe, dict) else None


def _difference(found: Recipe | None, recipe: Recipe) -> str:
    """What else than the data set of ``recipe`` a folder with the recipe ``found`` holds; "" = nothing."""
    if found is None:
        return "holds files that this program did not make"
    if {**found, SOURCE_STATE: ""} != {**recipe, SOURCE_STATE: ""}:
        return f"holds {_words(found)}"
    before, now = found.get(SOURCE_STATE), recipe.get(SOURCE_STATE)
    changed = before and now and before != now
    return f"was made of a source that has changed since (then {before}; now {now})" if changed else ""


def _words(recipe: Recipe) -> str:
    return "another data set (" + ", ".join(f"{key} {value}" for key, value in recipe.items()) + ")"


def _cannot_write(out: Path, error: OSError) -> DataError:
    action = "free some space" if error.errno in (errno.ENOSPC, errno.EDQUOT) else "choose another folder"
    return DataError(f"cannot write ({error.strerror})", where=str(out), action=action)


def _umask() -> int:
    """The permissions that new files lack; mkdtemp makes folders that only their owner can read."""
    mask = os.umask(0)
    os.umask(mask)
    return mask
