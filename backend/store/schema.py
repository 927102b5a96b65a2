"""The tables of the run store, one statement each, at the newest version.

Analysts query the file with any SQLite tool, so names here are public (contracts section 3): a change is a
migration. Times are UTC ISO-8601 text. ``fold`` NULL = over all folds, ``defect`` NULL = over all
defects. JSON columns hold compact JSON text.
"""

SCHEMA_VERSION = 2

TABLES: dict[str, str] = {
    "dataset": """
        CREATE TABLE dataset (
            dataset_id TEXT PRIMARY KEY,     -- content fingerprint
            name TEXT NOT NULL,
            task TEXT NOT NULL,
            synthetic INTEGER NOT NULL,
            n_fruits INTEGER NOT NULL,
            n_labelled INTEGER NOT NULL,
            spec TEXT NOT NULL,   -- JSON: healthy, defects, modalities, pressures, description, licence
            label_version TEXT NOT NULL,     -- fingerprint of ids and labels alone
            root TEXT NOT NULL,              -- folder it was read from, for thumbnails
            warnings TEXT NOT NULL DEFAULT '[]'  -- JSON list: what `check` found that does not stop a study
        )""",
    "fruit": """
        CREATE TABLE fruit (
            dataset_id TEXT NOT NULL REFERENCES dataset,
            fruit_id TEXT NOT NULL,
            fruit_group TEXT NOT NULL,
            labels TEXT NOT NULL,            -- JSON: defect -> 0, 1 or null
            pressures TEXT NOT NULL DEFAULT '{}',  -- JSON: reading -> number or null
            images TEXT NOT NULL DEFAULT '{}',     -- JSON: modality -> view -> path in the data set folder
            position INTEGER NOT NULL DEFAULT 0,   -- row of the manifest, 0-based: the order of every array
            PRIMARY KEY (dataset_id, fruit_id)
        ) WITHOUT ROWID""",
    "study": """
        CREATE TABLE study (
            study_id TEXT PRIMARY KEY,
            name TEXT NOT NULL,
            plan TEXT NOT NULL,              -- JSON: the whole plan
            dataset_id TEXT NOT NULL REFERENCES dataset,
            metric TEXT NOT NULL,
            started TEXT NOT NULL,
            finished TEXT,
            status TEXT NOT NULL,            -- running, complete, interrupted, failed
            heartbeat TEXT,
            folds TEXT NOT NULL DEFAULT '{}',    -- JSON: fruit_id -> outer fold
            fold_version TEXT NOT NULL DEFAULT '',  -- fingerprint of `folds`
            progress TEXT NOT NULL DEFAULT '{}', -- JSON: stage, done, total, seconds left
            summary TEXT NOT NULL DEFAULT '{}'   -- JSON: what ran, what failed and why
        )""",
    "run": """
        CREATE TABLE run (
            run_id TEXT PRIMARY KEY,
            study_id TEXT NOT NULL REFERENCES study,
            parent_run_id TEXT REFERENCES run(run_id),  -- the pretraining a fine-tune came from
            dataset_id TEXT NOT NULL REFERENCES dataset,
            name TEXT NOT NULL,              -- readable: "barlow_twins · 10 % labels · rgb+nir"
            kind TEXT NOT NULL,
            purpose TEXT NOT NULL,
            method TEXT NOT NULL,
            backbone TEXT NOT NULL,
            init TEXT NOT NULL,
            modalities TEXT NOT NULL,        -- JSON list
            augmentations TEXT NOT NULL,     -- JSON list
            label_fraction REAL NOT NULL,
            seed INTEGER NOT NULL,
            params TEXT NOT NULL,            -- JSON: the whole configuration
            config_hash TEXT NOT NULL,
            status TEXT NOT NULL,            -- running, complete, pruned, failed, interrupted
            error TEXT,
            started TEXT NOT NULL,
            finished TEXT,
            heartbeat TEXT,
            seconds REAL,
            n_folds INTEGER NOT NULL,
            transductive INTEGER NOT NULL DEFAULT 0,  -- pretraining saw test fruit: for study only
            git_commit TEXT,
            environment TEXT NOT NULL        -- JSON: host, python, packages, device, threads
        )""",
    "run_fold": """
        CREATE TABLE run_fold (
            run_id TEXT NOT NULL REFERENCES run ON DELETE CASCADE,
            fold INTEGER NOT NULL,
            seconds REAL NOT NULL,
            finished TEXT NOT NULL,
            notes TEXT NOT NULL DEFAULT '{}',  -- JSON: kept epoch, thresholds, halved batch, why pruned
            PRIMARY KEY (run_id, fold)
        ) WITHOUT ROWID""",
    "curve": """
        CREATE TABLE curve (
            run_id TEXT NOT NULL REFERENCES run ON DELETE CASCADE,
            fold INTEGER,
            epoch INTEGER NOT NULL,
            split TEXT NOT NULL,
            metric TEXT NOT NULL,
            value REAL
        )""",
    "metric": """
        CREATE TABLE metric (
            run_id TEXT NOT NULL REFERENCES run ON DELETE CASCADE,
            fold INTEGER,
            defect TEXT,
            metric TEXT NOT NULL,
            value REAL,                      -- NULL = undefined, see reason
            ci_low REAL,
            ci_high REAL,
            reason TEXT NOT NULL DEFAULT ''
        )""",
    "prediction": """
        CREATE TABLE prediction (
            run_id TEXT NOT NULL REFERENCES run ON DELETE CASCADE,
            fold INTEGER NOT NULL,
            fruit_id TEXT NOT NULL,
            defect TEXT NOT NULL,
            y_true INTEGER,                  -- NULL = unlabelled for this defect
            score REAL NOT NULL,
            y_pred INTEGER NOT NULL,
            PRIMARY KEY (run_id, defect, fold, fruit_id)
        ) WITHOUT ROWID""",
    "defect_confusion": """
        CREATE TABLE defect_confusion (
            run_id TEXT NOT NULL REFERENCES run ON DELETE CASCADE,
            fold INTEGER,
            defect TEXT NOT NULL,
            tp INTEGER NOT NULL,
            fp INTEGER NOT NULL,
            fn INTEGER NOT NULL,
            tn INTEGER NOT NULL
        )""",
    "class_confusion": """
        CREATE TABLE class_confusion (
            run_id TEXT NOT NULL REFERENCES run ON DELETE CASCADE,
            fold INTEGER,
            true_class TEXT NOT NULL,
            predicted_class TEXT NOT NULL,
            n INTEGER NOT NULL
        )""",
    "comparison": """
        CREATE TABLE comparison (
            run_id_a TEXT NOT NULL REFERENCES run(run_id) ON DELETE CASCADE,
            run_id_b TEXT NOT NULL REFERENCES run(run_id) ON DELETE CASCADE,
            defect TEXT,
            metric TEXT NOT NULL,
            delta REAL,                      -- b minus a
            ci_low REAL,
            ci_high REAL,
            p_value REAL,
            p_adjusted REAL,
            test TEXT NOT NULL,
            family TEXT NOT NULL DEFAULT '', -- the question the Holm correction spans
            n INTEGER,                       -- fruit compared
            verdict TEXT NOT NULL DEFAULT '',
            effect_size REAL,                -- standardised difference
            n_needed INTEGER                 -- labelled fruit that would settle it with 80 % power
        )""",
    "embedding": """
        CREATE TABLE embedding (
            run_id TEXT NOT NULL REFERENCES run ON DELETE CASCADE,
            fruit_id TEXT NOT NULL,
            projection TEXT NOT NULL,
            x REAL NOT NULL,
            y REAL NOT NULL,
            fold INTEGER,                    -- whose model it shows
            PRIMARY KEY (run_id, projection, fruit_id)
        ) WITHOUT ROWID""",
    "neighbour": """
        CREATE TABLE neighbour (
            run_id TEXT NOT NULL REFERENCES run ON DELETE CASCADE,
            fruit_id TEXT NOT NULL,
            rank INTEGER NOT NULL,           -- 1 = nearest
            neighbour_id TEXT NOT NULL,
            similarity REAL NOT NULL,        -- cosine, -1 to 1
            PRIMARY KEY (run_id, fruit_id, rank)
        ) WITHOUT ROWID""",
    "finding": """
        CREATE TABLE finding (
            dataset_id TEXT NOT NULL REFERENCES dataset,
            kind TEXT NOT NULL,              -- label_issue, duplicate, label_conflict, outlier, sensor, drift
            subject TEXT NOT NULL,           -- defect, sensor or "sensor · group"; '' = the fruit as a whole
            fruit_id TEXT NOT NULL DEFAULT '',
            other_id TEXT NOT NULL DEFAULT '',  -- the second fruit of a pair
            value REAL,                      -- how strong it is; its meaning is that of the kind
            detail TEXT NOT NULL DEFAULT '{}',  -- JSON: what else is known
            run_id TEXT REFERENCES run ON DELETE SET NULL,  -- whose predictions or features say so
            PRIMARY KEY (dataset_id, kind, subject, fruit_id, other_id)
        ) WITHOUT ROWID""",
    "attribution": """
        CREATE TABLE attribution (
            run_id TEXT NOT NULL REFERENCES run ON DELETE CASCADE,
            fruit_id TEXT NOT NULL,
            defect TEXT NOT NULL,
            modality TEXT NOT NULL,
            view TEXT NOT NULL,
            path TEXT NOT NULL,              -- relative to the store
            scores TEXT NOT NULL DEFAULT '{}',  -- JSON: pointing game, energy inside, IoU
            fold INTEGER,                    -- whose model it explains
            PRIMARY KEY (run_id, fruit_id, defect, modality, view)
        ) WITHOUT ROWID""",
    "artifact": """
        CREATE TABLE artifact (
            run_id TEXT NOT NULL REFERENCES run ON DELETE CASCADE,
            name TEXT NOT NULL,
            kind TEXT NOT NULL,
            path TEXT NOT NULL,              -- relative to the store
            sha256 TEXT NOT NULL,
            bytes INTEGER NOT NULL,
            fold INTEGER,                    -- NULL = of the whole run
            PRIMARY KEY (run_id, name)
        ) WITHOUT ROWID""",
}

