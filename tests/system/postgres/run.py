#!/usr/bin/python3
"""run.py: the PostgreSQL inspector between real clients and a real server, as TAP.

usage: run.py POSTGRES_PROXY POLICY CLASSES

Each check names what it attacks. Canaries are the values of tagged columns: none may be in any byte that a client receives.
"""
import asyncio
import datetime
import decimal
import hashlib
import re
import struct
import subprocess
import sys
import threading
import time
import traceback

import asyncpg
import psycopg2

import rig
from wire import B, C, D, E, F, H, P, Q, S, X, Wire, c, cells, d, f, fields, message, rows, shape

CANARIES = [b"ada@example.com", b"bob@example.org", b"kid@example.net", b"536-22-872", b"4111111111111111", b"5500005555555559", b"Lovelace", b"Weird",
            b"Kid Name", b"canary"]
checks = []


def check(function):
    checks.append(function)
    return function


def need(condition, told=""):
    if not condition:
        raise AssertionError(told)


def clean(wire_or_bytes, but=()):
    data = wire_or_bytes.all if isinstance(wire_or_bytes, Wire) else wire_or_bytes
    for canary in CANARIES:
        need(canary in but or canary not in data, f"{canary} reached the client")


def both(text, **options):
    """The same in the simple and in the extended protocol, text and binary."""
    return [Q(text), P(text) + B() + D() + E() + S, P(text) + B(results=[1]) + E() + S, P(text) + B() + E(rows=1) + E() + S]


class Rig:
    pass


def connect(r, **options):
    return psycopg2.connect(host="127.0.0.1", port=r.proxy.port, user="agent", password=rig.TOKEN, dbname="shop", **options)


def direct(r):
    return psycopg2.connect(host="127.0.0.1", port=r.cluster.port, user="app", password=r.cluster.password, dbname="shop")


# ------------------------------------------------------------------------------------------------ login

@check
def login_needs_the_token(r):
    Wire(r.proxy.port).close()
    for bad in ("", "bad-token", "good-token "):
        try:
            Wire(r.proxy.port, password=bad)
        except PermissionError as e:
            need(e.args[0]["C"] == "28P01", e)
            need(e.args[0]["S"] == "FATAL", e)
            continue
        raise AssertionError("logged in with " + repr(bad))


@check
def startup_parameters_are_a_list_of_allowed_ones(r):
    w = Wire(r.proxy.port, parameters=[("application_name", "x"), ("DateStyle", "ISO"), ("options", "-c search_path=made -c statement_timeout=7000")])
    need(rows(w.ask(Q("show search_path"))) == [[b"made"]])
    need(rows(w.ask(Q("show statement_timeout"))) == [[b"7s"]])
    for k, v in (("replication", "database"), ("replication", "true"), ("session_preload_libraries", "x"), ("client_encoding", "SJIS"), ("role", "boss"),
                 ("options", "-c session_replication_role=replica"), ("options", "-z"), ("standard_conforming_strings", "off"), ("log_statement", "all")):
        try:
            Wire(r.proxy.port, parameters=[(k, v)])
        except PermissionError as e:
            need(e.args[0]["C"] == "42501", e)
            continue
        raise AssertionError(f"{k}={v} was taken")


@check
def requests_before_startup(r):
    w = Wire(r.proxy.port, go=False)
    w.close()
    import socket
    s = socket.create_connection(("127.0.0.1", r.proxy.port))
    s.sendall(struct.pack("!II", 8, 80877104))
    need(s.recv(1) == b"N")
    s.sendall(struct.pack("!II", 8, 80877103))
    need(s.recv(1) == b"N")
    s.sendall(struct.pack("!II", 8, 80877104))
    need(b"FATAL" in s.recv(1000))
    s.close()
    for junk in (struct.pack("!II", 4, 0), struct.pack("!II", 0xffffffff, 1), b"GET / HTTP/1.1\r\n\r\n", struct.pack("!II", 9, 196608) + b"x"):
        s = socket.create_connection(("127.0.0.1", r.proxy.port))
        s.sendall(junk)
        s.settimeout(5)
        got = s.recv(1000)
        need(b"R\0\0\0" not in got, got)
        s.close()


@check
def minor_versions_and_options_are_negotiated(r):
    w = Wire(r.proxy.port, go=False)
    w.close()
    import socket
    s = socket.create_connection(("127.0.0.1", r.proxy.port))
    body = struct.pack("!I", 196610) + b"user\0agent\0database\0shop\0_pq_.wish\0" + b"1\0\0"
    s.sendall(struct.pack("!I", len(body) + 4) + body)
    got = s.recv(1000)
    need(got.startswith(b"v" + struct.pack("!III", 4 + 8 + 10, 196608, 1) + b"_pq_.wish\0" + b"R"), got)
    s.close()


@check
def the_password_is_nowhere_on_the_wire(r):
    w = Wire(r.proxy.port)
    w.ask(Q("select rolpassword from pg_authid"))
    w.ask(Q("show all"))
    need(r.cluster.password.encode() not in w.all)
    need(w.parameters["session_authorization"] == "app")


# ------------------------------------------------------------------------------------------------ masks

