#!/usr/bin/python3
"""An opaque service is spliced over real wires and between real kernels: byte-exact, shown as what it is, recorded with all of its
octets, taken back and spliced again by policies, and cut by a kill; also where the wires lose, reorder and duplicate."""
import os
import socket
import sys
import threading

import scene
from scene import in_namespace
from tap import need, world

FAULTS = ('loss=10', 'reorder=30', 'duplicate=10')  # per thousand


def echo_server(it):
    code = '''
import socket, threading
s = socket.socket(); s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1); s.bind((%r, 7001)); s.listen(16)
def one(c):
    try:
        while d := c.recv(65536): c.sendall(d)
        print('end', flush=True)
    except OSError as e: print('error', e.errno, flush=True)
    c.close()
print('ready', flush=True)
while True:
    c, _ = s.accept(); threading.Thread(target=one, args=(c,), daemon=True).start()
''' % it.wire.target_address
    process = it.spawn(it.wire.target, '/usr/bin/python3', '-c', code, log=it.lab.dir / 'echo.log')
    world.wait_for('the echo server', lambda: process.need_alive() and 'ready' in world.tail(process.log), 60)


def connected(it):
    s = in_namespace(it.wire.agent, lambda: socket.create_connection((it.wire.target_address, 7001), 60))
    s.settimeout(60)
    return s


def echo(s, data):
    s.sendall(data)
    got = b''
    while len(got) < len(data):
        more = s.recv(65536)
        need(more, 'the end came early')
        got += more
    need(got == data, 'what came back differs')


def worker(it):
    return it.json('show', 'workers')['workers'][0]


def flow(it, s):
    port = s.getsockname()[1]
    found = [f for f in it.json('show', 'flows')['flows'] if f['client'].endswith(f':{port}')]
    return found[0] if found else None


def spliced_flow(it, s):
    return world.wait_for('a spliced flow', lambda: (f := flow(it, s)) and 'spliced' in f['state'] and f, 30)


def stream(it, size):
    before = worker(it)['spliced']
    told = it.bulk(size)
    world.wait_for('the counter', lambda: worker(it)['spliced'] > before, 10)
    return f'{told}; {worker(it)["spliced"] - before} frames spliced'


def closed(it, session):
    return world.wait_for('its last record', lambda: [r['data'] for r in it.records('--type', 'session.close', '--session', session)], 60)


def recorded(it):
    """From its first byte to its last record."""
    s = connected(it)
    echo(s, b'x' * 1000)
    seen = spliced_flow(it, s)
    echo(s, os.urandom(100000))
    s.shutdown(socket.SHUT_WR)
    need(s.recv(10) == b'', 'no end came back')
    s.close()
    record = closed(it, seen['session'])
    need(len(record) == 1, f'{len(record)} ends on record')
    need(record[0]['octets_up'] == 101000 and record[0]['octets_down'] == 101000, f'octets on record: {record[0]}')
    return f'{record[0]["octets_up"]} octets each way'


class Traffic:
    """Random bytes to the echo server and back for as long as it is wanted; each compared with what was sent."""

    def __init__(self, s):
        self.s, self.sent, self.got, self.ends, self.trouble = s, 0, 0, False, None
        self.block = os.urandom(1 << 20)
        self.threads = [threading.Thread(target=self.guarded, args=(part,), daemon=True) for part in (self.write, self.read)]
        for thread in self.threads:
            thread.start()

    def guarded(self, part):
        try:
            part()
        except OSError as e:
            self.trouble = self.trouble or f'{part.__name__}: {e}'

    def write(self):
        while not self.ends:
            at = self.sent % len(self.block)
            self.sent += self.s.send(self.block[at:at + 30000])
        self.s.shutdown(socket.SHUT_WR)

    def read(self):
        while data := self.s.recv(65536):
            at = self.got % len(self.block)
            if (self.block + self.block)[at:at + len(data)] != data:
                self.trouble = self.trouble or f'what came back differs behind {self.got} bytes'
            self.got += len(data)

    def end(self):
        self.ends = True
        for thread in self.threads:
            thread.join(60)
            need(not thread.is_alive(), f'stuck: {self.sent} sent, {self.got} back')
        need(not self.trouble, self.trouble)
        need(self.got == self.sent, f'{self.got} of {self.sent} bytes came back')
        return self.sent


def taken_back(it, times):
    """A transfer goes on while the policy takes its flow back and hands it over, again and again."""
    text = it.sluice.policy.read_text()
    off = text.replace('name = "bulk"; protocol = "opaque";', 'name = "bulk"; protocol = "opaque"; splice = "off";')
    need(off != text, 'the policy has no such service')
    before = worker(it)['taken_back']
    s = connected(it)
    seen = spliced_flow(it, s)
    traffic = Traffic(s)
    for _ in range(times):
        for policy, spliced in ((off, False), (text, True)):
            at = traffic.got
            it.sluice.policy.write_text(policy)
            it.sluice.cli('policy', 'reload')
            world.wait_for(f'a flow that is{"" if spliced else " not"} spliced', lambda: (f := flow(it, s)) and ('spliced' in f['state']) == spliced, 30)
            world.wait_for('more bytes', lambda: traffic.trouble or traffic.got > at + 100000, 60)
    total = traffic.end()
    s.close()
    need(worker(it)['taken_back'] == before + times, f'taken back {worker(it)["taken_back"] - before} times')
    record = closed(it, seen['session'])
    need(len(record) == 1 and record[0]['cause'] == 'client', f'its end: {record}')
    need(record[0]['octets_up'] == total and record[0]['octets_down'] == total, f'{total} bytes each way, on record: {record[0]}')
    return f'{times} times, {total} octets each way'


def killed(it):
    s = connected(it)
    echo(s, b'before')
    seen = spliced_flow(it, s)
    it.sluice.cli('session', 'kill', seen['session'], '--reason', 'the test')
    try:
        for _ in range(100):
            s.sendall(b'after')
            need(s.recv(100) == b'after', 'an orderly end, not a reset')
    except (ConnectionResetError, BrokenPipeError):
        pass
    else:
        need(False, 'the flow goes on')
    world.wait_for('the reset at the server', lambda: 'error 104' in (it.lab.dir / 'echo.log').read_text(), 30)
    return closed(it, seen['session'])[0]['cause']


def run(it, result):
    it.bulk_server()
    echo_server(it)
    result.check('a stream both ways', lambda: stream(it, 20 << 20))
    result.check('its record has all of its octets', lambda: recorded(it))
    result.check('taken back and handed over by policies', lambda: taken_back(it, 3))
    result.check('a kill resets both ends', lambda: killed(it))
    cables = [it.fray(it.wire.agent, 'seed=3', *FAULTS), it.fray(it.wire.target, 'seed=4', *FAULTS)]
    result.check('a stream over faulty wires', lambda: stream(it, 4 << 20))
    for cable in cables:
        cable.stop()
    result.check('the journal is good', lambda: it.sluice.cli('journal', 'verify').stdout.strip().splitlines()[-1])


if __name__ == '__main__':
    sys.exit(scene.main('splict', run, services=scene.OPAQUE.replace('"@TARGET@:7000"', '"@TARGET@:7000", "@TARGET@:7001"')))
