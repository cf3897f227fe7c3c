#!/usr/bin/python3
"""The units under a systemd that boots: as README's "Between two real NICs" puts them onto a machine, with two veth pairs as its NICs.

Who each process runs as and what it may do; traffic; kill -9 of each process; reload, stop, start; a configuration that is missing or
wrong; a witness's socket."""
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import machine
import scene
import tap
import wire_test
from scene import in_namespace
from tap import need, world

OUR = ['sluice-control', 'sluice-dataplane', 'sluice-standby']
PORT, LATER = 7000, 7001  # guarded from the start; named by the second policy only
CONF = '''node = "boot";
run_dir = "/run/sluice";
state_dir = "/var/lib/sluice";
policy = "/etc/sluice/policy.cfg";
credentials = "/etc/sluice/credentials";
egress_ca = "/etc/sluice/egress-ca";
streams = ( {{ name = "siem"; host = "localhost"; port = 6514; form = "ocsf"; ca = "/etc/sluice/siem-ca.pem"; certificate = "/etc/sluice/export.pem";
               key = "/etc/sluice/export.key"; }} );
libexec = "/usr/libexec/sluice";
users : {{ group = "sluice"; control = "sluice"; dataplane = "sluice-dataplane"; signer = "sluice-signer";
          egress = "sluice-egress"; sqlparse = "sluice-sqlparse"; export = "sluice-export"; }};
dataplane : {{ ports = [ "net_af_packet0,iface={}", "net_af_packet1,iface={}" ]; eal = [ "--no-huge", "-m", "256", "--no-shconf", "--no-pci" ];
              lcores = "0,1"; flows = "1k"; memory = "256Mi"; unnamed_port = "drop"; }};
'''
POLICY = '''policy : {{ format = 1; name = "boot"; version = {version}; comment = "of the test"; }};
defaults : {{ unmatched = "block"; unknown = "block"; run_id = "optional"; audit = "strict"; record = "full"; }};
issuers = ( {{ name = "idp"; issuer = "https://localhost:6515"; audience = "urn:boot"; ca = "none.pem"; algs = [ "ES256" ]; typ = [ "at+jwt" ]; skew = 1;
               max_life = 3600; map : {{ person = "sub"; }}; }} );
services = ( {services} );
'''
SERVICE = '{{ name = "stream-{port}"; protocol = "opaque"; listen = [ "{address}:{port}" ]; tls = "off"; reason = "not inspected"; }}'
# Each process, by unit: user, and what may be left of root. A helper's name is its program's.
PROCESSES = {
    'sluice-control': {('sluice-control', 'root'), ('sluice-control', 'sluice'), ('sluice-signer', 'sluice-signer'), ('sluice-sqlparse', 'sluice-sqlparse')},
    'sluice-egress@': {('sluice-egress', 'sluice-egress')},
    'sluice-export@': {('sluice-export', 'sluice-export')},
    'sluice-dataplane': {('sluice-dataplane', 'sluice-dataplane')},
    'sluice-standby': {('sluice-standby', 'sluice-dataplane')},
}


