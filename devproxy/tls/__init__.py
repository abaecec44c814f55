"""TLS: the local certificate authority, its certificates, and what servers and clients are given of them."""
