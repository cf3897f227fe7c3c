"""lists.py: the evasion lists L, X, D and M, a row for each entry, in the simple and in the extended protocol, text and binary.

A row: id, what is sent first, the text, and what must come of it:
  rows     rows come, and nothing of a tagged value in any form
  error    the server's own error comes, without a value
  refused  Sluice's refusal, whole: nothing reached the server
  answer   any answer, without a value
  as SQL   the same course (kinds of messages, codes) as this plain form
L23, M5, M6, M9 and M10 are oracles of predicates: predicate_checks.py has their rows.
"""
import re

from checks import check, clean_in_every_form, need
from wire import B, C, D, E, F, H, P, Q, S, Wire, c, d, fields, message, rows, shape

OBJECTS = """
create table made.expression (e text); create unique index on made.expression (lower(e)); insert into made.expression values ('ada@example.com');
create table made.checked (id int, e text check (length(e) < 3), n text); create table made.filled (a int, b text, c text not null);
create table made.refers (e text references customers (email));
create sequence made.s; create type made.mood as enum ('good', 'bad');
create function made.tells() returns int language plpgsql as $$ begin raise exception 'no' using
  detail = (select email from customers where id = 1), hint = (select ssn from customers where id = 1), column = (select name from customers where id = 1),
  schema = (select email from customers where id = 2), constraint = (select name from customers where id = 2); end $$;
create function made.notes() returns int language plpgsql as $$ begin raise notice '%', (select name || email || ssn from customers where id = 1); return 1; end $$;
create function made.inner() returns int language plpgsql as $$ begin execute (select 'select ''' || email || '''::int' from customers where id = 1); return 1; end $$;
create function made.cursor() returns refcursor language plpgsql as $$ declare c refcursor := 'rc'; begin open c for select reverse(name) as x from customers; return c; end $$;
"""
AWAY = """
drop table if exists made.expression, made.checked, made.filled, made.refers; drop type if exists made.mood; drop sequence if exists made.s;
drop function if exists made.tells; drop function if exists made.notes; drop function if exists made.inner; drop function if exists made.cursor;
drop table if exists made.m8; drop view if exists made.m8v;
"""
OTHER = "select id from orders where what = 'Ada Lovelace, ada@example.com'"  # by another session, while this one looks
ONE = "from customers where id = 1"
SPLIT = "select substr(name, g, 1) from customers, generate_series(1, 12) g"

