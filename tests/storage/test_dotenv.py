"""The text of a .env file."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devproxy.storage.dotenv import parse_dotenv

TEXT = """\
# what the team shares
A=1
export B = "two words" # and a comment
C='single $A'
D="${A}/${OUTER}/${NOBODY:-else}"
NAME_ALONE
E=first
E=${E} second

this is no variable
F="over
two lines"
G=1=2#3
"""


def test_a_file() -> None:
    found = parse_dotenv(TEXT, {"OUTER": "o"})
    assert found.values == {
        "A": "1",
        "B": "two words",
        "C": "single $A",
        "D": "1/o/else",
        "E": "first second",
        "F": "over\ntwo lines",
        "G": "1=2#3",
    }
    assert found.bad_lines == (10,)


def test_what_is_known_outside_wins_in_references() -> None:
    assert parse_dotenv("PORT=3000\nURL=http://localhost:${PORT}\n", {"PORT": "24000"}).values["URL"].endswith(":24000")


@pytest.mark.parametrize("text", ["A=\0", 'A="x\0y"', "=", "\0", 'A="open'])
def test_what_cannot_be_set_is_a_bad_line(text: str) -> None:
    assert parse_dotenv(text, {}).values == {}
    assert parse_dotenv(f"\n\n{text}", {}).bad_lines == (3,)


@given(st.text(max_size=80) | st.text("AB=\"'\\#$ {}\n\r", max_size=80))
def test_any_text_is_read(text: str) -> None:
    found = parse_dotenv(text, {"A": "1"})
    assert all("\0" not in name + value for name, value in found.values.items())


@given(st.dictionaries(st.from_regex("[A-Z_]{1,8}", fullmatch=True), st.text("ab c#=:/", max_size=12), max_size=5))
def test_values_in_double_quotes_are_themselves(values: dict[str, str]) -> None:
    assert parse_dotenv("".join(f'{name}="{value}"\n' for name, value in values.items()), {}).values == values
