"""TOML texts of every layout, for property tests."""

from hypothesis import strategies as st

BARE = st.from_regex(r"[A-Za-z0-9_-]{1,8}", fullmatch=True)
TEXT = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=12)


def quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def as_key(text: str) -> st.SearchStrategy[str]:
    """The spellings of a key."""
    spellings = [quoted(text), '"' + "".join(f"\\U{ord(char):08x}" for char in text) + '"']
    if "'" not in text:
        spellings.append(f"'{text}'")
    if text and all(char.isascii() and (char.isalnum() or char in "_-") for char in text):
        spellings.append(text)
    return st.sampled_from(spellings)


SCALARS = st.one_of(
    st.integers().filter(lambda number: abs(number) < 10**18).map(str),
    st.sampled_from(["true", "1.5e3", "0xff", "1979-05-27 07:32:00", "07:32:00", "-inf", "'a # b'", "'''\n[x]\n'''"]),
    TEXT.map(quoted),
    TEXT.map(lambda text: '"""\n' + quoted(text)[1:-1] + '\\\n  = "" \'\n"""'),
    st.just('""""two quotes at each end"""""'),
    st.just("''''two more''''''"[:-1]),
)
BLANKS = st.sampled_from(["", " ", "\t", "  "])
LINES = st.sampled_from(["\n", "\r\n", "\n\n", " # [not.a] = 'table'\n", "\n# x = 1\n", "\t\n"])
KEYS = st.one_of(BARE, TEXT)


@st.composite
def values(draw: st.DrawFn, depth: int = 0) -> str:
    kind = draw(st.integers(0, 5 if depth < 3 else 3))
    if kind < 4:
        scalar: str = draw(SCALARS)
        return scalar
    if kind == 4:
        items = draw(st.lists(values(depth=depth + 1), max_size=3))
        gap = draw(st.sampled_from([", ", ",", " ,\n  # ] comment\n", ","]))
        tail = draw(st.sampled_from(["", ",", "\n"])) if items else draw(st.sampled_from(["", "\n#]\n"]))
        return "[" + draw(st.sampled_from(["", " ", "\n"])) + gap.join(items) + tail + "]"
    names = draw(st.lists(KEYS, unique=True, max_size=3))
    pairs = [f"{draw(as_key(name))} = {draw(values(depth=depth + 1))}" for name in names]
    return "{" + ", ".join(pairs) + "}"


@st.composite
def documents(draw: st.DrawFn) -> str:
    """TOML texts of every layout; some are refused by tomllib because a key is there twice."""
    text = draw(st.sampled_from(["", "\n", "# comment\n"]))
    for _ in range(draw(st.integers(0, 8))):
        parts = [
            draw(as_key(part))
            for part in draw(st.lists(st.one_of(st.sampled_from("abc"), KEYS), min_size=1, max_size=3))
        ]
        blank = draw(BLANKS)
        key = f"{blank}.{blank}".join(parts)
        kind = draw(st.integers(0, 4))
        if kind == 0:
            text += f"[{blank}{key}{blank}]"
        elif kind == 1:
            text += f"[[{key}]]"
        else:
            text += f"{blank}{key}{blank}={blank}{draw(values())}"
        text += draw(LINES)
    return text
