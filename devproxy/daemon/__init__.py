"""What the running proxy consists of besides proxying: one process a home, registry changes, the watch, its logs.

Not here: the order in which it is built (`main.py`), starting it in the background (`control.py`).
"""