@check
def rows_are_masked_in_every_protocol(r):
    w = Wire(r.proxy.port)
    for text in ("select * from customers", "select email as x, upper(name), ssn || '' from customers c", "table customers",
                 "select c from customers c", "select row(email, ssn) from customers", "select array[email] from customers",
                 "select array_agg(email) from customers", "select string_agg(name, ',') from customers", "select to_json(c) from customers c",
                 "select row_to_json(c)::text from customers c", "select json_agg(c) from customers c", "select reverse(name) from customers",
                 "select name from (select name from customers) x", "with a as materialized (select name from customers) select * from a",
                 "select name from customers union all select 'x'", "select who, mail from people", "select * from only customers", "select * from kids",
                 "select (select name from customers where id = 1)", "select max(name), min(ssn) from customers", "select coalesce(name, 'x') from customers",
                 "select case when id = 1 then name end from customers", "select name::varchar from customers", "select substr(name, g, 1) from customers, generate_series(1, 12) g",
                 "select encode(name::bytea, 'hex') from customers", "select name::bytea from customers", "select (c).name from customers c",
                 "select a.name from customers a join customers b using (id)", "select most_common_vals::text, histogram_bounds::text from pg_stats where tablename = 'customers'",
                 "select 'ada@example.com' as x", "select '{\"e\": \"ada@\\u0065xample.com\"}'::json", "select 5500005555555559::int8, 4111111111111111::numeric",
                 "select decode('6164614065786d706c652e636f6d', 'hex'), 'ada@example.com'::bytea", "values ('bob@example.org')",
                 "select array['ada@example.com', 'x,y'], row('ada@example.com', 'a \"q\"')"):
        for parts in both(text):
            got = w.ask(parts)
            need(any(kind == "D" for kind, _ in got), f"{text}: {shape(got)}")
            clean(w)
            w.all = b""


@check
def reversed_and_pieces_do_not_leak(r):
    w = Wire(r.proxy.port)
    need(b"ecalevoL" not in b"".join(b for _, b in w.ask(Q("select reverse(name) from customers where id = 1"))))
    got = rows(w.ask(Q("select substr(name, g, 1) from customers, generate_series(1, 12) g where id = 1")))
    need({row[0] for row in got} == {b"***"}, got)
    need(rows(w.ask(Q("select md5(name) from customers where id = 1"))) == [[b"***"]])
    need(rows(w.ask(Q("select length(name) from customers where id = 1"))) == [[b"0"]])


@check
def what_is_not_tagged_stays(r):
    w = Wire(r.proxy.port)
    need(rows(w.ask(Q("select id, what from orders order by id limit 2"))) == [[b"1", b"thing 1"], [b"2", b"thing 2"]])
    need(rows(w.ask(Q("select count(*), 5 from customers"))) == [[b"4", b"5"]])
    need(rows(w.ask(Q("select id, phone from customers where id = 1"))) == [[b"1", b"+49 30 901820"]])
    need(rows(w.ask(Q("select id, ssn from customers where id = 3"))) == [[b"3", None]])


@check
def asyncpg_decodes_every_masked_type(r):
    async def go():
        a = await asyncpg.connect(host="127.0.0.1", port=r.proxy.port, user="agent", password=rig.TOKEN, database="shop")
        row = await a.fetchrow("select * from typed")
        await a.fetch("select * from customers where id = $1", 1)
        await a.fetch("select * from customers where id = $1", 2)
        tx = a.transaction()
        await tx.start()
        n = 0
        async for x in a.cursor("select * from customers", prefetch=1):
            need(x["email"] in ("***@masked.invalid", None), x)
            n += 1
        await tx.commit()
        need(n == 4)
        many = await a.fetch("select * from plain order by id")
        need(len(many) == 2000 and many[1999]["t"] == "text 2000")
        await a.executemany("insert into plain values ($1, $2)", [(9000 + i, "many") for i in range(1000)])
        await a.execute("delete from plain where id >= 9000")
        await a.close()
        return row
    row = asyncio.run(go())
    need(row["secret_i2"] == 0 and row["secret_i4"] == 0 and row["secret_i8"] == 0 and row["secret_f4"] == 0 and row["secret_num"] == decimal.Decimal(0), row)
    need(row["secret_bool"] is False and row["secret_date"] == datetime.date(1970, 1, 1) and row["secret_ts"] == datetime.datetime(1970, 1, 1), row)
    need(row["secret_tz"] == datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc), row)
    need(row["secret_uuid"].int == 0 and "canary" not in row["secret_json"] and row["secret_ia"] == [0, 0, 0] and row["secret_na"] == [0, 0], row)
    need(str(row["secret_inet"]).startswith("0.0.0.0") and row["secret_bytes"] == b"" and len(row["secret_ta"]) == 3, row)
    need("canary" not in repr(row), row)


@check
def psycopg2_decodes_every_masked_type(r):
    with connect(r) as k, k.cursor() as cur:
        cur.execute("select * from typed")
        row = dict(zip([x[0] for x in cur.description], cur.fetchone()))
    need("canary" not in repr(row), row)
    need(row["secret_i8"] == 0 and row["secret_date"] == datetime.date(1970, 1, 1) and row["secret_ta"][2] is None and row["secret_ia"] == [0, 0, 0], row)
    need(isinstance(row["secret_json"], dict) and row["secret_json"]["c"] is None and row["secret_json"]["b"] == [0, 0], row)
    need(len(row["secret_v"]) <= 5, row)


