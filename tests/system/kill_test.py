#!/usr/bin/python3
"""kill -9 of every process. What has to hold: it comes back; no statement reached PostgreSQL without its record in the journal;
the journal is good and no session's counter has a gap; what was held is never released by a death. KILLS in the environment: so many more
at random, six in each run of pgbench; SEED: which ones."""
import collections
import ctypes
import hashlib
import json
import os
import random
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

import scene
from tap import need, world

LOGGED = re.compile(r'^shop_app (\d+) LOG:  (?:statement|execute [^:]*): (.*)$')
ROUNDS = 3


def unzstd(data, most=1 << 20):
    library = unzstd.library = getattr(unzstd, 'library', None) or ctypes.CDLL('libzstd.so.1')
    library.ZSTD_decompress.restype = ctypes.c_size_t
    library.ZSTD_decompress.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_char_p, ctypes.c_size_t]
    room = ctypes.create_string_buffer(most)
    size = library.ZSTD_decompress(room, len(room), data, len(data))
    need(size <= len(room), 'a chunk that is no zstd frame')
    return room.raw[:size]


def payload(directory, record, chunk):
    """The bytes of a chunk: opened with its session's key, unpacked."""
    stored = (directory / 'chunks' / chunk['h'][:2] / chunk['h']).read_bytes()
    need(hashlib.sha256(stored).hexdigest() == chunk['h'], 'a chunk differs from its name')
    if 'enc' in chunk:
        key = bytes.fromhex((directory / 'keys' / f"{record['sess']}.hex").read_text().strip())
        about = bytes.fromhex(record['sess']) + chunk['dir'].encode() + chunk['i'].to_bytes(8, 'big')
        stored = AESGCM(key).decrypt(chunk['i'].to_bytes(12, 'big'), stored, about)
    return unzstd(stored)


class Evidence:
    """All of the journal so far, as a bundle: records, and the text of each command."""

    def __init__(self, it, number):
        it.psql('SELECT 1')
        time.sleep(3)  # the next checkpoint: only what it covers is exported
        directory = it.lab.dir / f'bundle-{number}'
        it.sluice.cli('export', 'bundle', '--with-keys', '--out', directory)
        self.records = [json.loads(line) for name in sorted((directory / 'records').iterdir()) for line in unzstd(name.read_bytes(), 4 << 20).splitlines()]
        self.texts = collections.Counter()
        for record in self.records:
            if record['t'] in ('cmd', 'release') and record['out']['verdict'] in ('forwarded', 'released', 'masked'):
                for chunk in record.get('pl', []):
                    if chunk['dir'] == 'i':
                        self.texts[payload(directory, record, chunk).rstrip(b'\0').decode(errors='replace').strip()] += 1

    def counters(self):
        """Every session's numbers, without a gap."""
        sessions = collections.defaultdict(list)
        for record in self.records:
            if 'sess' in record and 'n' in record:
                sessions[record['sess']].append(record['n'])
        for name, numbers in sessions.items():
            need(sorted(numbers) == list(range(len(numbers))), f'session {name}: numbers {sorted(numbers)[:20]}')
        return len(sessions)


def reached(it):
    """What PostgreSQL ran for the login, as its own log says."""
    found = collections.Counter()
    for line in (it.lab.dir / 'postgres.log').read_text(errors='replace').splitlines():
        match = LOGGED.match(line)
        if match and 'pg_catalog.pg_attribute a where' not in match[2]:  # Sluice's own look at the catalogue
            found[match[2].strip()] += 1
    return found


def compare(it, number, at_least):
    """Every statement that reached the database has a record. The numbers in them are random, so each text is one command."""
    ran, evidence = reached(it), Evidence(it, number)
    missing = ran - evidence.texts
    need(not missing, f'{sum(missing.values())} of {sum(ran.values())} statements reached the database without a record, as {list(missing)[:3]}')
    need(sum(ran.values()) >= at_least, f'only {sum(ran.values())} statements')
    sessions = evidence.counters()
    told = it.sluice.cli('journal', 'verify').stdout.strip().splitlines()[-1]
    need(told.startswith('good'), told)
    return f'{sum(ran.values())} statements in the database\'s log, each on record; {sessions} sessions without a gap; journal {told}'


def core(it):
    """Control is a monitor and its core: (monitor, core)."""
    pids = world.wait_for('both processes of control', lambda: (lambda p: len(p) == 2 and p)(it.pids('sluice-control')), 60)
    parents = {p: int(Path(f'/proc/{p}/stat').read_text().rpartition(')')[2].split()[1]) for p in pids}
    monitor = next(p for p in pids if parents[p] not in pids)
    return monitor, next(p for p in pids if p != monitor)


# --- Helpers ---

