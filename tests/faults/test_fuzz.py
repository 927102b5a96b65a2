"""Plans, images and stores of any content: refused in one line, or taken for exactly what they say.

Manifests and ``dataset.toml`` are in ``tests/backend/data/test_fuzz.py``, flipped bytes of stores in
``test_store_faults.py``. More of each: ``pytest tests/faults/test_fuzz.py --hypothesis-profile=long``.
"""

import io
import math
import tomllib
from dataclasses import asdict

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from PIL import Image

from backend.cli import run_command
from backend.data.images import decode_image
from backend.errors import AvocadoError, ConfigError, DataError
from backend.training.plan import Plan, load_plan
from backend.tune import main

tomli_w = pytest.importorskip("tomli_w")
settings.register_profile("long", max_examples=3000)
FAST = settings(
    settings.default,
    max_examples=max(settings.default.max_examples, 100),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
VALUES = st.recursive(
    st.one_of(
        st.integers(-3, 3),
        st.integers(min_value=-(2**70), max_value=2**63 - 1),
        st.floats(),
        st.booleans(),
        st.sampled_from(["", "simclr", "all", "rgb", "none", "\x1b[31m", "../x"]),
    ),
    lambda inner: st.lists(inner, max_size=3),
    max_leaves=4,
)


def fields(default: dict) -> st.SearchStrategy:
    """A field of the plan with a value of any kind, wrong names included."""
    name = st.one_of(st.sampled_from(sorted(default)), st.just("colour"))
    return st.dictionaries(name, VALUES, max_size=3)


@st.composite
def plans(draw) -> dict:
    default = asdict(Plan())
    content = draw(fields({key: value for key, value in default.items() if not isinstance(value, dict)}))
    for stage in draw(st.sets(st.sampled_from([k for k, v in default.items() if isinstance(v, dict)]))):
        content[stage] = draw(fields(default[stage]))
    return content


def same(read: object, written: object) -> bool:
    """Whether the plan says what the file says."""
    if isinstance(written, dict):
        return all(same(read[key], value) for key, value in written.items())
    if isinstance(written, list):
        return len(read) == len(written) and all(map(same, read, written))
    return (type(read) is type(written) and read == written) or (type(read) is float and read == written)


@FAST
@given(content=plans())
@example(content={"seeds": ["a"]})
@example(content={"pretraining": {"fractions": ["x"]}})
@example(content={"pretraining": {"backbone_rate": math.nan}})
@example(content={"augmentations": {"strengths": [math.inf]}})
@example(content={"pretraining": {"methods": [["simclr"]]}})
@example(content={"baseline": 3})
def test_a_plan_is_refused_or_read_as_it_is(tmp_path, content):
    path = tmp_path / "plan.toml"
    path.write_text(tomli_w.dumps(content), encoding="utf-8")
    try:
        plan = load_plan(str(path))
    except ConfigError as error:
        assert str(error).isprintable()
        return
    read = asdict(plan)
    written = tomllib.loads(path.read_text(encoding="utf-8"))
    assert all(same(read[key], value) for key, value in written.items() if (key, value) != ("name", ""))


@FAST
@given(content=st.binary(max_size=80))
def test_any_bytes_as_a_plan_end_the_command_with_one_line(tmp_path, content, capsys):
    path = tmp_path / "plan.toml"
    path.write_bytes(content)
    arguments = ["--plan", str(path), "--dataset", str(tmp_path / "nowhere"), "--device", "cpu"]
    assert run_command(main, arguments) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith("error: ")
    assert printed.err.count("\n") == 1


def encoded(kind: str, mode: str) -> bytes:
    """A small picture without any two equal rows."""
    rng = np.random.default_rng(3)
    shape = (24, 24) if mode != "RGB" else (24, 24, 3)
    pixels = rng.integers(0, 65535 if mode == "I;16" else 255, shape)
    target = io.BytesIO()
    Image.fromarray(pixels.astype(np.uint16 if mode == "I;16" else np.uint8)).save(target, kind)
    return target.getvalue()


PICTURES = [
    encoded(kind, mode) for kind, mode in (("PNG", "RGB"), ("PNG", "I;16"), ("JPEG", "RGB"), ("BMP", "L"))
]


@FAST
@given(data=st.data(), which=st.integers(0, len(PICTURES) - 1))
def test_a_damaged_picture_is_refused_or_has_the_right_shape(tmp_path, data, which):
    content = bytearray(PICTURES[which])
    for _ in range(data.draw(st.integers(1, 6))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(content)))
    path = tmp_path / "picture.png"
    path.write_bytes(content[:cut] if data.draw(st.booleans()) else content)
    try:
        pixels = decode_image(str(path), 16)
    except DataError as error:
        assert str(error).isprintable()
        return
    assert pixels.shape in ((16, 16, 1), (16, 16, 3))
    assert pixels.dtype == np.uint8


@pytest.mark.parametrize("cut", [0, 10, 60, 500, -1])
@pytest.mark.parametrize("which", range(len(PICTURES)))
def test_half_a_picture_is_never_taken_for_a_whole_one(tmp_path, which, cut):
    path = tmp_path / "picture.png"
    path.write_bytes(PICTURES[which][: cut if cut >= 0 else len(PICTURES[which]) // 2])
    with pytest.raises(AvocadoError):
        decode_image(str(path), 16)
