"""The rows of the table of frameworks: for each program, how it is told its port, and its names.

Lives here: data. How a program is recognised, and its option for the host, are `health/rows/`.
Not here: applying them (`frameworks.py`). Pure.
"""
