"""A small world to put Sluice into: namespaces, a database, an OpenID provider, the appliance.

Everything lives below one temporary directory and one prefix of names, is started in order, and is stopped in the
reverse order by the ids that were made here. Errors are LabError with the log's last lines.
"""
import base64
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
PG_BIN = Path('/usr/lib/postgresql/15/bin')
USERS = ['sluice', 'sluice-dataplane', 'sluice-signer', 'sluice-egress', 'sluice-sqlparse', 'sluice-export']


class LabError(Exception):
    pass


def run(*argv, check=True, text=True, **options):
    """A command to its end; its output in the result."""
    done = subprocess.run([str(a) for a in argv], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=text,
                          stdin=options.pop('stdin', subprocess.DEVNULL), **options)
    if check and done.returncode != 0:
        err = done.stderr if text else done.stderr.decode(errors='replace')
        out = done.stdout if text else ""
        raise LabError(f'{" ".join(str(a) for a in argv[:6])}: exit {done.returncode}: {err.strip()[-600:] or out.strip()[-600:]}')
    return done


def wait_for(what, condition, seconds=20.0, step=0.05):
    """Polls until `condition()` is true; the value is returned."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        value = condition()
        if value:
            return value
        time.sleep(step)
    raise LabError(f'{what}: not within {seconds:.0f} s')


def free_port():
    """A TCP port on loopback that nobody listens at."""
    with socket.socket() as s:
        s.bind(('127.0.0.1', 0))
        return s.getsockname()[1]


def end_on_signals():
    """SIGTERM and SIGHUP as an exception, so that the lab is removed on them too."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda got, unused: sys.exit(128 + got))


def tail(path, lines=15):
    try:
        return '\n'.join(Path(path).read_text(errors='replace').splitlines()[-lines:])
    except OSError:
        return ''


class Process:
    """A child with its log; stopped by its own process group."""

    def __init__(self, name, argv, log, namespace=None, user=None, env=None, cpus=None):
        self.name, self.log = name, Path(log)
        prefix = []
        if namespace:
            prefix += ['ip', 'netns', 'exec', namespace]
        if cpus is not None:
            prefix += ['taskset', '-c', str(cpus)]
        if user:
            prefix += ['setpriv', '--reuid', user, '--regid', user, '--init-groups']
        self.child = subprocess.Popen(prefix + [str(a) for a in argv], stdin=subprocess.DEVNULL, stdout=open(self.log, 'ab'),
                                      stderr=subprocess.STDOUT, start_new_session=True, env=env, cwd='/')

    def alive(self):
        return self.child.poll() is None

    def need_alive(self):
        if not self.alive():
            raise LabError(f'{self.name} ended with status {self.child.returncode}:\n{tail(self.log)}')
        return True

    def stop(self, first=signal.SIGTERM, seconds=10):
        for sig, patience in ((first, seconds), (signal.SIGKILL, 5)):
            if self.alive():
                try:
                    os.killpg(self.child.pid, sig)
                except ProcessLookupError:
                    pass
                try:
                    self.child.wait(patience)
                except subprocess.TimeoutExpired:
                    continue
        return self.child.returncode


class Lab:
    """The temporary directory, and what has to be undone."""

    def __init__(self, prefix='sluice'):
        self.prefix = prefix
        self.dir = Path(tempfile.mkdtemp(prefix=f'{prefix}-lab.'))
        self.dir.chmod(0o755)
        self.undo = []

    def own(self, undo):
        self.undo.append(undo)

    def close(self):
        while self.undo:
            try:
                self.undo.pop()()
            except Exception as error:  # what follows must be undone all the same
                print(f'lab: clean-up: {error}', file=sys.stderr)
        shutil.rmtree(self.dir, ignore_errors=True)

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        self.close()


