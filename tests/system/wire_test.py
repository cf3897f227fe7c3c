#!/usr/bin/python3
"""The wire: what no service names is bridged untouched, whatever state control is in; what is guarded is guarded over IPv4,
over IPv6 and inside a tag."""
import errno
import os
import signal
import socket
import struct
import sys
import time

import scene
from scene import OPAQUE_PORT, VLAN_SUBNET, in_namespace
from tap import need, world

OTHER = '10.77.0.11'      # a second address in the target's namespace, which no service names
UNNAMED_PORT = 7999       # a listener that no service names, on both addresses
UNNAMED_VLAN = 300
ETH_P_ALL = 3


def policy(text, it):
    text = text.replace('service = [ "shop-db" ]', 'service = [ "shop-db", "tagged-db" ]')
    return text.replace('listen = [ "%s:5432" ]' % it.wire.target_address,
                        'listen = [ "%s:5432", "[%s]:5432" ]' % (it.wire.target_address, it.wire.target_address6))


def serve(it):
    """Listeners and an echo of datagrams in the target's namespace."""
    code = '''
import socket, threading
def tcp(family, address, port):
    s = socket.socket(family); s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    s.bind((address, port)); s.listen(64)
    def loop():
        while True:
            c, _ = s.accept()
            def one(c=c):
                try:
                    while True:
                        d = c.recv(65536)
                        if not d: break
                        c.sendall(d)
                except OSError: pass
                c.close()
            threading.Thread(target=one, daemon=True).start()
    threading.Thread(target=loop, daemon=True).start()
def udp(family, address, port):
    s = socket.socket(family, socket.SOCK_DGRAM); s.bind((address, port))
    def loop():
        while True:
            d, a = s.recvfrom(65536); s.sendto(d, a)
    threading.Thread(target=loop, daemon=True).start()
for address in %r:
    tcp(socket.AF_INET, address, %d); udp(socket.AF_INET, address, 7998)
tcp(socket.AF_INET6, %r, %d); udp(socket.AF_INET6, %r, 7998)
print('ready', flush=True)
threading.Event().wait()
''' % ((it.wire.target_address, OTHER, '10.79.0.10'), UNNAMED_PORT, 'fd77::11', UNNAMED_PORT, 'fd77::11')
    process = it.spawn(it.wire.target, '/usr/bin/python3', '-c', code, log=it.lab.dir / 'echo.log')
    world.wait_for('the echo server', lambda: process.need_alive() and 'ready' in world.tail(process.log), 60)


def addresses(it):
    t = ['ip', '-n', it.wire.target]
    world.run(*t, 'addr', 'add', f'{OTHER}/24', 'dev', it.wire.inner)
    world.run(*t, 'addr', 'add', 'fd77::11/64', 'dev', it.wire.inner, 'nodad')
    it.tag(UNNAMED_VLAN, '10.79.0')


# --- Bridged ---

def forget_neighbours(it):
    for namespace in (it.wire.agent, it.wire.target):
        world.run('ip', '-n', namespace, 'neigh', 'flush', 'all')


def ping(address, count=3, size=1400, seconds=20):
    """Echo requests, and their answers byte for byte, however late. (`ping` gives up two round trips after its last request.)"""
    six = ':' in address
    request, answer = (128, 129) if six else (8, 0)
    with socket.socket(socket.AF_INET6 if six else socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMPV6 if six else socket.IPPROTO_ICMP) as s:
        ident, wanted, began = os.getpid() & 0xffff, {}, time.monotonic()
        while time.monotonic() < began + seconds:
            number = len(wanted)
            if number < count and time.monotonic() >= began + number * 0.2:
                body = struct.pack('!HH', ident, number) + os.urandom(size)
                wanted[number] = bytes([answer, 0]) + body
                s.sendto(struct.pack('!BBH', request, 0, 0 if six else checksum(bytes([request, 0, 0, 0]) + body)) + body, (address, 0))
            s.settimeout(0.05)
            try:
                got, whence = s.recvfrom(65536)
            except TimeoutError:
                continue
            got = got if six else got[(got[0] & 15) * 4:]
            if whence[0] == address and got[:2] == bytes([answer, 0]) and got[4:6] == struct.pack('!H', ident):
                wanted[int.from_bytes(got[6:8], 'big')] = None if got[:2] + got[4:] == wanted[int.from_bytes(got[6:8], 'big')] else b'differs'
                if len(wanted) == count and not any(wanted.values()):
                    return
    need(False, f'{address}: of {count} echo requests these had no answer, or another one: {[n for n, w in wanted.items() if w is not None]}')