@check
def prepared_twice_and_by_sql(r):
    w = Wire(r.proxy.port)
    w.ask(P("select email from customers where id = $1", "s1") + S)
    for _ in range(3):
        need(rows(w.ask(B(name="s1", values=["1"]) + E() + S)) == [[b"***@masked.invalid"]])
        need(rows(w.ask(B(name="s1", values=["1"], results=[1]) + D() + E() + S)) == [[b"***@masked.invalid"]])
    w.ask(Q("prepare p1 as select reverse(name) from customers"))
    w.ask(Q("execute p1"))
    w.ask(Q("begin"), )
    w.ask(Q("declare cc cursor for select reverse(name) from customers"))
    w.ask(Q("fetch all from cc"))
    need(b"ecalevoL" not in w.all and b"***" in w.all)
    for parts in (E("cc", 1) + S, E("cc", 1) + E("cc") + S, D("P", "cc") + E("cc") + S):
        got = w.ask(parts)
        need("E" not in [k for k, _ in got], shape(got))
    w.ask(Q("rollback"))
    got = w.ask(E("cc") + S)
    need("E42501" in shape(got), shape(got))
    for results in ([], [1]):
        got = w.ask(B(name="p1", results=results) + E() + S)
        need({row[0] for row in rows(got)} == {b"***", None}, shape(got))
    need(b"ecalevoL" not in w.all)
    clean(w)


@check
def sql_cannot_change_what_a_name_stands_for(r):
    w = Wire(r.proxy.port)
    w.ask(P("select id from orders limit 1", "s1") + S)
    w.ask(Q("deallocate s1"))
    w.ask(Q("prepare s1 as select reverse(name) from customers"))
    got = w.ask(B(name="s1") + E() + S)
    need({row[0] for row in rows(got)} == {b"***", None}, shape(got))
    w.ask(Q("deallocate s1; prepare s1 as select name from customers"))
    need("E42501" in shape(w.ask(B(name="s1") + E() + S)))
    need("E42P05" in shape(w.ask(Q("prepare s1 as select id from orders"))))
    need("E42501" in shape(w.ask(B(name="s1") + E() + S)))
    w.ask(P("prepare s3 as select reverse(name) from customers") + B() + E() + P("declare c3 cursor for select reverse(name) from customers") + S)
    got = w.ask(B(name="s3", results=[1]) + D() + E() + S)
    need({row[0] for row in rows(got)} == {b"***", None}, shape(got))
    need(b"ecalevoL" not in w.all)
    w.ask(P("select id from orders limit 1", "s2") + S)
    w.ask(Q("discard all"))
    need("E42501" in shape(w.ask(B(name="s2") + E() + S)))
    need("E42501" in shape(w.ask(Q("prepare \"__denied\" as select 1"))))
    need("E42501" in shape(w.ask(P("select 1", "__denied") + S)))


@check
def search_path_swap_between_executions(r):
    w = Wire(r.proxy.port)
    w.ask(Q("create table made.customers (id int, email text, name text)"))
    try:
        w.ask(Q("insert into made.customers values (1, 'x', 'harmless')"))
        w.ask(Q("set search_path = made"))
        w.ask(P("select reverse(name), name from customers", "s") + S)
        w.ask(B(name="s") + E() + S)
        w.ask(Q("set search_path = public"))
        w.ask(B(name="s") + E() + S)
        need(b"ecalevoL" not in w.all)
        clean(w)
    finally:
        w.ask(Q("drop table made.customers"))


@check
def copies_carry_their_tags(r):
    w = Wire(r.proxy.port)
    try:
        w.ask(Q("create table made.t1 as select id, name as n from customers"))
        w.ask(Q("select n from made.t1"))
        w.ask(P("select reverse(n) from made.t1") + B() + E() + S)
        w.ask(Q("create view made.v1 as select name as q from customers"))
        w.ask(Q("select q, reverse(q) from made.v1"))
        w.ask(Q("insert into plain select 7777, name from customers where id = 1"))
        w.ask(Q("select t from plain where id = 7777"))
        w2 = Wire(r.proxy.port)
        w2.ask(Q("select n, reverse(n) from made.t1"))
        w2.ask(Q("select q from made.v1"))
        for x in (w, w2):
            clean(x)
            need(b"ecalevoL" not in x.all)
    finally:
        r.cluster.sql("drop view if exists made.v1; drop table if exists made.t1; delete from plain where id = 7777")


# ------------------------------------------------------------------------------------------------ refusal

DENY = "drop table orders"
FAIL = "select * from nosuch"


def course(port, groups, password, user):
    w = Wire(port, user=user, password=password)
    out = []
    for parts, count in groups:
        out.append(re.sub("E[0-9A-Z]{5}", "E", shape(w.ask(parts, count=count))))
    w.close()
    return out


