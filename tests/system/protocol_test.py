#!/usr/bin/python3
"""PostgreSQL's protocol in all its parts, from unmodified clients and from a bare socket; and the search for the upstream
password on the agent's wire, in the journal, in logs and in memory dumps' places."""
import json
import os
import re
import signal
import socket
import ssl
import struct
import subprocess
import sys
import time

import scene
from scene import PASSWORD, in_namespace
from tap import need, world

RULES = '''  { id = "notice"; who = [ "agents" ]; service = [ "shop-db" ]; verbs = [ "notify", "set" ]; objects = [ "*" ]; action = "allow"; mask = [ "pii.email" ]; },
  { id = "load"; who = [ "agents" ]; service = [ "shop-db" ]; verbs = [ "copy-in" ]; objects = [ "shop.public.*" ]; action = "allow"; mask = [ "pii.email" ]; },
  { id = "sleep"; who = [ "agents" ]; service = [ "shop-db" ]; verbs = [ "call" ]; objects = [ "shop.pg_catalog.pg_sleep" ]; action = "allow"; },
'''
WRONG_NAME = '''  { name = "wrong-name"; protocol = "postgres"; listen = [ "[fd77::10]:5432" ]; tls = "required"; upstream_name = "other-db.example"; login = "shop_app"; },
'''


# --- A client of bare messages ---

class Bare:
    """PostgreSQL over a socket: TLS by SSLRequest or at once, any start-up parameters."""

    def __init__(self, it, direct=False, alpn='postgresql', first=b'', address=None, name='shop-db.example'):
        self.it, self.data = it, b''
        self.s = in_namespace(it.wire.agent, lambda: socket.create_connection((address or it.wire.target_address, 5432), 60))
        self.s.settimeout(60)
        self.answers = []
        if first:
            self.s.sendall(first)
            self.answers.append(self.s.recv(1))
        if not direct:
            self.s.sendall(struct.pack('!II', 8, 80877103))
            need(self.s.recv(1) == b'S', 'no TLS')
        context = ssl.create_default_context(cafile=str(it.sluice.run_dir / 'ca.pem'))
        if alpn:
            context.set_alpn_protocols([alpn])
        self.s = context.wrap_socket(self.s, server_hostname=name)

    def start(self, token=None, version=196608, **parameters):
        pairs = {'user': 'alice', 'database': 'shop', **parameters}
        body = b''.join(k.encode() + b'\0' + v.encode() + b'\0' for k, v in pairs.items()) + b'\0'
        self.s.sendall(struct.pack('!II', 8 + len(body), version) + body)
        kind, body = self.message()
        if kind != b'R':
            return [(kind, body)]
        need(body == struct.pack('!I', 3), f'not asked for a password: {body!r}')
        self.send(b'p', (token or self.it.token).encode() + b'\0')
        return self.until(b'Z')

    def send(self, kind, body=b''):
        self.s.sendall(kind + struct.pack('!I', 4 + len(body)) + body)

    def message(self):
        while len(self.data) < 5 or len(self.data) < 1 + struct.unpack('!I', self.data[1:5])[0]:
            more = self.s.recv(65536)
            if not more:
                return b'', b''
            self.data += more
        end = 1 + struct.unpack('!I', self.data[1:5])[0]
        message, self.data = (self.data[:1], self.data[5:end]), self.data[end:]
        return message

    def until(self, last):
        messages = []
        while True:
            messages.append(self.message())
            if messages[-1][0] in (last, b''):
                return messages

    def ask(self, sql):
        self.send(b'Q', sql.encode() + b'\0')
        return self.until(b'Z')

    def close(self):
        self.s.close()


def code(messages):
    """SQLSTATE of the first error."""
    for kind, body in messages:
        if kind == b'E':
            return next(f[1:].decode() for f in body.split(b'\0') if f[:1] == b'C')
    return None


def kinds(messages):
    return b''.join(kind for kind, _ in messages)


# --- Start ---