def checksum(data):
    total = sum(struct.unpack(f'!{(len(data) + 1) // 2}H', data + bytes(len(data) % 2)))
    while total >> 16:
        total = (total & 0xffff) + (total >> 16)
    return ~total & 0xffff


def pings(it):
    """Neighbours are forgotten first, so each ping is also an ARP or neighbour discovery."""
    for address in (it.wire.target_address, OTHER, it.wire.target_address6, 'fd77::11', '10.79.0.10'):
        forget_neighbours(it)
        try:
            in_namespace(it.wire.agent, lambda: ping(address))
        except AssertionError as error:
            done = it.sluice.cli('--json', 'show', 'drops', check=False)
            raise AssertionError(f'{error}; dropped: {done.stdout if done.returncode == 0 else done.stderr}') from None
    return 'guarded and other hosts, IPv4, IPv6, VLAN, 1400 bytes'


def datagrams(it):
    def talk():
        for family, address in ((socket.AF_INET, OTHER), (socket.AF_INET6, 'fd77::11'), (socket.AF_INET, '10.79.0.10')):
            with socket.socket(family, socket.SOCK_DGRAM) as s:
                s.settimeout(20)
                for size in (0, 1, 700, 1400):
                    data = os.urandom(size)
                    s.sendto(data, (address, 7998))
                    need(s.recv(65536) == data, f'{address}: {size} bytes differ')
    in_namespace(it.wire.agent, talk)


def streams(it):
    def talk():
        for family, address in ((socket.AF_INET, OTHER), (socket.AF_INET6, 'fd77::11'), (socket.AF_INET, '10.79.0.10')):
            with socket.create_connection((address, UNNAMED_PORT), 30) as s:
                data = os.urandom(100000)
                s.sendall(data)
                got = b''
                while len(got) < len(data):
                    got += s.recv(65536)
                need(got == data, f'{address}: the stream differs')
    in_namespace(it.wire.agent, talk)


