"""Forwarding of TCP: databases, brokers, and everything else that is not HTTP, at an address that stays."""
