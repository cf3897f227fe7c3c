"""limit_checks.py: max_rows and max_bytes of a rule (policy.md 1), against a real server: the row that would exceed does not come, a change of
too many rows is undone, the error names the rule, and the session goes on.

quota has ten rows under rules with max_rows = 3 (what is read) and 2 (what is changed); wide has max_bytes = 200."""
import rig
from checks import check, need
from wire import B, D, E, P, Q, S, Wire, c, d, fields, rows, shape

rig.SAMPLE += """
create table quota (id int primary key, n int constraint quota_n unique deferrable initially deferred, t text);
insert into quota select g, g, 'row ' || g from generate_series(1, 10) g;
create table wide (id int, t text);
insert into wide select g, repeat('x', 50) from generate_series(1, 10) g;
"""


def over(got, course, rule, told):
    need(shape(got) == course, f"{told}: {shape(got)}, not {course}")
    errors = [fields(body) for kind, body in got if kind == "E"]
    need(len(errors) == 1 and f'by rule "{rule}"' in errors[0]["M"] and "more than" in errors[0]["M"], f"{told}: {errors}")


def same(r, before, told):
    need(state(r) == before, f"{told}: the change was not undone")


def state(r):
    return r.cluster.sql("select * from quota order by id; select count(*) from wide; select count(*) from plain where id > 8000")


def usable(w, told=""):
    need(rows(w.ask(Q("select 5"))) == [[b"5"]], f"{told}: the session is not usable")
    need(shape(w.ask(P("select 5") + B() + D() + E() + S)) == "1 2 T D C ZI", told)


@check
def rows_that_are_read(r):
    w = Wire(r.proxy.port)
    for text in ("select * from quota", "select t from quota order by id desc", "table quota", "with a as (select * from quota) select * from a"):
        over(w.ask(Q(text)), "T D D D E42501 ZI", "quota-read", text)
        usable(w, text)
        over(w.ask(P(text) + B() + D() + E() + S), "1 2 T D D D E42501 ZI", "quota-read", text)
        over(w.ask(P(text) + B() + E() + S), "1 2 D D D E42501 ZI", "quota-read", text)
        over(w.ask(P(text) + B(results=[1]) + E() + E() + S), "1 2 D D D E42501 ZI", "quota-read", text)
        usable(w, text)
    for text in ("select * from quota limit 3", "select * from quota where id < 4", "select count(*) from quota", "select * from quota where false"):
        n = len(rows(w.ask(Q(text))))
        need(n <= 3, text)
        need(shape(w.ask(Q(text))) == "T " + "D " * n + "C ZI", text)
        need(shape(w.ask(P(text) + B() + D() + E() + S)) == "1 2 T " + "D " * n + "C ZI", text)
    need([b for k, b in w.ask(Q("select * from quota limit 2")) if k == "C"] == [b"SELECT 2\0"])


@check
def rows_in_portions(r):
    w = Wire(r.proxy.port)
    text = P("select * from quota order by id") + B()
    over(w.ask(text + E(rows=2) + E(rows=2) + E() + S), "1 2 D D s D E42501 ZI", "quota-read", "two portions")
    usable(w)
    over(w.ask(text + E(rows=4) + S), "1 2 D D D E42501 ZI", "quota-read", "a portion over it")
    need(shape(w.ask(text + E(rows=3) + S)) == "1 2 D D D s ZI", "a portion of exactly that many")
    w.ask(Q("begin"))
    need(shape(w.ask(P("select * from quota order by id") + B("p") + E("p", 2) + S)) == "1 2 D D s ZT")
    over(w.ask(E("p", 2) + S), "D E42501 ZE", "quota-read", "portions in groups of their own")
    need(shape(w.ask(Q("select 1"))) == "E25P02 ZE")
    w.ask(Q("rollback"))
    w.ask(Q("begin"))
    w.ask(Q("declare qc cursor for select * from quota"))
    need(shape(w.ask(Q("fetch 3 from qc"))) == "T D D D C ZT")
    over(w.ask(Q("fetch all from qc")), "T D D D E42501 ZE", "quota-read", "a cursor")
    w.ask(Q("rollback"))
    w.ask(Q("begin"))
    w.ask(P("select * from quota") + B("qp") + S)
    over(w.ask(Q("fetch all from qp")), "T D D D E42501 ZE", "quota-read", "a portal read by SQL")
    w.ask(Q("rollback"))
    w.ask(P("select * from quota", name="qs") + S)
    over(w.ask(B(name="qs") + E() + S), "2 D D D E42501 ZI", "quota-read", "a prepared statement")
    usable(w)


@check
def an_error_for_the_server_too(r):
    """What a real error would undo is undone."""
    w = Wire(r.proxy.port)
    before = state(r)
    got = w.ask(P("insert into plain values (8001, 'x')") + B() + E() + P("select * from quota") + B() + E() +
                P("insert into plain values (8002, 'y')") + B() + E() + S)
    over(got, "1 2 C 1 2 D D D E42501 ZI", "quota-read", "a pipeline")
    same(r, before, "a pipeline")
    w.ask(Q("begin"))
    w.ask(Q("insert into plain values (8003, 'x')"))
    over(w.ask(Q("select * from quota")), "T D D D E42501 ZE", "quota-read", "a transaction")
    need(shape(w.ask(Q("commit"))) == "C ZI")
    same(r, before, "a transaction")
    for text in ("select * from quota; insert into plain values (8004, 'x')", "begin; select * from quota"):
        need(shape(w.ask(Q(text))) == "E42501 ZI", text)
    same(r, before, "several statements in one message")
    usable(w)


