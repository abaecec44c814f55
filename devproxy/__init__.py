"""devproxy: names instead of ports for the services on this machine."""

__version__ = "0.1.0"
