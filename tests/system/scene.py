"""The world of the system tests: two namespaces, PostgreSQL, the OpenID provider and Sluice, with tools for the agent's side.

One `Scene` per test file, under a prefix of its own, so that runs can go on side by side. `Scene.pids` finds the processes of
this Sluice only: by descent from the `sluice run` that was started here.
"""
import ctypes
import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import tap
from tap import need, world

PASSWORD = 'upstream-' + os.urandom(9).hex()
AUDIENCE = 'urn:sluice:demo'
VLAN = 210
VLAN_SUBNET = '10.78.0'
OPAQUE_PORT = 7000
SECRETS = ['ada@calc.io', 'grace@navy.org', 'liskov@mit.edu', '536-22-8726', '4539 1488 0343 6467', '5500005555555559',
           '+44 20 7946 0958', 'DE89370400440532013000', 'FR1420041010050500013M02606']
# Where the sample data of other services goes: bytes that are relayed unread.
OPAQUE = '''  { name = "bulk"; protocol = "opaque"; listen = [ "@TARGET@:7000" ]; tls = "off"; reason = "a stream of the test, not inspected"; },
'''
VLAN_SERVICES = f'''  {{ name = "tagged-bulk"; protocol = "opaque"; listen = [ "{VLAN_SUBNET}.10:7000" ]; vlan = {VLAN}; tls = "off"; reason = "the same inside a tag"; }},
  {{ name = "tagged-db"; protocol = "postgres"; listen = [ "{VLAN_SUBNET}.10:5432" ]; vlan = {VLAN}; tls = "required";
    upstream_name = "shop-db.example"; login = "shop_app"; fail = "closed"; }},
'''


def clients():
    def one(name, person, groups, ttl=3600, **more):
        return {'id': name, 'secret': os.urandom(16).hex(), 'ttl': ttl, 'claims': {'employee_id': person, 'groups': groups, **more}}
    return [one('alice-agent', 'p-alice', ['agents'], run_id='run-7', act={'sub': 'agent-7'}),
            one('bob', 'p-bob', ['dba'], run_id='cli'), one('dora', 'p-dora', ['dba'], run_id='cli'),
            one('ivan', 'p-ivan', ['investigators'], run_id='cli')]