@check
def copies(r):
    w = Wire(r.proxy.port)
    over(w.ask(Q("copy quota to stdout")), "H d d d E42501 ZI", "quota-read", "copy")
    over(w.ask(P("copy quota to stdout csv header") + B() + E() + S), "1 2 H d d d d E42501 ZI", "quota-read", "copy with a header")
    over(w.ask(Q("copy quota to stdout (format binary)")), "H d d d E42501 ZI", "quota-read", "binary copy")
    usable(w)
    need(shape(w.ask(Q("copy (select * from quota limit 3) to stdout"))) == "H d d d c C ZI")
    need(shape(w.ask(Q("copy (select * from quota limit 3) to stdout (format binary)"))) == "H d d d d c C ZI")
    before = state(r)
    w.send(Q("copy quota from stdin"))
    w.until("G")
    over(w.ask(d("21\t21\ta\n22\t22\tb\n23\t23\tc\n"), c), "E42501 ZI", "quota-write", "copy in")
    same(r, before, "copy in")
    w.send(P("copy quota from stdin") + B() + E())
    w.until("G")
    over(w.ask(d("21\t21\ta\n22\t22\tb\n23\t23\tc\n"), c, S), "E42501 ZI", "quota-write", "copy in, extended")
    same(r, before, "copy in, extended")
    w.send(Q("copy quota from stdin"))
    w.until("G")
    need(shape(w.ask(d("21\t21\ta\n22\t"), d("22\tb\n"), c)) == "C ZI")
    need(r.cluster.sql("delete from quota where id > 20; select count(*) from quota").strip() == "10")
    usable(w)


@check
def changes(r):
    w = Wire(r.proxy.port)
    before = state(r)
    for text in ("update quota set t = 'x'", "update quota set t = 'x' where id < 4", "delete from quota where id > 3", "delete from quota where id in (1, 2, 3)",
                 "insert into quota values (31, 31, ''), (32, 32, ''), (33, 33, '')", "insert into quota select g, g, '' from generate_series(41, 45) g",
                 "insert into quota values (1, 61, ''), (2, 62, ''), (3, 63, '') on conflict (id) do update set t = 'y'",
                 "merge into quota using (values (1), (2), (3)) v(k) on id = k when matched then delete"):
        over(w.ask(Q(text)), "E42501 ZI", "quota-write", text)
        same(r, before, text)
        over(w.ask(P(text) + B() + D() + E() + S), "1 2 n E42501 ZI", "quota-write", text)
        same(r, before, text)
        w.ask(Q("begin"))
        over(w.ask(Q(text)), "E42501 ZE", "quota-write", text)
        w.ask(Q("commit"))
        same(r, before, text)
        usable(w, text)
    over(w.ask(Q("update quota set t = 'x' returning id")), "T D D E42501 ZI", "quota-write", "returning")
    same(r, before, "returning")
    for text in ("with x as (delete from quota returning id) select count(*) from x", "do $$ begin delete from quota; end $$", "truncate quota",
                 "explain analyze delete from quota", "with x as (delete from quota where id < 9) delete from quota where id = 9"):
        need(shape(w.ask(Q(text))) == "E42501 ZI", text)
        need(shape(w.ask(P(text) + B() + E() + S)) == "E42501 ZI", text)
        same(r, before, text)
    usable(w)


@check
def changes_within_the_limit(r):
    w = Wire(r.proxy.port)
    for text, tag in (("update quota set t = 'a' where id < 3", "UPDATE 2"), ("insert into quota values (51, 51, ''), (52, 52, '')", "INSERT 0 2"),
                      ("delete from quota where id > 50", "DELETE 2"), ("update quota set t = 'row ' || id where id < 3", "UPDATE 2"),
                      ("update quota set t = t where false", "UPDATE 0")):
        got = w.ask(Q(text))
        need(shape(got) == "C ZI" and [b for k, b in got if k == "C"] == [tag.encode() + b"\0"], f"{text}: {shape(got)}")
    need(shape(w.ask(Q("update quota set t = t where id = 1 returning id"))) == "T D C ZI")
    before = state(r)
    # an error at the commit: no completion before it, as in a simple query of the server's own
    need(shape(w.ask(Q("update quota set n = 7 where id in (1, 2)"))) == "E23505 ZI")
    need(shape(w.ask(Q("update quota set nosuch = 7"))) == "E42703 ZI")
    need(shape(w.ask(Q("update quota set n = 1/0 where id = 1"))) == "E22012 ZI")
    same(r, before, "errors")
    w.ask(Q("begin"))
    need(shape(w.ask(Q("update quota set t = 'b' where id = 1"))) == "C ZT")
    need(shape(w.ask(Q("select 1/(id - 1) from quota order by id"))) == "T E22012 ZE")
    need(shape(w.ask(Q("rollback"))) == "C ZI")
    same(r, before, "rollback")
    usable(w)


@check
def bytes_that_pass(r):
    w = Wire(r.proxy.port)
    over(w.ask(Q("select t from wide")), "T D D D E42501 ZI", "wide", "select")
    over(w.ask(P("select t from wide") + B() + E() + S), "1 2 D D D E42501 ZI", "wide", "select, extended")
    over(w.ask(Q("copy wide (t) to stdout")), "H d d d E42501 ZI", "wide", "copy")
    need(shape(w.ask(Q("select t from wide limit 3"))) == "T D D D C ZI")
    need(shape(w.ask(Q("select id from wide"))) == "T" + 10 * " D" + " C ZI")
    before = state(r)
    w.send(Q("copy wide from stdin"))
    w.until("G")
    got = w.ask(d("1\t" + "y" * 90 + "\n"), d("2\t" + "y" * 90 + "\n"), d("3\t" + "y" * 90 + "\n"), c)
    over(got, "E42501 ZI", "wide", "copy in")
    same(r, before, "copy in")
    usable(w)
