"""Where services are, as environment variables, for programs that devproxy does not start."""
