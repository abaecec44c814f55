"""The registry: TOML files in, one frozen set of services and every problem out."""
