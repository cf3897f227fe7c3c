"""The appliance as a machine that boots with its units, and what is around it: echo servers, an issuer of tokens, a receiver of event streams."""
import json
import os
import socket
import time
from pathlib import Path

from jwcrypto import jwk, jwt

import machine
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
upstream = ( {{ service = "shop-db"; roots = "/etc/sluice/shop-db-ca.pem"; }} );
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
keys = json.loads(sys.argv[3])
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


class Box:
    """The machine, and what is around it."""

    def __init__(self, lab):
        self.lab, self.carried = lab, 0  # connections that carried bytes, each a session on record
        self.beside, self.key, self.password = {}, jwk.JWK.generate(kty='EC', crv='P-256', kid='k1', use='sig', alg='ES256'), os.urandom(12).hex()
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


def configure(box):
    box.write('/etc/sluice/sluice.conf', CONF.format(*box.wire.ports))
    box.write('/etc/sluice/credentials/shop_app', box.password, 0o600)
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
        box.beside[name] = world.Process(name, ['/usr/bin/python3', '-c', code, authority.dir / 'localhost.pem', authority.dir / 'localhost.key',
                                                box.key.export_public()],
                                         box.lab.dir / f'{name}.log', box.machine.name)
        box.lab.own(box.beside[name].stop)


def ports_of(box, driver):
    """The drop-in for ports of the kernel's, as README says."""
    box.machine.run('install', '-D', '-m', '0644', '-t', '/etc/systemd/system/sluice-dataplane.service.d', f'/usr/share/sluice/systemd/ports-{driver}.conf')
    box.systemctl('daemon-reload')


def token(box):
    now = int(time.time())
    t = jwt.JWT(header={'alg': 'ES256', 'typ': 'at+jwt', 'kid': 'k1'}, claims={
        'iss': 'https://localhost:6515', 'aud': 'urn:sluice:demo', 'sub': 'alice', 'client_id': 'agent', 'employee_id': 'p-alice', 'groups': ['agents'], 'run_id': 'run-1',
        'act': {'sub': 'agent-1'}, 'iat': now, 'exp': now + 600, 'jti': os.urandom(8).hex()})
    t.make_signed_token(box.key)
    return t.serialize()


def booted(name, run):
    """The checks of `run`, on a machine that has booted; what its units said last, when one failed. The status of the test."""
    result = tap.Tap()
    world.end_on_signals()
    with world.Lab(f'{name}{os.getpid() % 100000}') as lab:
        made = []
        if result.check('a systemd boots', lambda: made.append(Box(lab))):
            run(made[0], result)
            if result.failed:
                print('\n'.join('# ' + line for line in made[0].said('sluice*').splitlines()[-400:]), flush=True)
    return result.done()
