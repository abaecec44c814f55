"""YAML text → strings, lists and dicts: what compose files and pnpm-workspace.yaml are written in.

Lives here: `parse_yaml` and `parse_document`, on PyYAML's parser (libyaml's where PyYAML was built with it), and what
they refuse.
Not here: reading files (`files.py`), what they say (`detect/`, `run/command.py`).

PyYAML's parser gives events, and the value is built of those here, without recursion. Its own constructors would take
`22:22` for the number 1342 and `on` for true, as YAML 1.1 has it, and pass over a key that is there twice. Here every
scalar is its text, and a null is "". Tags, such as compose's `!reset` and `!override`, say nothing in a value; a
document tells where they stand. A merge
(`<<: *base`, https://yaml.org/type/merge.html) gives a mapping the keys that it has not got itself.

A file of a cloned repository may say anything, so what is built is bounded in size, in depth, and in nodes as they
would be with every alias written out: a few lines of aliases of aliases can stand for billions.
"""

from collections.abc import Iterable
from typing import Any

import msgspec

from devproxy.problems import Wrong
from devproxy.text import shown

Value = str | list["Value"] | dict[str, "Value"]
Path = tuple[str | int, ...]

LARGEST = 1024 * 1024  # characters
DEEPEST = 50
MOST_NODES = 50_000  # scalars and collections, those behind an alias as often as it stands there

_NULLS = frozenset({"", "~", "null", "Null", "NULL"})


class YamlError(ValueError):
    """Why a text cannot be used, and the place: `compose.yaml:3:5`."""

    def __init__(self, what: str, file: str, line: int = 1, column: int = 1):
        super().__init__(f"{file}:{line}:{column}: {what}")
        self.what = what
        self.where = f"{file}:{line}:{column}"


class YamlDocument(msgspec.Struct, frozen=True):
    """A value, and by their path in it (keys, places in lists) the line and column of every part, and its tag if it has
    one of its own. What an alias or a merge brings has the place where that stands; `written` tells where its text is.

    `aliases`: the path of what each stands for. `merges`: those that `<<` brings into a mapping, the first one wins.
    """

    value: Value = ""
    places: dict[Path, tuple[int, int]] = {}
    tags: dict[Path, str] = {}
    aliases: dict[Path, Path] = {}
    merges: dict[Path, list[Path]] = {}

    def place(self, *path: str | int) -> tuple[int, int]:
        """Where a part stands; of one that came from elsewhere, the nearest part around it."""
        while path and path not in self.places:
            path = path[:-1]
        return self.places.get(path, (1, 1))

    def written(self, *path: str | int) -> tuple[int, int]:
        """Where the text of a part stands: behind aliases and merges, the line that a person would change."""
        return self._written(path, set()) or self.place(*path)

    def _written(self, path: Path, seen: set[Path]) -> tuple[int, int] | None:
        if path in seen:  # each once: merges of merges would be looked at again and again
            return None
        seen.add(path)
        for end in range(len(path), -1, -1):
            known, rest = path[:end], path[end:]
            if known in self.aliases:
                return self._written((*self.aliases[known], *rest), seen)
            if known in self.places and not rest:
                return self.places[known]
            if known in self.merges:
                found = (self._written((*source, *rest), seen) for source in self.merges[known])
                return next((place for place in found if place is not None), None)
            if known in self.places:
                return None
        return None


def parse_yaml(text: str, file: str) -> Value:
    """The document as strings, lists and dicts; an empty one is "". Raises YamlError; `file` is named in it."""
    return _built(text, _Builder(file))


def parse_document(text: str, file: str) -> YamlDocument:
    """The same with its places and tags."""
    document = YamlDocument()
    return msgspec.structs.replace(document, value=_built(text, _Builder(file, document)))