LIST = [
    ("L1", [], "insert into customers (id, email) values (99, 'bob@example.org')", "error"),
    ("L1 expression index", [], f"insert into made.expression select upper(email) {ONE}", "error"),
    ("L2", [], f"insert into made.checked select id, email, name {ONE}", "error"),
    ("L3", [], f"insert into made.filled select id, ssn, null {ONE}", "error"),
    ("L4", [], f"insert into made.refers select ssn {ONE}", "error"),
    *[("L5 " + t, [], f"select email::{t} {ONE}", "error") for t in ("int", "uuid", "boolean", "inet", "int4range", "int[]", "made.mood", "float8", "numeric", "bit", "point")],
    ("L6", [], f"select ssn::date {ONE}", "error"), ("L6 timestamptz", [], f"select ssn::timestamptz {ONE}", "error"),
    ("L7", [], f"select ('{{\"a\":' || name || '}}')::json {ONE}", "error"), ("L7 jsonb", [], f"select name::jsonb {ONE}", "error"),
    ("L8", [], f"select xmlparse(document name) {ONE}", "error"),
    ("L9", [], f"select email::regclass {ONE}", "error"), ("L9 regproc", [], f"select name::regproc {ONE}", "error"),
    ("L9 nextval", [], f"select nextval(email) {ONE}", "answer"),
    ("L10", [], f"do $$ begin execute (select 'select ''' || email || '''::int' {ONE}); end $$", "refused"),
    ("L10 in a function", [], "select made.inner()", "error"),
    ("L11", [], "select made.tells()", "error"),
    ("L13", [], "select made.notes()", "answer"),
    ("L13 DO", [], f"do $$ begin raise notice '%', (select email {ONE}); end $$", "answer"),
    ("L14", [], "copy customers to stdout", "answer"),
    ("L15", ["listen news"], f"select pg_notify('news', email) {ONE}", "answer"),
    ("L15 split", ["listen news"], f"select pg_notify('news', reverse(name)) {ONE}", "refused"),
    ("L15 channel", ["listen news"], f"select pg_notify(email, '') {ONE}", "refused"),
    ("L15 in a DO", ["listen news"], f"do $$ begin perform pg_notify('news', reverse(name)) {ONE}; end $$", "refused"),
    ("L15 no value", ["listen news"], "select pg_notify('news', 'x')", "rows"),
    ("L16", [], f"select set_config('application_name', name, false) {ONE}", "refused"),
    ("L16 reversed", [], f"select set_config('application_name', reverse(name), false) {ONE}", "refused"),
    ("L16 pg_settings", [], "update pg_settings set setting = (select reverse(name) from customers where id = 1) where pg_settings.name = 'application_name'", "refused"),
    ("L16 sequence", [], f"select setval('made.s', ascii(name)) {ONE}", "refused"),
    ("L16 large object", [], f"select lo_from_bytea(0, name::bytea) {ONE}", "refused"),
    ("L16 own value", [], "select set_config('application_name', 'x', false)", "rows"),
    *[("L18 " + t[:12], [], t, "refused") for t in ("load 'auto_explain'", "LOAD/**/'auto_explain'")],
    *[("L18 " + s, [f"set {s}", "set client_min_messages = log"], "select id, made.notes() from customers where name = 'A' || 'da Lovelace'", "rows")
      for s in ("auto_explain.log_min_duration = 0", "auto_explain.log_nested_statements = on")],
    *[("L19 " + s, [f"set {s} = on", "set client_min_messages = log"], "select id from customers where name = 'A' || 'da Lovelace'", "answer")
      for s in ("debug_print_parse", "debug_print_plan", "debug_print_rewritten")],
    ("L20", ["set log_min_duration_statement = 0", "set client_min_messages = log"], "select id from customers where name = 'A' || 'da Lovelace'", "answer"),
    ("L20 function", ["set log_statement = 'all'", "set client_min_messages = log"], "select made.inner()", "error"),
    ("L21", [], "select * from pg_stats where tablename = 'customers'", "rows"),
    ("L21 stavalues", [], "select stavalues1, stavalues2 from pg_statistic where starelid = 'customers'::regclass", "rows"),
    ("L21 extended", [], "select * from pg_stats_ext", "answer"),
    ("L22", [OTHER], "select query from pg_stat_activity", "rows"),
    ("L22 expression", [OTHER], "select reverse(query), md5('x') from pg_stat_activity", "rows"),
    ("L22 function", [OTHER], "select query, reverse(query) from pg_stat_get_activity(null)", "rows"),
    ("L22 function by name", [OTHER], "select pg_stat_get_backend_activity(i), reverse(pg_stat_get_backend_activity(i)) from generate_series(1, 9) i", "rows"),
    ("L24", [], f"select case when substr(name, 1, 1) = 'A' then pg_sleep(0) end {ONE}", "answer"),

    *[("X1 " + t, [], t, "as drop table users") for t in ("DROP/**/TABLE users", "drop  table users", "DROP -- x\nTABLE users", "SELECT 1; DROP TABLE users")],
    ("X2", [], "dRoP /* /* */ */ TABLE users", "as drop table users"), ("X2 in front", [], "/* /* x */ */drop table users", "as drop table users"),
    ("X3", [], "select $a$drop table users$a$", "as select 'x'"), ("X3 é", [], "select $é$x$é$", "as select 'x'"),
    ("X3 DO", [], "do $é$ begin drop table users; end $é$", "as drop table users"),
    ("X4", [], "select E'\\x64rop', B'1', X'1F'", "rows"), ("X4 DO", [], "do E'begin \\x64rop table users; end'", "as drop table users"),
    ("X5", [], "SELECT U&\"\\006eame\" FROM U&\"custom\\0065rs\"", "rows"), ("X5 UESCAPE", [], "select U&\"n!0061m!+000065\" UESCAPE '!' from customers", "rows"),
    ("X5 reversed", [], "select reverse(U&\"\\006eame\") FROM U&\"custom\\0065rs\"", "rows"), ("X5 keyword", [], "U&\"select\" 1", "refused"),
    ("X6", [], 'select "name", NAME, nAmE from "customers"', "rows"), ("X6 another column", [], 'select "Name" from customers', "error"),
    ("X6 reversed", [], 'select reverse("name"), reverse(NAME) from CUSTOMERS', "rows"),
    ("X7", [], "select reverse(name) as " + "x" * 80 + " from customers", "rows"),
    ("X7 alias", [], "select reverse(" + "y" * 70 + ".name) from customers " + "y" * 63, "answer"),
    ("X8 form feed", [], "drop\ftable\rusers", "as drop table users"),
    *[(f"X8 {ord(ch):04x}", [], f"drop{ch}table users", "as selekt") for ch in "\v\u00a0\u2003\ufeff"],
    ("X8 fullwidth", [], "\uff24\uff32\uff2f\uff30 table users", "as selekt"),
    ("X9", [], "set standard_conforming_strings=off; select 'a\\'; drop table nosuch; --'", "refused"),
    *[("X10 " + e, [], f"set client_encoding = '{e}'", "refused") for e in ("SJIS", "GBK", "BIG5", "UHC", "JOHAB", "GB18030", "LATIN1", "SQL_ASCII")],
    ("X11", [], "select 'dr'\n'op'", "rows"), ("X11 one line", [], "select 'a' 'b'", "refused"),
    ("X12", [], b"select 1\0; drop table users", "refused"),
    ("X13", [], "select " + "1+" * 20000 + "1", "refused"), ("X13 unions", [], "select 1" + " union select 1" * 4000, "refused"),

    ("D1", [], "do $$ begin execute 'DR'||'OP TABLE users'; end $$", "refused"),
    ("D2 PREPARE", [], "prepare d2 as drop table users", "refused"),
    ("D2 EXECUTE", ["prepare d2x as select reverse(name) from customers"], "execute d2x", "answer"),
    ("D3 format", [], "do $$ begin execute format('drop table %I', 'users'); end $$", "refused"),
    ("D3 chr", [], "do $$ begin execute chr(100)||'rop table users'; end $$", "refused"),
    *[("D4 " + t.split()[1], [], t, "refused") for t in (
        "create function f() returns int language sql as 'select 1'", "create procedure f() language sql as 'select 1'",
        "create trigger t after insert on orders execute function made.notes()", "create rule r as on insert to orders do also select 1",
        "create event trigger t on ddl_command_end execute function f()", "create operator !!! (function = textlen, rightarg = text)",
        "create cast (text as int) without function", "create domain public.d as text check (length(value) > 1)", "create aggregate a(int) (sfunc = int4pl, stype = int)")],
    *[("D5 " + re.split(r"[ (]", t)[1], [], t, "refused") for t in (
        "select query_to_xml('select * from customers', true, true, '')", "select cursor_to_xml('c', 1, true, true, '')",
        "select table_to_xml('customers', true, true, '')", "select database_to_xml(true, true, '')", "select schema_to_xml('public', true, true, '')",
        "select ts_stat('select to_tsvector(name) from customers')", "select crosstab('select 1,2,3')", "select query_to_xml_and_xmlschema('select 1', true, true, '')")],
    ("D5 from", [], "select * from ts_stat('select to_tsvector(name) from customers')", "refused"),
    ("D5 xpath", [], f"select xpath('/a/text()', ('<a>' || name || '</a>')::xml) {ONE}", "rows"),
    ("D6 dblink", [], "select * from dblink('dbname=shop', 'select name from customers') as t(n text)", "refused"),
    ("D6 fdw", [], "create server s foreign data wrapper postgres_fdw", "refused"), ("D6 subscription", [], "create subscription s connection 'x' publication p", "refused"),
    ("D7", [], "select cron.schedule('x', '* * * * *', 'drop table users')", "refused"),
    ("D9 export", [], "select pg_catalog.lo_export(1, '/tmp/x')", "refused"), ("D9 import", [], "select lo_import('/etc/passwd')", "refused"),
    ("D9 from_bytea", [], "select lo_from_bytea(0, 'x')", "refused"), ("D9 get", [], "select lo_get(1)", "refused"),
    *[("D10 " + n, [], t, "refused") for n, t in (("to program", "copy orders to program 'cat'"), ("from program", "copy orders from program 'cat'"),
        ("to file", "copy orders to '/tmp/x'"), ("from file", "copy orders from '/tmp/x'"), ("pg_read_file", "select pg_read_file('/etc/passwd')"),
        ("pg_read_binary_file", "select pg_read_binary_file('PG_VERSION')"), ("pg_ls_dir", "select pg_ls_dir('.')"), ("pg_stat_file", "select pg_stat_file('PG_VERSION')"))],
    ("D11", [], "alter system set archive_command = 'x'", "refused"), ("D11 reload", [], "select pg_reload_conf()", "refused"),
    ("D12 extension", [], "create extension dblink", "refused"), ("D12 language", [], "create language plpython3u", "refused"), ("D12 LOAD", [], "load 'x'", "refused"),
    ("D13 role", [], "set role boss", "refused"), ("D13 session", [], "set session authorization boss", "refused"),
    ("D13 set_config", [], "select set_config('role', 'boss', false)", "refused"), ("D13 row_security", [], "set row_security = off", "answer"),
    ("D13 function call", [], "select pg_catalog.set_config('ro'||'le', 'boss', false)", "refused"),
    ("D13 search_path", ["set search_path = made, public"], "select reverse(name) from customers", "rows"),
    ("D16", [], "select * from pg_logical_slot_get_changes('s', null, null)", "refused"), ("D16 START_REPLICATION", [], "START_REPLICATION SLOT s LOGICAL 0/0", "refused"),
    ("D16 IDENTIFY_SYSTEM", [], "IDENTIFY_SYSTEM", "refused"), ("D16 create slot", [], "select pg_create_logical_replication_slot('s', 'test_decoding')", "refused"),
    ("D17", [], "COPY public.customers (id, name, email) TO stdout", "answer"),
    ("D18", ["begin", "declare d18 cursor with hold for select reverse(name) from customers", "commit"], "fetch all from d18", "rows"),
    ("D19", [], "notify news, 'ada@example.com'", "answer"), ("D19 heard", ["listen news", "notify news, 'ada@example.com'"], "select 1", "rows"),
    ("D20", [], "explain select id from customers where name = upper(email)", "answer"),
    ("D20 constant", [], "explain verbose select reverse(name) from customers where id = (select ascii(name) from customers limit 1)", "answer"),
    ("D20 analyze", [], "explain analyze drop table users", "refused"), ("D20 analyze delete", [], "explain analyze delete from kids where false", "answer"),
    ("D20 CTAS", [], "explain analyze create table x as select 1", "refused"),
    ("D21", [], f"select pg_advisory_lock(ascii(name)) {ONE}", "refused"), ("D21 seen", [], "select objid from pg_locks", "rows"),

    ("M1", [], "select ssn as x, name as id, email as n from customers", "rows"),
    *[("M2 " + t, [], f"select {t} {ONE}", "rows") for t in ("reverse(name)", "substr(email, 2)", "encode(name::bytea, 'base64')", "md5(name)", "translate(ssn, '-', '')",
        "overlay(name placing 'x' from 1 for 1)", "name || ''", "name::varchar(100)", "concat(name, 'x')", "upper(name)", "initcap(email)", "lpad(name, 50)", "name collate \"C\"",
        "quote_literal(name)", "format('%s', name)", "to_tsvector('simple', name)", "name::name", "convert_to(name, 'UTF8')", "ascii(name)", "split_part(email, '@', 2)",
        "regexp_replace(name, '(.)', '\\1')", "row(name)", "coalesce(name, 'x')", "nullif(name, 'x')", "greatest(name, 'a')", "case when true then name end",
        "(select name)", "xmlelement(name x, name)", "array(select name from customers)", "jsonb_build_object('a', name)", "format('%s', (select reverse(name) from customers limit 1))")],
    *[("M3 " + t, [], f"select {t} from customers", "rows") for t in ("array[email]", "to_json(email)", "row_to_json(customers)", "customers", "to_jsonb(customers) - 'id'",
        "json_build_array(name)", "customers::text", "row(customers.*)", "(customers).name", "json_object_agg(id, name)")],
    ("M3 table", [], "table customers", "rows"), ("M3 star", [], "select c.*, c from customers c", "rows"),
    ("M4", [], "select string_agg(name, ',') from customers", "rows"), ("M4 characters", [], SPLIT, "rows"),
    ("M4 unnest", [], f"select unnest(string_to_array(name, null)) {ONE}", "rows"), ("M4 regexp", [], f"select regexp_split_to_table(name, '') {ONE}", "rows"),
    ("M7", [], "copy (select reverse(name), email as x from customers) to stdout", "answer"), ("M7 csv", [], "copy (select name from customers) to stdout csv", "answer"),
    ("M7 binary", [], "copy (select reverse(name), ssn from customers) to stdout (format binary)", "answer"),
    ("M7 join", [], "copy (select c.*, o.* from customers c join orders o on o.customer_id = c.id) to stdout", "answer"),
    ("M8 table", ["create table made.m8 as select reverse(name) as n, id from customers"], "select n, upper(n), id from made.m8", "rows"),
    ("M8 temp", ["create temp table pg_temp.m8t as select reverse(name) as n from customers"], "select n from m8t", "rows"),
    ("M8 into", ["drop table if exists made.m8", "select reverse(name) as n into made.m8 from customers"], "select n from made.m8", "rows"),
    ("M8 view", ["create view made.m8v as select reverse(name) as n from customers"], "select n, md5(n) from made.m8v", "rows"),
    ("M8 temp view", ["create view pg_temp.m8tv as select reverse(name) as n from customers"], "select n from m8tv", "rows"),
    ("M8 insert", ["insert into plain select 8888, reverse(name) from customers"], "select t from plain where id = 8888", "rows"),
    ("M8 update", ["insert into plain values (8888, 'x')", "update plain set t = (select reverse(name) from customers where customers.id = 1) where id = 8888"], "select t from plain where id = 8888", "rows"),
    ("M8 returning", [], f"insert into plain select 8888, reverse(name) {ONE} returning t", "rows"),
    ("M8 CTE", [], f"with x as (insert into plain select 8888, reverse(name) {ONE} returning t) select upper(t) from x", "rows"),
    ("M11", [], f"select name, email, ssn, card, extra {ONE}", "rows"),
    ("M11 types", [], "select * from typed", "rows"),
    ("M16", [], "select reverse(name), g from customers, generate_series(1, 1500) g", "rows"),
]


