#!/usr/bin/python3
"""Bytes through a terminated flow whose wires lose, reorder, duplicate and damage frames on both sides of Sluice: every byte is there,
in order, once; connections open, half-close, close and reset as without it. Then some where one frame in five is lost each time:
HEAVY_BYTES=1073741824 for as much of it as the goal says, which takes about an hour; FLOWS=64 HEAVY_BYTES=16777216 for as much in many flows at
once; then BRIDGED=1 tells how many of these two kernels bring to an end through the same wires when Sluice only bridges. ONLY=heavy: nothing else."""
import os
import re
import signal
import socket
import struct
import subprocess
import sys
import threading
import time

import scene
from scene import OPAQUE_PORT, in_namespace
from tap import need, world

FAULTS = ('loss=20', 'reorder=50', 'duplicate=10', 'corrupt=5')  # per thousand
GIGABYTE = 1 << 30
HEAVY_BYTES = int(os.environ.get('HEAVY_BYTES', 400000))
FLOWS = int(os.environ.get('FLOWS', 4))
BRIDGED = '10.77.0.11' if os.environ.get('BRIDGED') else None  # an address that no service names
ONLY_HEAVY = os.environ.get('ONLY') == 'heavy'
SECONDS = 130         # for the large transfer; less than a gigabyte is said when that is not enough
SHORT = 200


def large(it):
    """Measures 16 MiB first, and then moves as much as fits the time, at most a gigabyte each way."""
    begin = time.monotonic()
    it.bulk(16 << 20)
    rate = (16 << 20) / (time.monotonic() - begin)
    size = min(GIGABYTE, max(16 << 20, int(rate * SECONDS * 0.8) >> 20 << 20))
    told = it.bulk(size, timeout=600)
    return told if size == GIGABYTE else f'{told} (a gigabyte does not fit {SECONDS} s here)'


def echo_server(it):
    """Sends back what it got once the client has closed its side; with a first byte "h" it closes its own side first."""
    code = '''
import socket, threading
s = socket.socket(); s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1); s.bind((%r, 7001)); s.listen(256)
def one(c):
    try:
        got = c.recv(1)
        if got == b'h':
            c.sendall(b'first' * 1000); c.shutdown(socket.SHUT_WR)
        while True:
            d = c.recv(65536)
            if not d: break
            got += d
        if got[:1] != b'h': c.sendall(got)
        else: print('half', len(got), hash(got) and sum(got), flush=True)
    except OSError as e: print('error', e.errno, flush=True)
    c.close()
print('ready', flush=True)
while True:
    c, _ = s.accept(); threading.Thread(target=one, args=(c,), daemon=True).start()
''' % it.wire.target_address
    process = it.spawn(it.wire.target, '/usr/bin/python3', '-c', code, log=it.lab.dir / 'echo.log')
    world.wait_for('the echo server', lambda: process.need_alive() and 'ready' in world.tail(process.log), 60)


def connected(it):
    s = socket.create_connection((it.wire.target_address, 7001), 120)
    s.settimeout(120)
    return s


def drain(s):
    got = b''
    while True:
        data = s.recv(65536)
        if not data:
            return got
        got += data


def short(it):
    """Connect, transfer, close; eight at a time."""
    wrong, lock, left = [], threading.Lock(), list(range(SHORT))

    def work():
        while True:
            with lock:
                if not left or wrong:
                    return
                number = left.pop()
            data = b'x' + os.urandom(1 + number * 97)
            try:
                with in_namespace(it.wire.agent, lambda: connected(it)) as s:
                    s.sendall(data)
                    s.shutdown(socket.SHUT_WR)
                    if drain(s) != data:
                        wrong.append(f'connection {number}: the answer differs')
            except OSError as error:
                wrong.append(f'connection {number}: {error}')
    threads = [threading.Thread(target=work) for _ in range(8)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    need(not wrong, '; '.join(wrong[:3]))
    return f'{SHORT} connections'


def half_close(it):
    """The server ends its direction at once; the client's stays open for all it has."""
    with in_namespace(it.wire.agent, lambda: connected(it)) as s:
        s.sendall(b'h')
        need(drain(s) == b'first' * 1000, 'the first half differs')
        data = os.urandom(300000)
        s.sendall(data)
        s.shutdown(socket.SHUT_WR)
        want = f'half {1 + len(data)} {sum(data) + ord("h")}'
        world.wait_for('the second half at the server', lambda: want in (it.lab.dir / 'echo.log').read_text(), 120)
    with in_namespace(it.wire.agent, lambda: connected(it)) as s:
        data = b'x' + os.urandom(300000)
        s.sendall(data)
        s.shutdown(socket.SHUT_WR)
        need(drain(s) == data, 'what came back after the client had closed its side differs')


def reset(it):
    """A client that resets in the middle: the server sees a reset, not an orderly end."""
    log = it.lab.dir / 'echo.log'
    before = log.read_text().count('error 104')
    for _ in range(5):
        s = in_namespace(it.wire.agent, lambda: connected(it))
        s.sendall(b'x' + os.urandom(50000))
        s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0))
        s.close()
    # A reset that is lost is not sent again by the client's kernel: Sluice's keepalive or next segment finds out. Most arrive.
    world.wait_for('the reset at the server', lambda: log.read_text().count('error 104') > before, 120)
    return f'{log.read_text().count("error 104") - before} of 5 seen by the server so far'


