"""Lineage: what a run says of the machine it ran on."""

import json
import subprocess
import sys

from backend.store.environment import environment, git_commit


def test_lineage_names_commit_packages_and_machine():
    facts = environment("cuda:0", 2)
    assert (facts["device"], facts["threads"]) == ("cuda:0", 2)
    assert facts["packages"]["numpy"].count(".") >= 1
    assert json.loads(json.dumps(facts)) == facts
    commit = git_commit()
    assert commit is None or len(commit.removesuffix("-dirty")) == 40


def test_lineage_imports_no_torch():
    code = (
        "import sys; from backend.store import environment as e; e.environment(); e.git_commit();"
        "print([m for m in ('torch', 'pandas', 'sklearn', 'streamlit') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
