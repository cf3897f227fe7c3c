#!/usr/bin/python3
"""Two workers in one data plane, with a queue for each and, after a crash, with one queue a port, whose frames worker 0 hands on and
sends for the other. Both take flows, streams are byte-exact, a cancel request finds its session on the other worker, and so does the
taint of a copy."""
import ipaddress
import os
import re
import signal
import subprocess
import sys
import threading

import scene
import wire_test
from scene import in_namespace
from tap import need, world

SESSIONS = 16
STREAMS = 4
STREAM_BYTES = 8 << 20
WORKERS = 2
LCORES = '0@0,1@0,2@1'
SLEEP = 'SELECT pg_sleep(120)'
RULES = '''  { id = "sleep"; who = [ "agents" ]; service = [ "shop-db" ]; verbs = [ "call" ]; objects = [ "shop.pg_catalog.pg_sleep" ]; action = "allow"; },
'''
EPHEMERAL = '32768 60999'


def owner(it, port):
    """The worker of the agent's connection to the database from `port`, by the long way (dataplane/flow/steer.h)."""
    bits = b''.join(ipaddress.ip_address(a).packed for a in (it.wire.agent_address, it.wire.target_address)) + port.to_bytes(2, 'big') + (5432).to_bytes(2, 'big')
    key, value, size = int.from_bytes(b'\x6d\x5a' * 20, 'big'), int.from_bytes(bits, 'big'), len(bits) * 8
    hashed = 0
    for i in range(size):
        if value >> (size - 1 - i) & 1:
            hashed ^= key >> (320 - 32 - i) & 0xffffffff
    return hashed % 64 % WORKERS


class Ports:
    """Client ports of the agent's namespace, each used once, by the worker whose they are."""

    def __init__(self, it):
        self.it, self.next = it, 20000

    def use(self, worker):
        """The next connection comes from a port of this worker's."""
        self.next += 1
        while owner(self.it, self.next) != worker:
            self.next += 1
        self.set(f'{self.next} {self.next}')
        return self.next

    def set(self, text):
        world.run('ip', 'netns', 'exec', self.it.wire.agent, 'sysctl', '-qw', f'net.ipv4.ip_local_port_range={text}')

    def around(self, check):
        try:
            return check(self.it, self)
        finally:
            self.set(EPHEMERAL)


def configure(it, queues):
    text = it.sluice.conf.read_text()
    text = re.sub(r'workers = \d+;', f'workers = {WORKERS};', text)
    text = re.sub(r'lcores = "[^"]*"', f'lcores = "{LCORES}"', text)
    devices = ', '.join(f'"net_af_packet{i},iface={port}{queues}"' for i, port in enumerate(it.wire.ports))
    text = re.sub(r'ports = \[.*?\];', f'ports = [ {devices} ];', text)
    it.sluice.conf.write_text(text)


def start(it, queues):
    configure(it, queues)
    it.sluice.process = None
    (it.lab.dir / 'sluice.log').unlink(missing_ok=True)
    it.start()
    both_run(it)


def crash(it, queues):
    """The next data plane has other queues."""
    configure(it, queues)
    it.kill_and_wait('sluice-dataplane')
    both_run(it)


def both_run(it):
    it.healthy()

    def alive():
        rows = workers(it)
        return [row['worker'] for row in rows] == [0, 1] and all(row['alive'] and row['life'] == 'runs' and row['policy_generation'] for row in rows) and rows
    rows = world.wait_for('both workers', alive, 60)
    need(len({row['policy_generation'] for row in rows}) == 1, f'not one policy: {rows}')


def workers(it):
    return it.json('show', 'workers')['workers']


def flows(it):
    return it.json('show', 'flows')['flows']


def port_of(flow):
    return int(flow['client'].rpartition(':')[2])


def many_sessions(it):
    """Open at the same time, each with an answer of its own; and on the worker that the rule says."""
    talks = [it.session() for _ in range(SESSIONS)]
    for i, talk in enumerate(talks):
        need(talk.say(f'SELECT {i} + 1000;') == f'{i + 1000}\n', f'session {i}')
        text = talk.say('SELECT email, ssn FROM customers ORDER BY id;')
        need(text.count('\n') >= 4, text)
        it.no_secret(text, f'session {i}')

    def shown():
        rows = [f for f in flows(it) if f['service'] == 'shop-db' and 'logged in' in f['state']]
        return len(rows) >= SESSIONS and rows
    rows = world.wait_for('the flows to be shown', shown, 60)
    wrong = [f for f in rows if f['worker'] != owner(it, port_of(f))]
    need(not wrong, f'on the wrong worker: {wrong[0]}' if wrong else '')
    each = [sum(f['worker'] == w for f in rows) for w in range(WORKERS)]
    need(all(each) and len({f['flow'] for f in rows}) == len(rows), f'flows of each worker: {each}')
    seen = workers(it)
    need(all(w['flows_open'] > 0 and w['taken'] > 0 for w in seen), f'{seen}')
    for talk in talks:
        talk.close()
    return f'{each[0]} and {each[1]} of {len(rows)} flows'


