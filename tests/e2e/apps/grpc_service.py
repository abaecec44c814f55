"""A gRPC service of every kind of call, with reflection: `grpc_service.py PORT [PEM]`, over TLS where there is a PEM.

Messages are bytes, so that no generated code is needed.
"""

import sys
import threading
from collections.abc import Iterator
from concurrent import futures
from pathlib import Path
from typing import Any

import grpc
from grpc_reflection.v1alpha import reflection

ENDLESS = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]


def echo(request: bytes, context: Any) -> bytes:
    """The same message; the metadata of the call comes back as trailers."""
    said = {key: value for key, value in context.invocation_metadata() if key.startswith("x-")}
    context.send_initial_metadata((("x-first", "1"),))
    context.set_trailing_metadata(tuple((f"{key[:-4]}-back-bin" if key.endswith("-bin") else f"{key}-back", value)
                                        for key, value in said.items()))  # fmt: skip
    return request


def count(request: bytes, _context: Any) -> Iterator[bytes]:
    for number in range(int(request)):
        yield b"%d" % number


def join(requests: Iterator[bytes], _context: Any) -> bytes:
    return b"".join(requests)


def talk(requests: Iterator[bytes], _context: Any) -> Iterator[bytes]:
    for request in requests:
        yield request[::-1]


def fail(_request: bytes, context: Any) -> None:
    context.set_trailing_metadata((("x-why", "that"),))
    context.abort(grpc.StatusCode.NOT_FOUND, "there is none: é")


def hang(request: bytes, context: Any) -> bytes:
    """Wait until the call is over, and say so."""
    over = threading.Event()
    context.add_callback(over.set)
    print(f"hanging {request.decode()}", context.time_remaining() is not None, flush=True)
    over.wait(60)
    print(f"over {request.decode()}", flush=True)
    return b""


METHODS = {
    "Echo": grpc.unary_unary_rpc_method_handler(echo),
    "Count": grpc.unary_stream_rpc_method_handler(count),
    "Join": grpc.stream_unary_rpc_method_handler(join),
    "Talk": grpc.stream_stream_rpc_method_handler(talk),
    "Fail": grpc.unary_unary_rpc_method_handler(fail),
    "Hang": grpc.unary_unary_rpc_method_handler(hang),
}


def main() -> None:
    server = grpc.server(futures.ThreadPoolExecutor(16), options=ENDLESS)
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("test.Service", METHODS),))
    reflection.enable_server_reflection(("test.Service", reflection.SERVICE_NAME), server)
    address = f"127.0.0.1:{sys.argv[1]}"
    if len(sys.argv) > 2:
        pem = Path(sys.argv[2]).read_bytes()
        server.add_secure_port(address, grpc.ssl_server_credentials([(pem, pem)]))
    else:
        server.add_insecure_port(address)
    server.start()
    print("listening", flush=True)
    server.wait_for_termination()


if __name__ == "__main__":
    main()