def raw_frames(it):
    """Frames that are no IP, byte by byte. The outer tag's type is 8100: the kernel takes an outer 88a8 out of the frame, and
    DPDK's net_af_packet puts it back as 8100."""
    def opened(namespace):
        def make():
            s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
            s.bind((it.wire.inner, ETH_P_ALL))
            s.setsockopt(263, 1, struct.pack('iHH8s', socket.if_nametoindex(it.wire.inner), 1, 0, b''))  # PACKET_ADD_MEMBERSHIP: promiscuous
            s.setsockopt(263, 8, 1)  # PACKET_AUXDATA: where the kernel keeps a tag that it took out
            s.settimeout(0.5)
            return s
        return in_namespace(namespace, make)

    def receive(s):
        data, ancillary, _, sender = s.recvmsg(65536, 256)
        if sender[2] == socket.PACKET_OUTGOING:
            return b''
        for _, kind, value in ancillary:
            status, _, _, _, _, tci, tpid = struct.unpack('=IIIHHHH', value[:20])
            if kind == 8 and status & 0x10:  # TP_STATUS_VLAN_VALID
                data = data[:12] + struct.pack('!HH', tpid if status & 0x40 else 0x8100, tci) + data[12:]
        return data

    sides = [opened(it.wire.agent), opened(it.wire.target)]
    source, other = b'\x02\x00\x00\x00\x00\x01', b'\x02\x00\x00\x00\x00\x02'
    rows = [(name, other + source + head + os.urandom(size)) for name, head, size in (
        ('ethertype 88b5, 46 bytes', b'\x88\xb5', 46), ('ethertype 88b5, 1500 bytes', b'\x88\xb5', 1500), ('length field', b'\x00\x2e', 46),
        ('one tag', b'\x81\x00\x61\x2c\x88\xb5', 64), ('two tags', b'\x81\x00\x00\x05\x81\x00\x01\x2c\x88\xb5', 64),
        ('MPLS', b'\x88\x47\x00\x01\x01\x40', 80), ('PPPoE', b'\x88\x64', 60))]
    rows.append(('LLDP', bytes.fromhex('0180c200000e') + source + b'\x88\xcc' + os.urandom(60)))
    rows.append(('broadcast', b'\xff' * 6 + source + b'\x88\xb6' + os.urandom(60)))
    try:
        for name, frame in rows:
            for sender, receiver in (sides, sides[::-1]):
                sender.send(frame)
                end = time.monotonic() + 30
                while True:
                    need(time.monotonic() < end, f'{name}: did not arrive as it was')
                    try:
                        if receive(receiver) == frame:
                            break
                    except TimeoutError:
                        continue
    finally:
        for s in sides:
            s.close()
    return ', '.join(name for name, _ in rows) + ': both ways, byte for byte'


def unreachable(it):
    """A datagram to a closed port of an unguarded host: its ICMP answer comes back to the sender's socket."""
    def talk():
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
            s.settimeout(20)
            s.connect((OTHER, 9))
            s.send(b'x')
            try:
                s.recv(10)
                raise AssertionError('an answer')
            except ConnectionRefusedError:
                return 'port unreachable reached the socket'
    return in_namespace(it.wire.agent, talk)


def bridged(it, result, state):
    result.check(f'{state}: ARP, ND, ping', lambda: pings(it))
    result.check(f'{state}: UDP echo over IPv4, IPv6 and a tag', lambda: datagrams(it))
    result.check(f'{state}: TCP of hosts that no service names', lambda: streams(it))
    result.check(f'{state}: frames that are not IP', lambda: raw_frames(it))
    result.check(f'{state}: ICMP unreachable passes', lambda: unreachable(it))


# --- Guarded ---

def unnamed_port(it):
    def talk():
        socket.create_connection((OTHER, UNNAMED_PORT), 30).close()
        try:
            socket.create_connection((it.wire.target_address, UNNAMED_PORT), 4).close()
        except TimeoutError:
            return 'the same port of another host is reached'
        raise AssertionError('a port of a guarded target that no service names was reached')
    told = in_namespace(it.wire.agent, talk)
    drops = it.sluice.cli('show', 'drops').stdout
    need('unnamed' in drops, f'not counted: {drops}')
    return told


def refused(it):
    """Nothing listens on the opaque service's port yet: the server's own refusal comes through."""
    def talk():
        try:
            socket.create_connection((it.wire.target_address, OPAQUE_PORT), 60).close()
        except ConnectionRefusedError:
            return 'ECONNREFUSED'
        raise AssertionError('no refusal')
    return in_namespace(it.wire.agent, talk)


def database(it, host):
    done = it.psql('SELECT email, inet_server_addr() FROM customers WHERE id = 1', host=host)
    need(done.returncode == 0, done.stderr)
    it.no_secret(done.stdout, host)
    email, _, address = done.stdout.strip().partition('|')
    need(email and address.split('/')[0] == host, f'{done.stdout}')
    done = it.psql('DROP TABLE orders', host=host)
    need('no-ddl' in done.stderr, f'not refused: {done.stdout}{done.stderr}')
    return f'masked as {email}, DDL refused'