def _built(text: str, builder: "_Builder") -> Value:
    file = builder.file
    if len(text) > LARGEST:
        raise YamlError("it is larger than any that a person writes", file)
    import yaml  # only where there is such a file: it takes 10 ms

    loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        return builder.build(yaml.parse(text, Loader=loader))
    except yaml.MarkedYAMLError as error:
        said = f"not YAML: {error.problem or error.context or 'it cannot be read'}"
        raise builder.error(said, error.problem_mark or error.context_mark) from None
    except yaml.reader.ReaderError as error:
        line, column = _place_of(text, error.position, is_bytes=error.encoding != "unicode")
        raise YamlError("not YAML: a character that YAML does not allow", file, line, column) from None
    except yaml.YAMLError:
        raise builder.error("not YAML") from None
    except (ValueError, OverflowError) as error:  # an escape of a number that is no character
        if isinstance(error, YamlError):
            raise
        raise builder.error("not YAML: a character that does not exist") from None


def _place_of(text: str, offset: int, *, is_bytes: bool) -> tuple[int, int]:
    """Line and column of an offset; libyaml counts in UTF-8."""
    before = text.encode()[:offset].decode("utf-8", "ignore") if is_bytes else text[:offset]
    return before.count("\n") + 1, len(before) - before.rfind("\n")


class _List:
    """A list whose end has not come yet. `nodes` is how many there were before it."""

    def __init__(self, anchor: str | None, nodes: int):
        self.anchor = anchor
        self.nodes = nodes
        self._items: list[Value] = []

    @property
    def value(self) -> Value:
        return self._items

    @property
    def step(self) -> int | None:
        """Where in it the next node comes; None where that is a key."""
        return len(self._items)

    def add(self, value: Value, *, is_merge: bool) -> None:
        """The next node in it; `is_merge`: it is `<<`, without quotes. Raises Wrong where it does not fit."""
        self._items.append(value)


class _Mapping:
    """A mapping whose end has not come yet; as `_List`."""

    def __init__(self, anchor: str | None, nodes: int):
        self.anchor = anchor
        self.nodes = nodes
        self._own: dict[str, Value] = {}
        self._merged: dict[str, Value] = {}
        self._key: str | None = None  # the one whose value is next
        self.is_merge = False  # it is `<<`

    @property
    def value(self) -> Value:
        return self._merged | self._own

    @property
    def step(self) -> str | None:
        return None if self.is_merge else self._key

    def add(self, value: Value, *, is_merge: bool) -> None:
        if self._key is None:
            self._begin(value, is_merge=is_merge)
            return
        if self.is_merge:
            self._merge(value)
        else:
            self._own[self._key] = value
        self._key = None

    def _begin(self, key: Value, *, is_merge: bool) -> None:
        if not isinstance(key, str):
            raise Wrong("a list or a mapping is the key of a value")
        if key in self._own and not is_merge:
            raise Wrong(f"`{shown(key)}` is there twice")
        self._key, self.is_merge = key, is_merge

    def _merge(self, value: Value) -> None:
        for other in value if isinstance(value, list) else [value]:
            if not isinstance(other, dict):
                raise Wrong("`<<` takes a mapping, or a list of mappings")
            for key, item in other.items():
                self._merged.setdefault(key, item)  # the first that has it wins