def without(it, *settings):
    both = (it.wire.agent, it.wire.target)
    for namespace in both:
        for name in settings:
            world.run('ip', 'netns', 'exec', namespace, 'sysctl', '-qw', f'net.ipv4.{name}=0')
    try:
        return it.bulk((8 << 20) // len(settings), timeout=300)  # without all of them each loss costs a time-out
    finally:
        for namespace in both:
            for name in settings:
                world.run('ip', 'netns', 'exec', namespace, 'sysctl', '-qw', f'net.ipv4.{name}=1')


def postgres(it):
    """TLS and the whole protocol over the same wires."""
    done = it.psql('SELECT id, body FROM archive ORDER BY id')
    rows = done.stdout.splitlines()
    need(len(rows) == 1000 and rows[999].startswith('1000|'), f'{len(rows)} rows: {done.stderr}')
    direct = it.db.direct('SELECT id, body FROM archive ORDER BY id')
    need(done.stdout == direct, 'the rows differ')


def streams(it, address):
    """FLOWS streams at once, each both ways; what became of each that did not come to its end, by its client's port."""
    wrong = {}

    def work(number):
        try:
            it.bulk(HEAVY_BYTES, address, timeout=120 + FLOWS * HEAVY_BYTES // 20000)
        except (AssertionError, subprocess.TimeoutExpired) as error:
            port = re.search(r'port (\d+)', str(error))
            wrong[int(port[1]) if port else -number] = str(error)
    threads = [threading.Thread(target=work, args=(number,)) for number in range(1, FLOWS + 1)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    return wrong


def recorded(it, ports):
    """What the flight recorders say of these flows: which end gave up, and when."""
    told = []
    for flow in it.json('show', 'flows', '--abnormal')['flows']:
        if int(flow['client'].rpartition(':')[2]) in ports:
            shown = it.json('show', 'flow', flow['flow'])
            told.append(f'{flow["client"]}: {flow["state"]}; client {shown.get("client_half")} server {shown.get("server_half")}; '
                        + ', '.join(f'{line["ms"]} {line["what"]}' for line in shown['trace'][-12:]))
    return '\n'.join(told)


def heavy(it, cables):
    """One frame in five lost, on each wire and each way."""
    for cable in cables:
        cable.child.send_signal(signal.SIGUSR1)
    try:
        wrong = streams(it, None)
        need(not wrong, f'{len(wrong)} of {FLOWS} flows: {wrong}\n{recorded(it, wrong) if wrong else ""}')
        told = f'{FLOWS} flows of {HEAVY_BYTES} bytes each way, byte-exact'
        if BRIDGED:
            alone = streams(it, BRIDGED)
            need(not [e for e in alone.values() if 'is wrong' in e], f'between two kernels: {alone}')
            told += f'; when bridged, {FLOWS - len(alone)} of {FLOWS} {alone or ""}'
        return told
    finally:
        for cable in cables:
            cable.child.send_signal(signal.SIGUSR1)


def bridged(it):
    """A second address of the target, which no service names, with a server of its own."""
    world.run('ip', '-n', it.wire.target, 'addr', 'add', f'{BRIDGED}/24', 'dev', 'behind')
    it.bulk_server(BRIDGED)


def run(it, result):
    it.bulk_server()
    echo_server(it)
    result.check('before: a clean wire', lambda: it.bulk(32 << 20))
    cables = [it.fray(it.wire.agent, 'seed=1', *FAULTS), it.fray(it.wire.target, 'seed=2', *FAULTS)]
    if BRIDGED:
        bridged(it)
    if ONLY_HEAVY:
        result.check('one frame in five lost', lambda: heavy(it, cables))
        return
    result.check(f'{SHORT} short connections, eight at a time', lambda: short(it))
    result.check('half-close both ways', lambda: half_close(it))
    result.check('reset by the client', lambda: reset(it))
    result.check('without SACK', lambda: without(it, 'tcp_sack'))
    result.check('without timestamps', lambda: without(it, 'tcp_timestamps'))
    result.check('without window scaling', lambda: without(it, 'tcp_window_scaling'))
    result.check('without any of the three', lambda: without(it, 'tcp_sack', 'tcp_timestamps', 'tcp_window_scaling'))
    result.check('PostgreSQL with TLS', lambda: postgres(it))
    result.check('one frame in five lost', lambda: heavy(it, cables))
    result.check('a large transfer both ways at the same time', lambda: large(it))

    def faulty():
        told = []
        for cable in cables:
            cable.stop()
            line = world.tail(cable.log, 1)
            numbers = {k: int(n) for k, n in re.findall(r'(\w+) (\d+)', line)}
            need(numbers['lost'] > 100 and numbers['late'] > 100 and numbers['doubled'] > 100 and numbers['damaged'] > 50, f'the cable was not faulty: {line}')
            told.append(line)
        return '; '.join(told)
    result.check('the wires did lose, reorder, duplicate and damage', faulty)


if __name__ == '__main__':
    sys.exit(scene.main('losst', run, splice='off', services=scene.OPAQUE.replace('"@TARGET@:7000"', '"@TARGET@:7000", "@TARGET@:7001"')))
