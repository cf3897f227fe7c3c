"""mask_checks.py: rows, errors, notices and reports without values."""
import asyncio
import datetime
import decimal
import time

import asyncpg

import rig
from checks import both, check, clean, connect, need
from wire import B, C, D, E, P, Q, S, Wire, c, f, fields, rows, shape


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
    need(shape(w.ask(Q("select pg_notify('news', email) from customers where id = 1"))) == "E42501 ZI")
    w.ask(Q("select pg_notify('news', 'from ada@example.com')"))  # masked by value
    w.ask(Q("select set_config('application_name', email, false) from customers where id = 1"))
    w.ask(Q("set client_min_messages = log"))
    w.ask(Q("set log_min_duration_statement = 0"))
    w.ask(Q("select id from customers where email = 'ada@example.com'"))
    w.ask(P("select id from customers where name = $1") + B(values=["Ada Lovelace"]) + E() + S)
    w.ask(Q("select 1"))
    need(b"news\0" in w.all)
    clean(w)


@check
def what_a_trigger_says_is_masked_whatever_the_rule_masks(r):
    """The rule `make` masks nothing; the notice comes from the database's own code."""
    r.cluster.sql("create function made.talk() returns event_trigger language plpgsql as $$ begin raise notice 'mail of ada@example.com' "
                  "using detail = 'ssn 536-22-8726', hint = 'card 4111111111111111'; perform pg_notify('news', 'bob@example.org'); end $$;"
                  "create event trigger talk on ddl_command_start execute function made.talk()")
    try:
        w = Wire(r.proxy.port)
        w.ask(Q("listen news"))
        for parts in (Q("create table made.told (id int)"), P("drop table made.told") + B() + E() + S):
            got = w.ask(parts)
            need("N" in [k for k, _ in got] and "A" in [k for k, _ in got] and "E" not in [k for k, _ in got], shape(got))
            need("***@masked.invalid" in fields([b for k, b in got if k == "N"][0])["M"])
        clean(w)
    finally:
        r.cluster.sql("drop event trigger if exists talk; drop function if exists made.talk; drop table if exists made.told")


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


@check
def taint_follows_the_transaction(r):
    """What was copied out of tagged columns taints its table for everybody at once, for good only when it was committed."""
    copy = "insert into {} select id, reverse(name) from customers where id = 1"
    fail = "insert into {} select id / 0, reverse(name) from customers"
    cases = [("kept", [copy], True), ("failed", [fail], False), ("rolled back", ["begin", copy, "rollback"], False), ("committed", ["begin", copy, "commit"], True),
             ("error later", ["begin", copy, "select 1/0", "commit"], False), ("commit inside", [copy + "; commit; select nosuch"], True),
             ("failed together", [copy + "; select nosuch"], False), ("savepoint", ["begin", "savepoint a", fail, "rollback to a", copy, "commit"], True),
             ("refused", [copy + "; drop table orders"], False), ("in a block", ["do $$ begin " + copy + "; commit; perform 1/0; end $$"], True)]
    other = Wire(r.proxy.port)
    try:
        for number, (name, texts, stays) in enumerate(cases):
            table = f"made.taint{number}"
            r.cluster.sql(f"drop table if exists {table}; create table {table} (id int, t text); insert into {table} values (7, 'clear text')")
            w = Wire(r.proxy.port)
            for text in texts:
                w.ask(Q(text.format(table)))
            for x in (w, other):
                for parts in (Q(f"select t || '' from {table} where id = 7"), P(f"select t || '' from {table} where id = 7") + B(results=[1]) + E() + S):
                    got = rows(x.ask(parts))[0][0]
                    need(got.startswith(b"***") == stays, f"{name}: {got}")
            w.close()
        table = "made.taint_open"
        r.cluster.sql(f"drop table if exists {table}; create table {table} (id int, t text); insert into {table} values (7, 'clear text')")
        look = Q(f"select t || '' from {table} where id = 7")
        w = Wire(r.proxy.port)
        w.ask(Q("begin"))
        w.ask(Q(copy.format(table)))
        need(rows(other.ask(look))[0][0].startswith(b"***"))
        w.close()
        for _ in range(100):
            got = rows(other.ask(look))
            if got == [[b"clear text"]]:
                break
            time.sleep(0.1)
        need(got == [[b"clear text"]], got)
        w = Wire(r.proxy.port)
        w.ask(P(copy.format(table)) + B() + S)
        need(rows(other.ask(look)) == [[b"clear text"]])
        for _ in range(200):
            w.ask(Q(fail.format(table)))
        need(rows(other.ask(look)) == [[b"clear text"]])
        w.ask(P(copy.format(table)) + B() + E() + S)
        need(rows(other.ask(look))[0][0].startswith(b"***"))
    finally:
        r.cluster.sql("".join(f"drop table if exists made.taint{i};" for i in [*range(len(cases)), "_open"]))
