"""A driver to torment: writes the same study every time, goes on where the last one was ended.

python store_process.py STORE write RUNS          prints "RUN FOLD" after each commit
python store_process.py STORE full RUNS           fills a small disk first, then makes room
python store_process.py STORE read SECONDS        reads all the time, prints how often
python store_process.py STORE drive RUNS          does the same through the driver, prints its memory in kB
python store_process.py STORE digest              prints what the store holds, times left out
"""

import hashlib
import sqlite3
import sys
import time
from contextlib import closing
from pathlib import Path

import numpy as np

from backend.cli import run_command
from backend.config import DataConfig, RunConfig
from backend.data.dataset import Defect, FruitDataset
from backend.errors import StoreError
from backend.store.bundle import ArtifactData, CurvePoint, FoldBundle, MetricValue, Predictions
from backend.store.connection import open_readonly
from backend.store.rows import RunRow, StudyRow
from backend.store.writer import RunStore

N_FOLDS, N_FRUIT, DEFECTS = 3, 120, ("bruising", "stem-end rot")
DATASET = FruitDataset(
    root=Path("fruit"),
    name="tormented",
    task="multilabel",
    healthy="a-quality",
    synthetic=True,
    description="",
    licence="",
    source="",
    defects=tuple(Defect(name) for name in DEFECTS),
    fruit_ids=tuple(f"fruit-{k}" for k in range(N_FRUIT)),
    groups=tuple(f"pallet-{k}" for k in range(N_FRUIT)),
    fixed_split=None,
    labels=(np.arange(2 * N_FRUIT).reshape(N_FRUIT, 2) % 3 == 0).astype(np.float32),
    pressure_names=(),
    pressures=np.zeros((N_FRUIT, 0), np.float32),
    modalities={},
    paths={},
    dataset_id="tormented",
    label_version="1",
)
FOLD_OF = {name: k % N_FOLDS for k, name in enumerate(DATASET.fruit_ids)}


def bundle(seed: int, fold: int) -> FoldBundle:
    """What fold ``fold`` of run ``seed`` gives, on any machine at any time."""
    rng = np.random.default_rng((seed, fold))
    rows = [k for k, name in enumerate(DATASET.fruit_ids) if FOLD_OF[name] == fold]
    score = rng.random((len(rows), len(DEFECTS)), dtype=np.float32)
    return FoldBundle(
        fold=fold,
        seconds=float(fold),
        predictions=Predictions(
            tuple(DATASET.fruit_ids[k] for k in rows),
            DEFECTS,
            DATASET.labels[rows],
            score,
            (score > 0.5).astype(np.uint8),
        ),
        metrics=(MetricValue("inner_mcc", float(rng.random())),),
        curves=tuple(CurvePoint(k, "train", "loss", float(rng.random())) for k in range(1, 200)),
        artifacts=(ArtifactData(f"fold{fold}/model.safetensors", "checkpoint", rng.bytes(20_000)),),
    )


def write(path: Path, runs: int) -> None:
    """Drive the study to its end."""
    with RunStore(path, "torment") as store:
        store.add_dataset(DATASET, [])
        store.recover()
        store.start_study(StudyRow("torment", "torment", {}, DATASET.dataset_id, "mcc", FOLD_OF))
        for seed in range(runs):
            config = RunConfig(seed=seed, data=DataConfig(folds=N_FOLDS))
            run = RunRow.from_config(
                config, study_id="torment", dataset_id="tormented", n_folds=N_FOLDS, environment={}
            )
            if store.run_status(run.run_id) == "complete":
                continue
            store.start_run(run)
            for fold in sorted(set(range(N_FOLDS)) - store.finished_folds(run.run_id)):
                store.write_fold(run.run_id, bundle(seed, fold))
                print(run.run_id, fold, flush=True)
            pooled = store.load_predictions(run.run_id)
            store.finish_run(run.run_id, [MetricValue("mean_score", float(pooled.score.mean()))])
        store.finish_study("torment", "complete", {})


