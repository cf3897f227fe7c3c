#!/usr/bin/python3
"""`sluice capture` on real traffic over veth: the file holds what tcpdump saw at both ends, its headers and no byte more, with a full ring too; and every byte
of it when two persons have approved that."""
import json
import os
import signal
import socket
import struct
import sys
import time
from collections import Counter

import scene
from scene import OPAQUE_PORT, in_namespace
from tap import need, world

OTHER = '10.77.0.11'   # a second address in the target's namespace, which no service names
MARK = b'KANARIENVOGEL'  # of every payload
DATAGRAMS = 20000      # each is captured coming and going: more than a ring holds
AGENTS, TARGETS = 0, 1 # interfaces of the file
IN, OUT = 1, 2         # epb_flags


def headers(frame):
    """An IPv4 frame up to the end of its TCP or UDP header."""
    need(frame[12:14] == b'\x08\x00', f'not IPv4: {frame[:14].hex()}')
    transport = 14 + (frame[14] & 15) * 4
    return frame[:transport + ((frame[transport + 12] >> 4) * 4 if frame[23] == 6 else 8)]


def pcap(path):
    """The frames of a file of tcpdump's."""
    data, at, frames = path.read_bytes(), 24, []
    while at + 16 <= len(data):
        size = struct.unpack_from('<I', data, at + 8)[0]
        frames.append(data[at + 16:at + 16 + size])
        at += 16 + size
    return frames


def pcapng(data):
    """(interface, direction, captured bytes, length on the wire) of each packet, and (received, dropped) of each interface."""
    at, packets, counts = 0, [], {}
    while at < len(data):
        kind, size = struct.unpack_from('<II', data, at)
        need(size >= 12 and size % 4 == 0 and struct.unpack_from('<I', data, at + size - 4)[0] == size, 'a block that is none')
        body = data[at + 8:at + size - 4]
        fixed = {6: 20 + ((struct.unpack_from('<I', body, 12)[0] + 3) & ~3), 5: 12}.get(kind)
        options, place = {}, fixed
        while place is not None and place + 4 <= len(body):
            code, length = struct.unpack_from('<HH', body, place)
            options[code] = body[place + 4:place + 4 + length]
            place += 4 + ((length + 3) & ~3)
        if kind == 6:
            interface, _, _, captured, original = struct.unpack_from('<IIIII', body)
            packets.append((interface, options[2][0], body[20:20 + captured], original))
        elif kind == 5:
            counts[struct.unpack_from('<I', body)[0]] = tuple(struct.unpack('<Q', options[code])[0] for code in (4, 5))
        at += size
    return packets, counts


def dump(it, namespace, name):
    path = it.lab.dir / f'{name}.pcap'
    process = it.spawn(namespace, 'tcpdump', '-U', '-s', '0', '-B', '16384', '-i', it.wire.inner, '-w', path, f'tcp port {OPAQUE_PORT}', log=it.lab.dir / f'{name}.log')
    world.wait_for('tcpdump', lambda: process.need_alive() and 'listening' in world.tail(process.log), 30)
    return process, path


def begin(it, *more):
    return json.loads(it.sluice.cli('--json', 'capture', 'start', '--reason', 'the system test', *more).stdout)['capture']


def row(it, capture):
    return next(r for r in json.loads(it.sluice.cli('--json', 'capture', 'list').stdout)['captures'] if r['id'] == capture)


def until(what, condition):
    world.wait_for(what, condition, 60)


def end(it, capture):
    it.sluice.cli('capture', 'stop', capture, '--reason', 'the system test')
    until('the end of the capture', lambda: row(it, capture)['state'] == 'ended')
    path = it.lab.dir / f'{capture}.pcapng'
    it.sluice.cli('capture', 'save', capture, '--out', path)
    read = world.run('tcpdump', '-nn', '-r', path)
    return row(it, capture), path, len(read.stdout.splitlines())


