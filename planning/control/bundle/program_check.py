"""Check whether a StableHLO program is one of a planner. Runs as a separate script: garbage may crash the parser.

StableHLO's reader is native code that trusts its input: single flipped bits have made it crash and hang. So it reads
untrusted programs here first. A program that passes has known operations only, loops that count to a constant, no
recursion, arrays and work of limited size, and the inputs and outputs that are declared.

Input: a line of JSON, `[{"size": bytes, "inputs": [types], "outputs": [types]}, ...]`, then the programs' bytes.
Output: a line of JSON for each, the empty string or the fault. It needs jaxlib, and starts no backend.
"""

from __future__ import annotations

import json
import math
import sys
from typing import Any

LARGEST = 2**25  # elements of one array
TOTAL = 2**29  # elements of all arrays that a program names
WORK = 5e10  # elementary operations of one call, of a product's sixteen at a time: below a minute on two cores
TYPES = ("f32", "bf16", "i1", "i32", "ui32", "ui8", "i64", "ui64", "f16", "f64", "i8", "i16", "ui16")
STRUCTURE = {"builtin.module", "func.func", "func.call", "func.return", "stablehlo.return"}
# Pure, deterministic, and known to XLA on every platform.
OPERATIONS = (
    "abs", "add", "and", "atan2", "bitcast_convert", "broadcast_in_dim", "case", "cbrt", "ceil", "clamp",
    "compare", "concatenate", "constant", "convert", "convolution", "cosine", "count_leading_zeros", "divide",
    "dot_general",
    "dynamic_slice", "dynamic_update_slice", "exponential", "exponential_minus_one", "floor", "gather", "if",
    "iota", "is_finite", "log", "log_plus_one", "logistic", "maximum", "minimum", "multiply", "negate", "not",
    "optimization_barrier", "or", "pad", "popcnt", "power", "reduce", "reduce_precision", "reduce_window",
    "remainder", "reshape",
    "reverse", "round_nearest_afz", "round_nearest_even", "rsqrt", "scatter", "select", "shift_left",
    "shift_right_arithmetic", "shift_right_logical", "sign", "sine", "slice", "sort", "sqrt", "subtract", "tan",
    "tanh", "transpose", "while", "xor",
)  # fmt: skip
ALLOWED = STRUCTURE | {f"stablehlo.{name}" for name in OPERATIONS}


class Unsuitable(Exception):
    """The program is not one of a planner."""


class Work:
    """Upper bound of the elementary operations of a module's functions; every rule is checked on the way."""

    def __init__(self, module: Any):
        self._functions = {_text(op.attributes["sym_name"]): op for op in module.body.operations}
        self._known: dict[str, float] = {}
        self._open: set[str] = set()
        self._total = 0.0

    def of_function(self, name: str) -> float:
        """Return the work of one function and of all functions that it calls."""
        if name in self._open:
            raise Unsuitable("it calls itself")
        if name not in self._functions:
            raise Unsuitable("it calls a function that it does not have")
        if name not in self._known:
            self._open.add(name)
            self._known[name] = self._of_regions(self._functions[name])
            self._open.discard(name)
        return self._known[name]

    def main(self) -> Any:
        """Return the function that is called from outside."""
        if "main" not in self._functions:
            raise Unsuitable("it has no main function")
        return self._functions["main"]

    def _of_regions(self, operation: Any) -> float:
        inside = (op for region in operation.regions for block in region.blocks for op in block.operations)
        return sum((self._of(op) for op in inside), 0.0)

    def _of(self, operation: Any) -> float:
        operation = operation.operation
        if operation.name not in ALLOWED:
            raise Unsuitable(f"it has the operation {operation.name[:40]}, which no planner's program has")
        size = float(sum(_elements(result.type) for result in operation.results))
        self._total += size
        if self._total > TOTAL:
            raise Unsuitable("it has more arrays than a planner may")
        if operation.name == "func.call":
            return self.of_function(str(operation.attributes["callee"]).lstrip("@").strip('"'))
        inner = self._of_regions(operation)
        if operation.name == "stablehlo.while":
            inner *= _trips(operation)
        elif operation.name in ("stablehlo.reduce", "stablehlo.scatter", "stablehlo.sort"):
            size = float(sum(_elements(operand.type) for operand in operation.operands)) * (inner + 1.0) * 8
        elif operation.name == "stablehlo.dot_general":
            left, right = (float(_elements(operand.type)) for operand in operation.operands)
            size += math.sqrt(left * right * size) / 16  # exact for one matrix product, an overestimate for a batch
        elif operation.name == "stablehlo.convolution":
            size += size * _kernel(operation) / 16
        elif operation.name == "stablehlo.reduce_window":
            size *= (inner + 1.0) * _window(operation)
        if size + inner > WORK:
            raise Unsuitable("it takes more work than a planner may")
        return size + inner


