"""What ``doctor`` finds."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong with a store.

    Attributes:
        kind: corrupt, reference, json, artifact, checksum, orphan, confusion, metric, stale, incomplete,
            group or fold.
        where: the run, study or file.
        detail: what was found.
        repair: what ``doctor --fix`` does about it; empty = nothing that a program may decide.
    """

    kind: str
    where: str
    detail: str
    repair: str = ""

    def __str__(self) -> str:
        return f"{self.kind}: {self.where}: {self.detail}"