def talks(it, size):
    def talk():
        with socket.create_connection((it.wire.target_address, OPAQUE_PORT), 60) as s:
            data, got = (MARK * (size // len(MARK) + 1))[:size], 0
            s.settimeout(60)
            for at in range(0, size, 20000):
                s.sendall(data[at:at + 20000])
                while got < min(at + 20000, size):
                    some = s.recv(65536)
                    need(some, 'the echo ended early')
                    got += len(some)
    in_namespace(it.wire.agent, talk)


def equal_to_tcpdump(it):
    (one, agent), (two, target) = dump(it, it.wire.agent, 'agent'), dump(it, it.wire.target, 'target')
    capture = begin(it, '--service', 'bulk', '--filter', f'client {it.wire.agent_address} tcp')
    until('the capture', lambda: 'running' == row(it, capture)['state'])
    for size in (0, 100, 200000):
        talks(it, size)
    # The last acknowledgements, and what tcpdump has not been given yet: until both files stay as they are for two seconds.
    seen = []
    until('the end of the streams', lambda: seen.append(agent.stat().st_size + target.stat().st_size) or
          time.sleep(0.1) or (len(seen) > 20 and len(set(seen[-20:])) == 1))
    ring = (it.sluice.run_dir / 'capture-0').read_bytes()
    now, path, lines = end(it, capture)
    for process in (one, two):
        process.stop(signal.SIGINT)
    packets, counts = pcapng(path.read_bytes())
    need(now['overruns'] == 0 and now['whole'] and lines == len(packets) == now['frames'], f'{now}, tcpdump -r reads {lines}')
    for interface, theirs, ours in ((AGENTS, it.wire.agent_address, agent), (TARGETS, it.wire.target_address, target)):
        wanted = {IN: Counter(), OUT: Counter()}
        for frame in pcap(ours):
            wanted[IN if socket.inet_ntoa(frame[26:30]) == theirs else OUT][headers(frame)] += 1
        for direction in (IN, OUT):
            got = Counter(data for i, d, data, _ in packets if (i, d) == (interface, direction))
            need(got == wanted[direction], f'interface {interface}, direction {direction}: {sum(got.values())} frames, tcpdump {sum(wanted[direction].values())}: '
                 f'{[h.hex() for h in list((got - wanted[direction]) + (wanted[direction] - got))[:2]]}')
        lengths = sorted(o for i, d, _, o in packets if (i, d) == (interface, IN))
        need(lengths == sorted(len(f) for f in pcap(ours) if socket.inet_ntoa(f[26:30]) == theirs), f'interface {interface}: the lengths differ: {lengths[:4]}')
    need(MARK in agent.read_bytes() and MARK not in path.read_bytes() and MARK[:6] not in path.read_bytes() and MARK[:6] not in ring, 'payload in the capture')
    need(not any((it.sluice.run_dir / 'capture-0').read_bytes()[1792:]), 'the ring was not zeroed')
    return f'{len(packets)} frames of both ports: {counts}'


def whole_frames(it):
    """With payload: asked for by one person, approved by two others; then every byte of every frame is what tcpdump saw."""
    path = it.lab.dir / 'ivan.token'
    path.write_text(it.idp.token('ivan', scene.AUDIENCE))
    path.chmod(0o600)
    asked = json.loads(it.sluice.cli('--json', 'capture', 'start', '--service', 'bulk', '--payload', '--reason', 'the system test', '--token-file', path).stdout)
    need(asked['state'] == 'requested', f'{asked}')
    need(it.vote('approve', asked['approval'], 'bob').returncode == 0, 'bob')
    time.sleep(0.3)
    need(not any(r['state'] == 'running' for r in json.loads(it.sluice.cli('--json', 'capture', 'list').stdout)['captures']), 'it began with one vote')
    (one, agent), (two, target) = dump(it, it.wire.agent, 'agent-whole'), dump(it, it.wire.target, 'target-whole')
    need(it.vote('approve', asked['approval'], 'dora').returncode == 0, 'dora')
    capture = world.wait_for('the capture', lambda: next((r['id'] for r in json.loads(it.sluice.cli('--json', 'capture', 'list').stdout)['captures']
                                                          if r['state'] == 'running'), None), 60)
    time.sleep(0.5)
    talks(it, 60000)
    seen = []
    until('the end of the streams', lambda: seen.append(agent.stat().st_size + target.stat().st_size) or
          time.sleep(0.1) or (len(seen) > 20 and len(set(seen[-20:])) == 1))
    now, path, lines = end(it, capture)
    for process in (one, two):
        process.stop(signal.SIGINT)
    packets, _ = pcapng(path.read_bytes())
    need(now['overruns'] == 0 and now['whole'] and now['what'] == 'frames' and lines == len(packets) == now['frames'], f'{now}, tcpdump -r reads {lines}')
    for interface, ours in ((AGENTS, agent), (TARGETS, target)):
        wanted, got = Counter(pcap(ours)), Counter(data for i, _, data, _ in packets if i == interface)
        need(got == wanted, f'interface {interface}: {sum(got.values())} frames, tcpdump {sum(wanted.values())}')
    need(path.read_bytes().count(MARK) > 1000, 'no payload in it')
    need(not any((it.sluice.run_dir / 'capture-0').read_bytes()[1792:]), 'the ring was not zeroed')
    return f'{len(packets)} frames of both ports, equal to the last byte'


def investigated(text, it):
    """Who may ask for payload, and who decides."""
    text = text.replace('approvals = (', 'approvals = (\n  { name = "two-dba"; need = [ "dba:2" ]; expires = "60s"; use_by = "60s"; mode = "hold"; on_clock_free = "release"; },', 1)
    text = text.replace('groups = (', 'groups = (\n  { name = "investigators"; issuer = "lab"; group = [ "investigators" ]; },', 1)
    return text + 'admin : { disclose_approval = "two-dba"; roles : { administrator = [ "dba" ]; investigator = [ "investigators" ]; }; };\n'


def full_ring(it):
    """Control stands still: the ring fills, the frames go on, and the file says how many are not in it."""
    capture = begin(it, '--filter', f'host {OTHER} udp')
    until('the capture', lambda: row(it, capture)['state'] == 'running')
    pids = it.pids('sluice-control')
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)

    def receiver():
        s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8 << 20)
        s.bind((OTHER, 7997))
        s.settimeout(10)
        return s
    sink = in_namespace(it.wire.target, receiver)
    arrived = 0

    def send():
        nonlocal arrived
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
            for i in range(DATAGRAMS):
                s.sendto(MARK + struct.pack('!I', i), (OTHER, 7997))
                arrived += len(sink.recv(100)) > 0  # one at a time: nothing of it is lost for want of a buffer
    try:
        in_namespace(it.wire.agent, send)
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)
        sink.close()
    need(arrived == DATAGRAMS, f'{arrived} datagrams of {DATAGRAMS}')
    now, path, lines = end(it, capture)
    packets, counts = pcapng(path.read_bytes())
    missing = sum(dropped for _, dropped in counts.values())
    need(counts[AGENTS][0] == counts[TARGETS][0] == DATAGRAMS, f'matched {counts}')
    need(missing == now['overruns'] > 0 and lines == len(packets) == 2 * DATAGRAMS - missing, f'{now}, {counts}, tcpdump -r reads {lines}')
    need(b'frames are missing: a ring was full' in path.read_bytes() and MARK[:6] not in path.read_bytes(), 'not said in the file, or payload')
    return f'{arrived} datagrams passed; {len(packets)} frames in the file, {missing} said to be missing'


