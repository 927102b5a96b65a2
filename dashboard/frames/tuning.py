"""Trials of a search: what differed between them, what they reached, what mattered and what it cost. Pure."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pandas as pd

from dashboard import texts
from dashboard.format import duration, number, per_hundred, plural

WORDS = texts.TUNING
IDENTITY = frozenset(
    {"kind", "purpose", "seed", "threads", "parent", "label", "data.split_seed", "data.folds", "method.name"}
)
"""Settings that name a trial and are not tried."""
SHORTENED = ("optim.", "model.", "data.", "method.")
FEW_SIZES = 4
LEAST = 8
"""Fewer finished trials than this say nothing about what mattered."""
MOST_LINES = 250
NEAR = 0.01
"""So close to the best counts as good as the best."""


def flat(values: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested settings under dotted names; pairs of (name, value) count as nested too, lists as text."""
    found: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, dict):
            found |= flat(value, f"{prefix}{name}.")
        elif name == "params" and isinstance(value, list):
            found |= {f"{prefix}{pair[0]}": pair[1] for pair in value if len(pair) == 2}
        else:
            plain = value is None or isinstance(value, str | int | float)
            found[f"{prefix}{name}"] = value if plain else json.dumps(value)
    return found


def parameters(trials: pd.DataFrame) -> pd.DataFrame:
    """What the trials tried: a column for each setting that differs between them, a row a trial.

    Args:
        trials: see ``tuning.trials``.

    Returns:
        Columns named for people, in the order of the configuration; numbers where every value is one.
    """
    rows = [flat(json.loads(text)) if isinstance(text, str) else {} for text in trials["params"]]
    table = pd.DataFrame(rows, index=trials.index, dtype=object)
    kept = {}
    for name in table.columns:
        if name in IDENTITY or table[name].astype(str).nunique() < 2:
            continue
        values = pd.to_numeric(table[name], errors="coerce")
        boolean = table[name].map(lambda value: isinstance(value, bool)).any()
        numeric = not boolean and values.notna().sum() == table[name].notna().sum()
        kept[name] = values if numeric else table[name].astype(str)
    return pd.DataFrame(kept, index=trials.index).rename(columns=words_of)


def words_of(name: str) -> str:
    """A setting as people write it: ``optim.learning_rate`` becomes "learning rate"."""
    for prefix in SHORTENED:
        name = name.removeprefix(prefix)
    return name.replace(".", " ").replace("_", " ")


def logarithmic(values: pd.Series) -> bool:
    """Whether a setting spans more than a factor of ten, and does so evenly on a logarithmic scale.

    A share drawn evenly from 0 to .5 spans as much, but leans to one side once logarithms are taken.
    """
    if not pd.api.types.is_numeric_dtype(values) or values.isna().all() or values.min() <= 0:
        return False
    wide = values.max() / values.min() > 10
    raw, logged = (float(pd.Series(found).skew()) for found in (values, np.log(values)))  # type: ignore[arg-type]
    return bool(wide and abs(logged) <= abs(raw))


def history_rows(trials: pd.DataFrame) -> pd.DataFrame:
    """Every finished trial and the best so far, for ``charts.tuning.history``.

    Returns:
        trial (from 1), score, best, words, label (on the last row of the best).
    """
    done = trials[trials["score"].notna()].reset_index(drop=True)
    score = done["score"].astype(float)
    label = [""] * len(done)
    if len(done):
        label[-1] = WORDS["best_label"].format(n=number(float(score.max())))
    return pd.DataFrame(
        {
            "trial": np.arange(1, len(done) + 1),
            "score": score,
            "best": score.cummax(),
            "words": [
                WORDS["trial"].format(n=i + 1, score=number(value), time=duration(seconds))
                for i, (value, seconds) in enumerate(zip(score, done["seconds"], strict=True))
            ],
            "label": label,
        }
    )