def helper(it, name):
    session, log = it.session(), it.lab.dir / 'postgres.log'
    need(session.say('SELECT 1;').strip() == '1', 'the session does not work')
    stop = threading.Event()
    passed = []

    def attack():
        """Statements that are not known yet, while the helper is gone: a DDL among them must never pass."""
        number = 0
        while not stop.is_set():
            number += 1
            done = it.psql(f'DROP TABLE IF EXISTS nobody_{name.split("-")[1]}_{number}', timeout=120)
            if done.returncode == 0:
                passed.append(number)
    thread = threading.Thread(target=attack)
    thread.start()
    try:
        for _ in range(ROUNDS):
            it.kill_and_wait(name)
            answer = session.say(f'SELECT {random.randrange(10**9)} AS fresh, 77;')
            need('|77' in answer or 'ERROR' in answer, f'no clear answer: {answer}')
    finally:
        stop.set()
        thread.join()
    need(not passed, 'a DDL passed')
    need('nobody_' + name.split('-')[1] not in '\n'.join(reached(it)), f'a DDL reached the database: {world.tail(log, 3)}')
    need(session.say('SELECT 5 + 5;').strip() == '10', 'the session did not live on')
    it.healthy()
    session.close()
    return f'{ROUNDS} times; back each time, the open session lives'


# --- Control ---