def ways(text):
    """Name and messages of each way to send a text."""
    if isinstance(text, bytes):
        return [("simple", message("Q", text + b"\0")), ("extended text", message("P", b"\0" + text + b"\0\0\0") + B() + E() + S)]
    return [("simple", Q(text)), ("extended text", P(text) + B() + D() + E() + S), ("extended binary", P(text) + B(results=[1]) + E() + S),
            ("extended one by one", P(text) + B(results=[1]) + E(rows=1) + E(rows=1) + E() + S)]


def judged(want, got, course, plain):
    kinds = [k for k, _ in got]
    codes = [fields(b)["C"] for k, b in got if k == "E"]
    need(kinds[-1] == "Z" and got[-1][1] == b"I" and kinds.count("Z") == 1, course)
    need("XX000" not in codes, course)
    if want == "rows":
        need("D" in kinds and not codes, course)
    elif want == "error":
        need(len(codes) == 1 and codes[0] not in ("42501", "0A000", "54000"), course)
    elif want == "refused":
        need(len(codes) == 1 and codes[0] in ("42501", "0A000", "08P01") and "D" not in kinds and "C" not in kinds, course)
    elif want.startswith("as "):
        need(course == plain, f"{course} is not {plain}")


def one(r, row, way, parts):
    name, before, text, want = row
    w, other = Wire(r.proxy.port), Wire(r.proxy.port) if OTHER in before else None
    try:
        for sql in before:
            (other if sql == OTHER else w).ask(Q(sql))
        plain = shape(w.ask(dict(ways(want[3:]))[way])) if want.startswith("as ") else ""
        got = w.ask(parts)
        course = shape(got)
        judged(want, got, course, plain)
        # What comes a little later is looked at too.
        w.ask(Q("select 1"))
        clean_in_every_form(w)
        return course[:60]
    finally:
        w.close()
        if other:
            other.close()
        if any("made.m8" in x or "plain" in x for x in [*before, text if isinstance(text, str) else ""]):
            r.cluster.sql("drop view if exists made.m8v; drop table if exists made.m8; delete from plain where id = 8888")


