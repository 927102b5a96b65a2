"""Nothing from a disk is ever executed: the rules of SECURITY.md, held over every source file."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCES = sorted(
    path for folder in ("backend", "dashboard", "benchmarks") for path in (ROOT / folder).rglob("*.py")
)
UNPICKLERS = {
    "pickle.load",
    "pickle.loads",
    "pickle.Unpickler",
    "cloudpickle.load",
    "cloudpickle.loads",
    "joblib.load",
    "dill.load",
    "marshal.load",
    "marshal.loads",
    "shelve.open",
    "pandas.read_pickle",
    "pd.read_pickle",
    "yaml.load",
    "torch.jit.load",
    "eval",
    "exec",
    "os.system",
}


def calls(path: Path) -> list[tuple[str, dict[str, ast.expr], int]]:
    """Dotted name, keyword arguments and line of every call in a file."""
    found = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call):
            keywords = {word.arg: word.value for word in node.keywords if word.arg}
            found.append((ast.unparse(node.func), keywords, node.lineno))
    return found


def is_true(value: ast.expr | None) -> bool:
    return isinstance(value, ast.Constant) and value.value is True


def offence(name: str, keywords: dict[str, ast.expr]) -> str:
    """Why a call is not allowed; empty where it is."""
    if name in UNPICKLERS:
        return "runs what a file says"
    if name == "torch.load" and not is_true(keywords.get("weights_only")):
        return "torch.load without weights_only=True"
    if name in ("np.load", "numpy.load") and is_true(keywords.get("allow_pickle")):
        return "numpy unpickles"
    if is_true(keywords.get("shell")):
        return "a shell"
    return ""


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("torch.load(path)", "weights_only"),
        ("torch.load(path, weights_only=False)", "weights_only"),
        ("pickle.loads(data)", "runs"),
        ("np.load(path, allow_pickle=True)", "numpy"),
        ("subprocess.run(x, shell=True)", "shell"),
    ],
)
def test_the_rules_find_what_they_forbid(tmp_path, source, words):
    (tmp_path / "bad.py").write_text(source)
    name, keywords, _ = calls(tmp_path / "bad.py")[0]
    assert words in offence(name, keywords)


def test_no_source_executes_what_a_file_says():
    assert len(SOURCES) > 100
    found = [
        f"{path.relative_to(ROOT)}:{line}: {name}: {reason}"
        for path in SOURCES
        for name, keywords, line in calls(path)
        if (reason := offence(name, keywords))
    ]
    assert found == []


def test_the_linter_checks_for_security_and_nothing_switches_it_off():
    import tomllib

    lint = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["ruff"]["lint"]
    assert "S" in lint["select"]
    assert [rule for rule in lint["ignore"] if rule.startswith("S") and rule[1:].isdigit()] == ["S101"]
    assert not any("S" in rules for name, rules in lint["per-file-ignores"].items() if "backend" in name)


def test_servers_and_secrets_stay_out_of_the_sources():
    for path in SOURCES:
        text = path.read_text(encoding="utf-8")
        assert "0.0.0.0" not in text, path
        assert "password=" not in text.lower(), path
