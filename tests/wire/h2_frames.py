"""Frames of HTTP/2 as bytes (RFC 9113 §4.1): to cut them out of a stream, and to write those that no library would."""

DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = range(10)


class Frames:
    """Cuts a stream of bytes into frames: `h2` takes none behind a GOAWAY, and has to be kept from seeing that."""

    def __init__(self) -> None:
        self._held = b""

    def cut(self, data: bytes) -> list[bytes]:
        """The frames that are whole by now."""
        data = self._held + data
        found = []
        at = 0
        while len(data) - at >= 9:
            end = at + 9 + int.from_bytes(data[at : at + 3], "big")
            if end > len(data):
                break
            found.append(data[at:end])
            at = end
        self._held = data[at:]
        return found


def frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    """One frame."""
    return len(payload).to_bytes(3, "big") + bytes((kind, flags)) + stream.to_bytes(4, "big") + payload
