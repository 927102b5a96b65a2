"""What was varied and what came of it: sensors, augmentations, methods, shares of the labels."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from backend.store.queries._frame import first, frame, json_list

if TYPE_CHECKING:
    import pandas as pd


def finished(
    connection: sqlite3.Connection, dataset_id: str, study_id: str = "", purposes: Iterable[str] = ("final",)
) -> pd.DataFrame:
    """Complete runs of some purposes, in the order they were started.

    Args:
        connection: of the store.
        dataset_id: their data set.
        study_id: their study; empty = any.
        purposes: why they were run.

    Returns:
        run_id, study_id, parent_run_id, name, kind, purpose, method, backbone, init, modalities (JSON text),
        label_fraction, seed, transductive, started, finished, git_commit, and augment (JSON text): the
        augmentation under which the weights were pretrained, or, without a pretraining, trained.
    """
    return frame(
        connection,
        """
        SELECT r.run_id, r.study_id, r.parent_run_id, r.name, r.kind, r.purpose, r.method, r.backbone, r.init,
               r.modalities, r.label_fraction, r.seed, r.transductive, r.started, r.finished, r.git_commit,
               COALESCE(json_extract(p.params, '$.augment'), json_extract(r.params, '$.augment'), '{}')
                   AS augment
        FROM run r LEFT JOIN run p ON p.run_id = r.parent_run_id
        WHERE r.dataset_id = :dataset_id AND r.purpose IN (SELECT value FROM json_each(:purposes))
          AND (:study_id = '' OR r.study_id = :study_id) AND r.status = 'complete'
        ORDER BY r.started, r.run_id
        """,
        {"dataset_id": dataset_id, "study_id": study_id, "purposes": json_list(purposes)},
    )


def whole_metrics(
    connection: sqlite3.Connection, run_ids: Iterable[str], metrics: Iterable[str]
) -> pd.DataFrame:
    """Metrics of whole runs: pooled where the store has that, else the mean over the finished folds.

    Returns:
        run_id, metric, defect (None = over all), value (None = undefined), ci_low, ci_high (None for means).
    """
    return frame(
        connection,
        """
        SELECT m.run_id, m.metric, m.defect,
               CASE WHEN MAX(m.fold IS NULL) THEN MAX(CASE WHEN m.fold IS NULL THEN m.value END)
                    ELSE AVG(m.value) END AS value,
               MAX(CASE WHEN m.fold IS NULL THEN m.ci_low END) AS ci_low,
               MAX(CASE WHEN m.fold IS NULL THEN m.ci_high END) AS ci_high
        FROM json_each(:runs) run CROSS JOIN json_each(:metrics) name
        JOIN metric m ON m.run_id = run.value AND m.metric = name.value
        GROUP BY m.run_id, m.metric, m.defect
        """,
        {"runs": json_list(run_ids), "metrics": json_list(metrics)},
    )


def tests_of(
    connection: sqlite3.Connection, dataset_id: str, study_id: str = "", family: str = ""
) -> pd.DataFrame:
    """Tests between the runs of a data set or study that answer one kind of question.

    Args:
        connection: of the store.
        dataset_id: of both runs.
        study_id: of the second run; empty = any.
        family: how their family begins; empty = any.

    Returns:
        run_id_a, run_id_b, defect (None = over all), metric, delta (b minus a), ci_low, ci_high, p_value,
        p_adjusted, test, n, verdict, n_needed.
    """
    return frame(
        connection,
        """
        SELECT c.run_id_a, c.run_id_b, c.defect, c.metric, c.delta, c.ci_low, c.ci_high, c.p_value,
               c.p_adjusted, c.test, c.n, c.verdict, c.n_needed
        FROM run b JOIN comparison c ON c.run_id_b = b.run_id
        WHERE b.dataset_id = :dataset_id AND (:study_id = '' OR b.study_id = :study_id)
          AND substr(c.family, 1, length(:family)) = :family
        ORDER BY b.started, c.run_id_a, c.metric, c.defect, c.test
        """,
        {"dataset_id": dataset_id, "study_id": study_id, "family": family},
    )


def costs_by_group(connection: sqlite3.Connection, run_ids: Iterable[str], prices: str) -> pd.DataFrame:
    """What the errors of each pallet or origin add to the money that errors cost per 1,000 fruit.

    The sum over the groups is the cost of a run; the groups are what a bootstrap draws.

    Args:
        connection: of the store.
        run_ids: the runs.
        prices: JSON text: defect to [price of a miss, price of a false alarm]; others cost nothing.

    Returns:
        run_id, fruit_group, cost.
    """
    return frame(
        connection,
        """
        WITH price AS (
            SELECT key AS defect, json_extract(value, '$[0]') AS miss, json_extract(value, '$[1]') AS alarm
            FROM json_each(:prices)
        ),
        judged AS (
            SELECT p.run_id, p.defect, f.fruit_group, p.y_true, p.y_pred, price.miss, price.alarm,
                   COUNT(*) OVER (PARTITION BY p.run_id, p.defect) AS n
            FROM json_each(:runs) wanted
            JOIN run r ON r.run_id = wanted.value
            JOIN prediction p ON p.run_id = r.run_id
            JOIN price ON price.defect = p.defect
            JOIN fruit f ON f.dataset_id = r.dataset_id AND f.fruit_id = p.fruit_id
            WHERE p.y_true IS NOT NULL
        )
        SELECT run_id, fruit_group,
               SUM(1000.0 / n * CASE WHEN y_true > y_pred THEN miss
                                     WHEN y_true < y_pred THEN alarm ELSE 0 END) AS cost
        FROM judged GROUP BY run_id, fruit_group ORDER BY run_id, fruit_group
        """,
        {"runs": json_list(run_ids), "prices": prices},
    )


def pretrainings(connection: sqlite3.Connection, dataset_id: str, study_id: str = "") -> pd.DataFrame:
    """Every pretraining behind the results, whatever became of it, in the order they were started.

    Returns:
        run_id, name, method, seed, label_fraction, status, started, error.
    """
    return frame(
        connection,
        """
        SELECT run_id, name, method, seed, label_fraction, status, started, error FROM run
        WHERE dataset_id = :dataset_id AND (:study_id = '' OR study_id = :study_id)
          AND kind = 'pretrain' AND purpose IN ('final', 'label-efficiency')
        ORDER BY started, run_id
        """,
        {"dataset_id": dataset_id, "study_id": study_id},
    )


def health(connection: sqlite3.Connection, run_ids: Iterable[str]) -> pd.DataFrame:
    """How healthy the embeddings of pretrainings were, epoch by epoch, as means over the folds.

    Returns:
        run_id, metric, epoch (from 1), value.
    """
    return frame(
        connection,
        """
        SELECT c.run_id, c.metric, c.epoch, AVG(c.value) AS value
        FROM json_each(:runs) run JOIN curve c ON c.run_id = run.value
        WHERE c.split = 'health' AND c.value IS NOT NULL
        GROUP BY c.run_id, c.metric, c.epoch
        ORDER BY c.run_id, c.metric, c.epoch
        """,
        {"runs": json_list(run_ids)},
    )


def kept_file(
    connection: sqlite3.Connection, dataset_id: str, study_id: str, purpose: str, kind: str
) -> dict[str, Any] | None:
    """The latest file of a kind that a run of some purpose left; None where there is none.

    Returns:
        run_id, name, path (relative to the store), bytes.
    """
    return first(
        connection,
        """
        SELECT a.run_id, a.name, a.path, a.bytes
        FROM run r JOIN artifact a ON a.run_id = r.run_id
        WHERE r.dataset_id = :dataset_id AND (:study_id = '' OR r.study_id = :study_id)
          AND r.purpose = :purpose AND a.kind = :kind
        ORDER BY r.started DESC, a.name LIMIT 1
        """,
        {"dataset_id": dataset_id, "study_id": study_id, "purpose": purpose, "kind": kind},
    )
