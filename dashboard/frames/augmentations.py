"""Augmentation ablations: what each run's policy was, and the cells and bars of its figures. Pure."""

from __future__ import annotations

import json
from dataclasses import dataclass
from itertools import product

import pandas as pd

from dashboard import texts
from dashboard.format import number, signed, signed_count
from dashboard.names import method_words

WORDS = texts.AUGMENTATIONS
NONE, CUSTOM = "none", "custom"


@dataclass(frozen=True)
class Policy:
    """The random changes that were in force; see ``backend.config.AugmentConfig``."""

    policy: str = NONE
    operations: tuple[str, ...] = ()
    without: tuple[str, ...] = ()
    strength: float = 1.0

    @classmethod
    def read(cls, text: str) -> Policy:
        """From the JSON of a run."""
        values = json.loads(text)
        return cls(
            policy=str(values.get("policy", NONE)),
            operations=tuple(values.get("operations", ())),
            without=tuple(values.get("without", ())),
            strength=float(values.get("strength", 1.0)),
        )

    @property
    def plain(self) -> bool:
        """Whether nothing is changed at all."""
        return self.policy == NONE or self.strength == 0

    @property
    def words(self) -> str:
        """How people call it."""
        if self.plain:
            return WORDS["no_augmentation"]
        name = (
            " + ".join(map(operation_words, self.operations))
            if self.policy == CUSTOM
            else WORDS["policy"].format(name=method_words(self.policy))
        )
        if self.without:
            name = WORDS["without"].format(
                policy=name, operations=", ".join(map(operation_words, self.without))
            )
        return (
            name if self.strength == 1 else WORDS["strength_of"].format(policy=name, n=number(self.strength))
        )


def plan_lines(policy: Policy) -> str:
    """How a plan says that pretraining is to use a policy: its table ``[pretraining]``, in TOML."""
    said: dict[str, object] = {"policy": policy.policy}
    if policy.policy == CUSTOM:
        said = {"operations": [*policy.operations]}
    if policy.without:
        said["without"] = [*policy.without]
    if policy.strength != 1:
        said["strength"] = policy.strength
    return "\n".join(["[pretraining]", *(f"{name} = {json.dumps(value)}" for name, value in said.items())])


def operation_words(name: str) -> str:
    """An operation as people write it; what belongs to NIR by name does the same to any sensor but RGB."""
    return name.removeprefix("nir_").replace("_", " ")


def scores(runs: pd.DataFrame, metrics: pd.DataFrame, metric: str) -> dict[Policy, float]:
    """The score of each policy: the mean over its ranked runs; confirmations are left out.

    Args:
        runs: see ``ablations.finished``.
        metrics: see ``ablations.whole_metrics``.
        metric: ``probe_inner_mcc``, ``inner_mcc``, ``mcc`` or ``knn_mcc``.
    """
    ranked = runs[runs["kind"] != "finetune"]
    policies = ranked.groupby("seed")["augment"].nunique()
    # The ranking is the seed under which most policies were tried, and of those the last: confirmations have
    # seeds of their own below it, under which few policies may all have been tried too.
    ranked = ranked[ranked["seed"] == policies[policies == policies.max()].index.max()]
    own = metrics[(metrics["metric"] == metric) & metrics["defect"].isna() & metrics["value"].notna()]
    known = ranked.merge(own[["run_id", "value"]], on="run_id")
    found: dict[Policy, list[float]] = {}
    for text, value in zip(known["augment"], known["value"], strict=True):
        found.setdefault(Policy.read(text), []).append(float(value))
    return {policy: sum(values) / len(values) for policy, values in found.items()}


def operations_of(found: dict[Policy, float]) -> tuple[str, ...]:
    """The operations that were tried alone or in pairs, the best alone first."""
    names = {name for policy in found if policy.policy == CUSTOM for name in policy.operations}
    alone = {name: found.get(Policy(CUSTOM, (name,)), float("-inf")) for name in names}
    return tuple(sorted(names, key=lambda name: (-alone[name], name)))


def reference(found: dict[Policy, float]) -> float | None:
    """The score without any augmentation."""
    return next((value for policy, value in found.items() if policy.plain), None)


def composition(found: dict[Policy, float]) -> pd.DataFrame:
    """Every pair of operations against no augmentation; on the diagonal an operation is alone.

    A pair that was tried in one order only stands on both sides of the diagonal.

    Returns:
        row, column, part, large, small, shade, words, first, second, value, gain; hundredths in the texts.
    """
    base = reference(found)
    names = operations_of(found)
    rows = []
    for (i, first), (j, second) in product(enumerate(names), repeat=2):
        pair = (first,) if first == second else (first, second)
        value = found.get(Policy(CUSTOM, pair), found.get(Policy(CUSTOM, pair[::-1])))
        gain = None if value is None or base is None else value - base
        rows.append(
            {
                "row": numbered(i, first),
                "column": str(j + 1),
                "part": "cell",
                "large": "" if value is None else f"{100 * value:.0f}",
                "small": "" if gain is None else signed_count(100 * gain),
                "shade": gain or 0.0,
                "words": _cell_words(pair, value, gain),
                "first": first,
                "second": second,
                "value": value,
                "gain": gain,
            }
        )
    return pd.DataFrame(rows)


