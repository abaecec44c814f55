"""A FastAPI app for uvicorn: server-sent events that go out one by one on demand, and a WebSocket.

`/events` sends an event only after the last one was acknowledged by `POST /next`: a proxy that holds events back
stops the stream for good, so no clock is needed to see it.
"""

import asyncio
from collections.abc import AsyncIterator

from fastapi import FastAPI, WebSocket, WebSocketDisconnect
from fastapi.responses import StreamingResponse

app = FastAPI()
_next = asyncio.Semaphore(1)


@app.get("/events")
async def events() -> StreamingResponse:
    async def stream() -> AsyncIterator[str]:
        for number in range(5):
            await _next.acquire()
            yield f"id: {number}\ndata: event {number}\n\n"

    return StreamingResponse(stream(), media_type="text/event-stream")


@app.post("/next")
async def acknowledge() -> dict[str, bool]:
    _next.release()
    return {"ok": True}


@app.post("/items")
async def items(item: dict[str, str]) -> dict[str, object]:
    return {"item": item, "id": 1}


@app.websocket("/ws")
async def echo(socket: WebSocket) -> None:
    await socket.accept(subprotocol="chat")
    try:
        while True:
            message = await socket.receive()
            if message.get("text") == "bye":
                await socket.close(code=4001, reason="as asked")
                return
            if message["type"] == "websocket.disconnect":
                return
            if message.get("text") is not None:
                await socket.send_text(message["text"])
            else:
                await socket.send_bytes(message["bytes"])
    except WebSocketDisconnect:
        return