class Direct(Wire):
    """To the server itself: with SCRAM, through psql's library is not possible here; a trust line is used instead."""


@check
def refusal_is_an_error_of_the_server(r):
    """Kinds, order and transaction status of every message compared with a real error in the same place, on the same server."""
    w, base = Wire(r.proxy.port), Wire(r.proxy.port)
    ins = "insert into plain values (-1, 'x')"
    places = [
        [Q("{}")], [Q("begin"), Q("{}"), Q("select 1"), Q("rollback")],
        [Q("begin"), Q(FAIL), Q("{}"), Q("rollback")], [Q("begin"), Q(FAIL), P("{}") + B() + E() + S, Q("rollback")],
        [P("{}") + B() + E() + S], [P(ins) + B() + E() + P("{}") + B() + E() + S, Q("select count(*) from plain where id = -1")],
        [P("{}") + B() + E() + P(ins) + B() + E() + S, Q("select count(*) from plain where id = -1")],
        [P(ins) + B() + E() + P("{}") + B() + D() + E() + P(ins) + B() + E() + S, Q("select count(*) from plain where id = -1")],
        [Q("begin"), P(ins) + B() + E() + P("{}") + B() + E() + S, P("select 1") + B() + E() + S, Q("rollback")],
        [P("{}", "n1") + S, P("select 1", "n1") + B(name="n1") + E() + S + C("S", "n1") + S],
    ]
    for place in places:
        one, other = [], []
        for part in place:
            count = max(1, part.count(S))
            for sql, into, session in ((DENY, one, w), (FAIL, other, base)):
                # the text is replaced inside its message: lengths are patched by building it again
                built = rebuild(part, sql)
                into.append(re.sub("E[0-9A-Z]{5}", "E", shape(session.ask(built, count=count))))
        need(one == other, f"{place}: {one} is not {other}")
    need(shape(w.ask(Q("insert into plain values (-2, 'x'); " + DENY))) == "E42501 ZI")
    need(r.cluster.sql("select count(*) from plain where id < 0").strip() == "0")
    need(r.cluster.sql("select count(*) from orders").strip() == "50")


def rebuild(part, sql):
    out, at = b"", 0
    while at < len(part):
        n = 1 + struct.unpack("!I", part[at + 1:at + 5])[0]
        out += message(chr(part[at]), part[at + 5:at + n].replace(b"{}", sql.encode()))
        at += n
    return out


@check
def refusal_tells_the_rule(r):
    w = Wire(r.proxy.port)
    e = fields([b for k, b in w.ask(Q("dRoP/**/TaBlE customers")) if k == "E"][0])
    need(e["C"] == "42501" and e["S"] == "ERROR" and "no-ddl" in e["M"] and "database team" in e["M"], e)
    for text in ("select 1; drop table orders", "do $$ begin execute 'DR'||'OP TABLE orders'; end $$", "do $$ begin drop table orders; end $$",
                 "truncate orders", "copy orders to program 'cat'", "selekt", "select 'unterminated", "alter system set archive_command = 'x'",
                 "create function f() returns int language sql as 'select 1'", "drop table orders -- x"):
        for parts in (Q(text), P(text) + B() + E() + S):
            got = w.ask(parts)
            need("E42501" in shape(got) and got[-1] == ("Z", b"I"), f"{text}: {shape(got)}")
    need(rows(w.ask(Q("select 1"))) == [[b"1"]])
    need(r.cluster.sql("select count(*) from orders").strip() == "50")


@check
def function_call_is_refused(r):
    w = Wire(r.proxy.port)
    got = w.ask(F(1299))  # now()
    need(shape(got) == "E42501 ZI", shape(got))
    w.ask(Q("begin"))
    need(shape(w.ask(F(1299))) == "E42501 ZE")
    need(shape(w.ask(Q("rollback"))) == "C ZI")


@check
def malformed_messages_as_the_server_answers_them(r):
    w = Wire(r.proxy.port)
    need(shape(w.ask(message("Q", b"select 1"))) == "E08P01 ZI")
    need(shape(w.ask(message("Q", b"select 1\0 2\0"))) == "E08P01 ZI")
    need(shape(w.ask(message("Q"))) == "E08P01 ZI")
    need(shape(w.ask(message("B", b"\0\0\0\x05") + S)) == "E08P01 ZI")
    need(shape(w.ask(message("P", b"x") + S)) == "E08P01 ZI")
    need(rows(w.ask(Q("select 1"))) == [[b"1"]])
    w.send(message("y", b""))
    try:
        w.until()
        raise AssertionError("an unknown message was answered")
    except EOFError:
        need(b"08P01" in w.all)


@check
def long_messages_are_refused_by_name(r):
    w = Wire(r.proxy.port)
    for n in (70000, 1 << 20, 3 << 20):
        text = "select '" + "x" * n + "'"
        need("E42501" in shape(w.ask(Q(text))))
        need("E42501" in shape(w.ask(P(text) + B() + E() + S)))
        need("E42501" in shape(w.ask(P("select $1::text") + B(values=["x" * n]) + E() + S)))
    need(rows(w.ask(Q("select 1"))) == [[b"1"]])


