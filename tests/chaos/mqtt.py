"""A device that behaves as a test says: what the fleet never does. MQTT 5, the few packets that are needed."""

import asyncio
import struct
from parts.process import LOOPBACK

ANSWER_S = 15


def _text(value: str | bytes) -> bytes:
    raw = value.encode() if isinstance(value, str) else value
    return struct.pack(">H", len(raw)) + raw


def _packet(kind: int, body: bytes) -> bytes:
    length, size = b"", len(body)
    while True:
        size, digit = divmod(size, 128)
        length += bytes([digit | (0x80 if size else 0)])
        if not size:
            return bytes([kind]) + length + body


def connect_packet(device: str, token: str, *, keep_alive: int = 0, will: tuple[str, bytes] | None = None) -> bytes:
    """Clean start; the will is of QoS 1."""
    flags = 0xC2 | (0x0C if will else 0)
    last_words = b"\x00" + _text(will[0]) + _text(will[1]) if will else b""
    return _packet(0x10, _text("MQTT") + struct.pack(">BBH", 5, flags, keep_alive) + b"\x00" + _text(device) + last_words + _text(device) + _text(token))


class Client:
    def __init__(self, device: str, token: str, port: int):
        self._device, self._token, self._port = device, token, port
        self._reader = self._writer = None
        self._last_id = 0

    async def connect(self, *, keep_alive: int = 0, will: tuple[str, bytes] | None = None) -> int:
        """The reason code of the answer."""
        self._reader, self._writer = await asyncio.wait_for(asyncio.open_connection(LOOPBACK, self._port), ANSWER_S)
        self._writer.write(connect_packet(self._device, self._token, keep_alive=keep_alive, will=will))
        kind, body = await self._read()
        return body[1] if kind == 0x20 else -1

    async def publish(self, topic: str, payload: bytes, content_type: str = "") -> int:
        """QoS 1; the reason code of PUBACK, -1 where the connection ended."""
        self._last_id += 1
        properties = b"\x03" + _text(content_type) if content_type else b""
        body = _text(topic) + struct.pack(">H", self._last_id) + bytes([len(properties)]) + properties + payload
        self._writer.write(_packet(0x32, body))
        try:
            while True:
                kind, body = await self._read()
                if kind == 0x40:
                    return body[2] if len(body) > 2 else 0
                if kind == 0xE0:
                    return -1
        except (asyncio.IncompleteReadError, ConnectionError):
            return -1

    async def _read(self) -> tuple[int, bytes]:
        async with asyncio.timeout(ANSWER_S):
            kind = (await self._reader.readexactly(1))[0]
            size = shift = 0
            while True:
                digit = (await self._reader.readexactly(1))[0]
                size |= (digit & 127) << shift
                shift += 7
                if digit < 128:
                    return kind & 0xF0, await self._reader.readexactly(size)

    async def close(self) -> None:
        if self._writer is not None:
            self._writer.close()