class Wire:
    """Namespaces `agent` and `target`, each on a veth whose other end is a wire port of the appliance."""

    def __init__(self, lab, subnet='10.77.0', subnet6='fd77::'):
        p = lab.prefix
        self.agent, self.target = f'{p}-agent', f'{p}-target'
        self.ports = (f'{p[:9]}-p0', f'{p[:9]}-p1')
        self.agent_address, self.target_address = f'{subnet}.2', f'{subnet}.10'
        self.agent_address6, self.target_address6 = f'{subnet6}2', f'{subnet6}10'
        self.inner = 'wire'
        ends = ((self.agent, self.ports[0], self.agent_address, self.agent_address6),
                (self.target, self.ports[1], self.target_address, self.target_address6))
        for namespace, port, address, address6 in ends:
            run('ip', 'netns', 'del', namespace, check=False)
            run('ip', 'link', 'del', port, check=False)
            run('ip', 'netns', 'add', namespace)
            lab.own(lambda n=namespace: run('ip', 'netns', 'del', n, check=False))
            run('ip', 'link', 'add', port, 'type', 'veth', 'peer', 'name', self.inner, 'netns', namespace)
            lab.own(lambda i=port: run('ip', 'link', 'del', i, check=False))
            for prefix, device in (([], port), (['ip', 'netns', 'exec', namespace], self.inner)):
                run(*prefix, 'ethtool', '-K', device, 'tx', 'off', 'tso', 'off', 'gso', 'off', 'gro', 'off', 'rx', 'off', check=False)
            run('sysctl', '-qw', f'net.ipv6.conf.{port}.disable_ipv6=1', check=False)
            run('ip', 'link', 'set', port, 'up', 'promisc', 'on')
            inside = ['ip', '-n', namespace]
            run(*inside, 'link', 'set', 'lo', 'up')
            run(*inside, 'link', 'set', self.inner, 'up')
            run(*inside, 'addr', 'add', f'{address}/24', 'dev', self.inner)
            run(*inside, 'addr', 'add', f'{address6}/64', 'dev', self.inner, 'nodad')

    def in_agent(self, *argv, **options):
        return run('ip', 'netns', 'exec', self.agent, *argv, **options)

    def in_target(self, *argv, **options):
        return run('ip', 'netns', 'exec', self.target, *argv, **options)


class Authority:
    """A certificate authority made with openssl, and certificates from it."""

    def __init__(self, directory, name):
        self.dir = Path(directory)
        self.dir.mkdir(parents=True, exist_ok=True)
        self.cert, self.key = self.dir / 'ca.pem', self.dir / 'ca.key'
        run('openssl', 'req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-keyout', self.key,
            '-out', self.cert, '-days', '3', '-subj', f'/CN={name}')

    def issue(self, name, alternatives):
        cert, key, request, extensions = (self.dir / f'{name}.{e}' for e in ('pem', 'key', 'csr', 'ext'))
        extensions.write_text(f'subjectAltName={alternatives}\n')
        run('openssl', 'req', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-keyout', key, '-out', request,
            '-subj', f'/CN={name}')
        run('openssl', 'x509', '-req', '-in', request, '-CA', self.cert, '-CAkey', self.key, '-CAcreateserial', '-days', '2',
            '-out', cert, '-extfile', extensions)
        return cert, key


class Database:
    """PostgreSQL 15 with TLS and SCRAM in the target's namespace."""

    def __init__(self, lab, wire, archive_rows, password, listen=None, tls=True, settings='', cpus=None):
        self.dir, self.wire, self.password = lab.dir / 'pg', wire, password
        self.authority = Authority(lab.dir / 'target-ca', 'target CA')
        cert, key = self.authority.issue('shop-db.example', f'DNS:shop-db.example,IP:{wire.target_address}')
        self.dir.mkdir()
        shutil.chown(self.dir, 'postgres', 'postgres')
        pwfile = self.dir / 'pw'
        pwfile.write_text(password)
        shutil.chown(pwfile, 'postgres', 'postgres')
        data = self.dir / 'data'
        run('setpriv', '--reuid', 'postgres', '--regid', 'postgres', '--init-groups', PG_BIN / 'initdb', '-D', data, '-U', 'postgres',
            '-A', 'scram-sha-256', '--pwfile', pwfile, '-E', 'UTF8', '--locale=C.UTF-8', '--no-sync', cwd='/')
        for source, name in ((cert, 'server.crt'), (key, 'server.key')):
            shutil.copy(source, data / name)
            shutil.chown(data / name, 'postgres', 'postgres')
            (data / name).chmod(0o600)
        (data / 'pg_hba.conf').write_text('local all postgres trust\nhostssl all all all scram-sha-256\n' +
                                          ('' if tls else 'host all all all scram-sha-256\n'))
        with open(data / 'postgresql.conf', 'a') as conf:
            conf.write(f"listen_addresses = '{listen or wire.target_address}, {wire.target_address6}'\nport = 5432\nssl = on\nfsync = off\n"
                       f"huge_pages = off\nunix_socket_directories = '{self.dir}'\nmax_connections = 120\nshared_buffers = 128MB\n"
                       f"timezone = 'UTC'\n{settings}")
        self.process = Process('postgres', [PG_BIN / 'postgres', '-D', data], lab.dir / 'postgres.log', wire.target, 'postgres', cpus=cpus)
        lab.own(lambda: self.process.stop(signal.SIGINT))
        wait_for('postgres', lambda: self.process.need_alive() and self.admin('SELECT 1', check=False).returncode == 0)
        self.admin(f"CREATE ROLE shop_app LOGIN PASSWORD '{password}'")
        self.admin('CREATE DATABASE shop')
        run('psql', '-X', '-q', '-h', self.dir, '-U', 'postgres', '-d', 'shop', '-v', 'ON_ERROR_STOP=1', '-v',
            f'archive_rows={archive_rows}', '-f', HERE / 'sample.sql')

    def admin(self, sql, database='postgres', check=True):
        """As the superuser, over the Unix socket: not through the wire."""
        return run('psql', '-X', '-At', '-h', self.dir, '-U', 'postgres', '-d', database, '-c', sql, check=check)

    def direct(self, sql, database='shop'):
        return self.admin(sql, database).stdout


