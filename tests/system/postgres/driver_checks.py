"""driver_checks.py: other people's clients against the server itself and through Sluice; what they hand their callers must be equal.

Through a policy that allows everything and masks nothing (open.cfg); masks in drivers are at the end.
"""
import asyncio
import glob
import json
import os
import shutil
import subprocess
from pathlib import Path

import asyncpg
import psycopg
import psycopg2
import psycopg2.extras

import rig
from checks import check, clean, connect, need

LAB = Path(__file__).resolve().parent.parent.parent.parent / "platform" / "lab"
HERE = Path(__file__).resolve().parent

SAMPLE = """
create table t (id serial primary key, i2 int2, i8 int8, f4 float4, f8 float8, n numeric(12,3), b bool, d date, ts timestamp, tz timestamptz, iv interval, u uuid, j json, jb jsonb,
 x xml, by bytea, ta text[], ia int[][], ip inet, r int4range, m money, c char(5), v varchar(20), tx text, bt bit(4), p point, tv tsvector);
insert into t (i2, i8, f4, f8, n, b, d, ts, tz, iv, u, j, jb, x, by, ta, ia, ip, r, m, c, v, tx, bt, p, tv)
 select g, g * 10000000000, g / 4.0, g / 8.0, g * 1.125, g % 2 = 0, date '2020-02-28' + g, '2020-01-01'::timestamp + g * interval '1 hour', '2020-01-01Z'::timestamptz + g * interval '1 day',
  g * interval '90 minutes', ('00000000-0000-4000-8000-' || lpad(g::text, 12, '0'))::uuid, '{"a": [1, null, "x"]}', '{"b": {"c": true}}', '<a>b</a>', decode(md5(g::text), 'hex'),
  array['a', null, 'c,"d"\\', g::text], '{{1,2},{3,4}}', '10.0.0.1', int4range(g, g + 5), 12.5, 'ab', 'v' || g, repeat('äöü ', g), B'1010', point(1, g), to_tsvector('simple', 'a b c')
 from generate_series(1, 40) g;
create table kv (k int primary key, v text);
"""


def ends(r):
    """Connection facts of the server itself and of Sluice."""
    if not getattr(r, "open", None):
        r.cluster.sql("drop database if exists plainly", "postgres")
        r.cluster.sql("create database plainly", "postgres")
        r.cluster.sql(SAMPLE + "alter table t owner to app; alter table kv owner to app; grant all on schema public to app;", "plainly")
        r.open = rig.Proxy(r.program, r.cluster, str(HERE / "open.cfg"), r.classes)
    return [dict(host="127.0.0.1", port=r.cluster.port, user="app", password=r.cluster.password),
            dict(host="127.0.0.1", port=r.open.port, user="agent", password=rig.TOKEN)]


def equal(r, course):
    direct, through = [course(e) for e in ends(r)]
    need(direct == through, f"{str(through)[:300]} is not {str(direct)[:300]}")
    return f"{len(str(direct))} characters alike"


def errors(run, kind):
    try:
        run()
    except kind as e:
        return str(e)
    return None


@check
def driver_psycopg2(r):
    def course(e):
        out = []
        with psycopg2.connect(dbname="plainly", **e) as k:
            with k.cursor(cursor_factory=psycopg2.extras.DictCursor) as cur:
                cur.execute("select * from t order by id")
                out += [[tuple(bytes(v) if isinstance(v, memoryview) else str(v) for v in x) for x in cur.fetchall()], [tuple(d[:4]) for d in cur.description]]
                cur.execute("insert into kv select g, 'v' || g from generate_series(1, 10) g returning k, v")
                out.append(cur.fetchall())
                psycopg2.extras.execute_values(cur, "insert into kv values %s", [(i, "x" * i) for i in range(20, 60)])
                out.append(cur.rowcount)
            k.rollback()
            with k.cursor("named") as cur:
                cur.itersize = 7
                cur.execute("select id, tx from t order by id")
                out.append(list(cur))
            k.rollback()
            out.append(errors(lambda: k.cursor().execute("select nosuch from t"), psycopg2.Error))
            out.append(k.get_transaction_status())
            k.rollback()
            out.append(errors(lambda: k.cursor().execute("select 1/0"), psycopg2.Error))
        return out
    return equal(r, course)


