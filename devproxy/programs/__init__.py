"""What we know of the programs that people run: how each is recognised, told its port and host, and mended.

Not here: running them (`run/`), what is wrong with one that runs (`health/`). Pure.
"""
