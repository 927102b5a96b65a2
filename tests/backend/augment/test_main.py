"""The contact sheet command on a small data set with two sensors."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from backend.augment.__main__ import main
from backend.augment.registry import list_operations
from backend.augment.sheet import DRAWS, TILE
from backend.cli import run_command

FRUITS = 3


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three fruit seen by a colour and a grey sensor; the last has no NIR image."""
    root = tmp_path / "fruit"
    root.mkdir()
    generator = np.random.default_rng(0)
    lines = ["fruit_id,defect:rot,image:rgb:1,image:nir:1"]
    for i in range(FRUITS):
        coloured = generator.integers(0, 256, (40, 30, 3), dtype=np.uint8)
        Image.fromarray(coloured).save(root / f"rgb{i}.png")
        Image.fromarray(coloured[..., 0]).save(root / f"nir{i}.png")
        nir = f"nir{i}.png" if i < FRUITS - 1 else ""
        lines.append(f"a-rather-long-name-of-a-fruit-{i},{i % 2},rgb{i}.png,{nir}")
    (root / "manifest.csv").write_text("\n".join(lines) + "\n")
    (root / "dataset.toml").write_text(
        'name = "three"\ntask = "multilabel"\nhealthy = "a-quality"\nsynthetic = true\n'
        'description = ""\nlicence = ""\nsource = ""\n[[defect]]\nname = "rot"\nkind = "internal"\n'
    )
    return root


def _sheet(folder: Path, *options: str) -> np.ndarray:
    out = folder.parent / "sheet.png"
    assert run_command(main, [str(folder), str(out), *options]) == 0
    with Image.open(out) as sheet:
        return np.asarray(sheet.convert("RGB"))


def test_a_row_for_each_whole_fruit_and_sensor_and_a_column_for_each_draw(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sheet = _sheet(folder, "--fruits", "9")
    assert capsys.readouterr().out.strip() == str(folder.parent / "sheet.png")
    assert sheet.shape[1] > (1 + DRAWS) * TILE
    assert 4 * TILE < sheet.shape[0] < 5 * TILE + 100  # two whole fruit with two sensors each


def test_strength_zero_shows_every_tile_as_it_is(folder: Path) -> None:
    sheet = _sheet(folder, "--policy", "simclr", "--strength", "0", "--fruits", "1")
    step = TILE + 4
    row = sheet[58 : 58 + TILE]
    tiles = [row[:, 132 + i * step : 132 + i * step + TILE] for i in range(1 + DRAWS)]
    assert tiles[0].std() > 10
    assert all(np.array_equal(tile, tiles[0]) for tile in tiles)


def test_an_operation_acts_on_every_tile_and_the_seed_decides(folder: Path) -> None:
    sheet = _sheet(folder, "--operation", "solarise", "--fruits", "1")
    step = TILE + 4
    row = sheet[58 : 58 + TILE]
    tiles = [row[:, 132 + i * step : 132 + i * step + TILE] for i in range(1 + DRAWS)]
    assert not any(np.array_equal(tile, tiles[0]) for tile in tiles[1:])
    first = _sheet(folder, "--operation", "rotation", "--seed", "1")
    assert np.array_equal(first, _sheet(folder, "--operation", "rotation", "--seed", "1"))
    assert not np.array_equal(first, _sheet(folder, "--operation", "rotation", "--seed", "2"))


def test_every_operation_has_a_row_of_its_own(folder: Path) -> None:
    sheet = _sheet(folder, "--every")
    names = [info.name for info in list_operations()]
    step = TILE + 4
    assert sheet.shape[0] == 58 + step * len(names)
    still = []
    for i, name in enumerate(names):
        row = sheet[58 + i * step : 58 + i * step + TILE]
        tiles = [row[:, 132 + j * step : 132 + j * step + TILE] for j in range(1 + DRAWS)]
        if all(np.array_equal(tile, tiles[0]) for tile in tiles):
            still.append(name)
    assert not still


def test_asymmetric_policies_can_be_drawn(folder: Path) -> None:
    assert _sheet(folder, "--policy", "byol").std() > 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--policy", "simclear"], "unknown policy 'simclear'"),
        (["--operation", "twist"], "unknown augmentation 'twist'"),
        (["--strength", "3"], "AugmentConfig.strength: 3.0"),
        (["--fruits", "0"], "--fruits: 0"),
    ],
)
def test_wrong_options_give_one_line_and_exit_2(
    folder: Path, capsys: pytest.CaptureFixture[str], options: list[str], message: str
) -> None:
    assert run_command(main, [str(folder), str(folder / "out.png"), *options]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


def test_an_output_that_cannot_be_written_is_refused_before_anything_is_read(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for out in (folder / "sheet.jpg", folder / "nowhere" / "sheet.png"):
        assert run_command(main, [str(folder), str(out)]) == 2
        assert "expected a .png file in a folder that exists" in capsys.readouterr().err


def test_without_whole_fruit_those_that_most_sensors_saw_are_drawn(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One fruit whose first view is missing, one that RGB alone saw, and a sensor that saw nothing."""
    manifest = folder / "manifest.csv"
    head, first, second, _ = manifest.read_text().splitlines()
    first, second = f"{first},{first.split(',')[2]},", second.replace("nir1.png", ",,")
    first = first.replace(",rgb0.png", ",", 1)
    manifest.write_text("\n".join([f"{head},image:rgb:2,image:uv:1", first, second]) + "\n")
    sheet = _sheet(folder, "--fruits", "9")
    assert 2 * TILE < sheet.shape[0] < 3 * TILE + 20, "one fruit seen by two sensors"
    manifest.write_text(head + "\na,0,,\n")
    assert run_command(main, [str(folder), str(folder / "out.png")]) == 2
    assert "no fruit with an image; expected at least one" in capsys.readouterr().err


def test_help_needs_no_heavy_import() -> None:
    code = (
        "import sys\nfrom backend.augment.__main__ import main\n"
        "try: main(['--help'])\nexcept SystemExit as end: assert end.code == 0\n"
        "assert not {'torch', 'numpy', 'PIL', 'pandas'} & set(sys.modules)"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert shown.returncode == 0, shown.stderr
    assert "--operation" in shown.stdout
