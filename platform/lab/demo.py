#!/usr/bin/python3
"""The main job, step by step, each step checked. Called by platform/demo."""
import argparse
import json
import os
import re
import subprocess
import sys
import threading
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
import lab as world  # noqa: E402

PASSWORD = 'upstream-' + os.urandom(9).hex()
AUDIENCE, OTHER_AUDIENCE = 'urn:sluice:demo', 'urn:other:service'
SECRETS = ['ada@calc.io', 'grace@navy.org', 'liskov@mit.edu', '536-22-8726', '4539 1488 0343 6467', '5500005555555559',
           '+44 20 7946 0958', 'DE89370400440532013000', 'FR1420041010050500013M02606']
CLIENTS = [
    {'id': 'alice-agent', 'secret': os.urandom(16).hex(), 'ttl': 900,
     'claims': {'employee_id': 'p-alice', 'groups': ['agents'], 'run_id': 'run-7', 'act': {'sub': 'agent-7'}}},
    {'id': 'alice', 'secret': os.urandom(16).hex(), 'ttl': 900, 'claims': {'employee_id': 'p-alice', 'groups': ['agents', 'dba'], 'run_id': 'cli'}},
    {'id': 'bob', 'secret': os.urandom(16).hex(), 'ttl': 900, 'claims': {'employee_id': 'p-bob', 'groups': ['dba'], 'run_id': 'cli'}},
    {'id': 'brief', 'secret': os.urandom(16).hex(), 'ttl': 1, 'claims': {'employee_id': 'p-alice', 'groups': ['agents'], 'run_id': 'run-8'}},
]


class Expectation(Exception):
    pass


def expect(condition, text):
    if not condition:
        raise Expectation(text)


