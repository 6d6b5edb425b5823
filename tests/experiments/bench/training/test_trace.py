import gzip
import json

import jax
import jax.numpy as jnp
import pytest

from experiments.bench.training.trace import (
    COPIES,
    KINDS,
    LOOPS,
    OTHER,
    PRODUCTS,
    SLICES,
    Operation,
    Spent,
    by_kind,
    covered,
    kind_of,
    read,
    record,
)


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("dot.239", PRODUCTS), ("ynn_fusion", PRODUCTS), ("__onednn$matmul.3", PRODUCTS), ("convolution.1", PRODUCTS),
        ("bitcast_dynamic-update-slice_fusion.17", SLICES), ("dynamic-slice.2", SLICES), ("gather_fusion", SLICES),
        ("copy.79", COPIES), ("copy_bitcast_fusion.2", COPIES), ("wrapped_transpose", COPIES),
        ("broadcast_add_fusion.20", OTHER), ("wrapped_broadcast", OTHER), ("reduce.4", OTHER),
    ],
)  # fmt: skip
def test_kinds_follow_from_names(name, kind):
    assert kind_of(name) == kind


def test_loops_have_the_time_in_which_nothing_else_runs():
    """A loop of 100 µs on one thread; two products that overlap on two threads, and a copy after them."""
    operations = [
        Operation("while.1", 0, 100),
        Operation("dot.1", 10, 50),
        Operation("dot.2", 30, 60),
        Operation("call.2", 70, 90),
        Operation("copy.1", 70, 90),
    ]
    found = by_kind(operations)
    assert tuple(found) == KINDS
    assert found[PRODUCTS] == Spent(pytest.approx(70e-6), 2) and found[COPIES] == Spent(pytest.approx(20e-6), 1)
    assert found[LOOPS] == Spent(pytest.approx(30e-6), 2) and found[SLICES] == found[OTHER] == Spent(0, 0)


def test_covered_time_counts_overlaps_once():
    spans = [(5, 6), (0, 4), (1, 2), (3, 5)]
    assert covered([Operation("a", start, end) for start, end in spans]) == 6 and covered([]) == 0


def test_only_operations_of_compiled_programs_are_read(tmp_path):
    operation = {"ph": "X", "ts": 2.0, "dur": 3.0, "name": "dot.1", "args": {"hlo_op": "dot.1"}}
    events = [operation, {**operation, "args": {}}, {**operation, "ph": "M"}, {"ph": "X", "ts": 0.0, "dur": 9.0}]
    path = tmp_path / "vm.trace.json.gz"
    path.write_bytes(gzip.compress(json.dumps({"traceEvents": events}).encode()))
    assert read(path) == [Operation("dot.1", 2.0, 5.0)]


def test_a_trace_of_a_program_has_its_products():
    step = jax.jit(lambda a: jax.lax.scan(lambda a, _: (jnp.tanh(a @ a), None), a, None, length=7)[0])
    matrix = jnp.eye(64)
    jax.block_until_ready(step(matrix))
    found = by_kind(record(lambda: jax.block_until_ready(step(matrix))))
    assert found[PRODUCTS].operations >= 7 and found[PRODUCTS].seconds > 0 and found[LOOPS].operations >= 1


def test_nothing_compiled_is_an_error():
    with pytest.raises(ValueError, match="no operation of a compiled program"):
        record(lambda: None)