@check
def lists(r):
    r.cluster.sql(AWAY + OBJECTS)
    for row in LIST:
        for way, parts in ways(row[2]):
            yield f"{row[0]} {way}".replace("\n", " ")[:90], lambda r, row=row, way=way, parts=parts: one(r, row, way, parts)
    for name, function in SPECIAL:
        yield name, function
    r.cluster.sql(AWAY)


lists.many = True
SPECIAL = []


def special(name):
    def add(function):
        SPECIAL.append((name, function))
        return function
    return add


@special("L12 simple")
def copy_from_error(r, start=lambda w: w.send(Q("copy plain from stdin"))):
    w = Wire(r.proxy.port)
    start(w)
    w.until("G")
    course = shape(w.ask(d("ada@example.com\tx\n") + c + (S if start.__code__ is not copy_from_error.__defaults__[0].__code__ else b"")))
    need("E22P02 ZI" in course, course)
    clean_in_every_form(w)


@special("L12 extended")
def copy_from_error_extended(r):
    copy_from_error(r, lambda w: w.send(P("copy plain from stdin") + B() + E()))


@special("L17 D14 FunctionCall")
def function_calls(r):
    w = Wire(r.proxy.port)
    for oid in (2923, 2925, 764, 952, 715, 1299, 2621):  # query_to_xml, table_to_xml, lo_creat, lo_open, lo_create, now, pg_reload_conf
        need(shape(w.ask(F(oid))) == "E42501 ZI", oid)
    need(rows(w.ask(Q("select 1"))) == [[b"1"]])


