"""A server with an event loop, whose handler blocks the loop for 0.1 s."""
import asyncio
import sys
import time


async def handle(reader, writer):
    while line := await reader.readline():
        while line.strip():
            line = await reader.readline()
        time.sleep(0.1)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        await writer.drain()


async def main():
    server = await asyncio.start_server(handle, "127.0.0.1", int(sys.argv[1]))
    await server.serve_forever()


asyncio.run(main())
