"""The only sockets that listen, and the only connections to services; what the kernel says about sockets."""
