"""long_checks.py: rows that are longer than is read whole, of types that hold several values, and lines of COPY: what drivers and the server
itself make of what comes out."""
import asyncio
import json

import asyncpg
import psycopg

import rig
from checks import check, clean, need
from wire import B, D, E, P, Q, S, Wire, rows, shape

MAIL, STARS = "ada@example.com", "*" * 15
JSON = """select jsonb_agg(jsonb_build_object('a', 'lorem ' || g, 'to', array['ada@example.com', E'a"b\\\\c ada@example.com é'], 'n', g, 'f', mod(g, 2) = 0, 'x', null))
 from generate_series(1, %d) g"""
ARRAY = """select array_agg(case mod(g, 3) when 0 then null when 1 then 'plain' || g else E'a"b\\\\c, ada@example.com é' || g end) from generate_series(1, %d) g"""
TABLE = f"""drop table if exists longs; create table longs (id int, t text, j jsonb, a text[], z numeric);
insert into longs select 1, (select string_agg(E'lorem "x", \\\\ \\t{MAIL}\\n' || g, '') from generate_series(1, 160000) g), ({JSON % 20}), ({ARRAY % 30}), 1.5;
insert into longs values (2, 'plain', '[1]', null, null);"""
HIDDEN = f"""select id, replace(t, '{MAIL}', '{STARS}'), replace(j::text, '{MAIL}', '{STARS}')::jsonb, replace(a::text, '{MAIL}', '{STARS}')::text[], z from longs where id = 1"""


def login(r):
    return psycopg.connect(host="127.0.0.1", port=r.proxy.port, user="agent", password=rig.TOKEN, dbname="shop")


def hidden(value):
    return json.loads(json.dumps(value).replace(MAIL, STARS))


@check
def long_values_decode_in_drivers(r):
    direct = dict(host="127.0.0.1", port=r.cluster.port, user="app", password=r.cluster.password, dbname="shop")
    cases = [JSON % 14000, ARRAY % 90000, f"select ({JSON % 12000})::json", f"select array_agg(j) from generate_series(1, 12000) g, ({JSON % 1}) as x(j)",
             f"select to_jsonb(repeat('lorem {MAIL} \" é ', 45000))", f"select array[repeat('lorem {MAIL} \" é ', 45000), null, '{MAIL}']"]
    with psycopg.connect(**direct) as k:
        want = [hidden(k.execute(x).fetchone()[0]) for x in cases]
    with login(r) as k:
        for binary in (False, True):
            for text, value in zip(cases, want):
                got = k.execute(text, binary=binary).fetchone()[0]
                need(got == value, f"{text[:60]} in psycopg, binary {binary}: {str(got)[:200]}")
            got = k.execute(f"select row(1, ({ARRAY % 90000}), 'b')", binary=binary).fetchone()[0]
            need(MAIL not in str(got) and STARS in str(got) and len(got) == 3, str(got)[:200])
            got = k.execute(f"select array_agg(row(g, 'to {MAIL}')) from generate_series(1, 40000) g", binary=binary).fetchone()[0]
            need(MAIL not in str(got) and STARS in str(got) and len(got) in (40000, len(str(got))), str(got)[:200])

    async def by_asyncpg():
        k = await asyncpg.connect(host="127.0.0.1", port=r.proxy.port, user="agent", password=rig.TOKEN, database="shop", ssl=False)
        for text, value in zip(cases, want):
            got = await k.fetchval(text)
            if isinstance(value, dict) or isinstance(got, str):
                got = json.loads(got)
            elif got and isinstance(got[0], str) and got[0].startswith("["):
                got = [json.loads(x) for x in got]
            need(got == value, f"{text[:60]} in asyncpg: {str(got)[:200]}")
        await k.close()

    asyncio.run(by_asyncpg())


@check
def long_values_of_tagged_columns(r):
    w = Wire(r.proxy.port)
    for text in ("select jsonb_agg(name) from customers, generate_series(1, 30000)", "select array_agg(name) from customers, generate_series(1, 30000)",
                 "select row(repeat('x', 1100000), name, email) from customers where id = 1", "select repeat('x', 1100000), customers from customers where id = 1",
                 "select array_agg(customers) from customers, generate_series(1, 3000)", "select repeat('x', 1100000), * from typed",
                 "select json_agg(typed) from typed, generate_series(1, 2000)", "select xmlagg(xmlelement(name a, name)) from customers, generate_series(1, 20000)"):
        for parts in (Q(text), P(text) + B() + D() + E() + S, P(text) + B(results=[1]) + E() + S):
            got = w.ask(parts)
            clean(w)
            need(b"ecalevoL" not in w.all and shape(got).endswith("ZI"), shape(got))
            w.all = bytearray()
    need(rows(w.ask(Q("select 1"))) == [[b"1"]])


@check
def long_lines_of_a_copy(r):
    """What comes out is loaded into the server again, and is what it was with every address hidden."""
    r.cluster.sql(TABLE)
    path = f"{r.cluster.folder}/long.copy"
    w = Wire(r.proxy.port)
    try:
        for options in ("", "(format csv)", "(format csv, header)", "(format csv, force_quote *)", "(format binary)", "(delimiter '*', null 'x')",
                        "(format csv, delimiter '*', quote '-', escape '+')"):
            got = w.ask(Q(f"copy longs to stdout {options}"))
            need("E" not in shape(got), f"{options}: {shape(got)[-100:]}")
            data = [body for kind, body in got if kind == "d"]
            need(sum(len(x) > 5 << 20 for x in data) == 1, [len(x) for x in data])
            clean(w)
            with open(path, "wb") as f:
                f.write(b"".join(data))
            same = r.cluster.sql(f"create temp table again (like longs); \\copy again from '{path}' {options.replace(', force_quote *', '')}\n"
                                 f"select count(*) from (({HIDDEN}) except (select * from again)) x; select count(*) from again; select count(*) from again where z = 1.5")
            same = same.split()
            need(same == ["0", "2", "1"] or (same == ["1", "2", "1"] and "*'" in options), f"{options}: {same}")
            w.all = bytearray()
        with login(r) as k, k.cursor() as c:
            for options in ("", "(format binary)"):
                with c.copy(f"copy longs to stdout {options}") as copy:
                    copy.set_types(["int4", "text", "jsonb", "text[]", "numeric"])
                    got = list(copy.rows())
                need(len(got) == 2 and got[0][0] in (1, "1") and MAIL not in str(got) and STARS in str(got[0][1]), len(got))
        for text in ("copy (select repeat(name, 300000), id from customers where id = 1) to stdout", "copy (select repeat(name, 300000), id from customers where id = 1) to stdout csv"):
            need("E" not in shape(w.ask(Q(text))))
            clean(w)
            w.all = bytearray()
        need("E54000" in shape(w.ask(Q("copy (select repeat(name, 300000), id from customers where id = 1) to stdout (format binary)"))))
        clean(w)
        need(rows(w.ask(Q("select 1"))) == [[b"1"]])
    finally:
        r.cluster.sql("drop table longs")