@check
def pinned_settings(r):
    w = Wire(r.proxy.port)
    for text in ("set client_encoding = 'SJIS'", "SET NAMES 'latin1'", "set standard_conforming_strings = off", "set local client_encoding to big5",
                 "select set_config('client_encoding', 'SJIS', false)", "select set_config(E'client\\x5fencoding', 'SJIS', false)",
                 "update pg_settings set setting = 'off' where name = 'standard_conforming_strings'", "set \"client_encoding\" = 'SJIS'",
                 "set standard_conforming_strings=off; select 'a\\'; drop table nosuch; --'"):
        e = fields([b for k, b in w.ask(Q(text)) if k == "E"][0])
        need(e["C"] in ("0A000", "42501"), e)
    for text in ("set client_encoding = 'UTF8'", "set names 'utf-8'", "set standard_conforming_strings = on", "show client_encoding", "reset client_encoding"):
        need("E" not in shape(w.ask(Q(text))).split()[0], text)
    need(rows(w.ask(Q("show client_encoding"))) == [[b"UTF8"]])


@check
def masks_are_not_written_back(r):
    w = Wire(r.proxy.port)
    masked = rows(w.ask(Q("select email from customers where id = 1")))[0][0].decode()
    for parts in (Q(f"update plain set t = '{masked}' where id = 1"), P("update plain set t = $1 where id = 1") + B(values=[masked]) + E() + S):
        need("E42501" in shape(w.ask(parts)))
    need(shape(w.ask(Q("update plain set t = 'text 1' where id = 1"))).startswith("C"))


# ------------------------------------------------------------------------------------------------ errors

@check
def errors_do_not_carry_values(r):
    w = Wire(r.proxy.port)
    for text in ("insert into customers (id, email) values (77, 'bob@example.org')", "insert into customers select 78, 'x', email from customers where id = 1",
                 "update customers set id = 1", "select email::int from customers", "select name::uuid from customers", "select name::regclass from customers",
                 "select ('{' || name)::json from customers", "select xmlparse(document name) from customers", "select name::date from customers",
                 "select name::bool from customers", "select ('{' || name)::text[] from customers", "select name::inet from customers"):
        for parts in (Q(text), P(text) + B() + E() + S):
            got = w.ask(parts)
            need("E" in [k for k, _ in got], f"{text}: {shape(got)}")
            clean(w)
    got = w.ask(Q("select 'not tagged'::int"))
    need("not tagged" in fields([b for k, b in got if k == "E"][0])["M"])
    got = w.ask(Q("select 'bob@example.org'::int"))
    need(fields([b for k, b in got if k == "E"][0])["C"] == "22P02")
    clean(w)


@check
def notices_notifications_and_reports_do_not_carry_values(r):
    w = Wire(r.proxy.port)
    w.ask(Q("listen news"))
    w.ask(Q("select pg_notify('news', email) from customers where id = 1"))
    w.ask(Q("select set_config('application_name', email, false) from customers where id = 1"))
    w.ask(Q("set client_min_messages = log"))
    w.ask(Q("set log_min_duration_statement = 0"))
    w.ask(Q("select id from customers where email = 'ada@example.com'"))
    w.ask(P("select id from customers where name = $1") + B(values=["Ada Lovelace"]) + E() + S)
    w.ask(Q("select 1"))
    need(b"news\0" in w.all)
    clean(w)


@check
def deferred_constraint_at_commit(r):
    r.cluster.sql("create table made.child (e text); grant all on made.child to app;"
                  "alter table made.child add constraint fk foreign key (e) references customers (email) deferrable initially deferred")
    try:
        w = Wire(r.proxy.port)
        w.ask(Q("begin"))
        w.ask(Q("insert into made.child select name from customers where id = 1"))
        got = w.ask(Q("commit"))
        need("E23503" in shape(got), shape(got))
        clean(w)
    finally:
        r.cluster.sql("drop table made.child")


# ------------------------------------------------------------------------------------------------ COPY

def copy_out(w, text):
    got = w.ask(Q(text))
    return b"".join(b for k, b in got if k == "d"), shape(got)


@check
def copy_out_is_masked(r):
    w = Wire(r.proxy.port)
    for text in ("copy customers to stdout", "copy customers (email, id) to stdout", "copy customers to stdout csv header", "copy customers to stdout (format binary)",
                 "copy (select name, email from customers) to stdout", "copy (select reverse(name) from customers) to stdout csv",
                 "copy customers to stdout (format csv, delimiter '*', quote '-', null 'NN')", "copy customers to stdout (delimiter '*')",
                 "copy typed to stdout", "copy typed to stdout (format binary)", "copy kids to stdout",
                 "copy (select 'ada@example.com', 'x') to stdout", "copy (select 'ada@example.com', 'x') to stdout (format binary)"):
        data, course = copy_out(w, text)
        need(data and "E" not in course, f"{text}: {course}")
        clean(w)
        need(b"ecalevoL" not in w.all)
        got = w.ask(P(text) + B() + E() + S)
        need("E" not in shape(got), shape(got))
        clean(w)
    need(copy_out(w, "copy customers (id, name, email, phone) to stdout")[0].split(b"\n")[0] == b"1\t***\t***@masked.invalid\t+49 30 901820")
    need(copy_out(w, "copy (select id, what from orders order by id limit 2) to stdout csv header")[0] == b"id,what\n1,thing 1\n2,thing 2\n")
    got = copy_out(w, "copy (select c.*, o.* from customers c, orders o) to stdout")
    need("E54000" in got[1] or not any(x in got[0] for x in CANARIES), got[1])


