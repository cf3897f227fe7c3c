#!/usr/bin/python3
"""Load for the rows over a wire: one-way bulk and request-reply, with the client's own clock.

usage: load.py serve ADDRESS PORT
       load.py bulk ADDRESS PORT SECONDS       prints bytes and seconds, as JSON
       load.py echo ADDRESS PORT SECONDS       64-byte request and reply: p50, p99, p99.9 in microseconds and the rate
"""
import json
import socket
import sys
import threading
import time


def serve(address, port):
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind((address, port))
    listener.listen(64)
    print('ready', flush=True)
    while True:
        connection, _ = listener.accept()
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        threading.Thread(target=answer, args=(connection,), daemon=True).start()


def answer(connection):
    """`E`: echo 64 bytes; `B`: swallow all there is, then say how much."""
    kind = connection.recv(1)
    buffer = bytearray(1 << 18)
    if kind == b'E':
        while True:
            size = connection.recv_into(buffer, 64)
            if size == 0:
                break
            connection.sendall(memoryview(buffer)[:size])
    else:
        total = 0
        while True:
            size = connection.recv_into(buffer)
            if size == 0:
                break
            total += size
        connection.sendall(str(total).encode())
    connection.close()


def open_to(address, port, kind):
    connection = socket.create_connection((address, port), 20)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    connection.sendall(kind)
    return connection


def bulk(address, port, seconds):
    connection = open_to(address, port, b'B')
    data = bytes(1 << 18)
    begin = time.perf_counter()
    while time.perf_counter() - begin < seconds:
        connection.sendall(data)
    connection.shutdown(socket.SHUT_WR)
    total = int(connection.recv(64))
    print(json.dumps({'bytes': total, 'seconds': time.perf_counter() - begin}))


def echo(address, port, seconds):
    connection = open_to(address, port, b'E')
    message, times = b'x' * 64, []
    end = time.perf_counter() + seconds
    while True:
        begin = time.perf_counter()
        if begin > end:
            break
        connection.sendall(message)
        got = 0
        while got < 64:
            got += len(connection.recv(64 - got))
        times.append(time.perf_counter() - begin)
    times = sorted(times[len(times) // 10:])
    pick = lambda q: round(times[min(len(times) - 1, int(len(times) * q))] * 1e6, 1)
    print(json.dumps({'p50_us': pick(0.5), 'p99_us': pick(0.99), 'p999_us': pick(0.999), 'per_second': round(len(times) / sum(times))}))


if __name__ == '__main__':
    if sys.argv[1] == 'serve':
        serve(sys.argv[2], int(sys.argv[3]))
    else:
        {'bulk': bulk, 'echo': echo}[sys.argv[1]](sys.argv[2], int(sys.argv[3]), float(sys.argv[4]))