class Provider:
    """The OpenID provider, on a free port of loopback."""

    def __init__(self, lab, clients, audiences):
        port = free_port()
        self.dir = lab.dir / 'idp'
        self.authority = Authority(self.dir, 'identity CA')
        cert, key = self.authority.issue('localhost', 'DNS:localhost,IP:127.0.0.1')
        self.issuer = f'https://localhost:{port}'
        self.secrets = {c['id']: c['secret'] for c in clients}
        self.jwk = self.make_key('k1')
        (self.dir / 'jwks.json').write_text(json.dumps({'keys': [self.jwk]}))
        config = {'issuer': self.issuer, 'port': port, 'cert': str(cert), 'key': str(key), 'jwks': str(self.dir / 'jwks.json'),
                  'clients': clients, 'audiences': audiences}
        (self.dir / 'config.json').write_text(json.dumps(config))
        (self.dir / 'config.json').chmod(0o600)
        self.process = Process('provider', ['node', HERE / 'provider.mjs', self.dir / 'config.json'], lab.dir / 'provider.log')
        lab.own(self.process.stop)
        wait_for('the OpenID provider', lambda: self.process.need_alive() and 'ready' in tail(self.process.log))

    @staticmethod
    def make_key(kid):
        script = ("const {generateKeyPairSync}=require('crypto');"
                  "console.log(JSON.stringify(generateKeyPairSync('ec',{namedCurve:'P-256'}).privateKey.export({format:'jwk'})))")
        return {**json.loads(run('node', '-e', script).stdout), 'kid': kid, 'use': 'sig', 'alg': 'ES256'}

    def token(self, client, audience):
        request = self.dir / 'curl.cfg'
        request.write_text(f'user = "{client}:{self.secrets[client]}"\ndata = "grant_type=client_credentials&resource={audience}"\n')
        request.chmod(0o600)
        answer = run('curl', '-s', '--cacert', self.authority.cert, '-K', request, f'{self.issuer}/token')
        return json.loads(answer.stdout)['access_token']

    @staticmethod
    def parts(token):
        header, payload = (json.loads(base64.urlsafe_b64decode(p + '=' * (-len(p) % 4))) for p in token.split('.')[:2])
        return header, payload

    def forge(self, token, key=None, header=None):
        """The same claims, signed by another key, or with another header and no signature."""
        old_header, payload = self.parts(token)
        if header is not None:
            pieces = [base64.urlsafe_b64encode(json.dumps(p).encode()).rstrip(b'=').decode() for p in (header, payload)]
            return '.'.join(pieces) + '.'
        script = ("const c=require('crypto');const i=JSON.parse(require('fs').readFileSync(0));"
                  "const b=(o)=>Buffer.from(JSON.stringify(o)).toString('base64url');const m=b(i.h)+'.'+b(i.p);"
                  "const s=c.sign('sha256',Buffer.from(m),{key:c.createPrivateKey({key:i.k,format:'jwk'}),dsaEncoding:'ieee-p1363'});"
                  "console.log(m+'.'+s.toString('base64url'))")
        done = subprocess.run(['node', '-e', script], input=json.dumps({'h': old_header, 'p': payload, 'k': key}), text=True,
                              stdout=subprocess.PIPE, check=True)
        return done.stdout.strip()


