"""Read the plain data in a pickle; what it names is never looked up, and nothing is called."""

from __future__ import annotations

import pickletools
import sys
import warnings
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from io import BufferedIOBase
from mmap import mmap
from typing import IO, Any, cast

_MOST_STEPS = 2_000_000
"""More than the largest published checkpoints take by a factor of ten; that many are read in seconds."""
_PLAIN_KEYS = (str, int, float, bytes, bool, type(None))
"""Types of the keys that are kept: hashing nested tuples would use the stack of the process."""
_DATA_OF_PYTHON = {
    "_codecs": {"encode"},
    "argparse": {"Namespace"},
    "builtins": {
        "bool",
        "bytearray",
        "bytes",
        "complex",
        "dict",
        "float",
        "frozenset",
        "int",
        "list",
        "object",
        "range",
        "set",
        "slice",
        "str",
        "tuple",
        "type",
    },
    "collections": {"Counter", "OrderedDict", "defaultdict", "deque"},
    "copyreg": {"_reconstructor"},
    "datetime": {"date", "datetime", "time", "timedelta", "timezone"},
    "decimal": {"Decimal"},
    "fractions": {"Fraction"},
    "functools": {"partial"},
    "pathlib": {"Path", "PosixPath", "PurePath", "PurePosixPath", "PureWindowsPath", "WindowsPath"},
    "random": {"Random"},
    "re": {"_compile"},
    "types": {"SimpleNamespace"},
    "typing": {"Any", "Dict", "List", "Optional", "Tuple", "Union"},
    "uuid": {"UUID"},
}
"""What training programs keep beside weights; any other name of Python's own library is reported as code."""
_MODULES_OF_PYTHON = (sys.stdlib_module_names | {"nt", "posix"}) - {"__main__"}
_OTHER_VERSIONS = {"__builtin__": "builtins", "copy_reg": "copyreg", "pathlib._local": "pathlib"}
"""Modules that Python 2 or 3.13 call differently."""


class PickledCodeError(ValueError):
    """A pickle that names a function of Python, which no data needs; its name is the message."""


@dataclass(frozen=True)
class Named:
    """A class or function that a pickle names, as text."""

    name: str