@special("D2 Bind of a name that SQL prepared")
def bound_by_sql_name(r):
    w = Wire(r.proxy.port)
    w.ask(Q("prepare d2 as select reverse(name), id from customers order by id"))
    for results in ([], [1]):
        got = w.ask(B(name="d2", results=results) + D() + E() + S)
        need(len(rows(got)) == 4 and rows(got)[0][0] == b"***", shape(got))
        need(rows(w.ask(B(name="d2", results=results) + E(rows=1) + E() + S))[0][0] == b"***")
    clean_in_every_form(w)


@special("D2 Execute of a cursor that SQL declared")
def executed_cursor(r):
    w = Wire(r.proxy.port)
    w.ask(Q("begin"))
    for kind in ("", "binary"):
        w.ask(Q(f"declare d2{kind} {kind} cursor for select reverse(name), id from customers order by id"))
        got = w.ask(E("d2" + kind, 1) + D("P", "d2" + kind) + E("d2" + kind, 1) + E("d2" + kind) + S)
        need(len(rows(got)) == 4 and rows(got)[0][0] == b"***", shape(got))
        need(shape(w.ask(C("P", "d2" + kind) + S)) == "3 ZT")
        need("E42501" in shape(w.ask(E("d2" + kind) + S)))
        w.ask(Q("rollback"))
        w.ask(Q("begin"))
    clean_in_every_form(w)