def direct_tls(it):
    c = Bare(it, direct=True)
    need(c.s.selected_alpn_protocol() == 'postgresql', f'ALPN {c.s.selected_alpn_protocol()}')
    need(code(c.start()) is None, 'no session')
    need(any(b'42' in body for kind, body in c.ask('SELECT 41 + 1') if kind == b'D'), 'no answer')
    c.close()
    return f'{c.s.version() or "TLS"}, ALPN postgresql, certificate verified against Sluice\'s own authority'


def direct_tls_must_be_named(it):
    """As the server of version 17: TLS at once without ALPN, or with another protocol's name, is refused; asked for, it needs no name."""
    for alpn in ('', 'h2'):
        try:
            c = Bare(it, direct=True, alpn=alpn)
            need(not c.start() or code(c.start()) is not None, f'ALPN {alpn!r}: a session')
            need(False, f'ALPN {alpn!r}: it went on')
        except OSError:  # ssl.SSLError among them
            pass
    c = Bare(it, alpn='')
    need(code(c.start()) is None and c.s.selected_alpn_protocol() is None, 'TLS that was asked for')
    c.close()
    return 'none and h2 refused; after SSLRequest no name is needed'


def newer_protocol(it):
    """Protocol 3.2 and a long cancel key, over a server that knows 3.0."""
    c = Bare(it)
    told = c.start(version=196608 + 2)
    need(code(told) is None, told)
    key = next(body for kind, body in told if kind == b'K')
    need(len(key) == 36, f'a key of {len(key) - 4} bytes')
    c.send(b'Q', b'SELECT pg_sleep(60)\0')
    time.sleep(1)
    for asked, body in (('a wrong one', key[:-1] + bytes([key[-1] ^ 1])), ('a short one', key[:8]), ('the right one', key)):
        k = Bare(it)
        k.s.sendall(struct.pack('!II', 8 + len(body), 80877102) + body)
        try:  # as libpq does: who closes over unread bytes sends a reset, which may overtake the request
            while k.s.recv(4096):
                pass
        except OSError:
            pass
        k.close()
        if asked != 'the right one':
            c.s.settimeout(1)
            try:
                need(False, f'{asked} cancelled: {c.message()}')
            except TimeoutError:
                c.s.settimeout(60)
    told = c.until(b'Z')
    need(code(told) == '57014', f'not cancelled: {told}')
    c.close()
    c = Bare(it)
    told = c.start(version=196608 + 9999)
    need(told and told[0][0] == b'v' and told[0][1][:4] == struct.pack('!I', 196610), told)
    c.close()
    return '3.2 with a key of 32 bytes, which alone cancels; 3.9999 is told 3.2'


def gss(it):
    c = Bare(it, first=struct.pack('!II', 8, 80877104))
    need(c.answers == [b'N'], f'GSSENCRequest was answered {c.answers}')
    need(code(c.start()) is None, 'no session afterwards')
    c.close()
    done = it.psql('SELECT 1', PGGSSENCMODE='prefer')
    need(done.stdout == '1\n', done.stderr)
    return 'N; the session goes on'


def verified(it):
    """psql with full verification of the name and Sluice's authority."""
    done = it.psql('SELECT 1', PGSSLMODE='verify-full', PGSSLROOTCERT=str(it.sluice.run_dir / 'ca.pem'), PGHOSTADDR=it.wire.target_address, host='shop-db.example')
    need(done.stdout == '1\n', done.stderr)
    done = it.psql('SELECT 1', PGSSLMODE='disable')
    need(done.returncode == 2 and done.stdout == '', 'a session without TLS')
    return 'sslmode=verify-full works, sslmode=disable does not'


def wrong_upstream(it):
    """The server's certificate has another name than the policy says: no session, and no password was sent."""
    before = (it.lab.dir / 'postgres.log').read_text().count('connection authorized: user=shop_app')
    done = it.psql('SELECT 1', host=it.wire.target_address6)
    need(done.returncode == 2 and done.stdout == '', f'a session: {done.stdout}')
    need((it.lab.dir / 'postgres.log').read_text().count('connection authorized: user=shop_app') == before, 'it logged in')
    said = [r['data']['text'] for r in it.records('--type', 'session.close') if r['svc'] == 'wrong-name']
    need(said and all('certificate refused' in text for text in said), f'the record does not say why: {said}')
    return said[-1]


