#!/usr/bin/python3
"""One stalled client, approver or parser: every other session finishes, and every answer is right."""
import os
import re
import signal
import socket
import struct
import subprocess
import sys
import threading
import time

import scene
from protocol_test import Bare, code
from scene import OPAQUE_PORT, in_namespace
from tap import need, world

ROWS = 150000
TRANSACTIONS = 250


class Others:
    """pgbench in both modes, checked rows, and a stream: what has to go on."""

    def __init__(self, it):
        self.it, self.problems, self.told = it, [], []
        script = it.lab.dir / 'read.sql'
        script.write_text('\\set id random(1, 200)\nSELECT item, cents FROM orders WHERE id = :id;\n')
        self.script = script
        self.threads = [threading.Thread(target=self.guard, args=(work,)) for work in (lambda: self.bench('simple'), lambda: self.bench('prepared'), self.rows, self.stream)]
        for t in self.threads:
            t.start()

    def guard(self, work):
        try:
            work()
        except Exception as error:
            self.problems.append(str(error))

    def bench(self, mode):
        done = subprocess.run(['ip', 'netns', 'exec', self.it.wire.agent, 'pgbench', '-n', '-h', self.it.wire.target_address, '-U', 'alice', '-f', str(self.script), '-M', mode,
                               '-c', '4', '-t', str(TRANSACTIONS), 'shop'], env=self.it.env(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=150)
        need(done.returncode == 0 and f'{4 * TRANSACTIONS}/{4 * TRANSACTIONS}' in done.stdout, f'pgbench {mode}: {done.stdout[-200:]}{done.stderr[-200:]}')
        self.told.append(f'{mode} ' + re.search(r'tps = (\d+)', done.stdout)[1] + '/s')

    def rows(self):
        for _ in range(5):
            done = self.it.psql('SELECT id, item, cents FROM orders WHERE id <= 100 ORDER BY id')
            need(done.stdout == ''.join(f'{i}|item {i}|{i * 100}\n' for i in range(1, 101)), f'rows differ: {done.stdout[:200]}{done.stderr}')

    def stream(self):
        self.told.append(self.it.bulk(50 << 20))

    def done(self):
        for t in self.threads:
            t.join()
        need(not self.problems, '; '.join(self.problems))
        return ', '.join(self.told)


def warm(it):
    """Every statement of the others once, so that a stopped parser is not asked for them."""
    return Others(it).done()


def stalled_client(it):
    """Three sessions ask for 18 MB each and do not read; a fourth holds a stream. Then they read on, and nothing is missing."""
    stalled = []
    for _ in range(3):
        c = Bare(it)
        need(code(c.start()) is None, 'no session')
        c.send(b'Q', b'SELECT id, body FROM archive ORDER BY id\0')
        stalled.append(c)

    def unread():
        s = socket.create_connection((it.wire.target_address, OPAQUE_PORT), 60)
        s.sendall(struct.pack('!Q', 64 << 20))
        return s
    idle = in_namespace(it.wire.agent, unread)
    time.sleep(2)
    told = Others(it).done()
    idle.close()
    for number, c in enumerate(stalled):
        c.s.settimeout(120)
        rows = [body for kind, body in c.until(b'Z') if kind == b'D']
        need(len(rows) == ROWS, f'stalled session {number}: {len(rows)} rows')
        for i in (0, 1, ROWS // 2, ROWS - 1):
            need(rows[i].startswith(struct.pack('!Hi', 2, len(str(i + 1))) + str(i + 1).encode()), f'row {i}: {rows[i][:40]}')
        c.close()
    return told + f'; then {ROWS} rows to each stalled session'


def held(it):
    session = it.session()
    number = session.send('DELETE FROM orders WHERE id = 180;')
    approval = it.pending()[0]
    told = Others(it).done()
    need(it.db.direct('SELECT count(*) FROM orders WHERE id = 180').strip() == '1', 'not held')
    done = it.vote('approve', approval)
    need(done.returncode == 0, done.stderr)
    answer = session.read(number)
    need('ERROR' not in answer, answer)
    need(it.db.direct('SELECT count(*) FROM orders WHERE id = 180').strip() == '0', 'not released')
    session.close()
    return told + '; then the held one is released'


def held_values(it):
    """A prepared command is held with its values: their declared types, the reason and the ticket stand in what is signed; then it runs."""
    c = Bare(it)
    need(code(c.start()) is None, 'no session')
    text = b"DELETE FROM orders WHERE id = $1 /*reason='twice%20in%20the%20books',ticket='CHG-7'*/"
    c.send(b'P', b's\0' + text + b'\0' + struct.pack('!HI', 1, 23))
    c.send(b'B', b'\0s\0' + struct.pack('!HHHIIH', 1, 1, 1, 4, 181, 0))
    c.send(b'E', b'\0' + struct.pack('!I', 0))
    c.send(b'S')
    approval = it.pending()[0]
    statement = it.json('approval', 'show', approval)['statement']
    params = statement['params']
    need((params['types'], params['formats'], params['values'], params['count']) == (['int4'], ['binary'], ['181'], 1), params)
    need((statement['reason'], statement['ticket']) == ('twice in the books', 'CHG-7'), statement)
    shown = it.sluice.cli('approval', 'show', approval).stdout
    need('twice in the books' in shown and 'CHG-7' in shown and '181' in shown, shown)
    need(it.vote('approve', approval).returncode == 0, 'not approved')
    need(code(c.until(b'Z')) is None, 'refused')
    need(it.db.direct('SELECT count(*) FROM orders WHERE id = 181').strip() == '0', 'not released')
    c.close()
    return f'{params["types"]} {params["values"]}, {statement["ticket"]}'


def stalled_parser(it):
    """The parser does not answer. Statements that are known go on; one that is not is never passed, and its session lives."""
    session = it.session()
    need(session.say('SELECT 1;').strip() == '1', 'no session')
    parser = it.pid('sluice-sqlparse')
    os.kill(parser, signal.SIGSTOP)
    try:
        number = session.send('DROP TABLE IF EXISTS nobody_stalled;')
        told = Others(it).done()
        need('nobody_stalled' not in (it.lab.dir / 'postgres.log').read_text(), 'a DDL passed unclassified')
    finally:
        try:
            os.kill(parser, signal.SIGCONT)
        except ProcessLookupError:
            pass
    answer = session.read(number)
    need('42501' in answer, f'no refusal: {answer}')
    need('nobody_stalled' not in (it.lab.dir / 'postgres.log').read_text(), 'a DDL passed unclassified')
    it.healthy()
    need(session.say('SELECT 47;').strip() == '47', 'the session did not live on')
    session.close()
    return told + '; the unknown one: ' + answer.strip().splitlines()[0][:100]


def slow_disk(it):
    """Control is stopped for a while in the middle: everybody waits, nobody is lost, every answer is right."""
    others = Others(it)
    time.sleep(0.5)
    pids = it.pids('sluice-control')
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    time.sleep(1.5)
    for pid in pids:
        os.kill(pid, signal.SIGCONT)
    return others.done()


def policy(it, old, new):
    it.sluice.policy.write_text(it.sluice.policy.read_text().replace(old, new))
    need(it.sluice.cli('policy', 'reload', check=False).returncode == 0, 'the policy was not taken')
    it.healthy()


class Locked:
    """A table that nobody can read before `release`: an answer comes when the test wants it."""

    def __init__(self, it, table):
        self.it = it
        self.p = subprocess.Popen(['psql', '-X', '-At', '-h', it.db.dir, '-U', 'postgres', '-d', 'shop'], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1)
        self.p.stdin.write(f'BEGIN;\nLOCK TABLE {table} IN ACCESS EXCLUSIVE MODE;\n\\echo locked\n')
        while self.p.stdout.readline().strip() != 'locked':
            need(self.p.poll() is None, 'no lock')

    def wait_for(self, state):
        query = f"SELECT count(*) FROM pg_stat_activity WHERE usename = 'shop_app' AND query LIKE '%FROM archive%' AND {state}"
        world.wait_for(state, lambda: self.it.db.direct(query).strip() == '1', 60)

    def release(self):
        self.p.communicate('COMMIT;\n')


def withheld_answer(it):
    """audit "answers": the command runs, control stands still before its answer comes. Not one byte of it arrives until control goes on."""
    sql = 'SELECT id, body FROM archive WHERE id <= 500 ORDER BY id'
    policy(it, 'audit = "strict"', 'audit = "answers"')
    c = Bare(it)
    need(code(c.start()) is None, 'no session')
    wanted = c.ask(sql)
    need(sum(kind == b'D' for kind, _ in wanted) == 500, f'{len(wanted)} messages')
    locked, pids = Locked(it, 'archive'), it.pids('sluice-control')
    c.send(b'Q', sql.encode() + b'\0')
    locked.wait_for("wait_event_type = 'Lock'")
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        locked.release()
        locked.wait_for("state = 'idle'")
        c.s.settimeout(3)
        try:
            early = c.s.recv(65536)
        except TimeoutError:
            early = b''
        need(not early, f'{len(early)} bytes arrived before their record: {early[:60]}')
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)
    c.s.settimeout(60)
    need(c.until(b'Z') == wanted, 'another answer than the first time')
    c.close()
    it.healthy()
    policy(it, 'audit = "answers"', 'audit = "strict"')
    return 'nothing while control stood still, then all 500 rows'


def run(it, result):
    it.bulk_server()
    result.check('without a stall', lambda: warm(it))
    result.check('a stalled client', lambda: stalled_client(it))
    result.check('a held approval', lambda: held(it))
    result.check('a held command with values', lambda: held_values(it))
    result.check('a stalled parser', lambda: stalled_parser(it))
    result.check('a stalled journal', lambda: slow_disk(it))
    result.check('a withheld answer', lambda: withheld_answer(it))
    result.check('the journal is good', lambda: it.sluice.cli('journal', 'verify').stdout.strip().splitlines()[-1])


if __name__ == '__main__':
    sys.exit(scene.main('stallt', run, services=scene.OPAQUE, rows=ROWS, settings="log_statement = 'all'\n"))