class Appliance:
    """sluice run: control, its helpers and the data plane."""

    def __init__(self, lab, wire, build, policy, login_password, roots, driver='net_af_packet', lcores='0,1', idle='adaptive',
                 memory='256Mi', flows='1k', egress_ca=None, upstreams=('shop-db',), splice='on', ports=None,
                 cpus=None):
        self.cpus = cpus  # of control and its helpers; None: any
        self.lab, self.build, self.dir = lab, lab.dir / 'stage', lab.dir / 'sluice'
        # The helpers' users may not be able to enter the directories above the checkout (mktemp -d, a home).
        if not self.build.exists():
            shutil.copytree(build, self.build, symlinks=True)
        self.run_dir, self.state = self.dir / 'run', self.dir / 'state'
        make_users()
        for path, mode in ((self.dir, 0o755), (self.dir / 'credentials', 0o700), (self.dir / 'egress-ca', 0o755)):
            path.mkdir(parents=True, exist_ok=True)
            path.chmod(mode)
        for path, mode in ((self.run_dir, 0o2770), (self.state, 0o750)):
            path.mkdir(parents=True, exist_ok=True)
            shutil.chown(path, 'sluice', 'sluice')
            path.chmod(mode)
        secret = self.dir / 'credentials' / 'shop_app'
        secret.write_text(login_password)
        secret.chmod(0o600)
        if egress_ca:
            shutil.copy(egress_ca, self.dir / 'egress-ca' / 'idp.pem')
        shutil.copy(roots, self.dir / 'shop-db-roots.pem')
        self.policy = self.dir / 'policy.cfg'
        self.policy.write_text(policy)
        ports = ', '.join(f'"{port}"' for port in ports or [f'{driver}{i},iface={port}' for i, port in enumerate(wire.ports)])
        trusted = ', '.join(f'{{ service = "{name}"; roots = "{self.dir / "shop-db-roots.pem"}"; }}' for name in upstreams)
        self.conf = self.dir / 'sluice.conf'
        self.conf.write_text(f'''node = "lab";
origin = "sluice.example/journal/lab";
run_dir = "{self.run_dir}";
state_dir = "{self.state}";
policy = "{self.policy}";
credentials = "{self.dir / 'credentials'}";
egress_ca = "{self.dir / 'egress-ca'}";
libexec = "{self.build / 'usr/libexec/sluice'}";
workers = 1;
users : {{ group = "sluice"; control = "sluice"; dataplane = "sluice-dataplane"; signer = "sluice-signer";
          egress = "sluice-egress"; sqlparse = "sluice-sqlparse"; export = "sluice-export"; }};
upstream = ( {trusted} );
dataplane : {{ ports = [ {ports} ]; eal = [ "--no-huge", "-m", "256", "--no-shconf", "--no-pci" ]; lcores = "{lcores}";
              idle = "{idle}"; flows = "{flows}"; memory = "{memory}"; unnamed_port = "drop"; splice = "{splice}"; }};
''')
        self.process = self.env = None  # env: None, as this process has it

    def tool(self, name):
        return self.build / ('usr/sbin' if name.startswith('sluice-') else 'usr/bin') / name

    def start(self, seconds=30):
        self.process = Process('sluice', [self.tool('sluice'), 'run', '-c', self.conf], self.lab.dir / 'sluice.log', env=self.env, cpus=self.cpus)
        self.lab.own(self.stop)
        wait_for('sluice', self.ready, seconds)

    def ready(self):
        self.process.need_alive()
        return 'is in force' in self.process.log.read_text(errors='replace')

    def stop(self):
        if self.process:
            status = self.process.stop()
            self.process = None
            return status
        return 0

    def cli(self, *argv, check=True):
        return run(self.tool('sluice'), '-c', self.conf, *argv, check=check)


def make_users():
    """The system users of sluice.conf, as the Debian package would make them."""
    if run('getent', 'group', 'sluice', check=False).returncode != 0:
        run('groupadd', '--system', 'sluice')
    for user in USERS:
        if run('getent', 'passwd', user, check=False).returncode != 0:
            run('useradd', '--system', '--no-create-home', '--home-dir', '/nonexistent', '--shell', '/usr/sbin/nologin', '-g', 'sluice', user)


def install_provider():
    """npm ci, when it was not done for this lock file."""
    if not (HERE / 'node_modules' / 'oidc-provider').exists():
        run('npm', 'ci', '--no-audit', '--no-fund', cwd=HERE)


def policy_text(wire, provider, expires='15s', **replace):
    text = (HERE / 'policy.cfg').read_text()
    values = {'ISSUER': provider.issuer, 'ISSUER_CA': 'idp.pem', 'TARGET': wire.target_address, 'EXPIRES': expires, **replace}
    return re.sub(r'@([A-Z_]+)@', lambda m: str(values[m.group(1)]), text)