def run(it, result):
    world.run('ip', '-n', it.wire.target, 'addr', 'add', f'{OTHER}/24', 'dev', it.wire.inner)
    code = f'''
import socket, threading
s = socket.socket(); s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1); s.bind(({it.wire.target_address!r}, {OPAQUE_PORT})); s.listen(16)
print('ready', flush=True)
def one(c):
    while True:
        d = c.recv(65536)
        if not d: break
        c.sendall(d)
    c.close()
while True:
    threading.Thread(target=one, args=(s.accept()[0],), daemon=True).start()
'''
    echo = it.spawn(it.wire.target, '/usr/bin/python3', '-c', code, log=it.lab.dir / 'echo.log')
    world.wait_for('the echo server', lambda: echo.need_alive() and 'ready' in world.tail(echo.log), 60)
    it.healthy()
    result.check('a capture equals what tcpdump sees at both ends, headers only', lambda: equal_to_tcpdump(it))
    result.check('with payload, when two persons have approved it: every byte', lambda: whole_frames(it))
    result.check('a full ring stops nobody and is said', lambda: full_ring(it))
    result.check('the journal is good', lambda: it.sluice.cli('journal', 'verify').stdout.strip().splitlines()[-1])


if __name__ == '__main__':
    sys.exit(scene.main('captt', run, services=scene.OPAQUE, edit=investigated))