@check
def driver_psycopg3(r):
    def course(e):
        out = []
        with psycopg.connect(dbname="plainly", **e) as k:
            for binary in (False, True):
                cur = k.cursor(binary=binary)
                cur.execute("select id, i2, i8, f4, f8, n, b, d, ts, tz, u, j, jb, by, ta, ia, ip, r, tx from t where id > %s order by id", (0,))
                out.append([tuple(map(str, x)) for x in cur])
            for i in range(8):  # prepared from the sixth time on
                out.append(k.execute("select %s::int + id from t order by id limit 3", (i,)).fetchall())
            with k.cursor("named") as cur:
                cur.execute("select id, tx from t order by id")
                out.append(cur.fetchmany(5) + cur.fetchall())
            with k.pipeline():
                cursors = [k.execute("select %s::text", (str(i),)) for i in range(50)]
            out.append([c.fetchone() for c in cursors])
            with k.cursor().copy("copy (select id, tx, by from t order by id) to stdout") as c:
                out.append(b"".join(bytes(x) for x in c))
            with k.cursor().copy("copy kv from stdin") as c:
                for i in range(500):
                    c.write_row((i, "row\t" + str(i)))
            out.append(k.execute("select count(*), min(v), max(v) from kv").fetchall())
            k.rollback()
            k.execute("listen news")
            k.commit()
            k.execute("notify news, 'hello'")
            k.commit()
            out.append(errors(lambda: k.execute("select nosuch from t"), psycopg.Error))
        return out
    return equal(r, course)


@check
def driver_asyncpg(r):
    def course(e):
        async def go():
            k = await asyncpg.connect(database="plainly", **e)
            out = [[tuple(x) for x in await k.fetch("select * from t order by id")]]
            statement = await k.prepare("select id, tx from t where id = any($1::int[]) order by id")
            out += [[tuple(x) for x in await statement.fetch([i, i + 1])] for i in range(5)]
            async with k.transaction():
                out.append([tuple(x) async for x in k.cursor("select id from t order by id", prefetch=7)])
                await k.copy_records_to_table("kv", records=[(i, f"v{i}") for i in range(1000)])
                await k.executemany("update kv set v = $2 where k = $1", [(i, f"w{i}") for i in range(300)])
                out.append(await k.fetchval("select md5(string_agg(v, ',' order by k)) from kv"))
                await k.execute("delete from kv")
            try:
                await k.fetch("select nosuch from t")
            except asyncpg.PostgresError as x:
                out.append((x.sqlstate, str(x)))
            await k.close()
            return out
        return asyncio.run(go())
    return equal(r, course)


@check
def driver_node(r):
    if not (LAB / "node_modules" / "pg").exists():
        subprocess.run(["npm", "ci", "--no-audit", "--no-fund"], cwd=LAB, check=True, capture_output=True, timeout=300)

    def course(e):
        env = {**os.environ, "PGHOST": e["host"], "PGPORT": str(e["port"]), "PGUSER": e["user"], "PGPASSWORD": e["password"], "PGDATABASE": "plainly",
               "NODE_PATH": str(LAB / "node_modules")}
        done = subprocess.run(["node", str(HERE / "driver_node.js")], env=env, capture_output=True, text=True, timeout=120)
        need(done.returncode == 0, done.stderr[:500])
        return json.loads(done.stdout)
    return equal(r, course)