INDEXES: dict[str, str] = {
    "run_by_study": "CREATE INDEX run_by_study ON run (study_id, started)",
    "run_by_start": "CREATE INDEX run_by_start ON run (started DESC)",
    "run_by_dataset": "CREATE INDEX run_by_dataset ON run (dataset_id, purpose, method)",
    "run_by_state": "CREATE INDEX run_by_state ON run "
    "(dataset_id, status, purpose, study_id, kind, started, heartbeat, seconds)",
    "run_by_choice": "CREATE INDEX run_by_choice ON run (dataset_id, study_id, method, modalities)",
    "curve_by_run": "CREATE INDEX curve_by_run ON curve (run_id, metric, split, fold, epoch)",
    "metric_by_run": "CREATE UNIQUE INDEX metric_by_run ON metric "
    "(run_id, metric, COALESCE(defect, ''), COALESCE(fold, -1))",
    "defect_confusion_by_run": "CREATE UNIQUE INDEX defect_confusion_by_run ON defect_confusion "
    "(run_id, defect, COALESCE(fold, -1))",
    "class_confusion_by_run": "CREATE UNIQUE INDEX class_confusion_by_run ON class_confusion "
    "(run_id, true_class, predicted_class, COALESCE(fold, -1))",
    "comparison_by_runs": "CREATE UNIQUE INDEX comparison_by_runs ON comparison "
    "(run_id_a, run_id_b, metric, COALESCE(defect, ''), test)",
}
"""They belong to no version: a writer adds those that an older store lacks."""