@special("D2 FETCH of a portal that Bind made")
def fetched_portal(r):
    for results in ([], [1]):
        w = Wire(r.proxy.port)
        w.ask(Q("begin"))
        w.ask(P("select reverse(name), id from customers order by id", "d2p") + B("d2p", "d2p", results=results) + S)
        got = w.ask(Q("fetch 2 from d2p")) + w.ask(P("fetch all from d2p") + B() + E() + S)
        need(len(rows(got)) == 4 and all(x[0] is None or x[0].startswith(b"***") for x in rows(got)), rows(got))
        clean_in_every_form(w)
        w.close()


@special("D8 refcursor")
def refcursor(r):
    w = Wire(r.proxy.port)
    w.ask(Q("begin"))
    w.ask(Q("select made.cursor()"))
    got = w.ask(Q("fetch all from rc"))
    w.ask(Q("rollback"))
    w.ask(Q("begin"))
    w.ask(Q("select made.cursor()"))
    need("E42501" in shape(w.ask(E("rc") + S)))
    clean_in_every_form(w)
    return shape(got)[:40]


@special("D15 a parameter that holds SQL")
def parameter_with_sql(r):
    w = Wire(r.proxy.port)
    got = w.ask(P("select query_to_xml($1, true, true, '')") + B(values=["select * from customers"]) + E() + S)
    need("E42501" in shape(got), shape(got))
    clean_in_every_form(w)


