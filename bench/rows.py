#!/usr/bin/python3
"""The rows of the goals, each beside its ceiling and peers in the same run. Called by bench/run."""
import argparse
import contextlib
import json
import os
import platform
import re
import statistics
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / 'platform' / 'lab'))
import lab as world  # noqa: E402
import memif  # noqa: E402
from picture import bars  # noqa: E402

PASSWORD = 'bench-' + os.urandom(6).hex()
AUDIENCE = 'urn:sluice:demo'
IN_FLIGHT = 256          # connections over memif; of row S6, whose capacity shall be found with slow disks too
MANY_IN_FLIGHT = 1024
STEADY_SECONDS = 5  # of connections over memif: in less the event ring carries what control cannot
LOADS = (1, 2, 3)        # of row S6, times the capacity
FILL_SECONDS = 40        # at most, until the event ring is full
DRIVER = 'net_af_xdp'
OTHERS, BETWEEN = memif.OTHERS, memif.BETWEEN
CLIENTS = [{'id': 'agent', 'secret': os.urandom(16).hex(), 'ttl': 3000,
            'claims': {'employee_id': 'p-bench', 'groups': ['agents'], 'run_id': 'bench', 'act': {'sub': 'bench'}}}]


class Direct:
    """Two namespaces on one veth pair: nothing between."""

    def __init__(self, lab):
        self.agent, self.target = f'{lab.prefix}-agent', f'{lab.prefix}-target'
        self.agent_address, self.target_address, self.target_address6 = '10.78.0.2', '10.78.0.10', 'fd78::10'
        for namespace in (self.agent, self.target):
            world.run('ip', 'netns', 'del', namespace, check=False)
            world.run('ip', 'netns', 'add', namespace)
            lab.own(lambda n=namespace: world.run('ip', 'netns', 'del', n, check=False))
        world.run('ip', 'link', 'add', 'wire', 'netns', self.agent, 'type', 'veth', 'peer', 'name', 'wire', 'netns', self.target)
        for namespace, address in ((self.agent, self.agent_address), (self.target, self.target_address)):
            world.run('ip', 'netns', 'exec', namespace, 'ethtool', '-K', 'wire', 'tx', 'off', 'tso', 'off', 'gso', 'off', 'gro', 'off', 'rx', 'off', check=False)
            world.run('ip', '-n', namespace, 'link', 'set', 'lo', 'up')
            world.run('ip', '-n', namespace, 'link', 'set', 'wire', 'up')
            world.run('ip', '-n', namespace, 'addr', 'add', f'{address}/24', 'dev', 'wire')
        world.run('ip', '-n', self.target, 'addr', 'add', 'fd78::10/64', 'dev', 'wire', 'nodad')


def route_through_proxy(lab, wire):
    """The two wire ports in a third namespace with addresses: where a proxy stands."""
    middle = f'{lab.prefix}-middle'
    world.run('ip', 'netns', 'del', middle, check=False)
    world.run('ip', 'netns', 'add', middle)
    lab.own(lambda: world.run('ip', 'netns', 'del', middle, check=False))
    world.run('ip', '-n', middle, 'link', 'set', 'lo', 'up')
    for port, address, namespace, old, new in (
            (wire.ports[0], '10.79.1.1', wire.agent, wire.agent_address, '10.79.1.2'),
            (wire.ports[1], '10.79.2.1', wire.target, wire.target_address, '10.79.2.10')):
        world.run('ip', 'link', 'set', port, 'netns', middle)
        world.run('ip', '-n', middle, 'link', 'set', port, 'up')
        world.run('ip', '-n', middle, 'addr', 'add', f'{address}/24', 'dev', port)
        world.run('ip', '-n', namespace, 'addr', 'del', f'{old}/24', 'dev', wire.inner)
        world.run('ip', '-n', namespace, 'addr', 'add', f'{new}/24', 'dev', wire.inner)
    wire.agent_address, wire.target_address = '10.79.1.2', '10.79.2.10'
    return middle