def streams(it):
    told, before = [], [w['taken'] for w in workers(it)]
    threads = [threading.Thread(target=lambda: told.append(it.bulk(STREAM_BYTES))) for _ in range(STREAMS)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    need(len(told) == STREAMS, f'{len(told)} of {STREAMS} streams')
    rows = workers(it)
    return f'{STREAMS} times {STREAM_BYTES >> 20} MiB both ways; frames taken {[w["taken"] - b for w, b in zip(rows, before)]}, handed on {[w["handed_on"] for w in rows]}'


def sleeping(it):
    return it.db.direct(f"SELECT count(*) FROM pg_stat_activity WHERE query = '{SLEEP}' AND state = 'active'").strip()


def open_psql(it, ports, worker, sql, options=()):
    ports.use(worker)
    return subprocess.Popen(it.psql_argv(None, options) + ['-c', sql], env=it.env(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True)


def cancel_elsewhere(it, ports):
    """psql's own cancel request, from a port of the other worker's."""
    for session, request in ((0, 1), (1, 0), (1, 1)):
        running = open_psql(it, ports, session, SLEEP)
        world.wait_for('pg_sleep at the server', lambda: sleeping(it) == '1', 60)
        there = [f for f in flows(it) if port_of(f) == ports.next]
        need(not there or there[0]['worker'] == session, f'the session is not where it should be: {there}')
        ports.use(request)
        os.killpg(running.pid, signal.SIGINT)
        out, err = running.communicate(timeout=100)
        need('canceling statement' in err, f'session on {session}, request on {request}: {out}{err}')
        world.wait_for('the end of pg_sleep at the server', lambda: sleeping(it) == '0', 60)


def cancel_held_elsewhere(it, ports):
    for session in range(WORKERS):
        running = open_psql(it, ports, session, 'DELETE FROM orders WHERE id = 120', ['-v', 'VERBOSITY=verbose'])
        number = it.pending()[0]
        ports.use(1 - session)
        os.killpg(running.pid, signal.SIGINT)
        out, err = running.communicate(timeout=100)
        need('57014' in err, f'session on {session}: {out}{err}')
        need(it.vote('approve', number).returncode != 0, 'it can be approved still')
    need(it.db.direct('SELECT count(*) FROM orders WHERE id = 120').strip() == '1', 'the row is gone')


def taint_elsewhere(it, ports):
    """Copied on one worker, read by a session of the other's that had read the catalogue before. No detector knows the copied part."""
    ask = 'SELECT item FROM orders WHERE id = 150'
    before = it.db.direct(ask)
    ports.use(1)
    reader = it.session()
    text = reader.say(ask + ';')
    need(text == before, f'before the copy: {text}')
    ports.use(0)
    copier = it.session()
    told = copier.say('UPDATE orders SET item = (SELECT left(ssn, 6) FROM customers WHERE id = 1) WHERE id = 150;')
    need('UPDATE 1' in told or told == '', f'the copy: {told}')
    need(it.db.direct(ask).strip() == '536-22', 'the copy did not happen')
    text = reader.say(ask + ';')
    need('536-22' not in text and text.strip(), f'in clear through the other worker: {text}')
    reader.close()
    copier.close()


def bridged(it):
    in_namespace(it.wire.agent, lambda: wire_test.ping(it.wire.target_address, count=5))


def counted(it):
    """Sums are sums."""
    for row in it.json('show', 'ports')['ports']:
        need(len(row['workers']) == WORKERS and abs(row['received'] - sum(w['received'] for w in row['workers'])) == 0, f'{row}')
        need(row['received'] > 0 and row['sent'] > 0, f'{row}')
    for row in it.json('show', 'drops')['drops']:
        need(len(row['workers']) == WORKERS and row['frames'] == sum(row['workers']), f'{row}')
    opened = it.records('--type', 'session.open')
    need(len(opened) >= SESSIONS, f'{len(opened)} records')
    need(len({r['sess'] for r in opened}) == len(opened), 'two sessions of one number')
    verified = it.sluice.cli('journal', 'verify', check=False)
    need(verified.returncode == 0, f'{verified.stdout}{verified.stderr}')
    return f'{len(opened)} sessions, all of different numbers; the journal is whole'


def too_few_cores(it):
    configure(it, '')
    text = it.sluice.conf.read_text()
    it.sluice.conf.write_text(text.replace(LCORES, '0,1'))
    try:
        done = subprocess.run([it.sluice.tool('sluice-dataplane'), '-c', it.sluice.conf], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=60)
        need(done.returncode == 1 and 'workers = 2' in done.stdout and 'lcores' in done.stdout, done.stdout[-300:])
    finally:
        it.sluice.conf.write_text(text)


def run(it, t):
    ports = Ports(it)
    it.bulk_server()
    t.check('workers = 2 with cores for one is refused', lambda: too_few_cores(it))
    if not t.check('a queue a worker: both run, with one policy', lambda: start(it, ',qpairs=2')):
        return
    t.check('a queue a worker: sessions on both', lambda: many_sessions(it))
    t.check('a queue a worker: cancel through the other worker', lambda: ports.around(cancel_elsewhere))
    t.check('a queue a worker: a copy taints on the other worker', lambda: ports.around(taint_elsewhere))
    if not t.check('one queue a port, after a crash: both run', lambda: crash(it, '')):
        return
    t.check('one queue a port: sessions on both', lambda: many_sessions(it))
    t.check('one queue a port: streams', lambda: streams(it))
    t.check('one queue a port: what no service names is bridged', lambda: bridged(it))
    t.check('one queue a port: cancel of a held command through the other worker', lambda: ports.around(cancel_held_elsewhere))
    t.check('counts and records', lambda: counted(it))


if __name__ == '__main__':
    sys.exit(scene.main('wrkrs', run, services=scene.OPAQUE, rules=RULES, start=False))