@check
def copy_of_masked_data_loads_again(r):
    """What comes out of a masked COPY of every type is valid for those types."""
    w = Wire(r.proxy.port)
    for options in ("", "(format csv)", "(format binary)"):
        data, _ = copy_out(w, f"copy typed to stdout {options}")
        path = f"{r.cluster.folder}/typed.copy"
        open(path, "wb").write(data)
        subprocess.run(["chmod", "644", path], check=True)
        r.cluster.sql(f"create table made.again (like typed); copy made.again from '{path}' {options}; drop table made.again")


@check
def copy_in_both_protocols(r):
    w = Wire(r.proxy.port)
    try:
        w.send(Q("copy plain from stdin"))
        w.until("G")
        got = w.ask(d("5001\ta\n5002\t") + d("b\n50") + d("03\tc\n") + H + S + c)
        need(shape(got) == "C ZI", shape(got))
        w.send(P("copy plain from stdin") + B() + D() + E() + S)
        w.until("G")
        got = w.ask(d("5004\td\n") + c + S)
        need(shape(got) == "C ZI", shape(got))
        w.send(Q("copy plain from stdin"))
        w.until("G")
        need(shape(w.ask(f("enough"))) == "E57014 ZI")
        w.send(Q("copy plain from stdin"))
        w.until("G")
        need(shape(w.ask(d("x\ty\n") + c)) == "E22P02 ZI")
        w.send(Q("copy plain from stdin; select 7; copy plain from stdin"))
        w.until("G")
        w.send(d("5005\te\n") + c)
        w.until("G")
        need(shape(w.ask(d("5006\te\n") + c)) == "C ZI")
        need(rows(w.ask(Q("select count(*) from plain where id between 5001 and 5006"))) == [[b"6"]])
    finally:
        r.cluster.sql("delete from plain where id > 5000")


@check
def copy_in_does_not_take_masks(r):
    w = Wire(r.proxy.port)
    token = rows(w.ask(Q("select email from customers where id = 1")))[0][0]
    for pieces in ([b"6001\t" + token + b"\n"], [b"6001\t" + token[:7], token[7:] + b"\n"], [bytes([x]) for x in b"6001\t" + token + b"\n"]):
        w.send(Q("copy plain from stdin"))
        w.until("G")
        got = w.ask(b"".join(d(x) for x in pieces) + d("6002\tmore\n") + c)
        need(shape(got) == "E42501 ZI", shape(got))
        w.send(P("copy plain from stdin") + B() + E())
        w.until("G")
        got = w.ask(b"".join(d(x) for x in pieces) + d("6002\tmore\n") + c + S)
        need(shape(got) == "E42501 ZI", shape(got))
    need(rows(w.ask(Q("select 1"))) == [[b"1"]])
    need(r.cluster.sql("select count(*) from plain where id > 6000").strip() == "0")


@check
def a_large_copy_is_byte_exact(r):
    """50 MB through bounded buffers; only what is masked differs."""
    import socket
    w = Wire(r.proxy.port)
    w.send(Q("copy (select g, repeat('lorem ipsum ', 8) || g from generate_series(1, 450000) g) to stdout"))
    got, n, left = hashlib.sha256(), 0, b""
    while True:
        kind, body = w.read()
        w.all = b""
        if kind == "d":
            got.update(body)
            n += len(body)
        if kind == "Z":
            break
        need(kind != "E", body)
    want = hashlib.sha256()
    for g in range(1, 450001):
        want.update(f"{g}\t{'lorem ipsum ' * 8}{g}\n".encode())
    need(got.digest() == want.digest(), n)
    return f"{n} bytes"


@check
def long_rows(r):
    w = Wire(r.proxy.port)
    got = w.ask(Q("select repeat('x', 700000)"))
    need(len(rows(got)[0][0]) == 700000)
    got = w.ask(Q("select repeat('x', 3000000)"))
    need(shape(got) == "T E54000 ZI", shape(got))
    w.ask(Q("begin"))
    got = w.ask(Q("select repeat('x', 3000000)"))
    need(shape(got) == "T E54000 ZE", shape(got))
    w.ask(Q("rollback"))
    got = w.ask(P("select repeat('x', 3000000)") + B() + E() + S)
    need(shape(got) == "1 2 E54000 ZI", shape(got))
    got = w.ask(Q("select repeat('ada@example.com ', 40000)"))
    clean(w)
    need(rows(w.ask(Q("select 1"))) == [[b"1"]])


# ------------------------------------------------------------------------------------------------ hold, cancel