def replication(it):
    for value in ('true', 'database', 'on', '1'):
        c = Bare(it)
        told = c.start(replication=value)
        need(code(told) is not None and b'Z' not in kinds(told), f'replication={value}: {told}')
        c.close()
    return 'refused, four ways of asking'


def function_call(it):
    c = Bare(it)
    c.start()
    c.send(b'F', struct.pack('!IHHH', 1598, 0, 0, 0))  # random()
    told = c.until(b'Z')
    need(code(told) == '42501' and b'V' not in kinds(told), f'{told}')
    need(any(kind == b'D' for kind, _ in c.ask('SELECT 1')), 'the session did not go on')
    c.close()


# --- Commands ---

def cancel(it):
    running = subprocess.Popen(it.psql_argv('SELECT pg_sleep(120)'), env=it.env(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                               start_new_session=True)
    sleeping = "SELECT count(*) FROM pg_stat_activity WHERE query = 'SELECT pg_sleep(120)' AND state = 'active'"
    world.wait_for('pg_sleep at the server', lambda: it.db.direct(sleeping).strip() == '1', 60)
    os.killpg(running.pid, signal.SIGINT)
    out, err = running.communicate(timeout=100)
    need('canceling statement' in err, f'{out}{err}')
    world.wait_for('the end of pg_sleep at the server', lambda: it.db.direct(sleeping).strip() == '0', 60)
    return err.strip()


def cancel_held(it):
    running = subprocess.Popen(it.psql_argv(None, ['-v', 'VERBOSITY=verbose']) + ['-c', 'DELETE FROM orders WHERE id = 120'], env=it.env(), stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE, text=True, start_new_session=True)
    number = it.pending()[0]
    os.killpg(running.pid, signal.SIGINT)
    out, err = running.communicate(timeout=100)
    need('57014' in err, f'{out}{err}')
    need(it.vote('approve', number).returncode != 0, 'it can be approved still')
    need(it.db.direct('SELECT count(*) FROM orders WHERE id = 120').strip() == '1', 'the row is gone')
    return next(line for line in err.splitlines() if '57014' in line)


def copy_out(it):
    for options in ('', ' (FORMAT csv)', ' (FORMAT csv, HEADER, DELIMITER $$;$$)', ' (FORMAT binary)'):
        for source in ('customers', '(SELECT id, email, ssn, card, phone, iban, notes, profile FROM customers)'):
            done = it.psql(f'COPY {source} TO STDOUT{options}', raw=True)
            need(done.returncode == 0, f'{options}: {done.stderr}')
            text = done.stdout.decode(errors='replace')
            it.no_secret(text, f'COPY {source}{options}')
            need('Ada' in text or 'nothing special' in text, f'{options}: {text[:200]}')
    return 'text, csv, csv with options, binary; table and query'


def copied_rows(it):
    """What was sent is payload of the command, as it was sent: all of a small copy, and of the large one as much as payload_limit lets, which its record says."""
    answers = [r for r in it.records('--type', 'resp') if r['out']['tag'] in ('COPY 20000', 'COPY 1')][-3:]
    need([(r['out']['tag'], r['out'].get('truncated_by')) for r in answers] == [('COPY 20000', ['payload_limit']), ('COPY 1', None), ('COPY 1', None)], str(answers))
    replay = json.loads(it.sluice.cli('--json', 'session', 'replay', answers[0]['sess']).stdout)
    sent = ''.join(e['text'] for e in replay['events'] if e['dir'] == 'in')
    large = ''.join('%d\trow %d\n' % (i, i) for i in range(20000))[:256 << 10]
    need(large in sent and large + '1' not in sent and '20000,"a ""quoted"", one"\n' in sent and 'PGCOPY\n' in sent, sent[:300])


def copy_in(it):
    it.db.admin('CREATE TABLE IF NOT EXISTS inbox (id integer, note text); GRANT ALL ON inbox TO shop_app', 'shop')
    out = it.python('''
import io, os, psycopg2
c = psycopg2.connect(host=os.environ['TARGET'], user='alice', password=os.environ['PGPASSWORD'], dbname='shop', sslmode='require')
with c.cursor() as q:
    q.copy_expert('COPY inbox FROM STDIN', io.StringIO(''.join('%d\\trow %d\\n' % (i, i) for i in range(20000))))
    q.copy_expert('COPY inbox FROM STDIN (FORMAT csv)', io.StringIO('20000,"a ""quoted"", one"\\n'))
    import struct
    row = lambda i, t: struct.pack('!hii', 2, 4, i) + struct.pack('!i', len(t)) + t
    q.copy_expert('COPY inbox FROM STDIN (FORMAT binary)', io.BytesIO(b'PGCOPY\\n\\xff\\r\\n\\0' + bytes(8) + row(20001, b'binary') + struct.pack('!h', -1)))
    c.commit()
    try:
        q.copy_expert('COPY inbox FROM STDIN', io.StringIO('x ada@calc.io\\tnot a number\\n'))
        print('no error')
    except psycopg2.Error as e:
        print(e.pgcode, str(e))
    c.rollback()
    q.execute('SELECT 44'); print(q.fetchone())
''')
    need('22P02' in out and '(44,)' in out, out)
    it.no_secret(out, 'the error of COPY')
    told = it.db.direct("SELECT count(*), max(note) FILTER (WHERE id = 20000), max(note) FILTER (WHERE id = 20001) FROM inbox").strip()
    need(told == '20002|a "quoted", one|binary', told)
    copied_rows(it)
    return '20,000 rows of text, csv, binary, kept as they were sent; an error in the middle'


def messages(it):
    """Personal data in an error, a notice and a notification. Comes late: what is written from a masked column taints its table."""
    done = it.psql(None, stdin='LISTEN news;\n\\set VERBOSITY verbose\nSELECT (email)::int FROM customers WHERE id = 1;\n'
                   "INSERT INTO orders (id, customer, item) SELECT 1, 1, email FROM customers WHERE id = 1;\nSELECT 45;\n")
    text = done.stdout + done.stderr
    it.no_secret(text, 'an error')
    need('45' in done.stdout, text)
    # What no client of ours could send: a trigger of the database that talks.
    it.db.admin('''CREATE OR REPLACE FUNCTION talk() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        RAISE NOTICE 'mail of ada@calc.io and card 5500005555555559' USING DETAIL = 'ssn 536-22-8726', HINT = 'ask grace@navy.org';
        PERFORM pg_notify('news', 'from ada@calc.io'); RETURN NEW; END $$;
        DROP TRIGGER IF EXISTS talk ON orders; CREATE TRIGGER talk BEFORE UPDATE ON orders FOR EACH ROW WHEN (NEW.id = 77) EXECUTE FUNCTION talk()''', 'shop')
    done = it.psql(None, stdin='LISTEN news;\nUPDATE orders SET cents = 1 WHERE id = 77;\nSELECT 46;\n')
    text = done.stdout + done.stderr
    it.no_secret(text, 'a notice')
    need('NOTICE' in text and 'UPDATE 1' in text and '46' in text, text)
    need('notification "news"' in text, f'no notification: {text}')
    return text.replace('\n', ' ')[:200]


def prepared(it):
    out = it.python('''
import asyncio, asyncpg, os
async def main():
    c = await asyncpg.connect(host=os.environ['TARGET'], user='alice', password=os.environ['PGPASSWORD'], database='shop', ssl='require')
    p = await c.prepare('SELECT email, ssn, $1::int AS x FROM customers ORDER BY id')
    for i in range(3):
        print([tuple(r) for r in await p.fetch(i)])
    async with c.transaction():
        cursor = await c.cursor('SELECT id, card FROM customers ORDER BY id')
        print([tuple(r) for r in await cursor.fetch(2)], [tuple(r) for r in await cursor.fetch(9)])
    try:
        await c.fetch('DROP TABLE orders')
    except asyncpg.InsufficientPrivilegeError as e:
        print('refused', e.sqlstate)
    print(await c.fetchval('SELECT count(*) FROM orders'))
    await c.executemany('UPDATE orders SET cents = $1 WHERE id = $2', [(i, i) for i in range(1, 60)])
    print(await c.fetchval('SELECT sum(cents) FROM orders WHERE id < 60'))
    await c.close()
asyncio.run(main())''')
    it.no_secret(out, 'asyncpg')
    need('refused 42501' in out and '\n200\n' in out and '\n1770\n' in out, out)
    return 'asyncpg: named statements, cursors in pieces, executemany'


def pipelined(it):
    """Many statements before the first answer; a refused one in the middle fails its group alone."""
    def parse(sql):
        return (b'P', b'\0' + sql.encode() + b'\0\0\0'), (b'B', bytes(8)), (b'E', bytes(5))
    c = Bare(it)
    c.start()
    for i in range(200):
        for kind, body in (*parse(f'SELECT {i}, email FROM customers WHERE id = 1'), (b'S', b'')):
            c.send(kind, body)
    for i in range(200):
        told = c.until(b'Z')
        row = next((body for kind, body in told if kind == b'D'), b'')
        need(str(i).encode() in row and b'ada@calc.io' not in row, f'group {i}: {told}')
    before = it.db.direct('SELECT cents FROM orders WHERE id = 90')
    for kind, body in (*parse('UPDATE orders SET cents = -1 WHERE id = 90'), *parse('DROP TABLE orders'), *parse('SELECT 1'), (b'S', b''),
                       *parse('SELECT 2'), (b'S', b'')):
        c.send(kind, body)
    first, second = c.until(b'Z'), c.until(b'Z')
    need(code(first) == '42501' and kinds(first).count(b'E') == 1 and first[-1][1] == b'I', f'{first}')
    need(any(kind == b'D' for kind, _ in second) and code(second) is None, f'{second}')
    need(it.db.direct('SELECT cents FROM orders WHERE id = 90') == before, 'the statement before the refused one was kept')
    c.close()
    return '200 groups at once; a refusal rolls its own group back, the next runs'


def transactions(it):
    c = Bare(it)
    c.start()
    need(c.ask('BEGIN')[-1][1] == b'T', 'no transaction')
    c.ask('UPDATE orders SET cents = -5 WHERE id = 91')
    told = c.ask('DROP TABLE orders')
    need(code(told) == '42501' and told[-1][1] == b'E', f'not a failed transaction: {told}')
    told = c.ask('SELECT 1')
    need(code(told) == '25P02' and told[-1][1] == b'E', f'{told}')
    told = c.ask('COMMIT')
    need(any(body == b'ROLLBACK\0' for kind, body in told if kind == b'C') and told[-1][1] == b'I', f'{told}')
    need(it.db.direct('SELECT cents FROM orders WHERE id = 91').strip() != '-5', 'it was committed')
    c.ask('BEGIN')
    c.ask('SAVEPOINT s')
    need(c.ask('TRUNCATE orders')[-1][1] == b'E', 'no failed transaction')
    told = c.ask('ROLLBACK TO s')
    need(code(told) is None and told[-1][1] == b'T', f'{told}')
    need(c.ask('COMMIT')[-1][1] == b'I', 'no end')
    c.close()
    return 'T, refused: E, 25P02, COMMIT says ROLLBACK; a savepoint takes it back'


# --- Credentials ---

def credentials(it, dump):
    time.sleep(1)
    dump.stop(signal.SIGINT)
    capture = (it.lab.dir / 'agent.pcap').read_bytes()
    need(len(capture) > 50000 and it.token.encode() not in capture, f'the capture is short ({len(capture)}), or the token is in clear')
    verifier = it.db.direct("SELECT rolpassword FROM pg_authid WHERE rolname = 'shop_app'").strip()
    stored = re.match(r'SCRAM-SHA-256\$\d+:.*\$(.*):', verifier)[1]
    words = [PASSWORD.encode(), PASSWORD.encode()[::-1], PASSWORD.encode().hex().encode(), stored.encode()]
    searched = 0
    for path in [it.lab.dir / 'agent.pcap', *it.sluice.state.rglob('*'), *it.sluice.run_dir.rglob('*'), *it.lab.dir.glob('*.log')]:
        if path.is_file() and path.name != 'credentials':
            data = path.read_bytes()
            searched += len(data)
            for word in words:
                need(word not in data, f'{path.name} holds a form of the upstream password')
            need(it.token.encode() not in data, f'{path.name} holds the token')
    for pid in [p for name in ('sluice', 'sluice-control', 'sluice-dataplane', 'sluice-sqlparse', 'sluice-signer', 'sluice-egress') for p in it.pids(name)]:
        for part in ('cmdline', 'environ'):
            with open(f'/proc/{pid}/{part}', 'rb') as f:
                need(PASSWORD.encode() not in f.read(), f'{part} of {pid} holds the password')
        limits = open(f'/proc/{pid}/limits').read()
        told = re.search(r'Max core file size\s+(\S+)', limits)[1]
        data = open(f'/proc/{pid}/status').read()
        need(told == '0' or 'CoreDumping' in data, f'{pid}: a core file may be written')
    return f'{searched >> 10} KiB of capture, journal, rings and logs; command lines and environments'


def sight_of_the_agent(it):
    """The agent's own sight inside TLS: everything a whole session gets, byte by byte."""
    c = Bare(it)
    everything = b''.join(body for _, body in c.start())
    everything += b''.join(body for _, body in c.ask('SELECT * FROM pg_catalog.pg_settings')) + b''.join(body for _, body in c.ask('SELECT current_user'))
    need(PASSWORD.encode() not in everything and b'SCRAM' not in everything[:200], 'a credential')
    c.close()


def run(it, result):
    dump = it.spawn(it.wire.agent, 'tcpdump', '-U', '-s', '0', '-i', it.wire.inner, '-w', it.lab.dir / 'agent.pcap', log=it.lab.dir / 'tcpdump.log')
    world.wait_for('tcpdump', lambda: dump.need_alive() and 'listening' in world.tail(dump.log), 30)
    it.healthy()
    result.check('TLS at once, with ALPN', lambda: direct_tls(it))
    result.check('TLS at once has to be named', lambda: direct_tls_must_be_named(it))
    result.check('protocol 3.2', lambda: newer_protocol(it))
    result.check('GSSENCRequest', lambda: gss(it))
    result.check('names are verified towards the agent', lambda: verified(it))
    result.check('a wrong name towards the server: no session', lambda: wrong_upstream(it))
    result.check('replication', lambda: replication(it))
    result.check('FunctionCall is refused', lambda: function_call(it))
    result.check('cancel reaches the server', lambda: cancel(it))
    result.check('cancel of a held command', lambda: cancel_held(it))
    result.check('COPY TO, masked', lambda: copy_out(it))
    result.check('COPY FROM', lambda: copy_in(it))
    result.check('prepared statements and cursors', lambda: prepared(it))
    result.check('pipelining', lambda: pipelined(it))
    result.check('transactions', lambda: transactions(it))
    result.check('errors, notices, notifications: masked', lambda: messages(it))
    result.check('what a session is told holds no credential', lambda: sight_of_the_agent(it))
    result.check('the upstream password is nowhere', lambda: credentials(it, dump))
    result.check('the journal is good', lambda: it.sluice.cli('journal', 'verify').stdout.strip().splitlines()[-1])


if __name__ == '__main__':
    sys.exit(scene.main('protot', run, services=WRONG_NAME, rules=RULES, upstreams=('shop-db', 'wrong-name'), settings='log_connections = on\n'))