def tag_is_part_of_the_name(it):
    """The tagged service's address without its tag: guarded, and no service there, so not reachable."""
    for inside, end in ((it.wire.agent, 3), (it.wire.target, 12)):
        world.run('ip', '-n', inside, 'addr', 'add', f'10.80.0.{end}/24', 'dev', it.wire.inner)
    world.run('ip', '-n', it.wire.agent, 'route', 'add', f'{VLAN_SUBNET}.10/32', 'via', '10.80.0.12', 'dev', it.wire.inner)

    def talk():
        try:
            socket.create_connection((f'{VLAN_SUBNET}.10', 5432), 4).close()
        except TimeoutError:
            return 'not reachable'
        raise AssertionError('the address was reached outside of its VLAN')
    try:
        return in_namespace(it.wire.agent, talk)
    finally:
        world.run('ip', '-n', it.wire.agent, 'route', 'del', f'{VLAN_SUBNET}.10/32', 'via', '10.80.0.12', 'dev', it.wire.inner)


def control_away(it, result):
    """Control is stopped, both of its processes: the wire does not notice. Afterwards everything works again."""
    control = it.pids('sluice-control')
    result.check('control has its two processes', lambda: need(len(control) == 2, f'{control}'))
    for pid in control:
        os.kill(pid, signal.SIGSTOP)
    try:
        bridged(it, result, 'control stopped')
    finally:
        for pid in control:
            os.kill(pid, signal.SIGCONT)
    result.check('control continued: sessions work', lambda: it.healthy())


def control_dead(it, result):
    for pid in it.pids('sluice-control'):
        os.kill(pid, signal.SIGKILL)
    result.check('control killed: ping, UDP, frames that are not IP', lambda: (pings(it), datagrams(it), raw_frames(it)) and None)
    result.check('control killed: it is back, sessions work', lambda: it.healthy())


def midstream(it):
    """After a restart of the data plane, a packet of a connection that it does not know is answered with a reset."""
    def open_one():
        s = socket.create_connection((it.wire.target_address, OPAQUE_PORT), 60)
        s.settimeout(60)
        s.sendall(b'\0' * 7)  # the server waits for an eighth byte
        return s
    s = in_namespace(it.wire.agent, open_one)
    it.kill_and_wait('sluice-dataplane')
    it.healthy()
    try:
        s.sendall(b'x')
        need(s.recv(10) == b'\xff', 'an answer from nowhere')
    except (ConnectionResetError, BrokenPipeError) as error:
        return errno.errorcode[error.errno]
    finally:
        s.close()


def run(it, result):
    addresses(it)
    serve(it)
    bridged(it, result, 'running')
    result.check('an unnamed port of a guarded target is not reachable', lambda: unnamed_port(it))
    result.check('a closed service port is refused by the server itself', lambda: refused(it))
    result.check('PostgreSQL over IPv4', lambda: database(it, it.wire.target_address))
    result.check('PostgreSQL over IPv6', lambda: database(it, it.wire.target_address6))
    result.check('PostgreSQL inside tag 210', lambda: database(it, f'{VLAN_SUBNET}.10'))
    it.bulk_server()
    it.bulk_server(f'{VLAN_SUBNET}.10')
    result.check('an opaque service', lambda: it.bulk(20 << 20))
    result.check('an opaque service inside tag 210', lambda: it.bulk(20 << 20, f'{VLAN_SUBNET}.10'))
    result.check('the tagged service is not reachable without the tag', lambda: tag_is_part_of_the_name(it))
    control_away(it, result)
    control_dead(it, result)
    result.check('midstream packets after a restart of the data plane are reset', lambda: midstream(it))


if __name__ == '__main__':
    sys.exit(scene.main('wiret', run, services=scene.OPAQUE + scene.VLAN_SERVICES, vlan=True, edit=policy, upstreams=('shop-db', 'tagged-db')))
