"""HTTP/1.1 messages as bytes: start lines, field lines, framing, response heads. Pure; knows no connection.

Not here: what a proxy does with them (`proxy/`), how a service is asked whether it is well (`health/probe.py`). Both
read by this one grammar, so that they cannot disagree about what is an answer.
"""
