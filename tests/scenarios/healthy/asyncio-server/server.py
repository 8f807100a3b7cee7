import asyncio
import sys


async def answer(reader, writer):
    while await reader.readline():
        await asyncio.sleep(0.002)
        writer.write(b"hello\n")
        await writer.drain()


async def main():
    server = await asyncio.start_server(answer, "127.0.0.1", int(sys.argv[-1]))
    async with server:
        await server.serve_forever()


asyncio.run(main())