def appliance(lab, wire, target, audit, splice, flows='32k', ports=None, cpus=None):
    """Sluice with the benches' policy, started, and its OpenID provider."""
    world.install_provider()
    idp = world.Provider(lab, CLIENTS, [AUDIENCE])
    policy = (HERE / 'policy.cfg').read_text()
    for name, value in {'ISSUER': idp.issuer, 'TARGET': target, 'AUDIT': audit}.items():
        policy = policy.replace(f'@{name}@', value)
    roots = world.Authority(lab.dir / 'unused-ca', 'unused').cert
    sluice = world.Appliance(lab, wire, BUILD, policy, PASSWORD, roots, driver=DRIVER, lcores=f'{OTHERS},{BETWEEN}',
                             idle='poll', memory='256Mi', flows=flows, egress_ca=idp.authority.cert, splice=splice, ports=ports, cpus=cpus)
    sluice.start()
    return sluice, idp


class Setup:
    """One thing between client and server, ready for load."""

    def __init__(self, lab, kind, database, audit='strict'):
        self.lab, self.kind, self.token = lab, kind, None
        self.wire = Direct(lab) if kind == 'direct' else world.Wire(lab)
        middle = route_through_proxy(lab, self.wire) if kind in ('haproxy', 'pgbouncer') else None
        self.address, self.process = self.wire.target_address, None
        self.server = None
        self.database = None
        if database:
            self.database = world.Database(lab, self.wire, 1000, PASSWORD, tls=False, cpus=OTHERS)
            self.database.admin('CREATE DATABASE bench OWNER shop_app')
            world.run('pgbench', '-i', '-q', '-s', '4', '-h', self.database.dir, '-U', 'postgres', 'bench')
            self.database.admin('GRANT SELECT ON ALL TABLES IN SCHEMA public TO shop_app', 'bench')
        else:
            serve = world.Process('load server', [sys.executable, HERE / 'load.py', 'serve', '0.0.0.0', '7000'], lab.dir / 'serve.log', self.wire.target, cpus=OTHERS)
            lab.own(serve.stop)
            world.wait_for('load server', lambda: 'ready' in world.tail(serve.log))
        getattr(self, f'start_{kind}')(middle, audit)

    def start_direct(self, middle, audit):
        pass

    def start_testpmd(self, middle, audit):
        devices = [f'--vdev={DRIVER}{i},iface={port}' for i, port in enumerate(self.wire.ports)]
        self.process = world.Process('testpmd', ['dpdk-testpmd', '-l', f'{OTHERS},{BETWEEN}', '--no-huge', '-m', '256', '--no-pci', '--no-shconf', *devices,
                                                 '--', '--forward-mode=io', '--total-num-mbufs=8192', '--stats-period=60', '--no-mlockall'], self.lab.dir / 'testpmd.log')
        self.lab.own(self.process.stop)
        world.wait_for('testpmd', lambda: self.process.need_alive() and 'port statistics' in self.process.log.read_text(errors='replace').lower(), 30)

    def proxy(self, name, argv, middle, user=None):
        self.process = world.Process(name, argv, self.lab.dir / f'{name}.log', middle, user, cpus=BETWEEN)
        self.lab.own(self.process.stop)
        self.address = '10.79.1.1'
        world.wait_for(name, lambda: self.process.need_alive() and world.run('ip', 'netns', 'exec', middle, 'ss', '-lnt').stdout.count('LISTEN') >= 1)

    def start_haproxy(self, middle, audit):
        conf = self.lab.dir / 'haproxy.cfg'
        conf.write_text('global\n nbthread 1\ndefaults\n mode tcp\n timeout connect 5s\n timeout client 60s\n timeout server 60s\n'
                        f'listen a\n bind 10.79.1.1:7000\n server s {self.wire.target_address}:7000\n'
                        f'listen c\n bind 10.79.1.1:7001\n server s {self.wire.target_address}:7001\n'
                        f'listen b\n bind 10.79.1.1:5432\n server s {self.wire.target_address}:5432\n')
        self.proxy('haproxy', ['haproxy', '-db', '-f', conf], middle)

    def start_pgbouncer(self, middle, audit):
        conf, users = self.lab.dir / 'pgbouncer.ini', self.lab.dir / 'users.txt'
        users.write_text(f'"shop_app" "{PASSWORD}"\n')
        conf.write_text(f'[databases]\nbench = host={self.wire.target_address} port=5432\n[pgbouncer]\nlisten_addr = 10.79.1.1\nlisten_port = 5432\n'
                        f'auth_type = scram-sha-256\nauth_file = {users}\npool_mode = session\nmax_client_conn = 200\ndefault_pool_size = 100\nunix_socket_dir =\n')
        for path in (conf, users):
            path.chmod(0o644)
        self.proxy('pgbouncer', ['pgbouncer', conf], middle, 'postgres')

    def start_spliced(self, middle, audit):
        self.start_sluice(middle, audit, 'on')

    def start_sluice(self, middle, audit, splice='off'):
        self.sluice, idp = appliance(self.lab, self.wire, self.wire.target_address, audit, splice)
        self.token = idp.token('agent', AUDIENCE)

    def start_bridge(self, middle, audit):
        """Sluice, on an address that no service names."""
        target, self.wire.target_address = self.wire.target_address, '10.77.0.99'
        self.start_sluice(middle, audit)
        self.wire.target_address = target

    def load(self, *argv):
        done = world.run('ip', 'netns', 'exec', self.wire.agent, 'taskset', '-c', OTHERS, sys.executable, HERE / 'load.py', *argv[:1], self.address, '7000', *argv[1:])
        return json.loads(done.stdout)

    def connections(self, seconds):
        """Connections a second, each opened, used once and closed. They have a server of their own, on the load server's address."""
        if not self.server:
            self.server = world.Process('connections', [BUILD.parent / 'bench' / 'connections', 'serve', '0.0.0.0', '7001'], self.lab.dir / 'connections.log',
                                            self.wire.target, cpus=OTHERS)
            self.lab.own(self.server.stop)
            world.wait_for('connections', lambda: 'ready' in world.tail(self.server.log))
            for name, value in (('ip_local_port_range', '1024 65535'), ('tcp_tw_reuse', '1')):
                world.run('ip', 'netns', 'exec', self.wire.agent, 'sysctl', '-qw', f'net.ipv4.{name}={value}')
            world.run(*self.connections_load(4), check=False)  # the first SYNs may be lost to ARP, and come again after a second
        return json.loads(world.run(*self.connections_load(seconds)).stdout)['per_second']

    def connections_load(self, seconds):
        return ('ip', 'netns', 'exec', self.wire.agent, 'taskset', '-c', OTHERS, BUILD.parent / 'bench' / 'connections', 'load', self.address, '7001', str(seconds), '32')

    def pgbench(self, clients, mode, seconds):
        """Transactions a second, of `seconds` that begin when all clients are connected and every server process has its caches."""
        env = {**os.environ, 'PGPASSWORD': self.token or PASSWORD, 'PGSSLMODE': 'disable'}
        warm = 2 + clients // 8
        done = subprocess.run(['ip', 'netns', 'exec', self.wire.agent, 'taskset', '-c', OTHERS, 'pgbench', '-n', '-S', '-M', mode, '-c', str(clients), '-j', '1',
                               '-P', '1', '-T', str(warm + seconds + 1), '-h', self.address, '-U', 'shop_app', 'bench'],
                              env=env, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        rates = [float(rate) for rate in re.findall(r'^progress: [\d.]+ s, ([\d.]+) tps', done.stderr, re.M)][-seconds - 1:-1]
        if done.returncode != 0 or not rates:
            raise world.LabError(f'pgbench through {self.kind}: status {done.returncode}: {(done.stderr + done.stdout)[-600:].strip()}')
        return statistics.mean(rates)


class Results:
    def __init__(self, directory, runs):
        self.dir, self.runs, self.rows = directory, runs, []

    def add(self, row, what, values, unit, ceiling=None, peers=None, better='more', config=''):
        value = statistics.median(values)
        entry = {'row': row, 'what': what, 'value': round(value, 3), 'unit': unit,
                 'ceiling': {'name': ceiling[0], 'value': round(ceiling[1], 3)} if ceiling else None,
                 'ratio': round(value / ceiling[1], 3) if ceiling and ceiling[1] else None,
                 'peers': {k: round(v, 3) for k, v in (peers or {}).items()}, 'runs': len(values),
                 'spread': [round(min(values), 3), round(max(values), 3)], 'config': config}
        self.rows.append(entry)
        print(f'{row:4} {what:<58} {entry["value"]:>12,} {unit:<8} '
              + (f'{entry["ratio"]:6.2f} x {ceiling[0]} ({entry["ceiling"]["value"]:,})' if ceiling else '')
              + ''.join(f'  {k} {v:,}' for k, v in entry['peers'].items()), flush=True)

    def write(self):
        (self.dir / 'results.json').write_text(json.dumps(self.rows, indent=1) + '\n')
        for row in sorted({r['row'] for r in self.rows}):
            (self.dir / f'{row}.svg').write_text(bars(row, [r for r in self.rows if r['row'] == row]))


@contextlib.contextmanager
def between(kind, database, audit='strict'):
    with world.Lab('bench') as lab:
        try:
            yield Setup(lab, kind, database, audit)
        except world.LabError:
            print(world.tail(lab.dir / 'sluice.log', 20), file=sys.stderr)
            raise


@contextlib.contextmanager
def over_memif(kind, audit='prompt', control=None):
    """`kind` between our own clients and servers: testpmd, bridge and sluice (Sluice without splicing), or spliced. `control`: its core; None: any."""
    with world.Lab('bench') as lab:
        def start(ports):
            return appliance(lab, None, memif.TARGET, audit, 'on' if kind == 'spliced' else 'off', '64k', ports, control)[0]
        try:
            yield memif.Between(lab, kind, BUILD, start)
        except world.LabError:
            print(world.tail(lab.dir / 'sluice.log', 20), file=sys.stderr)
            raise


def generated(arguments, kind, *load, audit='prompt'):
    """The runs of one load; the first is a warm-up."""
    with over_memif(kind, audit) as between:
        return [between.load(*load) for _ in range(arguments.runs + 1)][1:]


def repeat(arguments, measure):
    return [measure() for _ in range(arguments.runs)]


def median_of(arguments, kind, database, measure, audit='strict'):
    with between(kind, database, audit) as setup:
        measure(setup)  # a warm-up: caches, connections, the policy
        return repeat(arguments, lambda: measure(setup))


def bulk(seconds):
    def measure(setup):
        done = setup.load('bulk', str(seconds))
        return done['bytes'] * 8 / done['seconds'] / 1e9
    return measure


def row_s1(arguments, results):
    rates = {kind: median_of(arguments, kind, False, bulk(arguments.seconds)) for kind in ('testpmd', 'bridge', 'direct')}
    m = {k: statistics.median(v) for k, v in rates.items()}
    results.add('S1', 'bridged TCP bulk over veth', rates['bridge'], 'Gbit/s', ('testpmd io', m['testpmd']), {'direct': m['direct']}, config=DRIVER)
    cycles = [json.loads(world.run('taskset', '-c', BETWEEN, BUILD.parent / 'bench' / 'conductor_bench', 'bridge').stdout)['cycles_per_packet'] for _ in range(arguments.runs)]
    results.add('S1', 'bridged 64-byte UDP, parse and classify, no port', cycles, 'cycles', ('goal', 100), config='in memory')
    rates = {kind: [r['frames_per_s'] / 1e6 for r in generated(arguments, kind, 'frames', arguments.seconds, 64)] for kind in ('testpmd', 'bridge')}
    results.add('S1', 'bridged 64-byte UDP over memif', rates['bridge'], 'M/s', ('testpmd io', statistics.median(rates['testpmd'])), config=memif.CONFIG)
    lookups = repeat(arguments, lambda: lines_of('bench/table_bench'))
    cycles = {flows: [r['cycles_per_lookup'] for run in lookups for r in run if r['flows'] == flows] for flows in (1, 1000, 1000000)}
    for flows, found in cycles.items():
        results.add('S1', f'finding a guarded flow among {flows:,}', found, 'cycles', ('one flow', statistics.median(cycles[1])), better='less',
                    config='random keys: with many flows each misses the caches')


def lines_of(program):
    """What one of our bench programs printed: a JSON object a line."""
    done = world.run('taskset', '-c', BETWEEN, BUILD.parent / program)
    return [json.loads(line) for line in done.stdout.splitlines()]


def bulk_over_memif(arguments, results, row, kind, what):
    rates = {k: [r['gbit_per_s'] for r in generated(arguments, k, 'bulk', arguments.seconds, 4)] for k in ('testpmd', kind)}
    results.add(row, f'{what}, 4 flows', rates[kind], 'Gbit/s', ('testpmd io', statistics.median(rates['testpmd'])), config=memif.CONFIG)


def row_s2(arguments, results):
    rates = {kind: median_of(arguments, kind, False, bulk(arguments.seconds)) for kind in ('testpmd', 'bridge', 'spliced', 'sluice')}
    m = {k: statistics.median(v) for k, v in rates.items()}
    results.add('S2', 'spliced TCP bulk over veth', rates['spliced'], 'Gbit/s', ('S1 bridge', m['bridge']), {'testpmd io': m['testpmd'], 'terminated': m['sluice']},
                config=DRIVER)
    bulk_over_memif(arguments, results, 'S2', 'spliced', 'spliced bulk over memif')
    conductor = lambda *load: json.loads(world.run('taskset', '-c', BETWEEN, BUILD.parent / 'bench' / 'conductor_bench', *load).stdout)
    bridged = statistics.median(r['cycles_per_packet'] for r in repeat(arguments, lambda: conductor('bridge')))
    for flows in (1, 1000, 1000000):
        runs = repeat(arguments, lambda: conductor('spliced', flows))
        for key, what in (('small', '64-byte'), ('full', '1,514-byte')):
            results.add('S2', f'spliced {what} frame of one of {flows:,} flows, no port', [r[f'cycles_per_{key}_frame'] for r in runs], 'cycles',
                        ('bridged 64-byte UDP', bridged), better='less', config='in memory, checksum verified; random flows: with many each misses the caches')


def row_s3(arguments, results):
    rates = {kind: median_of(arguments, kind, False, bulk(arguments.seconds)) for kind in ('bridge', 'sluice', 'haproxy', 'direct')}
    m = {k: statistics.median(v) for k, v in rates.items()}
    results.add('S3', 'terminated bulk, opaque, over veth', rates['sluice'], 'Gbit/s', ('S1 bridge', m['bridge']), {'haproxy': m['haproxy'], 'direct': m['direct']}, config=DRIVER)
    bulk_over_memif(arguments, results, 'S3', 'sluice', 'terminated bulk, opaque, over memif')
    cycles = [json.loads(world.run('taskset', '-c', BETWEEN, BUILD.parent / 'bench' / 'conductor_bench', 'opaque').stdout)['cycles_per_byte'] for _ in range(arguments.runs)]
    results.add('S3', 'terminated bulk, opaque, MSS 1460, no port', cycles, 'cycles/B', ('goal', 0.35), config='in memory, both halves, ACKs included')


def row_s4(arguments, results):
    conductor_queries(arguments, results)
    for mode in ('simple', 'prepared'):
        for clients in (1, 8):
            measure = lambda setup: setup.pgbench(clients, mode, arguments.seconds)
            rates = {kind: median_of(arguments, kind, True, measure) for kind in ('direct', 'testpmd', 'pgbouncer', 'haproxy')}
            prompt = median_of(arguments, 'sluice', True, measure, 'prompt')
            m = {k: statistics.median(v) for k, v in rates.items()}
            results.add('S4', f'pgbench -S {mode}, {clients} clients, audit prompt', prompt, 'tps', ('testpmd io', m['testpmd']),
                        {k: m[k] for k in ('direct', 'pgbouncer', 'haproxy')}, config=DRIVER)
            if mode == 'simple':
                for audit in ('strict', 'answers'):
                    rate = median_of(arguments, 'sluice', True, measure, audit)
                    results.add('S4', f'pgbench -S {mode}, {clients} clients, audit {audit}', rate, 'tps', ('prompt', statistics.median(prompt)), config=DRIVER)
    measure = lambda setup: setup.pgbench(64, 'simple', arguments.seconds)
    prompt, strict = (median_of(arguments, 'sluice', True, measure, audit) for audit in ('prompt', 'strict'))
    results.add('S4', 'pgbench -S simple, 64 clients, audit strict', strict, 'tps', ('prompt', statistics.median(prompt)), config=DRIVER)


def conductor_queries(arguments, results):
    runs = repeat(arguments, lambda: json.loads(world.run('taskset', '-c', BETWEEN, BUILD.parent / 'bench' / 'conductor_bench', 'postgres',
                                                          BUILD.parent / 'hyperscan-rules' / 'classes.hsdb').stdout))
    for key, what in (('simple', 'simple'), ('extended', 'extended'), ('simple_masked', 'simple, an e-mail masked')):
        results.add('S4', f'worker CPU a query, {what}, no port', [r[f'us_{key}'] for r in runs], 'us', ('goal', 1.5),
                    {'cycles': statistics.median(r[f'cycles_{key}'] for r in runs)}, 'less', 'in memory, no TLS, verdict cached, audit prompt, record full')
    worker = statistics.median(r['us_simple'] for r in runs)
    recorded = repeat(arguments, lambda: lines_of('control/inbox/inbox_bench')[0])
    results.add('S4', 'control CPU a transaction, from the ring to the record, no disk', [r['us_a_transaction'] for r in recorded], 'us',
                ('worker, simple', worker), better='less', config='two records and two chunks each, 16 transactions a commit, journal in memory')
    verdicts = repeat(arguments, lambda: [r for r in lines_of('dataplane/verdict/verdict_bench') if r['services'] == 1])
    for rules in (1, 100, 10000):
        found = [r for run in verdicts for r in run if r['rules'] == rules]
        results.add('S4', f'one verdict, {rules:,} rules that all may match', [r['verdict_ns'] for r in found], 'ns', ('goal', 2000),
                    {'cached': statistics.median(r['cached_ns'] for r in found)}, 'less', 'one service, verb and group in all rules')


def row_s5(arguments, results):
    runs = repeat(arguments, lambda: json.loads(world.run('taskset', '-c', BETWEEN, BUILD.parent / 'bench' / 'connect_bench', 400000).stdout))
    results.add('S5', 'connections: handshakes, 64 bytes each way, close, no port', [r['per_second'] for r in runs], '1/s', ('goal', 250000),
                {'cycles': statistics.median(r['cycles_a_connection'] for r in runs)}, config='in memory, 64 under way')
    rates = {kind: median_of(arguments, kind, False, lambda setup: setup.connections(arguments.seconds)) for kind in ('sluice', 'testpmd', 'haproxy', 'direct')}
    m = {k: statistics.median(v) for k, v in rates.items()}
    results.add('S5', 'connections: handshakes, 64 bytes each way, close, over veth', rates['sluice'], '1/s', ('haproxy', m['haproxy']),
                {'testpmd io': m['testpmd'], 'direct': m['direct']}, config=DRIVER + ', 32 under way')


    rates = {kind: [r['per_second'] for r in generated(arguments, kind, 'connections', max(arguments.seconds, STEADY_SECONDS), IN_FLIGHT)] for kind in ('testpmd', 'sluice')}
    results.add('S5', f'the same over memif, audit prompt, {IN_FLIGHT} under way', rates['sluice'], '1/s', ('testpmd io', statistics.median(rates['testpmd'])), config=memif.CONFIG)


def row_s6(arguments, results):
    """Connections that begin at a rate, whatever becomes of them, at 1 to 3 times what was carried before with as many as there is room for. The
    generator has its core for itself: it must be able to begin three times as much without taking anything from what it measures."""
    for audit in ('prompt', 'strict'):
        overload(arguments, results, audit)


def fill(between):
    """Until SYNs are shed for records: the event ring is full then, and what is carried from there on is carried, not put off."""
    before, end = between.drops()['record_shed'], time.monotonic() + FILL_SECONDS
    while between.drops()['record_shed'] == before and time.monotonic() < end:
        between.load('connections', 2, MANY_IN_FLIGHT)


def overload(arguments, results, audit):
    seconds = max(arguments.seconds, STEADY_SECONDS)
    with over_memif('sluice', audit, control=BETWEEN) as between:
        fill(between)
        capacity = between.load('connections', seconds, MANY_IN_FLIGHT)['per_second']
        between.rest()
        runs, shed = [], between.drops()
        for _ in range(arguments.runs):
            phases = []
            for times in LOADS:  # each with a full ring: what an easier load before it took out of the ring would be put off into it
                fill(between)
                phases += between.load('arrivals', f'{times * capacity:.0f}:{seconds}', *([f'{capacity / 2:.0f}:2'] if times == LOADS[-1] else []))['phases']
            runs.append((phases, between.rest()))
        drops = between.drops()
    goodput = lambda at: [phases[at]['per_second'] for phases, _ in runs]
    peak = statistics.median(max(p['per_second'] for p in phases[:len(LOADS)]) for phases, _ in runs)
    results.add('S6', f'goodput at 3 times the load, audit {audit}', goodput(len(LOADS) - 1), '1/s', ('its peak', peak),
                {**{f'at {times}': statistics.median(goodput(at)) for at, times in enumerate(LOADS)}, 'capacity': capacity,
                 'shed SYNs': sum(drops[k] - shed[k] for k in ('syn_shed', 'memory_shed', 'record_shed')) / arguments.runs,
                 'reset': statistics.median(phases[len(LOADS) - 1]['reset'] for phases, _ in runs)},
                config='net_memif, the generator on one core, worker and control on the other, the event ring full when each load begins')
    results.add('S6', f'recovery after 3 times the load, audit {audit}', [memif.recovery_ms(phases[-1]) for phases, _ in runs], 'ms', ('goal', 1000), better='less',
                config='until half of the capacity is carried again, to a tenth of a second')
    results.add('S6', f'left afterwards, audit {audit}', [left for _, left in runs], 'flows', None, better='less', config='and chunks and sessions')


def row_s11(arguments, results):
    found = {}
    for kind in ('testpmd', 'sluice', 'haproxy', 'direct'):
        with between(kind, False) as setup:
            setup.load('echo', '1')
            found[kind] = repeat(arguments, lambda: setup.load('echo', str(arguments.seconds)))
    for key, name in (('p50_us', 'p50'), ('p99_us', 'p99')):
        m = {k: statistics.median(r[key] for r in v) for k, v in found.items()}
        results.add('S11', f'64-byte request-reply over veth, opaque, {name}', [r[key] for r in found['sluice']], 'us', ('testpmd io', m['testpmd']),
                    {'haproxy': m['haproxy'], 'direct': m['direct'], 'added over testpmd': m['sluice'] - m['testpmd']}, 'less', DRIVER)


    found = {kind: generated(arguments, kind, 'echo', arguments.seconds) for kind in ('testpmd', 'sluice')}
    for key, name in (('p50_us', 'p50'), ('p99_us', 'p99'), ('p999_us', 'p99.9')):
        m = {k: statistics.median(r[key] for r in v) for k, v in found.items()}
        results.add('S11', f'64-byte request-reply over memif, opaque, {name}', [r[key] for r in found['sluice']], 'us', ('testpmd io', m['testpmd']),
                    {'added over testpmd': m['sluice'] - m['testpmd']}, 'less', memif.CONFIG)


def journal_runs(arguments):
    """One dictionary a run: (what, batch) -> figures."""
    for _ in range(arguments.runs):
        with world.Lab('bench') as lab:
            directory = lab.dir / 'journal'
            directory.mkdir()
            done = world.run('taskset', '-c', OTHERS, BUILD.parent / 'control' / 'journal' / 'journal_bench', '--dir', directory, '--seconds', arguments.seconds)
            yield {(r['what'], r.get('batch')): r for r in json.loads(done.stdout)['results']}


def row_s12(arguments, results):
    idle = lambda count: json.loads(world.run('taskset', '-c', BETWEEN, BUILD.parent / 'bench' / 'idle_bench', count).stdout)
    few, many = 1000, 1000000
    runs = [(idle(few), idle(many)) for _ in range(arguments.runs)]
    each = [(m['resident_mb'] - f['resident_mb']) * 1e6 / (many - few) for f, m in runs]
    results.add('S12', '1,000,000 idle guarded connections, opaque', [e * many / 1e6 for e in each], 'MB', ('goal', 768),
                {'bytes a connection': statistics.median(each), 'worst look-up, slots': max(m['worst_lookup_slots'] for _, m in runs)}, 'less',
                'in memory: flow, both TCP halves, its part of the table')
    flows = 1000
    legs = [json.loads(world.run('taskset', '-c', BETWEEN, BUILD.parent / 'bench' / 'idle_bench', 'tls', flows).stdout) for _ in range(arguments.runs)]
    results.add('S12', 'TLS of an idle flow, both legs, OpenSSL', [r['agent_bytes'] + r['target_bytes'] for r in legs], 'bytes', ('goal', 4096),
                {'as asked for': statistics.median(r['agent_asked'] + r['target_asked'] for r in legs),
                 'session record': statistics.median(r['session_bytes'] for r in legs)}, 'less', f'in the arena; {flows:,} flows, beside the connection itself')
    results.add('S12', 'an ACK to one of 1,000,000 connections', [m['cycles_an_ack'] for _, m in runs], 'cycles',
                ('one of 1,000', statistics.median(f['cycles_an_ack'] for f, _ in runs)), better='less', config='random, with making the frame: each misses the caches')


def row_s13(arguments, results):
    runs = list(journal_runs(arguments))
    take = lambda key, field: [r[key][field] for r in runs]
    for batch in (1, 64, 1024):
        results.add('S13', f'durable records, 400 bytes, batch {batch}', take(('journal', batch), 'records_per_s'), 'rec/s',
                    ('raw LMDB', statistics.median(take(('raw LMDB', batch), 'records_per_s'))))
    key = ('journal, publishing', 1024)
    results.add('S13', 'durable records, batch 1024, checkpoints every second', take(key, 'records_per_s'), 'rec/s',
                ('raw LMDB', statistics.median(take(('raw LMDB', 1024), 'records_per_s'))))
    results.add('S13', 'p99 of an acknowledgement, batch 1024, publishing', [v / 1000 for v in take(key, 'ack_p99_us')], 'ms', ('goal', 10))
    results.add('S13', 'records verified', take(('verify', None), 'records_per_s'), 'rec/s', ('goal', 10e6 / 60))
    sizes(arguments, results)


def sizes(arguments, results):
    """What a record, an audit and a search cost in journals of some sizes. Once a size, each question five times in it: writing the records takes
    longest. The slowest question counts."""
    with world.Lab('bench') as lab:
        sizes = [10000, 1000000] + ([10000000] if arguments.large else [])
        options = [word for size in sizes for word in ('--records', size)]
        found = json.loads(world.run('taskset', '-c', OTHERS, BUILD.parent / 'control' / 'journal' / 'search_bench', '--dir', lab.dir, *options).stdout)['results']
    for r in found:
        slowest = max(r['searches'], key=lambda s: s['with_ms'])
        results.add('S13', f"a durable record of {r['records']:,}, published, batch 1024", [r['write_us_a_record']], 'us', ('raw LMDB', r['raw_us_a_record']),
                    better='less', config='with making the record, in both')
        results.add('S13', f"{r['records']:,} records verified", [r['records'] / r['verify_s']], 'rec/s', ('goal', 10e6 / 60), {'seconds': r['verify_s']})
        results.add('S13', f"slowest of {len(r['searches'])} searches of {r['records']:,} records", [slowest['with_ms']], 'ms', ('goal', 1000),
                    {'without the index': slowest['without_ms'], 'index us a record': r['index_us_a_record'], 'index bytes a record': r['index_bytes_a_record']}, 'less', f"median of 5: {slowest['what']}")


ROWS = {'S1': row_s1, 'S2': row_s2, 'S3': row_s3, 'S4': row_s4, 'S5': row_s5, 'S6': row_s6, 'S11': row_s11, 'S12': row_s12, 'S13': row_s13}


def main():
    global BUILD
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--build', required=True)
    parser.add_argument('--runs', type=int, default=5)
    parser.add_argument('--seconds', type=float, default=3)
    parser.add_argument('--large', action='store_true', help='also what takes long: a journal of 10,000,000 records (6 GB of disk)')
    parser.add_argument('rows', nargs='*', metavar='ROW')
    arguments = parser.parse_args()
    arguments.seconds = int(arguments.seconds)
    BUILD = Path(arguments.build).resolve() / 'stage'
    world.end_on_signals()
    unknown = [r for r in arguments.rows if r not in ROWS]
    if unknown:
        parser.error(f'no such row: {unknown[0]}: one of {" ".join(ROWS)}')
    directory = HERE.parent / 'build' / 'bench'
    directory.mkdir(parents=True, exist_ok=True)
    results = Results(directory, arguments.runs)
    print(f'{platform.processor() or platform.machine()}, kernel {platform.release()}, {os.cpu_count()} cores; median of {arguments.runs} runs')
    status = 0
    for name in arguments.rows or ROWS:
        try:
            ROWS[name](arguments, results)
        except (world.LabError, OSError, ValueError) as error:
            print(f'bench/run: {name}: {error}', file=sys.stderr)
            status = 1
        results.write()
    print(f'written: {directory.relative_to(HERE.parent)}/results.json')
    return status


if __name__ == '__main__':
    sys.exit(main())