@special("D22 gexec: one Query a row")
def gexec(r):
    w = Wire(r.proxy.port)
    for text in ("drop table users", "select 1", "drop table users"):
        need(("E42501" in shape(w.ask(Q(text)))) == text.startswith("drop"))


@special("M12 prepared and executed twice")
def twice(r):
    w = Wire(r.proxy.port)
    w.ask(P("select reverse(name), email from customers order by id", "m12") + D("S", "m12") + S)
    for results in ([], [1], [0, 1], []):
        for parts in (B(name="m12", results=results) + E() + S, B(name="m12", results=results) + D() + E() + S, B("pm", "m12", results=results) + H + E("pm", 2) + E("pm") + C("P", "pm") + S):
            got = rows(w.ask(parts))
            need(len(got) == 4 and got[0] == [b"***", b"***@masked.invalid"], got)
    clean_in_every_form(w)


@special("M13 no Describe")
def no_describe(r):
    w = Wire(r.proxy.port)
    for results in ([], [1]):
        got = w.ask(P("select reverse(name), id from customers order by id") + B(results=results) + E() + S)
        need("T" not in [k for k, _ in got] and rows(got)[0][0] == b"***", shape(got))
    clean_in_every_form(w)


@special("M14 search_path between executions")
def path_swap(r):
    w = Wire(r.proxy.port)
    w.ask(Q("create temp table m14 (name text)"))
    w.ask(Q("set search_path = pg_temp"))
    r.cluster.sql("drop table if exists made.m14; create table made.m14 (name text); insert into made.m14 values ('harmless')")
    try:
        w.ask(Q("set search_path = made"))
        w.ask(P("select reverse(name) from m14", "m14") + S)
        w.ask(B(name="m14") + E() + S)
        w.ask(Q("create view made.m14v as select reverse(name) as name from public.customers"))
        w.ask(P("select name from customers", "m14b") + S)
        w.ask(Q("set search_path = public"))
        w.ask(P("select name from customers", "m14b") + S)
        w.ask(B(name="m14b", results=[1]) + E() + S)
        clean_in_every_form(w)
    finally:
        r.cluster.sql("drop view if exists made.m14v; drop table if exists made.m14")


@special("M15 one row at a time")
def one_row(r):
    w = Wire(r.proxy.port)
    got = w.ask(P("select reverse(name), id from customers order by id") + B(results=[1]) + E(rows=1) + E(rows=1) + E(rows=1) + E() + S)
    need(len(rows(got)) == 4 and rows(got)[0][0] == b"***", shape(got))
    clean_in_every_form(w)


@special("M17 a value split over CopyData")
def split_copy(r):
    w = Wire(r.proxy.port)
    data = b"".join(b for k, b in w.ask(Q("copy (select repeat('x', 30000) || ' ada@example.com ', id from customers) to stdout")) if k == "d")
    need(data.count(b"masked.invalid") == 4, data[-100:])
    clean_in_every_form(w)
