"""A small disk to fill."""

import shutil
import subprocess

import pytest

NAMESPACE = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c"]


@pytest.fixture
def small_disk():
    """Runs a shell script with a file system of some size at a folder, only in a namespace of its own."""

    def run(folder, size, script, **options):
        folder.mkdir()
        mount = f"mount -t tmpfs -o size={size} tmpfs {folder}"
        probe = [*NAMESPACE, mount]
        if shutil.which("unshare") is None or subprocess.run(probe, check=False).returncode:
            pytest.skip("no user namespaces here, so no small disk to fill")
        line = [*NAMESPACE, f"{mount} && {script}"]
        return subprocess.run(line, check=False, capture_output=True, text=True, timeout=280, **options)

    return run