def needed(trials: pd.DataFrame) -> int:
    """How many finished trials it took to come within ``NEAR`` of the best."""
    score = trials.loc[trials["score"].notna(), "score"].to_numpy(float)
    return int(np.argmax(score >= score.max() - NEAR)) + 1 if len(score) else 0


def importance(table: pd.DataFrame, score: pd.Series) -> pd.DataFrame:
    """How much each setting mattered: the loss of fit of a random forest when the setting is shuffled.

    The forest (Breiman 2001) learns the score from the settings; the loss of fit when a setting is shuffled
    is its importance, given as a share of the sum. It says what mattered within the range that was tried.

    Args:
        table: see ``parameters``; finished trials only.
        score: of the same trials.

    Returns:
        name, share (0 to 1), most important first; empty with too few trials.
    """
    if len(table) < LEAST or table.shape[1] == 0 or score.nunique() < 2:
        return pd.DataFrame({"name": [], "share": []})
    from sklearn.ensemble import RandomForestRegressor  # only this figure should pay for it
    from sklearn.inspection import permutation_importance

    encoded = pd.DataFrame({name: _encoded(table[name]) for name in table.columns})
    forest = RandomForestRegressor(n_estimators=40, min_samples_leaf=2, random_state=0, n_jobs=1)
    target = score.to_numpy(float)
    forest.fit(encoded.to_numpy(), target)
    lost = permutation_importance(forest, encoded.to_numpy(), target, n_repeats=5, random_state=0, n_jobs=1)
    size = np.clip(lost.importances_mean, 0, None)
    share = size / size.sum() if size.sum() > 0 else size
    found = pd.DataFrame({"name": table.columns, "share": share})
    return found.sort_values("share", ascending=False, kind="stable").reset_index(drop=True)


def _encoded(values: pd.Series) -> pd.Series:
    """Numbers as they are, or their logarithm; names by their mean place among the sorted names."""
    if pd.api.types.is_numeric_dtype(values):
        filled = values.fillna(values.median())
        return np.log(filled) if logarithmic(values) else filled
    return pd.Series(pd.factorize(values, sort=True)[0], index=values.index)


def importance_rows(found: pd.DataFrame) -> pd.DataFrame:
    """``importance`` as rows of ``charts.bars.interval_bars``."""
    share = found["share"].astype(float)
    text = [WORDS["share"].format(n=per_hundred(value)) for value in share]
    return bar_rows(list(found["name"]), list(share), text)


def bar_rows(names: list[str], values: list[float], text: list[str]) -> pd.DataFrame:
    """Rows of ``charts.bars.interval_bars`` without intervals, the first one in the accent colour."""
    return pd.DataFrame(
        {
            "name": names,
            "value": values,
            "low": [None] * len(names),
            "high": [None] * len(names),
            "text": text,
            "words": [f"{name}: {words}" for name, words in zip(names, text, strict=True)],
            "tone": ["accent" if i == 0 else "reference" for i in range(len(names))],
        }
    )


def few_sizes(values: pd.Series) -> bool:
    """Whether a setting is one of a handful of whole numbers, like the size of a batch."""
    known = values.dropna()
    return known.nunique() <= FEW_SIZES and bool((known % 1 == 0).all())


def slice_rows(values: pd.Series, score: pd.Series) -> pd.DataFrame:
    """One setting against the score: value, score, words; the best, the first of equals, lies on top."""
    frame = pd.DataFrame({"value": values, "score": score.astype(float)}).dropna()
    frame["words"] = [
        f"{_shown(v)} · {number(s)}" for v, s in zip(frame["value"], frame["score"], strict=True)
    ]
    frame = frame.iloc[::-1].sort_values("score", kind="stable")
    return frame.assign(best=[*([0] * (len(frame) - 1)), 1][: len(frame)])


def _shown(value: Any) -> str:
    return value if isinstance(value, str) else number(float(value), finest=6)


