#!/usr/bin/python3
"""Moves a known stream both ways over one TCP connection and checks every byte. For tests of the wire.

usage: bulk.py serve ADDRESS PORT | bulk.py connect ADDRESS PORT BYTES
The byte stream is a repeated 1 MiB block of a seeded generator, another one for each direction. The client sends BYTES
and closes its side; the server sends BYTES at the same time, and closes when it has read the end. Prints one line.
"""
import fcntl
import hashlib
import random
import socket
import struct
import sys
import termios
import threading
import time

BLOCK = 1 << 20


def block(seed):
    return random.Random(seed).randbytes(BLOCK)


def send(connection, seed, size):
    data = memoryview(block(seed))
    sent = 0
    while sent < size:
        at = sent % BLOCK
        sent += connection.send(data[at:at + min(BLOCK - at, size - sent)])


def receive(connection, seed, size):
    want = memoryview(block(seed) * 2)  # twice, so that any piece is one slice
    got = 0
    digest = hashlib.sha256()
    while True:
        data = connection.recv(1 << 18)
        if not data:
            break
        at = got % BLOCK
        expected = want[at:at + len(data)]
        if data != expected:
            raise SystemExit(f'byte {got + next(i for i in range(len(data)) if data[i] != expected[i])} is wrong')
        got += len(data)
        digest.update(data)
    if got != size:
        raise SystemExit(f'{got} of {size} bytes')
    return digest.hexdigest()


def serve(address, port):
    family = socket.AF_INET6 if ':' in address else socket.AF_INET
    listener = socket.socket(family)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind((address, port))
    listener.listen(16)
    print('ready', flush=True)
    while True:
        connection, _ = listener.accept()
        threading.Thread(target=answer, args=(connection,), daemon=True).start()


def unacknowledged(connection):
    """Bytes that were written, the FIN too, and not acknowledged yet (SIOCOUTQ)."""
    return struct.unpack('i', fcntl.ioctl(connection.fileno(), termios.TIOCOUTQ, bytes(4)))[0]


def answer(connection):
    try:
        size = struct.unpack('!Q', connection.recv(8, socket.MSG_WAITALL))[0]
        sender = threading.Thread(target=send, args=(connection, 2, size))
        sender.start()
        receive(connection, 1, size)
        sender.join()
        connection.shutdown(socket.SHUT_WR)
        # Who closes while something is not acknowledged leaves it to a kernel that gives up after eight repetitions (tcp_orphan_retries)
        # instead of fifteen: nothing that a wire that loses one frame in five can be blamed for.
        while unacknowledged(connection):
            time.sleep(0.05)
    except (OSError, SystemExit, struct.error) as error:
        print(f'server: {error}', file=sys.stderr, flush=True)
    connection.close()


def connect(address, port, size):
    connection = socket.create_connection((address, port), 60)
    connection.settimeout(None)
    begin = time.monotonic()
    trouble = []

    def talk():
        try:
            send(connection, 1, size)
            connection.shutdown(socket.SHUT_WR)
        except OSError as error:
            trouble.append(f'sending: {error}')
    sender = threading.Thread(target=talk, daemon=True)
    try:
        connection.sendall(struct.pack('!Q', size))
        sender.start()
        receive(connection, 2, size)
        sender.join()
    except (OSError, SystemExit) as error:
        trouble.append(str(error))
    if trouble:
        raise SystemExit(f'port {connection.getsockname()[1]}, after {time.monotonic() - begin:.0f} s: {", ".join(trouble)}')
    print(f'{size} bytes each way in {time.monotonic() - begin:.2f} s, byte-exact')


if __name__ == '__main__':
    if sys.argv[1] == 'serve':
        serve(sys.argv[2], int(sys.argv[3]))
    else:
        connect(sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
