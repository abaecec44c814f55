"""What the kernel may hold for a socket is fixed, inherited by what a listener accepts, and never a reason to fail."""

import socket

from devproxy.net.sockets import RECEIVE, SEND, bound_buffers

OPTIONS = (socket.SO_SNDBUF, socket.SO_RCVBUF)


def granted(sock: socket.socket) -> list[int]:
    return [sock.getsockopt(socket.SOL_SOCKET, option) for option in OPTIONS]


def test_buffers_are_bounded_and_stay_so_for_what_is_accepted() -> None:
    with socket.socket() as listener, socket.socket() as client:
        bound_buffers(listener)
        bounded = granted(listener)
        assert [0 < size <= 2 * asked for size, asked in zip(bounded, (SEND, RECEIVE), strict=True)] == [True, True]
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        bound_buffers(client)
        client.connect(listener.getsockname())
        accepted, _ = listener.accept()
        with accepted:
            assert granted(accepted) == bounded
            assert granted(client) == bounded


def test_a_socket_that_does_not_allow_it_is_left_as_it_is() -> None:
    sock = socket.socket()
    sock.close()
    bound_buffers(sock)
