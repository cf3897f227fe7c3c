"""refusal_checks.py: refused as the server itself would refuse."""
import re

from checks import DENY, FAIL, check, need, rebuild
from wire import B, C, D, E, F, P, Q, S, Wire, f, fields, message, rows, shape


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