@check
def hold_and_release(r):
    w = Wire(r.proxy.port)
    begin = time.monotonic()
    got = w.ask(Q("delete from orders where id = 50"))
    need(shape(got) == "C ZI" and time.monotonic() - begin > 0.3, shape(got))
    need("waiting for approval" in fields([b for k, b in got if k == "N"][0])["M"])
    got = w.ask(P("delete from orders where id = $1") + B(values=["49"]) + E() + S)
    need(shape(got) == "1 2 C ZI", shape(got))
    got = w.ask(Q("delete from orders where what = 'deny'"))
    need(shape(got) == "E42501 ZI", shape(got))
    r.cluster.sql("insert into orders select g, 1 + g % 2, 'thing ' || g from generate_series(49, 50) g")


def cancel(r, w):
    import socket
    s = socket.create_connection(("127.0.0.1", r.proxy.port))
    s.sendall(struct.pack("!II", 16, 80877102) + w.key)
    try:
        s.recv(1)
    except OSError:
        pass
    s.close()


@check
def cancel_while_held(r):
    w, other = Wire(r.proxy.port), Wire(r.proxy.port)
    for begin, end in (("select 1", "ZI"), ("begin", "ZE")):
        w.ask(Q(begin))
        w.send(Q("delete from orders where what = 'forever'"))
        w.until("N")
        need(rows(other.ask(Q("select 1"))) == [[b"1"]])
        cancel(r, w)
        need(shape(w.until()) == "E57014 " + end)
    w.ask(Q("rollback"))
    w.send(P("delete from orders where what = 'forever'") + B() + E() + S)
    w.until("N")
    cancel(r, w)
    got = shape(w.until())
    need(got.endswith("E57014 ZI"), got)
    need(rows(w.ask(Q("select 1"))) == [[b"1"]])


@check
def a_held_session_hears_notifications(r):
    w = Wire(r.proxy.port)
    w.ask(Q("listen news"))
    w.send(Q("delete from orders where what = 'forever'"))
    w.until("N")
    r.cluster.sql("notify news, 'hello'")
    kind, body = w.read()
    need(kind == "A" and b"hello" in body, (kind, body))
    cancel(r, w)
    w.until()


@check
def cancel_of_a_running_query(r):
    w = Wire(r.proxy.port)
    w.send(Q("select pg_sleep(20)"))
    time.sleep(0.5)
    bad = Wire(r.proxy.port)
    bad.key = struct.pack("!II", 5000, 1)
    cancel(r, bad)
    cancel(r, w)
    begin = time.monotonic()
    need(shape(w.until()) in ("E57014 ZI", "T E57014 ZI") and time.monotonic() - begin < 10)


@check
def a_client_that_goes_while_held(r):
    w = Wire(r.proxy.port)
    w.send(Q("delete from orders where what = 'x'"))
    w.close()
    time.sleep(0.6)
    need(r.cluster.sql("select count(*) from orders").strip() == "50")


# ------------------------------------------------------------------------------------------------ pipelines

@check
def pipelines_keep_their_order(r):
    w = Wire(r.proxy.port)
    n = 300
    w.send(b"".join(P(f"select {i}") + B() + E() + S for i in range(n)))
    got = w.until(count=n)
    need([int(x[0]) for x in rows(got)] == list(range(n)))
    w.send(b"".join(Q(f"select {i}") for i in range(n)))
    need([int(x[0]) for x in rows(w.until(count=n))] == list(range(n)))
    w.send(b"".join(P(f"select {i}, email from customers where id = 1") + B() + E() for i in range(100)) + S)
    got = rows(w.until())
    need([int(x[0]) for x in got] == list(range(100)) and all(x[1] == b"***@masked.invalid" for x in got))


@check
def names_in_pipelines_that_fail(r):
    """A Parse that the server skipped leaves the old statement under its name: the rows must be masked as that one's."""
    w = Wire(r.proxy.port)
    w.ask(P("select reverse(name) from customers") + S)
    w.send(P(FAIL) + B() + E() + P("select id from orders limit 1") + S + B() + E() + S)
    w.until(count=2)
    need(b"ecalevoL" not in w.all)
    w.ask(P("select reverse(name) from customers", "a") + S)
    w.send(P(FAIL, "zz") + C("S", "a") + P("select id from orders limit 1", "a") + S + B(name="a") + E() + S)
    w.until(count=2)
    need(b"ecalevoL" not in w.all)
    need(rows(w.ask(B(name="a") + E() + S))[0] == [b"***"], shape(w.until("Z") if False else []))
    w.ask(Q("begin"))
    w.ask(P("select reverse(name) from customers") + B("pp") + S)
    w.send(P("select id from orders limit 1") + B("pp") + E("pp") + S + E("pp") + S)
    w.until(count=2)
    w.ask(Q("rollback"))
    need(b"ecalevoL" not in w.all)
    clean(w)


@check
def suspended_portals(r):
    w = Wire(r.proxy.port)
    w.ask(Q("begin"))
    w.ask(P("select reverse(name), id from customers order by id") + B("a") + P("select id from orders order by id") + B("b") + S)
    for i in range(4):
        got = rows(w.ask(E("a", 1) + E("b", 2) + S))
        need(len(got) == 3 and got[0][0] in (b"***", None) and got[1] == [str(2 * i + 1).encode()], got)
    need(b"ecalevoL" not in w.all)
    w.ask(Q("commit"))