@check
def driver_jdbc(r):
    jars = glob.glob("/usr/share/java/postgresql.jar")
    java = shutil.which("java")
    if not jars or not java:
        return "skipped: no java or no driver here"

    def course(e):
        done = subprocess.run([java, "-Xshare:auto", "-cp", jars[0], str(HERE / "DriverJdbc.java"), f"jdbc:postgresql://{e['host']}:{e['port']}/plainly?sslmode=disable", e["user"]],
                              input=e["password"], capture_output=True, text=True, timeout=240)
        need(done.returncode == 0, done.stderr[:800])
        return done.stdout
    return equal(r, course)


@check
def driver_pg_dump(r):
    """Dumps in three formats are the same; what was dumped through Sluice is restored through Sluice, and dumped again the same."""
    def env(e):
        return {"PATH": f"{rig.BIN}:/usr/bin:/bin", "PGHOST": e["host"], "PGPORT": str(e["port"]), "PGUSER": e["user"], "PGPASSWORD": e["password"], "LANG": "C.UTF-8"}

    def dump(e, database, *options):
        done = subprocess.run([f"{rig.BIN}/pg_dump", "-d", database, *options], env=env(e), capture_output=True, timeout=120)
        need(done.returncode == 0, done.stderr[:500])
        return b"\n".join(x for x in done.stdout.split(b"\n") if not x.startswith((b"\\restrict", b"\\unrestrict", b"-- Dumped")))
    direct, through = ends(r)
    for options in ((), ("--inserts",), ("--schema-only",), ("--column-inserts", "--rows-per-insert=10", "--data-only")):
        one, other = dump(direct, "plainly", *options), dump(through, "plainly", *options)
        need(one == other and len(one) > 1000, f"{options}: {len(one)} and {len(other)} bytes")
    r.cluster.sql("drop database if exists again", "postgres")
    r.cluster.sql("create database again owner app", "postgres")
    raw = subprocess.run([f"{rig.BIN}/pg_dump", "-d", "plainly", "-Fc"], env=env(through), capture_output=True, timeout=120)
    need(raw.returncode == 0, raw.stderr[:500])
    back = subprocess.run([f"{rig.BIN}/pg_restore", "-d", "again", "--no-owner", "--exit-on-error"], env=env(through), input=raw.stdout, capture_output=True, timeout=120)
    need(back.returncode == 0, back.stderr[:500])
    need(dump(direct, "again", "--data-only") == dump(direct, "plainly", "--data-only"), "restored otherwise")
    r.cluster.sql("drop database again", "postgres")
    return f"{len(raw.stdout)} bytes"


@check
def driver_masks_decode(r):
    """Every masked type, in text and in binary, decodes in psycopg 3, asyncpg and node-postgres."""
    with psycopg.connect(host="127.0.0.1", port=r.proxy.port, user="agent", password=rig.TOKEN, dbname="shop") as k:
        for binary in (False, True):
            row = k.cursor(binary=binary).execute("select * from typed").fetchone()
            need("canary" not in repr(row) and len(row) == 28, row)
            clean(repr(k.cursor(binary=binary).execute("select * from customers").fetchall()).encode())
    env = {**os.environ, "PGHOST": "127.0.0.1", "PGPORT": str(r.proxy.port), "PGUSER": "agent", "PGPASSWORD": rig.TOKEN, "PGDATABASE": "shop", "NODE_PATH": str(LAB / "node_modules")}
    done = subprocess.run(["node", "-e", """const {Client} = require('pg'); (async () => { const c = new Client(); await c.connect();
        for (const binary of [false, true]) for (const q of ['select * from typed', 'select * from customers'])
            console.log(JSON.stringify((await c.query({text: q, values: [], binary})).rows));
        await c.end(); })().catch(e => { console.error(e); process.exit(1); });"""], env=env, capture_output=True, timeout=60)
    need(done.returncode == 0, done.stderr[:500])
    clean(done.stdout)
    with connect(r) as k, k.cursor() as cur:
        cur.execute("select * from typed")
        clean(repr(cur.fetchall()).encode())
