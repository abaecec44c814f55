"""The programs that people run in development: one row each, in one file a kind of program.

To teach devproxy a program is to add a row (`program.py` says what one is made of) and its test. The first row of
`CATALOG` that fits counts, so what runs inside something else stands above it. A program that is started in two ways,
or listens on several ports, may have several rows. Not here: finding a process's row (`programs/recognize.py`). Pure.
"""

from devproxy.programs.catalog.javascript import JAVASCRIPT
from devproxy.programs.catalog.languages import LANGUAGES
from devproxy.programs.catalog.program import Program
from devproxy.programs.catalog.python import PYTHON
from devproxy.programs.catalog.services import SERVICES

CATALOG: tuple[Program, ...] = (*JAVASCRIPT, *PYTHON, *LANGUAGES, *SERVICES)