class Box:
    """The machine, and what is around it."""

    def __init__(self, lab):
        self.lab, self.carried = lab, 0  # connections that carried bytes, each a session on record
        self.beside = {}
        self.wire = world.Wire(lab)
        self.machine = machine.Machine(lab, tap.build(), self.wire.ports)
        world.run('ip', '-n', self.wire.target, 'addr', 'add', f'{wire_test.OTHER}/24', 'dev', self.wire.inner)
        self.servers = [world.Process(f'echo-{port}', ['/usr/bin/python3', '-c', ECHO, self.wire.target_address, port], lab.dir / f'echo-{port}.log', self.wire.target)
                        for port in (PORT, LATER)]
        for server in self.servers:
            lab.own(server.stop)
        self.machine.boot()

    def systemctl(self, *argv, check=True):
        return self.machine.run('systemctl', *argv, check=check)

    def show(self, unit, *names):
        """Properties of a unit."""
        pairs = dict(line.split('=', 1) for line in self.systemctl('show', unit, *(f'-p{n}' for n in names)).stdout.splitlines())
        return pairs[names[0]] if len(names) == 1 else [pairs[n] for n in names]

    def now(self):
        """A place in the journal."""
        return self.machine.run('journalctl', '-q', '-n', '0', '--show-cursor').stdout.split('cursor: ')[1].strip()

    def said(self, unit, since=None):
        """What a unit has logged, after a place."""
        return self.machine.run('journalctl', '-q', '-o', 'cat', '-u', unit, *(['--after-cursor', since] if since else []), check=False).stdout

    def sluice(self, *argv, check=True):
        return self.machine.run('sluice', *argv, check=check)

    def processes(self, unit):
        """(program, user) to what the kernel says, of each process of a unit."""
        names, found = {}, {}
        for line in self.machine.path('/etc/passwd').read_text().splitlines():
            names[int(line.split(':')[2])] = line.split(':')[0]
        for pid in self.machine.processes(unit):
            try:
                status = dict(line.split(':\t', 1) for line in Path(f'/proc/{pid}/status').read_text().splitlines() if ':\t' in line)
                program = os.path.basename(os.readlink(f'/proc/{pid}/exe'))
            except OSError:
                continue
            found[program, names.get(int(status['Uid'].split()[1]), status['Uid'])] = {**status, 'pid': int(pid)}
        return found

    def pid(self, unit, program, user, seconds=30):
        def find():
            one = self.processes(unit).get((program, user))
            return one and one['pid']
        return world.wait_for(f'{program} of {user}', find, seconds)

    def connect(self, port=PORT, seconds=10):
        return in_namespace(self.wire.agent, lambda: socket.create_connection((self.wire.target_address, port), seconds))

    def echo(self, connection, text=b'there and back'):
        connection.settimeout(10)
        connection.sendall(text)
        got = b''
        while len(got) < len(text):
            more = connection.recv(1 << 16)
            need(more, f'the connection was closed after {got!r}')
            got += more
        need(got == text, f'{got!r} instead of {text!r}')

    def works(self, port=PORT, seconds=60):
        """A new connection, until one carries bytes both ways."""
        def attempt():
            try:
                with self.connect(port, 5) as connection:
                    self.echo(connection, os.urandom(900))
                self.carried += 1
                return True
            except (OSError, AssertionError):
                return False
        world.wait_for(f'a connection to port {port} that works', attempt, seconds, 0.1)

    def sessions(self, *options):
        return json.loads(self.sluice('--json', 'session', 'list', *options).stdout)['sessions']

    def bridged(self):
        in_namespace(self.wire.agent, lambda: wire_test.ping(wire_test.OTHER))

    def write(self, name, text, mode=0o644):
        path = self.machine.path(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        path.chmod(mode)

    def policy(self, version, *ports):
        self.write('/etc/sluice/policy.cfg', POLICY.format(version=version, services=', '.join(SERVICE.format(port=p, address=self.wire.target_address) for p in ports)))


ECHO = '''
import socket, sys, threading
s = socket.socket(); s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
s.bind((sys.argv[1], int(sys.argv[2]))); s.listen(64)
def one(c):
    try:
        while d := c.recv(65536): c.sendall(d)
    except OSError: pass
    c.close()
while True:
    threading.Thread(target=one, args=(s.accept()[0],), daemon=True).start()
'''


# A receiver of event streams: each connection is read to its end, and ended in the way that confirms.
RECEIVER = '''
import socket, ssl, sys
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(sys.argv[1], sys.argv[2])
s = socket.socket(); s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
s.bind(('127.0.0.1', 6514)); s.listen(4)
while True:
    try:
        with context.wrap_socket(s.accept()[0], server_side=True) as c:
            while d := c.recv(65536): print(d.decode(), flush=True)
            c.unwrap()
    except OSError as error: print(error, flush=True)
'''
# An issuer of tokens, as far as its keys.
ISSUER = '''
import http.server, json, ssl, sys
from jwcrypto import jwk
keys = json.loads(jwk.JWK.generate(kty='EC', crv='P-256', kid='k1', use='sig', alg='ES256').export_public())
me = 'https://localhost:6515'
pages = {'/.well-known/openid-configuration': {'issuer': me, 'jwks_uri': me + '/jwks'}, '/jwks': {'keys': [keys]}}
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = json.dumps(pages.get(self.path)).encode()
        self.send_response(200 if self.path in pages else 404)
        self.send_header('Content-Type', 'application/json'); self.send_header('Content-Length', str(len(body)))
        self.end_headers(); self.wfile.write(body)
server = http.server.ThreadingHTTPServer(('127.0.0.1', 6515), Handler)
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(sys.argv[1], sys.argv[2])
server.socket = context.wrap_socket(server.socket, server_side=True)
server.serve_forever()
'''


# --- Before there is a configuration ---

def enabled(box):
    units = [f'{u}.service' for u in OUR] + ['sluice-witness.socket']
    box.systemctl('enable', *units)
    wanted = [box.systemctl('is-enabled', u, check=False).stdout.strip() for u in units]
    need(wanted == ['enabled'] * 4, f'{wanted}')
    box.systemctl('disable', 'sluice-witness.socket')
    return ', '.join(units)


def members(box):
    """systemd-sysusers has run at boot."""
    groups = {line.split(':')[0]: line.split(':')[3] for line in box.machine.path('/etc/group').read_text().splitlines()}
    need('sluice-dataplane' in groups['sluice'].split(','), f'group sluice has {groups["sluice"]!r}')
    return f'group sluice: {groups["sluice"]}'


def unconfigured(box):
    """No file: said clearly, and not tried over and over."""
    told = []
    for unit in OUR:
        box.systemctl('start', unit, check=False)
        world.wait_for(f'{unit} to give up', lambda: box.show(unit, 'ActiveState') == 'failed', 20)
        restarts, status = box.show(unit, 'NRestarts', 'ExecMainStatus')
        need(restarts == '0' and status == '2', f'{unit}: started again {restarts} times, status {status}')
        need('/etc/sluice/sluice.conf' in box.said(unit), f'{unit} says {box.said(unit)!r}')
        told.append(next(line for line in box.said(unit).splitlines() if 'sluice.conf' in line))
    box.systemctl('reset-failed')
    return told[0]


def portless(box):
    """A configuration without wire ports, and one without a standby: the same."""
    good = CONF.format(*box.wire.ports)
    for unit, text, word in (('sluice-dataplane', re.sub(r'dataplane : \{[^}]*\};', '', good), 'no wire ports'),
                             ('sluice-standby', good.replace('lcores', 'standby = "off"; lcores'), 'standby is "off"'),
                             ('sluice-standby', good.replace('net_af_packet1,iface=', 'net_tap1,iface='), 'no interface of the kernel')):
        box.write('/etc/sluice/sluice.conf', text)
        begin = box.now()
        box.systemctl('start', '--job-mode=ignore-dependencies', unit)
        world.wait_for(f'{unit} to give up', lambda: box.show(unit, 'ActiveState') == 'failed', 20)
        restarts, status = box.show(unit, 'NRestarts', 'ExecMainStatus')
        need(restarts == '0' and status == '2', f'{unit}: started again {restarts} times, status {status}')
        need(word in box.said(unit, begin), f'{unit} says {box.said(unit)!r}')
        box.systemctl('reset-failed')


# --- At work ---

def configure(box):
    box.write('/etc/sluice/sluice.conf', CONF.format(*box.wire.ports))
    box.write('/etc/sluice/credentials/shop_app', 'upstream-secret', 0o600)
    box.machine.path('/etc/sluice/credentials').chmod(0o700)
    authority = world.Authority(box.lab.dir / 'siem-ca', 'SIEM CA')
    for name, path in zip(('export.pem', 'export.key'), authority.issue('localhost', 'DNS:localhost,IP:127.0.0.1')):
        box.write(f'/etc/sluice/{name}', path.read_text(), 0o640)
        box.machine.run('chown', 'root:sluice-export', f'/etc/sluice/{name}')
    box.write('/etc/sluice/siem-ca.pem', authority.cert.read_text())
    box.write('/etc/sluice/egress-ca/none.pem', authority.cert.read_text())
    box.policy(1, PORT)
    ports_of(box, 'packet')
    for name, code in (('receiver', RECEIVER), ('issuer', ISSUER)):
        box.beside[name] = world.Process(name, ['/usr/bin/python3', '-c', code, authority.dir / 'localhost.pem', authority.dir / 'localhost.key'],
                                         box.lab.dir / f'{name}.log', box.machine.name)
        box.lab.own(box.beside[name].stop)


def ports_of(box, driver):
    """The drop-in for ports of the kernel's, as README says."""
    box.machine.run('install', '-D', '-m', '0644', '-t', '/etc/systemd/system/sluice-dataplane.service.d', f'/usr/share/sluice/systemd/ports-{driver}.conf')
    box.systemctl('daemon-reload')


def active(box):
    box.systemctl('start', *OUR)
    box.works()
    states = [box.show(unit, 'ActiveState', 'NRestarts') for unit in OUR]
    need(states == [['active', '0']] * 3, f'{dict(zip(OUR, states))}: {box.said("sluice-*")[-1500:]}')


def confined(box):
    """Users, capabilities, filters."""
    for unit, wanted in PROCESSES.items():
        found = world.wait_for(f'the processes of {unit}', lambda: (lambda f: set(f) >= wanted and f)(box.processes(unit)), 20)
        need(set(found) == wanted, f'{unit}: {sorted(found)}')
        for (program, user), status in found.items():
            need(status['Seccomp'] == '2' and status['NoNewPrivs'] == '1', f'{program} of {user}: Seccomp {status["Seccomp"]}, NoNewPrivs {status["NoNewPrivs"]}')
            need(user == 'root' or int(status['CapEff'], 16) == int(status['CapPrm'], 16) == 0, f'{program} of {user}: capabilities {status["CapEff"]}')
            limit = Path(f'/proc/{status["pid"]}/limits').read_text()
            need(re.search(r'^Max core file size +0 ', limit, re.M), f'{program} of {user}: it may leave a core file')
    return f'{sum(map(len, PROCESSES.values()))} processes, each its own user; of root only control\'s monitor'


def traffic(box):
    with box.connect() as connection:
        box.echo(connection, os.urandom(100000))
        sessions = world.wait_for('the session', lambda: box.sessions('--open'), 10)
    box.bridged()
    return f'session {sessions[0]["id"]}; 1400 bytes of what no service names'


def outside(box):
    """Control has no network; sluice-export delivers events all the same, and sluice-egress fetches an issuer's keys."""
    mine = os.readlink(f'/proc/{box.machine.leader}/ns/net')
    for unit, wanted in PROCESSES.items():
        for (program, user), status in box.processes(unit).items():
            inside = os.readlink(f'/proc/{status["pid"]}/ns/net') == mine
            need(inside == (unit != 'sluice-control'), f'{program} of {user}: {"it has" if inside else "it has not"} the machine\'s network')
    receiver = box.beside['receiver']
    world.wait_for('an event', lambda: receiver.need_alive() and '"class_uid"' in receiver.log.read_text(errors='replace'), 60)
    said = world.wait_for('the keys of the issuer', lambda: re.search('issuer idp: 1 keys', box.said('sluice-control')), 90)
    return f'{receiver.log.read_text(errors="replace").count("class_uid")} events; {said[0]}'


# --- Killed ---

def killed(box, unit, program, user):
    """kill -9: another comes, guarded traffic works, and the journal has all of it. Only the data plane's death ends what is open."""
    old = box.pid(unit, program, user)
    restarts = int(box.show(unit, 'NRestarts')) if program == unit else None
    others = {u: box.show(u, 'MainPID') for u in OUR if u != unit}
    with box.connect() as lives:
        box.echo(lives)
        os.kill(old, signal.SIGKILL)
        world.wait_for(f'another {program}', lambda: (lambda s: s and s['pid'] != old)(box.processes(unit).get((program, user))), 30)
        box.works()
        if unit != 'sluice-dataplane':
            box.echo(lives)
    box.bridged()
    if program == unit:
        need(int(box.show(unit, 'NRestarts')) == restarts + 1, f'{unit}: started again {box.show(unit, "NRestarts")} times')
    need({u: box.show(u, 'MainPID') for u in others} == others, f'other units were started again with {unit}')
    return verified(box)


def verified(box):
    told = box.sluice('journal', 'verify').stdout.strip().splitlines()[-1]
    need(told.startswith('good'), told)
    found = box.sluice('--json', 'journal', 'search', '--type', 'session.open', '--limit', '1000', '--dir', '/var/lib/sluice/journal')
    sessions = len(json.loads(found.stdout)['records'])
    need(sessions >= box.carried, f'{box.carried} connections have carried bytes, {sessions} sessions are on record')
    return f'{sessions} sessions, {told}'


def bridged_meanwhile(box):
    """The data plane is stopped: its standby is not, and bridges."""
    box.systemctl('stop', 'sluice-dataplane')
    box.bridged()
    need(box.show('sluice-standby', 'ActiveState') == 'active', 'the standby was stopped too')
    box.systemctl('start', 'sluice-dataplane')
    box.works()


def xdp(box):
    """The other kind of ports of the kernel's, with its drop-in."""
    box.systemctl('stop', 'sluice-dataplane')
    box.write('/etc/sluice/sluice.conf', CONF.format(*box.wire.ports).replace('net_af_packet', 'net_af_xdp'))
    if box.machine.memlock() != 'unlimited':  # where this runs no limit can be raised: LimitMEMLOCK=infinity does nothing
        box.write('/etc/systemd/system/sluice-dataplane.service.d/memlock.conf', '[Service]\nCapabilityBoundingSet=CAP_IPC_LOCK\n')
    ports_of(box, 'xdp')
    box.systemctl('start', 'sluice-dataplane')
    box.works()
    box.bridged()
    return confined(box)


def unkernelled(box):
    """The unit as it stands, for a NIC that the kernel does not drive: no network, no capability. There is none here: net_null."""
    good = CONF.format(*box.wire.ports)
    box.systemctl('stop', *OUR)
    box.machine.run('rm', '-r', '/etc/systemd/system/sluice-dataplane.service.d')
    box.systemctl('daemon-reload')
    box.write('/etc/sluice/sluice.conf', re.sub(r'ports = .*?\]', 'ports = [ "net_null0", "net_null1" ]', good))
    begin = box.now()
    box.systemctl('start', 'sluice-control', 'sluice-dataplane')
    world.wait_for('the workers to poll', lambda: 'is in force' in box.said('sluice-dataplane', begin), 30)
    (_, status), = box.processes('sluice-dataplane').items()
    need(int(status['CapBnd'], 16) == 1 << 6 | 1 << 7, f'it starts with the capabilities {status["CapBnd"]}')
    net = [os.readlink(f'/proc/{pid}/ns/net') for pid in (status['pid'], box.machine.leader)]
    need(net[0] != net[1], 'it sees the machine\'s network')
    box.systemctl('stop', *OUR)
    box.write('/etc/sluice/sluice.conf', good)
    ports_of(box, 'packet')
    box.systemctl('start', *OUR)
    box.works()


# --- Reload ---

def reloaded(box):
    box.policy(2, PORT, LATER)
    box.systemctl('reload', 'sluice-control')
    box.works(LATER)
    world.wait_for('its session', lambda: [s for s in box.sessions() if s['service'] == f'stream-{LATER}'], 20)


def refused(box):
    main = box.show('sluice-control', 'MainPID')
    box.write('/etc/sluice/policy.cfg', 'policy : { format = 1; name = "boot"; version = 3; surplus = 1; };')
    box.systemctl('reload', 'sluice-control')
    world.wait_for('a word about it', lambda: 'surplus' in box.said('sluice-control'), 20)
    box.works(LATER)
    need(box.show('sluice-control', 'ActiveState', 'MainPID') == ['active', main], 'control was started again')
    box.policy(2, PORT, LATER)
    return next(line for line in box.said('sluice-control').splitlines() if 'surplus' in line)


# --- Ended ---

def restarted(box):
    mains = [box.show(unit, 'MainPID') for unit in OUR]
    box.systemctl('restart', *OUR)
    box.works()
    need(not set(mains) & {box.show(unit, 'MainPID') for unit in OUR}, 'a process is the old one')
    return verified(box)


def stopped(box):
    begin = time.monotonic()
    box.systemctl('stop', *OUR)
    took = time.monotonic() - begin
    for unit in OUR:
        state, result, status = box.show(unit, 'ActiveState', 'Result', 'ExecMainStatus')
        need((state, result, status) == ('inactive', 'success', '0'), f'{unit}: {state}, {result}, status {status}')
    for unit in PROCESSES:
        world.wait_for(f'the last process of {unit}', lambda: not box.machine.processes(unit), 10)
    need('killed' not in (said := box.said('sluice-control')).splitlines()[-1], said[-300:])
    return f'{took:.1f} s; {verified(box)}'


def rebooted(box):
    """The machine loses its power, boots, and what is enabled runs: users, directories and the standby's page are there in time."""
    box.systemctl('start', *OUR)
    box.works()
    box.machine.reboot()
    box.works()
    world.wait_for('the standby', lambda: box.show('sluice-standby', 'ActiveState') == 'active', 20)
    states = [box.show(unit, 'ActiveState', 'NRestarts') for unit in OUR]
    need(states == [['active', '0']] * 3, f'{dict(zip(OUR, states))}')
    confined(box)
    return verified(box)


def quiet(box):
    """Nothing that only systemd sees: cores, failed mounts, refused calls."""
    said = box.machine.run('journalctl', '-q', '-o', 'cat', '-p', 'warning', check=False).stdout
    bad = [line for line in said.splitlines() if re.search(r'sluice.*(SYS|core-dump|dumped|NAMESPACE|SECCOMP|Unknown|unit configures|not-found)', line)]
    need(not bad, f'{bad[:3]}')


# --- The witness ---

def witness(box):
    inside = box.machine
    box.write('/etc/sluice/witness.env', 'SLUICE_WITNESS_NAME=witness.example/w1\n')
    inside.run('install', '-d', '-o', 'sluice-witness', '-g', 'sluice-witness', '-m', '0700', '/var/lib/sluice-witness')
    inside.run('openssl', 'genpkey', '-algorithm', 'ed25519', '-out', '/var/lib/sluice-witness/ed25519.pem')
    inside.run('chown', 'sluice-witness:', '/var/lib/sluice-witness/ed25519.pem')
    inside.run('chmod', '0400', '/var/lib/sluice-witness/ed25519.pem')
    box.systemctl('start', 'sluice-witness.socket')
    body = b'old 0\n\nnobody.example/journal/x\n1\nAAAA\n\n'
    headers = b''.join(f'{k}\0{v}\0'.encode() for k, v in {'CONTENT_LENGTH': len(body), 'SCGI': 1, 'REQUEST_METHOD': 'POST', 'REQUEST_URI': '/sluice/add-checkpoint'}.items())
    with socket.socket(socket.AF_UNIX) as s:
        s.settimeout(20)
        s.connect(str(inside.path('/run/sluice-witness.sock')))
        s.sendall(b'%d:%s,' % (len(headers), headers) + body)
        answer = b''.join(iter(lambda: s.recv(65536), b'')).decode()
    need(re.match(r'Status: 4\d\d', answer), f'{answer!r}: {box.said("sluice-witness@*")}')
    return answer.splitlines()[0]


def run(box, result):
    result.check('systemctl enable', lambda: enabled(box))
    result.check('the users and groups are made', lambda: members(box))
    result.check('without a configuration: a clear word, no second try', lambda: unconfigured(box))
    result.check('without wire ports, without a standby: the same', lambda: portless(box))
    configure(box)
    if not result.check('systemctl start: all are active, traffic passes', lambda: active(box)):
        return
    result.check('users, capabilities, filters', lambda: confined(box))
    result.check('a session, and what is bridged', lambda: traffic(box))
    result.check('helpers that go out', lambda: outside(box))
    for unit, program, user in (('sluice-egress@', 'sluice-egress', 'sluice-egress'), ('sluice-control', 'sluice-sqlparse', 'sluice-sqlparse'), ('sluice-control', 'sluice-signer', 'sluice-signer'),
                                ('sluice-control', 'sluice-control', 'sluice'), ('sluice-control', 'sluice-control', 'root'),
                                ('sluice-dataplane', 'sluice-dataplane', 'sluice-dataplane'), ('sluice-standby', 'sluice-standby', 'sluice-dataplane')):
        result.check(f'kill -9 {program} of {user}', lambda: killed(box, unit, program, user))
    result.check('the data plane is stopped, the wire lives', lambda: bridged_meanwhile(box))
    result.check('ports of net_af_xdp', lambda: xdp(box))
    result.check('ports that the kernel does not drive', lambda: unkernelled(box))
    result.check('systemctl reload with another policy', lambda: reloaded(box))
    result.check('systemctl reload with a broken policy', lambda: refused(box))
    result.check('systemctl restart', lambda: restarted(box))
    result.check('systemctl stop', lambda: stopped(box))
    result.check('after a loss of power and a boot what is enabled runs', lambda: rebooted(box))
    result.check('the witness answers on its socket', lambda: witness(box))
    result.check('nothing was forbidden that is needed', lambda: quiet(box))


def main():
    result = tap.Tap()
    world.end_on_signals()
    with world.Lab(f'boot{os.getpid() % 100000}') as lab:
        made = []
        if result.check('a systemd boots', lambda: made.append(Box(lab))):
            run(made[0], result)
            if result.failed:
                print('\n'.join('# ' + line for line in made[0].said('sluice*').splitlines()[-400:]), flush=True)
    return result.done()


if __name__ == '__main__':
    sys.exit(main())