def full(path: Path, runs: int) -> None:
    """Run into a full disk again and again, with a little more room each time."""
    ballast = [path.with_name(f"ballast-{k}") for k in range(1_000)]
    try:
        for file in ballast:
            file.write_bytes(b"x" * 65_536)
    except OSError:
        pass  # full at last
    met = 0
    for file in ballast:
        try:
            write(path, runs)
            break
        except StoreError as error:
            print(f"met: {error}", file=sys.stderr)
            met += 1
        file.unlink()
    print(f"the disk was full {met} times", flush=True)
    print(digest(path))


def drive(path: Path, runs: int) -> None:
    """What a driver does in a night, without the training; prints its memory after a fifth and at the end."""
    from backend.training import driver
    from backend.training.executor import Outcome
    from backend.training.progress import StudyProgress
    from backend.training.task import WorkerContext

    class Canned:
        workers = 1

        def run(self, tasks):
            for task in tasks:
                yield Outcome(task, bundle(task.config.seed, task.fold))

    driver.RESAMPLES = 50
    folds = np.array([FOLD_OF[name] for name in DATASET.fruit_ids])
    with RunStore(path, "torment") as store:
        store.add_dataset(DATASET, [])
        store.start_study(StudyRow("torment", "torment", {}, DATASET.dataset_id, "mcc", FOLD_OF))
        context = WorkerContext(DATASET, None, folds, "cpu")
        driven = driver.Driver(store, Canned(), context, "torment", 0, StudyProgress(quiet=True))
        for seed in range(runs):
            config = RunConfig(seed=seed, data=DataConfig(folds=N_FOLDS))
            assert [run.status for run in driven.run([config])] == ["complete"]
            if seed + 1 in (max(1, runs // 5), runs):
                print(own_memory(), flush=True)


def own_memory() -> int:
    """Anonymous memory of this process in kB."""
    status = Path("/proc/self/status").read_text()
    return int(status.partition("RssAnon:")[2].split()[0])


def read(path: Path, seconds: float, pause: float) -> None:
    """What a dashboard does, after each pause; prints how many runs it looked at."""
    n, end = 0, time.monotonic() + seconds
    while time.monotonic() < end:
        time.sleep(pause)
        with closing(open_readonly(path)) as connection:
            for row in connection.execute("SELECT run_id, n_folds, status FROM run").fetchall():
                folds, rows = connection.execute(
                    "SELECT COUNT(DISTINCT fold), COUNT(*) FROM prediction WHERE run_id = ?", (row[0],)
                ).fetchone()
                assert rows == folds * N_FRUIT // N_FOLDS * len(DEFECTS), "half a fold was seen"
                n += 1
    print(n)


def digest(path: Path) -> str:
    """A fingerprint of everything in the store but times, after an integrity check."""
    text = hashlib.sha256()
    with closing(open_readonly(path)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall()[0][0] == "ok"
        assert connection.execute("PRAGMA foreign_key_check").fetchall() == []
        tables = [
            row[0]
            for row in connection.execute(
                "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%' "
                "ORDER BY name"
            )
        ]
        for table in tables:
            columns = [
                row["name"]
                for row in connection.execute(f"PRAGMA table_info({table})")
                if row["name"] not in ("started", "finished", "heartbeat", "root")
            ]
            rows = sorted(
                repr(tuple(row)) for row in connection.execute(f"SELECT {', '.join(columns)} FROM {table}")
            )
            text.update(repr((table, rows)).encode())
        for row in connection.execute("SELECT path, sha256 FROM artifact"):
            content = (path.parent / row["path"]).read_bytes()
            assert hashlib.sha256(content).hexdigest() == row["sha256"]
    return text.hexdigest()


def main(argv: list[str] | None = None) -> int:
    path, command, *values = argv or sys.argv[1:]
    if command == "digest":
        print(digest(Path(path)))
    else:
        action = {"write": write, "full": full, "drive": drive, "read": read}[command]
        kind = float if command == "read" else int
        action(Path(path), *map(kind, values))
    return 0


if __name__ == "__main__":
    sqlite3.enable_callback_tracebacks(True)
    sys.exit(run_command(main))
