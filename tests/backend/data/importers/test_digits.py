"""MNIST and Fashion-MNIST from raw IDX files, and what happens without them."""

import struct
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from torchvision.datasets import MNIST

from backend.data.importers import import_dataset
from backend.data.manifest import read_dataset
from backend.errors import ConfigError, DataError

COUNTS = {"train": 60, "t10k": 20}


@pytest.fixture
def write_idx():
    """Write raw files as published, but with a few pictures."""

    def write(raw):
        raw.mkdir(parents=True)
        pixels = {}
        for number, (part, count) in enumerate(COUNTS.items()):
            rng = np.random.default_rng(number)
            pixels[part] = rng.integers(0, 256, (count, 28, 28), dtype=np.uint8)
            labels = (np.arange(count) % 10).astype(np.uint8)
            header = struct.pack(">IIII", 2051, count, 28, 28)
            (raw / f"{part}-images-idx3-ubyte").write_bytes(header + pixels[part].tobytes())
            header = struct.pack(">II", 2049, count)
            (raw / f"{part}-labels-idx1-ubyte").write_bytes(header + labels.tobytes())
        return pixels

    return write


def run(kind, source, out, **options):
    import_dataset(kind, str(source), out, progress=False, **options)
    return read_dataset(out)


@pytest.mark.parametrize("below", ["", "MNIST", "MNIST/raw"])
def test_digits_with_their_own_split(tmp_path, write_idx, below):
    pixels = write_idx(tmp_path / "src" / "MNIST" / "raw")
    data = run("mnist", tmp_path / "src" / below, tmp_path / "out")
    assert data.defect_names == tuple("0123456789")
    assert data.healthy == ""
    assert data.modalities == {"grey": ("1",)}
    assert Counter(data.fixed_split) == {"train": 60, "test": 20}
    assert data.labels.sum(axis=0).tolist() == [8] * 10
    place = data.fruit_ids.index("mnist-test-00007")
    assert data.labels[place].argmax() == 7
    with Image.open(tmp_path / "out" / data.paths["grey", "1"][place]) as picture:
        np.testing.assert_array_equal(np.asarray(picture), pixels["t10k"][7])


def test_clothes_have_names_that_fit_a_file(tmp_path, write_idx):
    write_idx(tmp_path / "src" / "FashionMNIST" / "raw")
    data = run("fashion-mnist", tmp_path / "src", tmp_path / "out")
    assert data.name == "Fashion-MNIST"
    assert data.defect_names[0] == "t-shirt-top"
    assert data.defect_names[9] == "ankle-boot"


def test_limit_takes_every_class_and_part_in_its_share(tmp_path, write_idx):
    write_idx(tmp_path / "src" / "MNIST" / "raw")
    data = run("mnist", tmp_path / "src", tmp_path / "out", limit=40)
    assert Counter(data.fixed_split) == {"train": 30, "test": 10}
    assert set(data.labels.sum(axis=0).tolist()) == {4}
    with pytest.raises(ConfigError, match="--limit"):
        run("mnist", tmp_path / "src", tmp_path / "other", limit=0)


def test_offline_without_files_is_one_clear_line(tmp_path, monkeypatch, capsys):
    def offline(self):
        Path(self.raw_folder).mkdir(parents=True)
        raise RuntimeError("Error downloading train-images-idx3-ubyte.gz:\nTried nothing")

    monkeypatch.setattr(MNIST, "download", offline)
    with pytest.raises(DataError, match=r"cannot read or download MNIST .*go online") as caught:
        run("mnist", tmp_path / "src", tmp_path / "out")
    assert "\n" not in str(caught.value)
    assert "downloading MNIST there" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_a_download_does_not_count_as_a_change_of_the_source(tmp_path, monkeypatch, write_idx, capsys):
    def download(self):
        if not Path(self.raw_folder).exists():
            write_idx(Path(self.raw_folder))

    monkeypatch.setattr(MNIST, "download", download)
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "notes.txt").touch()
    for _ in range(2):
        assert len(run("mnist", tmp_path / "src", tmp_path / "out")) == 80
    assert "already holds exactly this" in capsys.readouterr().err


def test_a_truncated_file_is_one_clear_line(tmp_path, write_idx):
    write_idx(tmp_path / "src" / "MNIST" / "raw")
    file = tmp_path / "src" / "MNIST" / "raw" / "train-images-idx3-ubyte"
    file.write_bytes(file.read_bytes()[:-100])
    with pytest.raises(DataError, match="cannot read or download MNIST"):
        run("mnist", tmp_path / "src", tmp_path / "out")


@pytest.mark.parametrize(
    ("labels", "words"),
    [
        (range(10), "60 images and 10 labels in the train part"),
        ([*range(10)] * 7, "60 images and 70 labels in the train part"),
        ([61, *range(1, 60)], "label 61 in the train part"),
    ],
)
@pytest.mark.parametrize("limit", [None, 20])
def test_labels_of_other_pictures_or_classes_are_refused(tmp_path, write_idx, labels, words, limit):
    raw = tmp_path / "src" / "MNIST" / "raw"
    write_idx(raw)
    header = struct.pack(">II", 2049, len(labels))
    (raw / "train-labels-idx1-ubyte").write_bytes(header + bytes(labels))
    with pytest.raises(DataError, match=rf"raw: {words}; expected a label from 0 to 9 for each image; copy"):
        run("mnist", tmp_path / "src", tmp_path / "out", limit=limit)
    assert not (tmp_path / "out").exists()


@pytest.mark.real_data
def test_the_real_digits(real_data, tmp_path):
    data = run("mnist", real_data("mnist"), tmp_path / "out", limit=700)
    parts = Counter(data.fixed_split)
    assert len(data) == 700
    assert abs(parts["train"] - 600) <= 10
    assert data.labels.sum(axis=0).min() >= 60