class Scene:
    def __init__(self, lab, services='', rules='', rows=1000, settings='', expires='60s', vlan=False, start=True, edit=None, upstreams=('shop-db',),
                 splice='on'):
        self.lab = lab
        build = tap.build()
        self.wire = world.Wire(lab)
        if vlan:
            self.tag()
        self.db = world.Database(lab, self.wire, rows, PASSWORD, settings=settings,
                                 listen=f'{self.wire.target_address}, {VLAN_SUBNET}.10' if vlan else None)
        world.install_provider()
        self.idp = world.Provider(lab, clients(), [AUDIENCE])
        text = world.policy_text(self.wire, self.idp, expires)
        text = text.replace('services = (\n', 'services = (\n' + services.replace('@TARGET@', self.wire.target_address))
        text = text.replace('\nrules = (\n', '\nrules = (\n' + rules)
        text = edit(text, self) if edit else text
        self.sluice = world.Appliance(lab, self.wire, build, text, PASSWORD, self.db.authority.cert, egress_ca=self.idp.authority.cert,
                                      upstreams=upstreams, splice=splice)
        self.token = self.idp.token('alice-agent', AUDIENCE)
        if start:
            self.start()

    def start(self):
        self.sluice.start(90)

    def cable(self, namespace, one, other, *options):
        """cable.c between two devices of a namespace (None: where this runs)."""
        program = self.lab.dir / 'cable'
        if not program.exists():
            world.run('cc', '-O2', '-o', program, tap.ROOT / 'tests/system/cable.c')
        process = self.spawn(namespace, program, one, other, *options, log=self.lab.dir / f'cable-{namespace}-{one}.log')
        world.wait_for('the cable', lambda: process.need_alive() and 'ready' in world.tail(process.log), 30)
        return process

    def tag(self, vlan=VLAN, subnet=VLAN_SUBNET):
        """A device inside a VLAN on both ends of the wire. Made of a veth pair and a cable, for kernels without 802.1Q."""
        for namespace, end in ((self.wire.agent, 2), (self.wire.target, 10)):
            inside, name = ['ip', '-n', namespace], f'tag{vlan}'
            world.run(*inside, 'link', 'add', name, 'type', 'veth', 'peer', 'name', f'{name}x')
            for device in (name, f'{name}x'):
                plain(namespace, device)
                world.run(*inside, 'link', 'set', device, 'up')
            world.run(*inside, 'addr', 'add', f'{subnet}.{end}/24', 'dev', name)
            self.cable(namespace, f'{name}x', self.wire.inner, f'tag={vlan}')

    def fray(self, namespace, *faults):
        """Puts a faulty cable between a namespace's end of the wire and Sluice's port: the address moves to a new pair behind it."""
        inside, old, name = ['ip', '-n', namespace], self.wire.inner, 'behind'
        world.run(*inside, 'link', 'add', name, 'type', 'veth', 'peer', 'name', f'{name}x')
        address = self.wire.agent_address if namespace == self.wire.agent else self.wire.target_address
        address6 = self.wire.agent_address6 if namespace == self.wire.agent else self.wire.target_address6
        world.run(*inside, 'addr', 'flush', 'dev', old)
        world.run('ip', 'netns', 'exec', namespace, 'sysctl', '-qw', f'net.ipv6.conf.{old}.disable_ipv6=1', check=False)
        for device in (name, f'{name}x'):
            plain(namespace, device)
            world.run(*inside, 'link', 'set', device, 'up')
        world.run(*inside, 'addr', 'add', f'{address}/24', 'dev', name)
        world.run(*inside, 'addr', 'add', f'{address6}/64', 'dev', name, 'nodad')
        return self.cable(namespace, f'{name}x', old, *faults)

    # --- The agent's tools ---

    def env(self, token=None, **more):
        return {**os.environ, 'PGPASSWORD': token or self.token, 'PGSSLMODE': 'require', 'PGCONNECT_TIMEOUT': '60', 'TARGET': self.wire.target_address, **more}

    def psql(self, sql, stdin=None, timeout=120, options=(), host=None, raw=False, **env):
        argv = self.psql_argv(sql, options, host)
        return subprocess.run(argv, env=self.env(**env), input=stdin, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=not raw, timeout=timeout)

    def psql_argv(self, sql, options=(), host=None):
        argv = ['ip', 'netns', 'exec', self.wire.agent, 'psql', '-X', '-At', '-h', host or self.wire.target_address, '-U', 'alice', '-d', 'shop', *options]
        return argv if sql is None else argv + ['-c', sql]

    def psql_open(self, sql=None, **options):
        """A psql that is running: its statements through stdin when no `sql` is given."""
        argv = self.psql_argv(sql, **options)
        return subprocess.Popen(argv, env=self.env(), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, bufsize=1)

    def python(self, code, timeout=170, where=None):
        done = subprocess.run(['ip', 'netns', 'exec', where or self.wire.agent, '/usr/bin/python3', '-c', code], env=self.env(), stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, text=True, timeout=timeout)
        need(done.returncode == 0, f'the client: {done.stderr.strip()[-500:]}')
        return done.stdout

    def session(self, host=None):
        return Talk(self, host)

    def spawn(self, namespace, *argv, log=None, **options):
        """A program in a namespace, stopped at the end."""
        process = world.Process(str(argv[1] if len(argv) > 1 else argv[0]), argv, log or self.lab.dir / f'spawn-{len(self.lab.undo)}.log', namespace, **options)
        self.lab.own(process.stop)
        return process

    def bulk_server(self, address=None, port=OPAQUE_PORT):
        process = self.spawn(self.wire.target, '/usr/bin/python3', tap.ROOT / 'tests/system/bulk.py', 'serve', address or self.wire.target_address, port)
        world.wait_for('the stream server', lambda: process.need_alive() and 'ready' in world.tail(process.log), 60)
        return process

    def bulk(self, size, address=None, port=OPAQUE_PORT, timeout=170):
        done = subprocess.run(['ip', 'netns', 'exec', self.wire.agent, '/usr/bin/python3', str(tap.ROOT / 'tests/system/bulk.py'), 'connect',
                               address or self.wire.target_address, str(port), str(size)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=timeout)
        need(done.returncode == 0, f'the stream: {done.stderr.strip()[-300:]}{done.stdout}')
        return done.stdout.strip()

    # --- The operator ---

    def json(self, *argv):
        return json.loads(self.sluice.cli('--json', *argv).stdout)

    def pending(self, seconds=60):
        def ask():
            done = self.sluice.cli('--json', 'approval', 'list', check=False)
            return done.returncode == 0 and [a['id'] for a in json.loads(done.stdout)['approvals'] if a['state'] == 'pending']
        return world.wait_for('a held command', ask, seconds)

    def vote(self, verb, number, client='bob'):
        path = self.lab.dir / f'{client}.token'
        path.write_text(self.idp.token(client, AUDIENCE))
        path.chmod(0o600)
        return self.sluice.cli('approval', verb, number, '--reason', 'the test', '--token-file', path, check=False)

    def records(self, *arguments):
        """Every record that matches, over all pages."""
        done = self.sluice.cli('--json', 'journal', 'search', '--limit', '100000', *arguments)
        return json.loads(done.stdout)['records']

    def log_text(self):
        return self.sluice.process.log.read_text(errors='replace')

    # --- Processes ---

    def pids(self, name):
        """Ids of the running programs of that name that descend from this Sluice."""
        parents, programs = {}, {}
        for entry in Path('/proc').iterdir():
            if entry.name.isdigit():
                try:
                    stat = (entry / 'stat').read_text().rpartition(')')[2].split()
                    programs[int(entry.name)] = os.path.basename(os.readlink(entry / 'exe')).removesuffix(' (deleted)')
                except OSError:
                    continue
                if stat[0] not in 'ZX':
                    parents[int(entry.name)] = int(stat[1])
        mine, grown = {self.sluice.process.child.pid}, True
        while grown:
            more = {p for p, parent in parents.items() if parent in mine} - mine
            mine |= more
            grown = bool(more)
        return sorted(p for p in mine if programs.get(p) == name)

    def pid(self, name, seconds=60):
        return world.wait_for(name, lambda: self.pids(name), seconds)[0]

    def kill(self, name, sig=signal.SIGKILL):
        pid = self.pid(name)
        os.kill(pid, sig)
        return pid

    def kill_and_wait(self, name, seconds=60):
        """kill -9, and until another one of that name runs."""
        old = self.kill(name)
        world.wait_for(f'another {name}', lambda: [p for p in self.pids(name) if p != old], seconds)

    def healthy(self, seconds=90):
        def works():
            done = self.psql('SELECT 41 + 1', timeout=60)
            return done.returncode == 0 and done.stdout == '42\n'
        world.wait_for('a new session that works', works, seconds, 0.5)

    def no_secret(self, text, where):
        for secret in SECRETS:
            need(secret not in text, f'{where}: {secret} came through')


def plain(namespace, device):
    """No offloads: what a veth would leave unfilled is filled."""
    world.run('ip', 'netns', 'exec', namespace, 'ethtool', '-K', device, 'tx', 'off', 'tso', 'off', 'gso', 'off', 'gro', 'off', 'rx', 'off', check=False)


class Talk:
    """One psql session that is kept open; `say` returns what one statement printed, errors included."""

    def __init__(self, scene, host=None):
        self.scene = scene
        argv = scene.psql_argv(None, ['-q', '-v', 'VERBOSITY=verbose'], host)
        self.process = subprocess.Popen(argv, env=scene.env(), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, bufsize=1)
        self.number = 0
        scene.lab.own(self.close)

    def send(self, sql):
        self.number += 1
        self.process.stdin.write(f'{sql}\n\\echo -- {self.number} --\n')
        self.process.stdin.flush()
        return self.number

    def read(self, number, timeout=120):
        lines, timer = [], threading.Timer(timeout, self.process.kill)
        timer.start()
        try:
            for line in self.process.stdout:
                if line == f'-- {number} --\n':
                    return ''.join(lines)
                lines.append(line)
        finally:
            timer.cancel()
        raise AssertionError(f'the session ended: {"".join(lines)[-300:]}')

    def say(self, sql, timeout=120):
        return self.read(self.send(sql), timeout)

    def close(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()


def in_namespace(name, function):
    """`function` with its sockets in a namespace: in a thread of its own, whose namespace ends with it."""
    box = {}

    def work():
        try:
            with open(f'/run/netns/{name}') as handle:
                need(ctypes.CDLL(None, use_errno=True).setns(handle.fileno(), 0x40000000) == 0, f'namespace {name}: {os.strerror(ctypes.get_errno())}')
            box['value'] = function()
        except BaseException as error:
            box['error'] = error
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    if 'error' in box:
        raise box['error']
    return box['value']


def main(prefix, run, **options):
    """Builds the scene, runs the file's checks on it, prints the log's end when one failed."""
    result = tap.Tap()
    world.end_on_signals()
    # A number of this run's own: the same file may run twice on one machine.
    with world.Lab(f'{prefix[:4]}{os.getpid() % 100000}') as lab:
        scene = []

        def world_up():
            scene.append(Scene(lab, **options))
            return 'namespaces, PostgreSQL, provider, Sluice'
        if result.check('the world stands', world_up):
            run(scene[0], result)
        if result.failed:
            print('\n'.join('# ' + line for line in world.tail(lab.dir / 'sluice.log', 30).splitlines()), flush=True)
    return result.done()
