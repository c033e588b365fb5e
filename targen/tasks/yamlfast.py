"""A quick YAML parser for ordinary files; anything unusual is left to the exact one.

The exact parser (ruamel.yaml) knows the line of every value and takes about ten milliseconds for a
task. libyaml takes half a millisecond. Folders can have thousands of tasks, of which all are listed
and few are used.
"""

import re
from typing import Any, Final

import yaml
from ruamel.yaml.resolver import implicit_resolvers
from yaml.constructor import ConstructorError, SafeConstructor
from yaml.nodes import MappingNode, ScalarNode
from yaml.resolver import BaseResolver

_UNUSUAL: Final = re.compile(
    # Tags, anchors, aliases, directives, merged keys, tabs, other line breaks, several documents,
    # and nesting without indentation.
    r"(?m)(^|[\s\[,{:-])[!&*%][^\s]|<<|[\t\r\x85\u2028\u2029\ufeff]"
    r"|^(\.\.\.|---)|^ {200}|([-?] +){20}"
)
_MOST_BRACKETS: Final = 400
"""The C parser calls itself for each level."""
_KINDS: Final = ("bool", "null", "int", "float")
_TAG: Final = "tag:yaml.org,2002:"


class UnusualError(Exception):
    """The text is for the exact parser."""


def parse(text: str) -> Any:
    """Return the value of a text: dicts, lists and scalars.

    Raises:
        UnusualError: the text may be wrong, or mean something else to the exact parser.
    """
    if (
        _LOADER is None
        or _UNUSUAL.search(text)
        or text.count("[") + text.count("{") > _MOST_BRACKETS
    ):
        raise UnusualError
    try:
        return yaml.load(text, Loader=_LOADER)  # noqa: S506 - it extends the safe constructor
    except (yaml.YAMLError, ValueError, TypeError, AttributeError, RecursionError):
        raise UnusualError from None


def _loader() -> Any:
    """Return a loader with the scalars of YAML 1.2; None if libyaml is missing."""
    try:
        from yaml.cyaml import CParser  # noqa: PLC0415 - not in every build
    except ImportError:
        return None

    class Loader(CParser, SafeConstructor, BaseResolver):  # type: ignore[misc]
        def __init__(self, stream: str) -> None:
            CParser.__init__(self, stream)
            SafeConstructor.__init__(self)
            BaseResolver.__init__(self)

        def construct_mapping(self, node: MappingNode, deep: bool = False) -> dict[Any, Any]:
            found: dict[Any, Any] = super().construct_mapping(node, deep=deep)
            if len(found) != len(node.value):
                raise ConstructorError(None, None, "a key occurs twice", node.start_mark)
            return found

    for versions, tag, pattern, first in implicit_resolvers:
        if (1, 2) in versions:
            Loader.add_implicit_resolver(tag, pattern, first)
    Loader.add_constructor(f"{_TAG}int", _integer)
    Loader.add_constructor(f"{_TAG}float", _number)
    Loader.add_constructor(f"{_TAG}bool", _truth)
    # Dates and others are left to the exact parser.
    for tag in [tag for tag in Loader.yaml_constructors if tag and tag.startswith(_TAG)]:
        if tag.removeprefix(_TAG) not in (*_KINDS, "str", "seq", "map"):
            Loader.add_constructor(tag, _unusual)
    return Loader


def _integer(loader: Any, node: ScalarNode) -> int:
    text = str(loader.construct_scalar(node))
    if not re.fullmatch(r"[-+]?(0|[1-9][0-9]{0,15})", text):
        raise ValueError
    return int(text)


def _number(loader: Any, node: ScalarNode) -> float:
    text = str(loader.construct_scalar(node))
    if not re.fullmatch(r"[-+]?[0-9]+(\.[0-9]*)?([eE][-+]?[0-9]+)?", text):
        raise ValueError
    return float(text)


def _truth(loader: Any, node: ScalarNode) -> bool:
    return {"true": True, "false": False}[str(loader.construct_scalar(node)).lower()]


def _unusual(loader: Any, node: Any) -> Any:
    raise ValueError


_LOADER: Final = _loader()