def check(content: bytes, inputs: list[str], outputs: list[str]) -> None:
    """Raise Unsuitable, or any error of the parser, on a program that must not run."""
    from jaxlib.mlir import ir
    from jaxlib.mlir.dialects import stablehlo

    context = ir.Context()
    stablehlo.register_dialect(context)
    module = stablehlo.deserialize_portable_artifact(context, content)
    if not module.operation.verify():
        raise Unsuitable("it does not verify")
    work = Work(module)
    main = work.main()
    kind = main.type if hasattr(main, "type") else main.attributes["function_type"].value
    for what, found, expected in (("inputs", kind.inputs, inputs), ("outputs", kind.results, outputs)):
        if [str(each) for each in found] != expected:
            raise Unsuitable(f"its {what} are not those of the contract")
    work.of_function("main")


def _trips(loop: Any) -> float:
    """Return the number of iterations of a loop: it must count a value from a constant, by one, to a constant."""
    condition, body = (region.blocks[0] for region in loop.regions)
    counter = -1
    end = 0
    operations = [op.operation for op in condition.operations]
    last = operations[-1]
    compare = last.operands[0].owner
    if getattr(compare, "name", "") == "stablehlo.compare" and "LT" in str(compare.attributes["comparison_direction"]):
        left, right = compare.operands
        for index, argument in enumerate(condition.arguments):
            if argument == left:
                counter = index
        end = _constant(right)
    if counter < 0:
        raise Unsuitable("it has a loop that does not count to a constant")
    start = _constant(loop.operands[counter])
    step = body.operations[len(body.operations) - 1].operation.operands[counter].owner
    if getattr(step, "name", "") != "stablehlo.add":
        raise Unsuitable("it has a loop that does not count by one")
    one, other = step.operands
    if other == body.arguments[counter]:
        one, other = other, one
    if one != body.arguments[counter] or _constant(other) != 1:
        raise Unsuitable("it has a loop that does not count by one")
    return float(max(end - start, 0))


def _kernel(convolution: Any) -> float:
    """Return the products in one number of a convolution's result: the kernel's elements for one output feature."""
    numbers = str(convolution.attributes["dimension_numbers"])  # as in [b, 0, 1, f]x[0, 1, i, o]->[b, 0, 1, f]
    dimensions = [each.strip() for each in numbers.partition("]x[")[2].partition("]")[0].split(",")]
    kernel = convolution.operands[1].type
    sizes = str(kernel)[len("tensor<") : -1].split("x")[:-1]
    if dimensions.count("o") != 1 or len(dimensions) != len(sizes):
        raise Unsuitable("it has a convolution that cannot be read")
    return _elements(kernel) / max(int(sizes[dimensions.index("o")]), 1)


def _window(reduction: Any) -> float:
    """Return the number of elements in one window of a reduction."""
    from jaxlib.mlir import ir

    count = 1.0
    for size in ir.DenseI64ArrayAttr(reduction.attributes["window_dimensions"]):
        count *= size
    return count


def _constant(value: Any) -> int:
    from jaxlib.mlir import ir

    owner = value.owner
    if getattr(owner, "name", "") != "stablehlo.constant":
        raise Unsuitable("it has a loop that does not count from and to a constant")
    dense = ir.DenseIntElementsAttr(owner.attributes["value"])
    if len(dense) != 1:
        raise Unsuitable("it has a loop that does not count")
    return int(dense[0])


def _elements(kind: Any) -> int:
    """Return the number of elements in an array of this type."""
    text = str(kind)
    if not text.startswith("tensor<") or "?" in text:
        raise Unsuitable(f"it has a value that is not an array of a fixed shape: {text[:40]}")
    *sizes, dtype = text[len("tensor<") : -1].split("x")
    if dtype not in TYPES:
        raise Unsuitable(f"it has a value of a type that no planner has: {text[:40]}")
    count = 1
    for size in sizes:
        count *= int(size)
    if count > LARGEST:
        raise Unsuitable(f"it has an array of {count} elements")
    return count


def _text(attribute: Any) -> str:
    return str(attribute).strip('"')


def main() -> None:
    """Check the programs on standard input, one after the other."""
    import resource

    sys.path.insert(0, sys.argv[1])  # the folder of jaxlib: the process is isolated from everything else
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CPU, (10, 10))
    resource.setrlimit(resource.RLIMIT_AS, (4 * 2**30, 4 * 2**30))
    stream = sys.stdin.buffer
    for entry in json.loads(stream.readline()):
        content = stream.read(entry["size"])
        try:
            check(content, entry["inputs"], entry["outputs"])
            verdict = ""
        except Unsuitable as error:
            verdict = str(error)
        except Exception as error:  # the parser's own message is long and technical
            verdict = f"it cannot be read ({type(error).__name__})"
        sys.stdout.write(json.dumps(verdict) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