class Demo:
    def __init__(self, arguments, lab):
        self.arguments, self.lab, self.results = arguments, lab, []
        self.begin = time.monotonic()

    # --- The world ---

    def start(self):
        lab = self.lab
        self.say('two namespaces on two veth pairs')
        self.wire = world.Wire(lab)
        self.say('PostgreSQL 15 with TLS and SCRAM, sample database')
        self.db = world.Database(lab, self.wire, self.arguments.rows, PASSWORD)
        self.say('OpenID provider (npm oidc-provider)')
        world.install_provider()
        self.idp = world.Provider(lab, CLIENTS, [AUDIENCE, OTHER_AUDIENCE])
        self.say('sluice-control, its helpers and sluice-dataplane')
        self.sluice = world.Appliance(lab, self.wire, Path(self.arguments.build) / 'stage', world.policy_text(self.wire, self.idp),
                                      PASSWORD, self.db.authority.cert, driver=self.arguments.driver, egress_ca=self.idp.authority.cert)
        self.sluice.start()
        self.token = self.idp.token('alice-agent', AUDIENCE)

    def say(self, text):
        print(f'[{time.monotonic() - self.begin:5.1f}s] {text}', flush=True)

    # --- The agent's tools ---

    def psql(self, sql, token=None, stdin=None, timeout=60, options=(), raw=False):
        env = {**os.environ, 'PGPASSWORD': token or self.token, 'PGSSLMODE': 'require', 'PGCONNECT_TIMEOUT': '15'}
        argv = ['ip', 'netns', 'exec', self.wire.agent, 'psql', '-X', '-At', '-h', self.wire.target_address, '-U', 'alice', '-d', 'shop', *options]
        if sql is not None:
            argv += ['-c', sql]
        return subprocess.run(argv, env=env, input=stdin, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=not raw, timeout=timeout)

    def python(self, code, timeout=60):
        """A driver in another language: asyncpg, whose results are binary."""
        env = {**os.environ, 'PGPASSWORD': self.token, 'TARGET': self.wire.target_address}
        done = subprocess.run(['ip', 'netns', 'exec', self.wire.agent, '/usr/bin/python3', '-c', code], env=env, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, text=True, timeout=timeout)
        expect(done.returncode == 0, f'asyncpg: {done.stderr.strip()[-300:]}')
        return done.stdout

    def sluice_json(self, *argv):
        return json.loads(self.sluice.cli('--json', *argv).stdout)

    def no_secret(self, text, where):
        for secret in SECRETS:
            expect(secret not in text, f'{where}: {secret} came through')

    # --- Steps ---

    def step_token(self):
        done = self.psql('SELECT 41 + 1')
        expect(done.stdout == '42\n', f'expected 42: {done.stdout}{done.stderr}')
        return 'a token as the password opens a session'

    def step_bad_tokens(self):
        brief = self.idp.token('brief', AUDIENCE)
        wrong = {
            'wrong audience': self.idp.token('alice-agent', OTHER_AUDIENCE),
            'signed by another key': self.idp.forge(self.token, key=self.idp.make_key('k1')),
            'alg none': self.idp.forge(self.token, header={'alg': 'none', 'typ': 'at+jwt', 'kid': 'k1'}),
            'no token': 'hunter2',
        }
        time.sleep(3)
        wrong['expired'] = brief
        for name, token in wrong.items():
            done = self.psql('SELECT 1', token=token)
            expect(done.returncode == 2 and done.stdout == '', f'{name}: a session was opened')
            expect('FATAL' in done.stderr and 'authentication' in done.stderr.lower(), f'{name}: unclear error: {done.stderr}')
        return ', '.join(wrong) + ': refused with a clear error'

    def step_masked(self):
        out = self.psql('SELECT * FROM customers ORDER BY id').stdout
        expect(out.count('\n') == 5 and 'Ada Lovelace' in out, f'rows missing: {out}')
        self.no_secret(out, 'SELECT *')
        return 'SELECT * FROM customers: ' + out.split('\n')[0][:110]

    def step_masked_binary(self):
        out = self.python('''
import asyncio, asyncpg, os, ssl
async def main():
    c = await asyncpg.connect(host=os.environ['TARGET'], user='alice', password=os.environ['PGPASSWORD'], database='shop', ssl='require')
    for row in await c.fetch('SELECT * FROM customers WHERE id <= $1 ORDER BY id', 3):
        print(dict(row))
    print(await c.fetchval('SELECT count(*) FROM orders'))
    await c.close()
asyncio.run(main())''')
        self.no_secret(out, 'asyncpg')
        expect('Ada Lovelace' in out and '\n200\n' in out, f'rows missing: {out}')
        return 'extended protocol with binary results (Python asyncpg): masked'

    def step_masked_hidden(self):
        for sql in ('SELECT email AS x, ssn AS y FROM customers', 'SELECT email::varchar(200), card::text FROM customers',
                    "SELECT 'a' || email || ssn || 'b' FROM customers", 'SELECT upper(email), reverse(ssn), md5(email) FROM customers',
                    'SELECT array_agg(email), string_agg(card, $$,$$) FROM customers', 'SELECT row_to_json(customers) FROM customers',
                    'SELECT email FROM customers UNION ALL SELECT $$x$$', 'WITH a AS (SELECT ssn AS q FROM customers) SELECT q FROM a',
                    'SELECT customers FROM customers', 'SELECT notes, profile FROM customers', 'SELECT email::int FROM customers'):
            done = self.psql(sql)
            text = done.stdout + done.stderr
            self.no_secret(text, sql)
            self.no_secret(text[::-1], sql)
            expect('ADA@CALC' not in text, sql)
        return 'renamed with AS, cast, concatenated, aggregated, as JSON, in an error: masked or refused'

    def step_ddl(self):
        for sql in ('DROP TABLE customers', 'dRoP/**/TaBlE customers', "DO $$ BEGIN EXECUTE 'DR' || 'OP TABLE customers'; END $$",
                    'SELECT 1; DROP TABLE customers'):
            done = self.psql(None, stdin=f'\\set VERBOSITY verbose\n{sql} \\;\nSELECT 43;\n'.replace(' \\;', ';'))
            expect('42501' in done.stderr, f'{sql}: no 42501: {done.stderr}')
            expect('no-ddl' in done.stderr, f'{sql}: the rule is not named: {done.stderr}')
            expect('43' in done.stdout, f'{sql}: the next query did not work: {done.stdout}{done.stderr}')
        done = self.psql('SELECT 1; DROP TABLE customers')
        expect('42501' in self.psql('SELECT 1; DROP TABLE customers', options=['-v', 'VERBOSITY=verbose']).stderr and '1' not in done.stdout, f'batch: {done}')
        expect(self.db.direct('SELECT count(*) FROM customers') == '5\n', 'customers is gone')
        return 'DROP TABLE, dRoP/**/TaBlE, in a DO block, second in a batch: 42501 naming rule no-ddl; the next query works'

    def held_delete(self, where):
        box = {}

        def work():
            box['done'] = self.psql(f'DELETE FROM orders WHERE {where}', timeout=90)
        thread = threading.Thread(target=work)
        thread.start()
        pending = world.wait_for('the approval', lambda: [a for a in self.sluice_json('approval', 'list')['approvals'] if a['state'] == 'pending'], 15)
        return thread, box, pending[0]['id']

    def token_file(self, client):
        path = self.lab.dir / f'{client}.token'
        path.write_text(self.idp.token(client, AUDIENCE))
        path.chmod(0o600)
        return path

    def vote(self, verb, number, client, check=True):
        return self.sluice.cli('approval', verb, number, '--reason', 'the demo', '--token-file', self.token_file(client), check=check)

    def step_hold(self):
        thread, box, number = self.held_delete('id = 200')
        own = self.vote('approve', number, 'alice', check=False)
        expect(own.returncode != 0, 'the requester approved it herself')
        expect(self.db.direct('SELECT count(*) FROM orders WHERE id = 200') == '1\n', 'the row is gone before the approval')
        self.vote('approve', number, 'bob')
        thread.join()
        done = box['done']
        expect('DELETE 1' in done.stdout, f'not released: {done.stdout}{done.stderr}')
        expect('NOTICE' in done.stderr and number[:8] in done.stderr, f'no notice with the number: {done.stderr}')
        return f'{done.stderr.strip().splitlines()[0]}; the requester cannot approve; another identity releases it: DELETE 1'

    def step_deny(self):
        thread, box, number = self.held_delete('id = 199')
        self.vote('deny', number, 'bob')
        thread.join()
        expect('42501' in box['done'].stderr or 'denied' in box['done'].stderr, f'not denied: {box["done"].stderr}')
        expect(self.db.direct('SELECT count(*) FROM orders WHERE id = 199') == '1\n', 'the row is gone')
        return 'a second one is denied: ' + box['done'].stderr.strip().splitlines()[1][:100]

    def step_expire(self):
        thread, box, number = self.held_delete('id = 198')
        thread.join()
        expect('expired' in box['done'].stderr or 'time' in box['done'].stderr, f'not expired: {box["done"].stderr}')
        expect(self.db.direct('SELECT count(*) FROM orders WHERE id = 198') == '1\n', 'the row is gone')
        return 'a third one runs out of time: ' + box['done'].stderr.strip().splitlines()[1][:100]

    def step_copy(self):
        want = self.lab.dir / 'direct.copy'
        with open(want, 'wb') as out:
            subprocess.run(['psql', '-X', '-h', str(self.db.dir), '-U', 'postgres', '-d', 'shop', '-c', 'COPY archive TO STDOUT'], stdout=out, check=True)
        got = self.lab.dir / 'wire.copy'
        env = {**os.environ, 'PGPASSWORD': self.token, 'PGSSLMODE': 'require'}
        begin = time.monotonic()
        with open(got, 'wb') as out:
            done = subprocess.run(['ip', 'netns', 'exec', self.wire.agent, 'psql', '-X', '-h', self.wire.target_address, '-U', 'alice', '-d', 'shop',
                                   '-c', 'COPY archive TO STDOUT'], env=env, stdout=out, stderr=subprocess.PIPE, timeout=170)
        seconds = time.monotonic() - begin
        expect(done.returncode == 0, f'COPY: {done.stderr.decode()}')
        lines = masked = 0
        with open(want, 'rb') as a, open(got, 'rb') as b:
            for line, mine in zip(a, b):
                lines += 1
                if line != mine:
                    id1, contact1, body1 = line.split(b'\t')
                    id2, contact2, body2 = mine.split(b'\t')
                    expect(id1 == id2 and body1 == body2 and b'@example.net' in contact1 and b'@example.net' not in contact2, f'row {id1} differs')
                    masked += 1
            expect(a.read(1) == b'' and b.read(1) == b'', 'a different number of rows')
        expect(lines == self.arguments.rows and masked == lines // 1000, f'{lines} rows, {masked} masked')
        size = want.stat().st_size / 1e6
        return f'COPY TO STDOUT of {size:.0f} MB: {lines} rows byte-exact, {masked} addresses masked, {size / seconds:.0f} MB/s'

    def step_pgbench(self):
        script = self.lab.dir / 'read.sql'
        script.write_text('\\set id random(1, 100)\nSELECT item, cents FROM orders WHERE id = :id;\n')
        env = {**os.environ, 'PGPASSWORD': self.token, 'PGSSLMODE': 'require'}
        told = []
        for mode in ('simple', 'prepared'):
            done = subprocess.run(['ip', 'netns', 'exec', self.wire.agent, 'pgbench', '-n', '-h', self.wire.target_address, '-U', 'alice', '-d', 'shop',
                                   '-f', str(script), '-M', mode, '-c', '4', '-t', '250'], env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=100)
            expect(done.returncode == 0 and '1000/1000' in done.stdout, f'pgbench {mode}: {done.stdout[-300:]}{done.stderr[-300:]}')
            told.append(f'{mode} ' + re.search(r'tps = (\d+)', done.stdout).group(1) + '/s')
        return 'pgbench, 4 clients, every command on record before it runs: ' + ', '.join(told)

    def step_sessions(self):
        sessions = self.sluice_json('session', 'list')['sessions']
        expect(len(sessions) > 5, f'{len(sessions)} sessions')
        expect(any('p-alice' in json.dumps(s) for s in sessions), 'no session names the person')
        chosen = None
        for s in reversed(sessions):
            text = self.sluice.cli('session', 'show', s['id']).stdout
            if 'customers' in text:
                chosen = s['id']
                break
        expect(chosen, 'no session shows the SELECT on customers')
        replay = self.sluice.cli('session', 'replay', chosen).stdout
        expect('customers' in replay.lower(), f'replay: {replay[:200]}')
        self.no_secret(replay, 'replay')
        self.chosen = chosen
        return f'session list: {len(sessions)} sessions; show and replay of {chosen[:12]}'

    def step_journal(self):
        out = self.sluice.cli('journal', 'verify').stdout
        self.no_credential(self.sluice.state)
        return 'journal verify: ' + out.strip().splitlines()[-1]

    def no_credential(self, directory):
        for path in directory.rglob('*'):
            if path.is_file():
                expect(PASSWORD.encode() not in path.read_bytes(), f'the upstream password stands in {path.name}')
        expect(PASSWORD not in self.sluice.process.log.read_text(errors='replace'), 'the upstream password stands in the log')

    def step_export(self):
        bundle = self.lab.dir / 'bundle'
        only = ['--session', self.chosen] if hasattr(self, 'chosen') else []
        self.sluice.cli('export', 'bundle', '--out', bundle, *only)
        expect((bundle / 'VERIFY.md').exists(), 'no VERIFY.md in the bundle')
        done = subprocess.run(['bash', str(Path(__file__).parent / 'verify-bundle'), str(bundle)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        expect(done.returncode == 0, f'openssl and sha256sum: {done.stdout[-600:]}')
        return 'export; signature and hashes checked with openssl and sha256sum alone: ' + done.stdout.strip().splitlines()[-1]

    def step_tampered(self):
        self.sluice.stop()
        copy = self.lab.dir / 'journal-copy'
        subprocess.run(['cp', '-a', str(self.sluice.state / 'journal'), str(copy)], check=True)
        data = sorted(copy.rglob('data.mdb'), key=lambda p: p.stat().st_size)[-1]
        os.chmod(data, 0o600)
        content = bytearray(data.read_bytes())
        at = content.find(b'"t":"cmd"')
        expect(at > 0, 'no record found in the copy')
        # LMDB writes a page anew when it changes, so the same record may also stand in pages that are no longer in use.
        around = bytes(content[at - 60:at + 9])
        while (at := content.find(around)) >= 0:
            content[at + 66] ^= 1
        data.write_bytes(content)
        done = self.sluice.cli('journal', 'verify', copy, check=False)
        expect(done.returncode != 0 and re.search(r'record \d+', done.stdout + done.stderr), f'not detected: {done.stdout}{done.stderr}')
        return 'one bit flipped in a copy: ' + (done.stdout + done.stderr).strip().splitlines()[0][:110]

    # --- All of it ---

    STEPS = ['token', 'bad_tokens', 'masked', 'masked_binary', 'masked_hidden', 'ddl', 'hold', 'deny', 'expire', 'copy', 'pgbench',
             'sessions', 'journal', 'export', 'tampered']

    def run(self):
        wanted = self.arguments.step or self.STEPS
        for number, name in enumerate(wanted, 1):
            if self.arguments.keep and name == 'tampered':
                continue
            begin = time.monotonic()
            try:
                text, good = getattr(self, f'step_{name}')(), True
            except (Expectation, world.LabError, subprocess.SubprocessError, OSError, ValueError, KeyError, IndexError) as error:
                text, good = f'{type(error).__name__}: {error}', False
            self.results.append((name, good, text, time.monotonic() - begin))
            print(f'[{time.monotonic() - self.begin:5.1f}s] {number:2}/{len(wanted)} {"ok  " if good else "FAIL"} {name}: {text}', flush=True)
            if not good and self.arguments.verbose:
                print(world.tail(self.lab.dir / 'sluice.log', 40))
        failed = [r for r in self.results if not r[1]]
        print(f'\n{"step":<16} {"result":<7} {"seconds":>7}')
        for name, good, text, seconds in self.results:
            print(f'{name:<16} {"ok" if good else "FAIL":<7} {seconds:7.1f}')
        print(f'\n{len(self.results) - len(failed)} of {len(self.results)} steps showed what they should, in {time.monotonic() - self.begin:.0f} s')
        return 1 if failed else 0

    def keep(self):
        print(f'''
It is running. To play with it, from another terminal:
  export PGPASSWORD=$(cat {self.token_file("alice-agent")})
  ip netns exec {self.wire.agent} psql "host={self.wire.target_address} user=alice dbname=shop sslmode=require"
  {self.sluice.tool("sluice")} -c {self.sluice.conf} session list
  {self.sluice.tool("sluice")} -c {self.sluice.conf} approval list
  {self.sluice.tool("sluice")} -c {self.sluice.conf} approval approve ID --reason why --token-file {self.token_file("bob")}
Ctrl-C ends it and removes everything.''')
        try:
            while self.sluice.process and self.sluice.process.alive():
                time.sleep(0.5)
        except KeyboardInterrupt:
            pass


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--build', required=True)
    parser.add_argument('--keep', action='store_true', help='leave it running')
    parser.add_argument('--verbose', action='store_true', help="print Sluice's log when a step fails")
    parser.add_argument('--driver', default='net_af_packet', help='DPDK driver of the wire ports')
    parser.add_argument('--rows', type=int, default=1850000, help='rows of the table that is streamed')
    parser.add_argument('--step', action='append', help='only this step')
    arguments = parser.parse_args()
    arguments.build = os.path.abspath(arguments.build)
    world.end_on_signals()
    with world.Lab('sluice') as lab:
        demo = Demo(arguments, lab)
        try:
            demo.start()
            status = demo.run()
            if arguments.keep:
                demo.keep()
        except (world.LabError, KeyboardInterrupt) as error:
            print(f'platform/demo: {error}', file=sys.stderr)
            print(world.tail(lab.dir / 'sluice.log', 40), file=sys.stderr)
            status = 1
        return status


if __name__ == '__main__':
    sys.exit(main())