def bench(it, mode, seconds, rate=None):
    """pgbench as unprivileged clients would run it; each statement carries a random number. `rate`: transactions a second, else as many as go."""
    script = it.lab.dir / 'bench.sql'
    script.write_text('\\set id random(1, 200)\n\\set mark random(1, 2000000000)\nSELECT item, :mark FROM orders WHERE id = :id;\n'
                      'UPDATE orders SET cents = :mark WHERE id = :id;\n')
    argv = ['ip', 'netns', 'exec', it.wire.agent, 'pgbench', '-n', '-h', it.wire.target_address, '-U', 'alice', '-f', str(script),
            '-M', mode, '-c', '4', '-T', str(seconds), *(['-R', str(rate)] if rate else []), 'shop']
    return subprocess.Popen(argv, env=it.env(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def bench_kill(it, victims, mode='simple'):
    """Kills in the middle of a running pgbench, each when statements have run since the last. It ends either well or with errors
    that say what happened."""
    log, seen = it.lab.dir / 'postgres.log', 0
    begin = log.stat().st_size

    def moved():
        with open(log, 'rb') as file:
            file.seek(begin)
            return running.poll() is not None or file.read().count(b'UPDATE orders SET cents') >= seen + 50
    running = bench(it, mode, 8)
    for victim in victims:
        world.wait_for('pgbench to run', moved, 120)
        time.sleep(random.random())
        seen = log.read_bytes()[begin:].count(b'UPDATE orders SET cents')
        pid = victim(it)
        os.kill(pid, signal.SIGKILL)
    out, err = running.communicate(timeout=150)
    done = re.search(r'number of transactions actually processed: (\d+)', out)
    aborted = len(re.findall(r'client \d+ .*aborted', err))
    need(done and int(done[1]) > 20, f'nothing was processed: {out[-300:]}{err[-300:]}')
    need(running.returncode == 0 or aborted or 'ERROR' in err, f'no clear error: {err[-300:]}')
    it.healthy()
    return f'{done[1]} transactions, {aborted} of 4 clients ended with an error' + (f': {err.strip().splitlines()[0][:150]}' if aborted else '')


def survives(it):
    """A session that is idle while control dies works afterwards, or is told."""
    session = it.session()
    need(session.say('SELECT 1;').strip() == '1', 'the session does not work')
    for victim in (0, 1):
        os.kill(core(it)[victim], signal.SIGKILL)
        time.sleep(0.3)
        it.healthy()
        try:
            answer = session.say(f'SELECT {random.randrange(10**9)} AS fresh, 78;')
        except AssertionError as error:
            return f'the client was told: {error}'
        need('|78' in answer or 'ERROR' in answer or 'FATAL' in answer, f'no clear answer: {answer!r}')
    answer = session.say('SELECT 79;').strip()
    session.close()
    return f'it lives: {answer}'


def held(it, victim):
    """A command that is held when control dies: never released by that, and the client gets an answer."""
    session = it.session()
    number = session.send('DELETE FROM orders WHERE id = 150;')
    first = it.pending()
    os.kill(core(it)[victim], signal.SIGKILL)
    time.sleep(1)
    it.healthy()
    rows = it.db.direct('SELECT count(*) FROM orders WHERE id = 150').strip()
    need(rows == '1', 'the held command was released')
    left = [a for a in it.json('approval', 'list')['approvals'] if a['state'] == 'pending']
    for a in left:
        it.vote('deny', a['id'])
    answer = session.read(number, 150)
    need('ERROR' in answer or 'FATAL' in answer, f'no error: {answer}')
    need(it.vote('approve', first[0]).returncode != 0, 'it could be approved after its end')
    need(it.db.direct('SELECT count(*) FROM orders WHERE id = 150').strip() == '1', 'the held command was released')
    need('DELETE FROM orders WHERE id = 150' not in '\n'.join(reached(it)), 'it reached the database')
    need(session.say('SELECT 80;').strip() == '80', 'the session did not live on')
    session.close()
    line = next(text for text in answer.splitlines() if 'ERROR' in text or 'FATAL' in text)
    return f'{"still pending after the restart, then denied" if left else "ended by the restart"}: {line[:120]}'


def stopped(it):
    """While control does not run, nothing that is guarded gets a new session, a judgement or a release; then it goes on."""
    session = it.session()
    need(session.say('SELECT 1;').strip() == '1', 'the session does not work')
    pids = it.pids('sluice-control')
    mark = random.randrange(10**9, 2 * 10**9)
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        number = session.send(f'SELECT {mark}, 81;')
        time.sleep(4)
        need(str(mark) not in '\n'.join(reached(it)), 'a command passed while the journal could not write')
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)
    answer = session.read(number, 120)
    need('|81' in answer or 'ERROR' in answer or 'FATAL' in answer, f'no clear answer: {answer!r}')
    it.healthy()
    session.close()
    return answer.strip().splitlines()[-1][:120]


# --- The data plane ---

def dataplane(it):
    session = it.session()
    need(session.say('SELECT 1;').strip() == '1', 'the session does not work')
    it.kill_and_wait('sluice-dataplane')
    it.healthy()
    try:
        told = session.say('SELECT 1;', 150)
    except (AssertionError, BrokenPipeError) as error:
        told = str(error)
    need('closed the connection' in told or 'reset' in told or 'lost' in told or 'ended' in told, f'the client was not told: {told}')
    return 'the old connection is reset, new ones work'


# --- The long form ---

VICTIMS = {'core': lambda it: core(it)[1], 'monitor': lambda it: core(it)[0],
           **{name: lambda it, name=name: it.pid(name) for name in ('sluice-sqlparse', 'sluice-signer', 'sluice-egress', 'sluice-dataplane')}}


def at_random(it, result, kills, seed):
    chance, done = random.Random(seed), 0
    while done < kills:
        names = [chance.choice(list(VICTIMS)) for _ in range(min(6, kills - done))]
        done += len(names)
        result.check(f'seed {seed}, {done} of {kills}: {", ".join(names)}', lambda names=names: bench_kill(it, [VICTIMS[name] for name in names]))
        if done % 60 == 0 or done == kills:
            result.check('every statement is on record', lambda: compare(it, 100 + done, 200))


def run(it, result):
    # A client that waits for an answer when the data plane dies learns it from its own keepalive, which is answered with a reset.
    for namespace in (it.wire.agent, it.wire.target):
        for setting in ('time=5', 'intvl=2', 'probes=5'):
            world.run('ip', 'netns', 'exec', namespace, 'sysctl', '-qw', f'net.ipv4.tcp_keepalive_{setting}')
    result.check('a new session works', lambda: it.healthy())
    for name in ('sluice-sqlparse', 'sluice-signer', 'sluice-egress'):
        result.check(f'kill -9 {name}', lambda name=name: helper(it, name))
    result.check('control stopped: a command waits, and then has an answer', lambda: stopped(it))
    result.check('a session that is open while control is killed', lambda: survives(it))
    result.check('a held command when the core is killed', lambda: held(it, 1))
    result.check('a held command when the monitor is killed', lambda: held(it, 0))
    result.check('the core is killed in the middle of pgbench', lambda: bench_kill(it, [lambda i: core(i)[1]] * 2))
    result.check('every statement is on record', lambda: compare(it, 1, 100))
    result.check('the monitor is killed in the middle of pgbench, prepared', lambda: bench_kill(it, [lambda i: core(i)[0]] * 2, 'prepared'))
    result.check('the data plane is killed', lambda: dataplane(it))
    result.check('the data plane is killed in the middle of pgbench', lambda: bench_kill(it, [lambda i: i.pid('sluice-dataplane')]))
    result.check('everything is killed at random in the middle of pgbench', lambda: bench_kill(
        it, [lambda i: core(i)[1], lambda i: i.pid('sluice-sqlparse'), lambda i: i.pid('sluice-dataplane')]))
    result.check('every statement is on record still', lambda: compare(it, 2, 200))
    at_random(it, result, int(os.environ.get('KILLS', 0)), os.environ.get('SEED', '1'))


if __name__ == '__main__':
    sys.exit(scene.main('killt', run, settings="log_statement = 'all'\nlog_line_prefix = '%u %p '\n", expires='40s'))