@dataclass(eq=False)
class StandIn:
    """What a pickle would have made by a call: the name, the arguments, and what would have been filled in.

    Attributes:
        name: Of the class or function; "" for what is no name.
        arguments: Of the call.
        state: What the object's attributes would have been set to, if anything.
        entries: What would have been stored in it by key.
    """

    name: str
    arguments: tuple[Any, ...] = ()
    state: Any = None
    entries: dict[Any, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Reference:
    """Reference to data outside of the pickle, such as the numbers of a tensor."""

    value: Any


def read_pickle(stream: BufferedIOBase | mmap | bytes, references: list[Reference] | None = None) -> Any:
    """Return the content of a pickle as dicts, lists, tuples, sets as lists, numbers, texts and stand-ins.

    Args:
        stream: The pickle, or a binary stream at its first byte, which is left behind its last one.
        references: Receives the references to data outside of the pickle.

    Raises:
        PickledCodeError: It names a function of Python's own library that is not used for data.
        ValueError: It is damaged, or takes more than two million steps.

    Example:
        >>> import collections, pickle
        >>> read_pickle(pickle.dumps(collections.OrderedDict(epoch=3)))
        StandIn(name='collections.OrderedDict', arguments=(), state=None, entries={'epoch': 3})
    """
    machine = _Machine([] if references is None else references)
    with warnings.catch_warnings(action="ignore"):  # of escapes in the texts of Python 2
        try:
            for step, (opcode, argument, _) in enumerate(pickletools.genops(cast("IO[bytes]", stream))):
                if step > _MOST_STEPS:
                    raise ValueError(f"it takes more than {_MOST_STEPS} steps")
                machine.run(opcode.name, argument)
        except (IndexError, KeyError, TypeError, AttributeError, AssertionError, OverflowError) as error:
            # The order of the steps, and what they refer to, is the file's.
            raise ValueError(f"its steps do not fit together ({type(error).__name__})") from error
    return machine.result


def entries_of(value: object) -> Mapping[Any, Any] | None:
    """Return the entries of a dict or of the stand-in of an object like it; None if it is neither."""
    if isinstance(value, dict):
        return value
    if not isinstance(value, StandIn):
        return None
    pairs = value.arguments[0] if value.name.startswith("collections.") and value.arguments else None
    if value.entries or not isinstance(pairs, list):
        return value.entries
    # Python 2 stored the pairs of an ordered dict as an argument.
    return _keyed(
        item for pair in pairs if isinstance(pair, list | tuple) and len(pair) == 2 for item in pair
    )


class _Machine:
    """The stack and memory of a pickle that is being read."""

    def __init__(self, references: list[Reference]) -> None:
        self.result: Any = None
        self._references = references
        self._stack: list[Any] = []
        self._below: list[list[Any]] = []
        self._memory: dict[int, Any] = {}

    def run(self, opcode: str, argument: Any) -> None:
        """Take one step."""
        if opcode in _VALUES:
            self._push(argument)
        elif opcode in _CONSTANTS:
            self._push(_CONSTANTS[opcode]())
        elif opcode in _STEPS:
            _STEPS[opcode](self, argument)
        elif opcode not in _IGNORED:
            raise ValueError(f"the step {opcode} is not used for data")

    def _push(self, value: Any) -> None:
        self._stack.append(value)

    def _remember(self, place: int) -> None:
        self._memory[place] = self._stack[-1]

    def _since_mark(self) -> list[Any]:
        items, self._stack = self._stack, self._below.pop()
        return items

    def _mark(self, _: Any) -> None:
        self._below.append(self._stack)
        self._stack = []

    def _pop(self, _: Any) -> None:
        if self._stack:
            self._stack.pop()
        else:
            self._since_mark()

    def _pop_mark(self, _: Any) -> None:
        self._since_mark()

    def _tuple(self, count: int) -> None:
        items = tuple(self._stack[-count:])
        if len(items) < count:
            raise IndexError
        self._stack[-count:] = [items]

    def _append(self, items: Iterable[Any]) -> None:
        if isinstance(target := self._stack[-1], list):
            target.extend(items)

    def _set_items(self, items: list[Any]) -> None:
        target = self._stack[-1]
        table = target.entries if isinstance(target, StandIn) else target
        if isinstance(table, dict):
            table.update(_keyed(items))

    def _name(self, module: Any, name: Any) -> None:
        self._push(Named(_checked_name(str(module), str(name))))

    def _call(self, called: Any, arguments: Any) -> None:
        name = called.name if isinstance(called, Named) else ""
        self._push(StandIn(name, arguments if isinstance(arguments, tuple) else ()))

    def _call_popped(self, _: Any) -> None:
        arguments = self._stack.pop()
        self._call(self._stack.pop(), arguments)

    def _call_with_keywords(self, _: Any) -> None:
        self._stack.pop()
        self._call_popped(None)

    def _call_since_mark(self, _: Any) -> None:
        called, *arguments = self._since_mark()
        self._call(called, tuple(arguments))

    def _call_named(self, argument: str) -> None:
        self._name(*argument.split(" ", 1))
        self._call(self._stack.pop(), tuple(self._since_mark()))

    def _build(self, _: Any) -> None:
        state = self._stack.pop()
        if isinstance(target := self._stack[-1], StandIn):
            target.state = state

    def _refer(self, value: Any) -> None:
        self._references.append(Reference(value))
        self._push(self._references[-1])

    def _stop(self, _: Any) -> None:
        self.result = self._stack.pop()


def _keyed(items: Iterable[Any]) -> dict[Any, Any]:
    """Return the pairs of keys and values that follow each other, as far as their keys are plain."""
    each = iter(items)
    return {key: value for key, value in zip(each, each, strict=False) if isinstance(key, _PLAIN_KEYS)}


def _checked_name(module: str, name: str) -> str:
    module = _OTHER_VERSIONS.get(module, module)
    of_python = module.partition(".")[0] in _MODULES_OF_PYTHON
    if of_python and name not in _DATA_OF_PYTHON.get(module, ()):
        raise PickledCodeError(f"{module}.{name}")
    return f"{module}.{name}"


_VALUES = frozenset(
    (
        "INT",
        "BININT",
        "BININT1",
        "BININT2",
        "LONG",
        "LONG1",
        "LONG4",
        "FLOAT",
        "BINFLOAT",
        "STRING",
        "BINSTRING",
        "SHORT_BINSTRING",
        "UNICODE",
        "BINUNICODE",
        "SHORT_BINUNICODE",
        "BINUNICODE8",
        "BINBYTES",
        "SHORT_BINBYTES",
        "BINBYTES8",
        "BYTEARRAY8",
    )
)
_CONSTANTS: dict[str, Callable[[], Any]] = {
    "NONE": lambda: None,
    "NEWTRUE": lambda: True,
    "NEWFALSE": lambda: False,
    "EMPTY_LIST": list,
    "EMPTY_SET": list,
    "EMPTY_TUPLE": tuple,
    "EMPTY_DICT": dict,
}
_IGNORED = frozenset(("PROTO", "FRAME"))
_STEPS: dict[str, Callable[[_Machine, Any], None]] = {
    "MARK": _Machine._mark,
    "POP": _Machine._pop,
    "POP_MARK": _Machine._pop_mark,
    "DUP": lambda m, _: m._push(m._stack[-1]),
    "TUPLE": lambda m, _: m._push(tuple(m._since_mark())),
    "LIST": lambda m, _: m._push(m._since_mark()),
    "FROZENSET": lambda m, _: m._push(m._since_mark()),
    "DICT": lambda m, _: m._push(_keyed(m._since_mark())),
    "TUPLE1": lambda m, _: m._tuple(1),
    "TUPLE2": lambda m, _: m._tuple(2),
    "TUPLE3": lambda m, _: m._tuple(3),
    "APPEND": lambda m, _: m._append([m._stack.pop()]),
    "APPENDS": lambda m, _: m._append(m._since_mark()),
    "ADDITEMS": lambda m, _: m._append(m._since_mark()),
    "SETITEM": lambda m, _: m._set_items([m._stack.pop(-2), m._stack.pop()]),
    "SETITEMS": lambda m, _: m._set_items(m._since_mark()),
    "GET": lambda m, place: m._push(m._memory[place]),
    "BINGET": lambda m, place: m._push(m._memory[place]),
    "LONG_BINGET": lambda m, place: m._push(m._memory[place]),
    "PUT": lambda m, place: m._remember(place),
    "BINPUT": lambda m, place: m._remember(place),
    "LONG_BINPUT": lambda m, place: m._remember(place),
    "MEMOIZE": lambda m, _: m._remember(len(m._memory)),
    "GLOBAL": lambda m, name: m._name(*name.split(" ", 1)),
    "STACK_GLOBAL": lambda m, _: m._name(m._stack.pop(-2), m._stack.pop()),
    "REDUCE": _Machine._call_popped,
    "NEWOBJ": _Machine._call_popped,
    "NEWOBJ_EX": _Machine._call_with_keywords,
    "OBJ": _Machine._call_since_mark,
    "INST": _Machine._call_named,
    "BUILD": _Machine._build,
    "PERSID": _Machine._refer,
    "BINPERSID": lambda m, _: m._refer(m._stack.pop()),
    "STOP": _Machine._stop,
}