@check
def a_query_inside_an_unfinished_group(r):
    w = Wire(r.proxy.port)
    got = w.ask(P("select 1") + B() + E() + Q("select 2"))
    need(rows(got) == [[b"1"], [b"2"]], shape(got))
    got = w.ask(P(FAIL) + Q("select 2") + S)
    need(shape(got) == "E42P01 ZI", shape(got))
    got = w.ask(P("select 1") + B() + E() + Q(DENY))
    need(shape(got) == "1 2 D C E42501 ZI", shape(got))


@check
def thirty_sessions_one_held(r):
    held = Wire(r.proxy.port)
    held.send(Q("delete from orders where what = 'forever'"))
    held.until("N")
    sessions = [Wire(r.proxy.port) for _ in range(30)]
    for w in sessions:
        w.send(Q("select id, email from customers where id = 1"))
    for w in sessions:
        need(rows(w.until()) == [[b"1", b"***@masked.invalid"]])
        w.close()
    cancel(r, held)
    need(shape(held.until()) == "E57014 ZI")


@check
def psql_and_pgbench(r):
    env = {"PGPASSWORD": rig.TOKEN, "PATH": "/usr/bin:/bin", "PGHOST": "127.0.0.1", "PGPORT": str(r.proxy.port), "PGUSER": "agent", "PGDATABASE": "shop"}
    out = subprocess.run(["psql", "-X", "-v", "ON_ERROR_STOP=1"], env=env, capture_output=True, timeout=60,
                         input=b"\\d customers\n\\copy customers to stdout csv\nselect * from customers \\gx\n\\dt+\n\\df made.*\n\\l\n")
    need(out.returncode == 0, out.stderr)
    clean(out.stdout + out.stderr)
    script = f"{r.cluster.folder}/bench.sql"
    open(script, "w").write("select id, email from customers where id = 1;\nselect count(*) from orders;\n")
    for mode in ("simple", "extended", "prepared"):
        out = subprocess.run([f"{rig.BIN}/pgbench", "-n", "-M", mode, "-c", "4", "-t", "50", "-f", script], env=env, capture_output=True, timeout=120)
        need(out.returncode == 0 and b"actually processed: 200/200" in out.stdout, out.stderr)


@check
def every_command_is_answered_once(r):
    time.sleep(0.5)
    judged, answered = {}, {}
    session = {}
    for line in r.proxy.lines():
        m = re.match(r"(judge|response) (\d+) (\d+) (.*)", line)
        key = (m[2], m[3])
        if m[1] == "judge":
            if m[3] == "0":
                session[m[2]] = session.get(m[2], 0) + 1
            judged[(session[m[2]], *key)] = m[4]
        else:
            answered[(session[m[2]], *key)] = answered.get((session[m[2]], *key), 0) + 1
    need(all(n == 1 for n in answered.values()), [k for k, n in answered.items() if n != 1][:5])
    missing = [judged[k] for k in judged if k not in answered and " hold " not in judged[k]]
    need(not missing, missing[:5])
    need(not [k for k in answered if k not in judged])
    return f"{len(judged)} commands"


def main():
    r = Rig()
    program, policy, classes = sys.argv[1:4]
    only = sys.argv[4:]
    r.cluster = rig.Cluster(rig.folder())
    failed = count = 0
    try:
        r.cluster.start()
        for options in ([], ["segment=7"], ["segment=1"], ["slow"]):
            r.proxy = rig.Proxy(program, r.cluster, policy, classes, *options)
            for function in checks:
                if only and function.__name__ not in only:
                    continue
                if "segment=1" in options and function.__name__ in ("a_large_copy_is_byte_exact", "psql_and_pgbench", "long_rows", "long_messages_are_refused_by_name"):
                    continue
                if "segment=7" in options and function.__name__ in ("a_large_copy_is_byte_exact",):
                    continue
                count += 1
                name = f"{function.__name__} {' '.join(options)}".strip()
                begin = time.monotonic()
                try:
                    told = function(r)
                    print(f"ok {count} - {name}" + (f": {told}" if told else "") + f" ({time.monotonic() - begin:.1f} s)", flush=True)
                except Exception as e:
                    failed += 1
                    where = traceback.extract_tb(e.__traceback__)
                    lines = [f"{x.name}:{x.lineno}" for x in where if "run.py" in x.filename]
                    print(f"not ok {count} - {name}: {type(e).__name__}: {str(e)[:600]} ({' '.join(lines)})", flush=True)
                    if r.proxy.process.poll() is not None:
                        print("# " + r.proxy.stderr()[:4000].replace("\n", "\n# "), flush=True)
                        r.proxy = rig.Proxy(program, r.cluster, policy, classes, *options)
            count += 1
            well = r.proxy.stop()
            failed += not well
            print(f"{'ok' if well else 'not ok'} {count} - the proxy is still there {' '.join(options)}", flush=True)
            if not well:
                print("# " + r.proxy.stderr()[:4000].replace("\n", "\n# "), flush=True)
    finally:
        r.cluster.stop()
        subprocess.run(["rm", "-rf", r.cluster.folder])
    print(f"1..{count}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
