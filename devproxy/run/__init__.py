"""Starting services: the port each one gets, its command and environment, its process, its lease.

Not here: what is served under their names (`proxy/`), whether they are up (`health/`). What runs is watched with
`health/`, so this layer stands above it.
"""
