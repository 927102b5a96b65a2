"""CIFAR-10 from its python batches and from class folders."""

import os
import pickle
import shutil
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


def pixels_of(number):
    return np.random.default_rng(number).integers(0, 256, (PER_BATCH, 3072), dtype=np.uint8)


@pytest.fixture
def batches(tmp_path):
    """Batches of the published form, but tiny."""
    folder = tmp_path / "src" / "cifar-10-batches-py"
    folder.mkdir(parents=True)
    for number, name in enumerate([*(f"data_batch_{i}" for i in range(1, 6)), "test_batch"]):
        raw = pickle.dumps({"data": pixels_of(number), "labels": list(range(PER_BATCH))})
        (folder / name).write_bytes(raw)
    (folder / "batches.meta").write_bytes(pickle.dumps({"label_names": list(CLASSES)}))
    return folder


@pytest.fixture
def class_folders(tmp_path, save_picture):
    """``train/<class>/`` and ``test/<class>/`` with names and suffixes as given."""

    def make(names=CLASSES, suffix=".png", parts=("train", "test"), root=tmp_path / "src"):
        for part in parts:
            for number, name in enumerate(names):
                save_picture(root / part / name / f"0001{suffix}", number, size=(32, 32))
        return root

    return make


@pytest.fixture
def offline(monkeypatch):
    """No network."""

    def download(self):
        raise OSError("no network")

    monkeypatch.setattr(CIFAR10, "download", download)


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
    planes = pixels_of(0)[0]
    with Image.open(tmp_path / "out" / data.paths["rgb", "1"][place]) as picture:
        np.testing.assert_array_equal(np.asarray(picture), planes.reshape(3, 32, 32).transpose(1, 2, 0))
    assert len(run(batches, tmp_path / "subset", limit=12)) == 12


def test_batches_under_another_name_or_one_folder_down(batches, tmp_path):
    renamed = batches.rename(tmp_path / "src" / "cifar")
    assert len(run(renamed, tmp_path / "a")) == 60
    assert len(run(renamed.parent, tmp_path / "b")) == 60


def test_batches_as_numpy_1_and_python_2_wrote_them(batches, tmp_path):
    raw = pickle.dumps({"data": pixels_of(0), "labels": list(range(PER_BATCH))}, protocol=2)
    old = raw.replace(b"numpy._core.multiarray", b"numpy.core.multiarray")
    assert old != raw
    (batches / "data_batch_1").write_bytes(old)
    assert len(run(batches, tmp_path / "out")) == 60


class Harm:
    def __reduce__(self):
        return os.mkdir, ("harm",)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (pickle.dumps({"data": Harm(), "labels": [0]}), "is no part of an array"),
        (pickle.dumps({"data": pixels_of(0), "labels": [0]}), r"uint8 pixels \(10, 3072\), 1 labels"),
        (pickle.dumps({"data": pixels_of(0), "labels": [10] * PER_BATCH}), "labels from 10 to 10"),
        (pickle.dumps({"data": pixels_of(0).astype(float), "labels": [0] * PER_BATCH}), "float64 pixels"),
        (pickle.dumps({"data": pixels_of(0)}), "labels"),
        (pickle.dumps([1, 2]), "no batch of CIFAR-10"),
        (pickle.dumps({"data": pixels_of(0), "labels": [0] * PER_BATCH})[:-200], "no batch of CIFAR-10"),
        (b"", "no batch of CIFAR-10"),
        (None, "No such file"),
    ],
)
def test_a_damaged_batch_is_one_clear_line_and_runs_nothing(batches, tmp_path, monkeypatch, content, words):
    monkeypatch.chdir(tmp_path)
    (batches / "data_batch_3").unlink()
    if content is not None:
        (batches / "data_batch_3").write_bytes(content)
    with pytest.raises(DataError, match=words) as caught:
        run(batches, tmp_path / "out")
    assert str(caught.value).startswith(str(batches / "data_batch_3"))
    assert not (tmp_path / "harm").exists()


def test_offline_without_files_is_one_clear_line(tmp_path, offline, capsys):
    with pytest.raises(DataError, match=r"expected cifar-10-batches-py/.*train/ and test/.*go online"):
        run(tmp_path / "src", tmp_path / "out")
    assert "downloading CIFAR-10 there" in capsys.readouterr().err
    (tmp_path / "file").touch()
    with pytest.raises(DataError, match="not a folder"):
        run(tmp_path / "file", tmp_path / "out")


@pytest.mark.parametrize(
    "names",
    [
        CLASSES,
        tuple("0123456789"),
        tuple(name.capitalize() for name in CLASSES),
        ("plane", "car", *CLASSES[2:]),
    ],
)
@pytest.mark.parametrize("suffix", [".png", ".JPEG"])
def test_class_folders(class_folders, tmp_path, names, suffix):
    source = class_folders(names, suffix)
    for junk in (".DS_Store", "train/.DS_Store", "train/._x.png", f"train/{names[0]}/.DS_Store", "train.txt"):
        (source / junk).write_text("no picture")
    (source / "train" / ".ipynb_checkpoints").mkdir()
    data = run(source, tmp_path / "out")
    assert (data.name, data.defect_names) == ("CIFAR-10", CLASSES)
    assert Counter(data.fixed_split) == {"train": 10, "test": 10}
    assert data.labels.sum(axis=0).tolist() == [2] * 10
    # every picture is in the class that its folder names
    place = [f"{part}-{names[3]}-0001" for part in ("train", "test")]
    assert all(data.labels[data.fruit_ids.index(name)].argmax() == 3 for name in place)


def test_class_folders_one_folder_down(class_folders, tmp_path):
    class_folders(root=tmp_path / "src" / "cifar10")
    assert len(run(tmp_path / "src", tmp_path / "out")) == 20


def test_class_folders_without_a_test_part(class_folders, tmp_path, capsys):
    class_folders(parts=("train", "val"))
    data = run(tmp_path / "src", tmp_path / "val")
    assert Counter(data.fixed_split) == {"train": 10, "test": 10}
    shutil.rmtree(tmp_path / "src" / "val")
    assert run(tmp_path / "src", tmp_path / "train").fixed_split is None
    assert "no train and test part" in capsys.readouterr().err


def test_class_folders_that_cannot_be_used(class_folders, save_picture, tmp_path, capsys):
    source = class_folders(CLASSES[:9])
    assert len(run(source, tmp_path / "a")) == 18
    assert "no pictures of truck" in capsys.readouterr().err
    with pytest.raises(ConfigError, match="class folders"):
        run(source, tmp_path / "b", limit=3)
    (source / "test" / "truck").mkdir()
    with pytest.raises(DataError, match="truck: class folder without images"):
        run(source, tmp_path / "c")
    save_picture(source / "test" / "truck" / "1.png")
    save_picture(source / "train" / "avocado" / "1.png")
    with pytest.raises(DataError, match=r"class folder 'avocado'; expected one of airplane.* or 0 to 9"):
        run(source, tmp_path / "d")


def test_a_damaged_picture_is_named_and_nothing_is_left_of_it(class_folders, save_picture, tmp_path):
    source = class_folders()
    damaged = source / "train" / "cat" / "0001.png"
    damaged.write_bytes(damaged.read_bytes()[:60])
    with pytest.raises(DataError, match=r"train/cat/0001.png: not an image .*; replace the file"):
        run(source, tmp_path / "out")
    save_picture(damaged, size=(32, 32))
    assert len(run(source, tmp_path / "out")) == 20
