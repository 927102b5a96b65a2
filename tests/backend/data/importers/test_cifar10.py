"""CIFAR-10 from its python batches and from class folders."""

import hashlib
import pickle
from collections import Counter

import numpy as np
import pytest
from PIL import Image
from torchvision.datasets import CIFAR10

from backend.data.importers import import_dataset
from backend.data.importers.cifar10 import CLASSES
from backend.data.manifest import read_dataset
from backend.errors import ConfigError, DataError

PER_BATCH = 10


@pytest.fixture
def batches(tmp_path, monkeypatch):
    """Batches as published but tiny, and torchvision told their checksums."""
    folder = tmp_path / "src" / "cifar-10-batches-py"
    folder.mkdir(parents=True)
    sums = {}
    names = [f"data_batch_{i}" for i in range(1, 6)] + ["test_batch"]
    for number, name in enumerate(names):
        pixels = np.random.default_rng(number).integers(0, 256, (PER_BATCH, 3072), dtype=np.uint8)
        raw = pickle.dumps({"data": pixels, "labels": list(range(PER_BATCH))})
        (folder / name).write_bytes(raw)
        sums[name] = hashlib.md5(raw).hexdigest()
    raw = pickle.dumps({"label_names": list(CLASSES)})
    (folder / "batches.meta").write_bytes(raw)
    monkeypatch.setattr(CIFAR10, "train_list", [[name, sums[name]] for name in names[:5]])
    monkeypatch.setattr(CIFAR10, "test_list", [["test_batch", sums["test_batch"]]])
    meta = {"filename": "batches.meta", "key": "label_names", "md5": hashlib.md5(raw).hexdigest()}
    monkeypatch.setattr(CIFAR10, "meta", meta)
    return folder


def run(source, out, **options):
    import_dataset("cifar10", str(source), out, progress=False, **options)
    return read_dataset(out)


def test_batches(batches, tmp_path):
    data = run(batches.parent, tmp_path / "out")
    assert data.defect_names == CLASSES
    assert Counter(data.fixed_split) == {"train": 50, "test": 10}
    assert data.labels.sum(axis=0).tolist() == [6] * 10
    assert data.modalities == {"rgb": ("1",)}
    place = data.fruit_ids.index("cifar10-train-00000")
    planes = np.random.default_rng(0).integers(0, 256, (PER_BATCH, 3072), dtype=np.uint8)[0]
    with Image.open(tmp_path / "out" / data.paths["rgb", "1"][place]) as picture:
        np.testing.assert_array_equal(np.asarray(picture), planes.reshape(3, 32, 32).transpose(1, 2, 0))
    assert len(run(batches, tmp_path / "subset", limit=12)) == 12


def test_a_damaged_batch_is_never_unpickled(batches, tmp_path, monkeypatch):
    (batches / "data_batch_3").write_bytes(b"cos\nsystem\n(S'true'\ntR.")

    def offline(self):
        return None

    monkeypatch.setattr(CIFAR10, "download", offline)
    with pytest.raises(DataError, match=r"cannot read or download CIFAR-10 .*corrupted"):
        run(batches, tmp_path / "out")


def test_offline_without_files_is_one_clear_line(tmp_path, monkeypatch, capsys):
    def offline(self):
        raise OSError("no network")

    monkeypatch.setattr(CIFAR10, "download", offline)
    with pytest.raises(DataError, match="go online"):
        run(tmp_path / "src", tmp_path / "out")
    assert "downloading CIFAR-10 there" in capsys.readouterr().err


def test_class_folders(tmp_path, save_picture):
    for part in ("train", "test"):
        for number, label in enumerate(CLASSES):
            save_picture(tmp_path / "src" / part / label / "0001.png", number, size=(32, 32))
    data = run(tmp_path / "src", tmp_path / "out")
    assert data.name == "CIFAR-10"
    assert Counter(data.fixed_split) == {"train": 10, "test": 10}
    with pytest.raises(ConfigError, match="class folders"):
        run(tmp_path / "src", tmp_path / "b", limit=3)
    save_picture(tmp_path / "src" / "train" / "avocado" / "1.png")
    with pytest.raises(DataError, match="class folder 'avocado'"):
        run(tmp_path / "src", tmp_path / "c")