def parallel_rows(table: pd.DataFrame, score: pd.Series) -> pd.DataFrame:
    """Trials as lines across their settings, for ``charts.tuning.parallel``; the best lie on top.

    Returns:
        trial, axis, place (0 bottom to 1 top), shade (0 worst to 1 best), part (``line``, or ``tick`` for the
        values written on an axis), text.
    """
    order = score.iloc[::-1].sort_values(kind="stable").index[-MOST_LINES:]
    table, score = table.loc[order], score.loc[order].astype(float)
    rows = []
    columns = {**{name: table[name] for name in table.columns}, WORDS["score"]: score}
    shade = score.rank(pct=True).to_numpy()
    for name, values in columns.items():
        places, ticks = _places(values)
        for i, place in enumerate(places):
            if not math.isnan(place):
                rows.append((i, name, float(place), float(shade[i]), "line", ""))
        rows += [(-1, name, place, 0.0, "tick", text) for place, text in ticks]
    return pd.DataFrame(rows, columns=["trial", "axis", "place", "shade", "part", "text"])


def _places(values: pd.Series) -> tuple[np.ndarray[Any, Any], list[tuple[float, str]]]:
    """Where each value stands on its axis, 0 to 1, and which values are written."""
    if not pd.api.types.is_numeric_dtype(values):
        codes, names = pd.factorize(values, sort=True)
        step = max(1, len(names) - 1)
        return codes / step, [(i / step, str(name)) for i, name in enumerate(names)]
    scaled = np.log(values) if logarithmic(values) else values.astype(float)
    low, high = float(scaled.min()), float(scaled.max())
    places = ((scaled - low) / (high - low or 1.0)).to_numpy(float)
    ends = (float(values.min()), float(values.max()))
    return places, [(float(i), number(end, finest=6)) for i, end in enumerate(ends)]


def cost_rows(trials: pd.DataFrame) -> pd.DataFrame:
    """Time against score, and which trials no other beats in both, for ``charts.tuning.pareto``.

    Returns:
        minutes, score, front (1 = no trial is both faster and better), words, label (at its ends).
    """
    done = trials[trials["score"].notna() & trials["seconds"].notna()]
    frame = pd.DataFrame(
        {
            "minutes": done["seconds"].astype(float) / 60,
            "score": done["score"].astype(float),
            "words": [
                WORDS["score_in"].format(score=number(s), time=duration(t))
                for s, t in zip(done["score"], done["seconds"], strict=True)
            ],
        }
    ).sort_values(["minutes", "score"], ascending=[True, False], kind="stable")
    best = frame["score"].cummax()
    front = (frame["score"] >= best) & ~best.duplicated()
    frame = frame.assign(front=front.astype(int), label="").reset_index(drop=True)
    ends = frame.index[frame["front"] == 1]
    for end in {*ends[:1], *ends[-1:]}:
        frame.loc[end, "label"] = frame.loc[end, "words"]
    return frame


def time_rows(spent: pd.DataFrame) -> pd.DataFrame:
    """Where the time went, as rows of ``charts.bars.interval_bars``, the most first.

    Args:
        spent: see ``tuning.time_spent``.
    """
    named = spent.assign(
        name=[
            WORDS["pretraining"]
            if kind == "pretrain" and purpose != "tune"
            else texts.PURPOSES.get(purpose, purpose)
            for purpose, kind in zip(spent["purpose"], spent["kind"], strict=True)
        ]
    )
    total = named.groupby("name")[["seconds", "runs"]].sum().sort_values("seconds", ascending=False)
    text = [duration(seconds) for seconds in total["seconds"]]
    rows = bar_rows(list(total.index), list(total["seconds"] / 3600), text)
    counts = [plural(n, texts.RUNS["run"]) for n in total["runs"]]
    return rows.assign(words=[f"{a} · {b}" for a, b in zip(rows["words"], counts, strict=True)])