class _Builder:
    """The value that a stream of events makes; what `document` tells besides is put into it."""

    def __init__(self, file: str, document: YamlDocument | None = None):
        self.file = file
        self._document = document
        self._place = (1, 1)  # of the event that is looked at
        self._open: list[_List | _Mapping] = []
        self._anchors: dict[str, tuple[Value, int]] = {}  # with how many nodes each is
        self._anchored: dict[str, Path] = {}  # where they stand, those of values
        self._nodes = 0
        self._documents: list[Value] = []

    def error(self, what: str, mark: Any = None) -> YamlError:
        """What is wrong at a mark of PyYAML's; without one, where the last event was."""
        return YamlError(what, self.file, *(_line_and_column(mark) if mark else self._place))

    def build(self, events: Iterable[Any]) -> Value:
        import yaml

        for event in events:
            self._place = _line_and_column(event.start_mark)
            try:
                if self._document is not None and isinstance(event, yaml.NodeEvent):
                    self._note(event, self._document, is_alias=isinstance(event, yaml.AliasEvent))
                if isinstance(event, yaml.ScalarEvent):
                    self._scalar(event)
                elif isinstance(event, yaml.AliasEvent):
                    self._alias(event)
                elif isinstance(event, yaml.CollectionStartEvent):
                    self._begin(event, _Mapping if isinstance(event, yaml.MappingStartEvent) else _List)
                elif isinstance(event, yaml.DocumentStartEvent) and self._documents:
                    raise Wrong("there are several documents in it")
                elif isinstance(event, yaml.CollectionEndEvent):
                    ended = self._open.pop()
                    self._node(ended.value, ended.anchor, self._nodes - ended.nodes)
            except Wrong as wrong:
                raise self.error(wrong.what) from None
        return self._documents[0] if self._documents else ""

    def _note(self, event: Any, document: YamlDocument, *, is_alias: bool) -> None:
        """Where a node of a value stands, its own tag, and what it stands for."""
        steps = [one.step for one in self._open]
        path: Path = tuple(step for step in steps if step is not None)
        if len(path) < len(steps):
            if is_alias and event.anchor in self._anchored:
                self._note_merge(steps.index(None), self._anchored[event.anchor], document)
            return
        document.places[path] = self._place
        if is_alias:
            if event.anchor in self._anchored:
                document.aliases[path] = self._anchored[event.anchor]
            return
        if event.anchor is not None:
            self._anchored[event.anchor] = path
        if event.tag and event.tag.startswith("!") and event.tag != "!":
            document.tags[path] = event.tag

    def _note_merge(self, at: int, source: Path, document: YamlDocument) -> None:
        """The mapping at `at` of those that are open gets what stands at `source`, if that is its `<<`."""
        mapping, *inner = self._open[at:]
        if isinstance(mapping, _Mapping) and mapping.is_merge and not any(isinstance(one, _Mapping) for one in inner):
            path = tuple(one.step for one in self._open[:at])
            document.merges.setdefault(path, []).append(source)  # type: ignore[arg-type]

    def _begin(self, event: Any, kind: type[_List] | type[_Mapping]) -> None:
        if len(self._open) == DEEPEST:
            raise Wrong(f"nested deeper than {DEEPEST} levels")
        self._open.append(kind(event.anchor, self._nodes))
        self._count(1)

    def _count(self, more: int) -> None:
        self._nodes += more
        if self._nodes > MOST_NODES:
            raise Wrong(f"it stands for more than {MOST_NODES} values, aliases written out")

    def _scalar(self, event: Any) -> None:
        text, is_plain = event.value, event.implicit[0]
        if not text.isascii() and any("\ud800" <= char <= "\udfff" for char in text):
            raise Wrong("not YAML: half of a character")
        self._count(1)
        is_null = is_plain and text in _NULLS
        self._node("" if is_null else text, event.anchor, 1, is_merge=is_plain and text == "<<")

    def _alias(self, event: Any) -> None:
        if event.anchor not in self._anchors:
            raise Wrong(f"`*{shown(event.anchor)}` stands for nothing that ends before it")
        value, nodes = self._anchors[event.anchor]
        self._count(nodes)
        self._node(value, None, nodes)

    def _node(self, value: Value, anchor: str | None, nodes: int, *, is_merge: bool = False) -> None:
        """A value that is complete goes where it belongs."""
        if anchor is not None:
            self._anchors[anchor] = value, nodes
        if self._open:
            self._open[-1].add(value, is_merge=is_merge)
        else:
            self._documents.append(value)


def _line_and_column(mark: Any) -> tuple[int, int]:
    return mark.line + 1, mark.column + 1