def numbered(place: int, name: str) -> str:
    """An operation with the number that its column has."""
    return f"{place + 1} {operation_words(name)}"


def _cell_words(pair: tuple[str, ...], value: float | None, gain: float | None) -> str:
    name = " + ".join(map(operation_words, pair))
    if value is None:
        return WORDS["not_run"].format(name=name)
    against = "" if gain is None else WORDS["against_none"].format(gain=signed(gain))
    return f"{name}: {number(value)}{against}"


def default_policy(found: dict[Policy, float]) -> Policy | None:
    """The named policy that operations were taken out of, or whose strength was varied."""
    named = [policy for policy in found if not policy.plain and policy.policy != CUSTOM]
    varied = [policy for policy in named if policy.without or policy.strength != 1] or named
    return Policy(varied[0].policy) if varied else None


def leave_one_out(found: dict[Policy, float]) -> pd.DataFrame:
    """What each operation of the default policy is worth: the score with all minus the score without it.

    Returns:
        name, value, low, high, text, words, tone; the most valuable first.
    """
    default = default_policy(found)
    whole = None if default is None else found.get(default)
    rows = []
    for policy, value in found.items():
        if default is None or whole is None or policy.policy != default.policy or len(policy.without) != 1:
            continue
        worth = whole - value
        name = operation_words(policy.without[0])
        words = WORDS["worth_words"].format(name=name, whole=number(whole), without=number(value))
        rows.append(_bar(name, worth, signed(worth), words, "accent" if worth >= 0 else "fewer"))
    return pd.DataFrame(rows, columns=list(_bar("", 0.0, "", "", ""))).sort_values(
        "value", ascending=False, kind="stable"
    )


def strengths(found: dict[Policy, float]) -> pd.DataFrame:
    """The score of the default policy at each strength, 0 = none of it.

    Returns:
        name, value, low, high, text, words, tone.
    """
    default = default_policy(found)
    base = reference(found)
    tried = {} if base is None else {0.0: base}
    for policy, value in found.items():
        if default is not None and policy.policy == default.policy and not policy.without:
            tried[policy.strength] = value
    best = max(tried.values(), default=None)
    rows = []
    for strength in sorted(tried):
        value = tried[strength]
        name = WORDS["strength_none" if strength == 0 else "strength"].format(n=number(strength))
        rows.append(
            _bar(
                name,
                value,
                number(value),
                f"{name}: {number(value)}",
                "accent" if value == best else "reference",
            )
        )
    return pd.DataFrame(rows, columns=list(_bar("", 0.0, "", "", "")))


def _bar(name: str, value: float, text: str, words: str, tone: str) -> dict[str, object]:
    return {
        "name": name,
        "value": value,
        "low": None,
        "high": None,
        "text": text,
        "words": words,
        "tone": tone,
    }


def paired(found: dict[Policy, float]) -> bool:
    """Whether some pair of operations was tried."""
    return any(policy.policy == CUSTOM and len(policy.operations) == 2 for policy in found)


def ranked_policies(found: dict[Policy, float]) -> pd.DataFrame:
    """Every policy that was ranked, the best first.

    Returns:
        name, value, low, high, text, words, tone.
    """
    ranked = sorted(found.items(), key=lambda pair: -pair[1])
    one = len({policy.policy for policy in found if policy.without}) == 1
    return _ranking({_short(policy) if one else policy.words: value for policy, value in ranked})


def _short(policy: Policy) -> str:
    """What a policy is called where only one of them has something left out."""
    if not policy.without or policy.strength != 1:
        return policy.words
    return WORDS["left_out"].format(operations=", ".join(map(operation_words, policy.without)))


def _ranking(values: dict[str, float]) -> pd.DataFrame:
    """Bars of scores, the best first and in the accent colour."""
    rows = [
        _bar(name, value, number(value), f"{name}: {number(value)}", "reference" if i else "accent")
        for i, (name, value) in enumerate(values.items())
    ]
    return pd.DataFrame(rows, columns=list(_bar("", 0.0, "", "", "")))


def whole_policies(found: dict[Policy, float]) -> pd.DataFrame:
    """Named policies as they are, and none, the best first; empty unless several were tried.

    Returns:
        name, value, low, high, text, words, tone.
    """
    named = {
        policy: value
        for policy, value in found.items()
        if policy.plain or (policy.policy != CUSTOM and not policy.without and policy.strength == 1)
    }
    ranked = sorted(named.items(), key=lambda pair: -pair[1])
    return _ranking({policy.words: value for policy, value in ranked} if len(ranked) > 2 else {})
