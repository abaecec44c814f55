"""The only bind() and the only connect()."""
