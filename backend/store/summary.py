"""What a study came to, in a few facts: for the end of ``tune`` and for ``python -m backend.store info``."""

from __future__ import annotations

import sqlite3
from typing import Any


def summarise_study(connection: sqlite3.Connection, study_id: str) -> dict[str, Any]:
    """What ran, what failed and why, and the best final result.

    Args:
        connection: an open store.
        study_id: the study.

    Returns:
        ``runs`` (status to number), ``failed`` (run_id, name and error of each), and ``best`` (run_id,
        name, mcc, ci_low, ci_high of the complete final run that inner validation prefers, or None).
        Whoever picks the highest MCC on test fruit reports luck; it decides only where nothing was validated.
        Transductive runs are for study only and never best.
    """
    runs = connection.execute(
        "SELECT status, COUNT(*) FROM run WHERE study_id = ? GROUP BY status ORDER BY status", (study_id,)
    )
    failed = connection.execute(
        "SELECT run_id, name, error FROM run WHERE study_id = ? AND status = 'failed' "
        "ORDER BY started, run_id",
        (study_id,),
    )
    best = connection.execute(
        "SELECT run.run_id, name, tested.value, tested.ci_low, tested.ci_high FROM run "
        "JOIN metric tested USING (run_id) LEFT JOIN metric inner_score ON inner_score.run_id = run.run_id "
        "AND inner_score.metric = 'inner_mcc' AND inner_score.defect IS NULL AND inner_score.fold IS NULL "
        "WHERE study_id = ? AND status = 'complete' AND purpose = 'final' AND NOT transductive "
        "AND tested.metric = 'mcc' AND tested.defect IS NULL AND tested.fold IS NULL "
        "AND tested.value IS NOT NULL "
        "ORDER BY inner_score.value DESC NULLS LAST, tested.value DESC, run.run_id LIMIT 1",
        (study_id,),
    ).fetchone()
    return {
        "runs": {row[0]: row[1] for row in runs},
        "failed": [dict(zip(("run_id", "name", "error"), row, strict=True)) for row in failed],
        "best": None
        if best is None
        else dict(zip(("run_id", "name", "mcc", "ci_low", "ci_high"), best, strict=True)),
    }
