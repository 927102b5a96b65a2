"""Whatever a worker may return comes back from the store as it was."""

import math

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from backend.store.bundle import FoldBundle, MetricValue, Predictions

names = st.text(st.characters(exclude_categories=("Cs", "Cc")), min_size=1, max_size=12)
# SQLite keeps 0 for -0.0; a probability has no sign.
scores = st.floats(0, 1, width=32).map(abs)
numbers = st.none() | st.floats(allow_nan=False, allow_infinity=False)
quick = settings(
    max_examples=40,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


@st.composite
def predictions(draw):
    ids = draw(st.lists(names, min_size=1, max_size=8, unique=True))
    defects = draw(st.lists(names, min_size=1, max_size=4, unique=True))
    shape = (len(ids), len(defects))
    return Predictions(
        tuple(sorted(ids)),
        tuple(sorted(defects)),
        draw(arrays.arrays(np.float32, shape, elements=st.sampled_from([0.0, 1.0, math.nan]))),
        draw(arrays.arrays(np.float32, shape, elements=scores)),
        draw(arrays.arrays(np.uint8, shape, elements=st.integers(0, 1))),
    )


@quick
@given(written=predictions())
def test_predictions_of_any_fruit_survive_bit_for_bit(written, store, start, make_run):
    start(store)
    run = make_run()
    store.start_run(run)
    store.write_fold(run.run_id, FoldBundle(0, 0.0, predictions=written))
    read = store.load_predictions(run.run_id)
    assert (read.fruit_ids, read.defects) == (written.fruit_ids, written.defects)
    for name in ("y_true", "score", "y_pred"):
        assert getattr(read, name).tobytes() == getattr(written, name).tobytes()


@quick
@given(
    values=st.dictionaries(
        st.tuples(names, st.none() | names), st.tuples(numbers, numbers, numbers, st.text()), max_size=10
    )
)
def test_metrics_of_any_name_survive(values, store, start, make_run):
    metrics = [
        MetricValue(metric, value, defect, low, high, reason.replace("\x00", ""))
        for (metric, defect), (value, low, high, reason) in values.items()
    ]
    start(store)
    run = make_run()
    store.start_run(run)
    store.finish_run(run.run_id, metrics)
    rows = store.rows("SELECT metric, value, defect, ci_low, ci_high, reason FROM metric ORDER BY rowid")
    assert [MetricValue(*row) for row in rows] == metrics
