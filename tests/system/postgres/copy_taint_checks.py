"""copy_taint_checks.py: values copied out of tagged columns stay masked where they are copied to, and only there."""
from checks import check, clean, need
from wire import B, C, D, E, P, Q, S, Wire, c, f, fields, rows, shape  # noqa: F401

LEAK = b"ecalevoL"  # a name that no detector finds


def cells(w, text):
    """The rows of a text in both protocols; they are the same."""
    got = rows(w.ask(Q(text)))
    need(rows(w.ask(P(text) + B() + E() + S)) == got, text)
    return got


@check
def a_copy_inside_a_tagged_table_is_masked(r):
    """The value goes into an untagged column of the same table; the other columns stay as they are."""
    other = Wire(r.proxy.port)
    for change in (
            "update customers set notes = reverse(name) where id = 1",
            "update customers c set notes = reverse(d.name) from customers d where c.id = d.id and c.id = 1",
            "update customers set (notes, extra) = (select reverse(name), extra from customers where id = 1) where id = 1",
            "insert into customers (id, notes) values (1, 'x') on conflict (id) do update set notes = reverse(customers.name)",
            "insert into customers (id, notes) select 1, reverse(name) from customers where id = 1 on conflict (id) do update set notes = excluded.notes",
            "with q as (update customers set notes = reverse(name) where id = 1 returning 1) select count(*) from q"):
        for parts in (Q(change), P(change) + B() + E() + S):
            w = Wire(r.proxy.port)
            w.ask(Q("begin"))
            got = w.ask(parts)
            need("E" not in [k for k, _ in got], f"{change}: {shape(got)}")
            for text in ("select notes from customers where id = 1", "select notes || '' from customers where id = 1", "select * from customers where id = 1",
                         "select reverse(n.notes) as x from customers n where id = 1", "select n from customers n where id = 1"):
                cells(w, text)
            w.ask(Q("copy customers (id, notes) to stdout"))
            got = cells(w, "select id, phone from customers where id = 1")
            need(got == [[b"1", b"+49 30 901820"]], f"{change}: {got}")
            need(LEAK not in w.all and b"Lovelace" not in w.all, change)
            w.ask(Q("rollback"))
            w.close()
        need(cells(other, "select notes from customers where id = 1")[0][0].startswith(b"call "), f"{change}: it was rolled back")
    for harmless in ("update customers set notes = 'x ' || id where name = 'Ada Lovelace'", "update customers set email = lower(email) where id = 1"):
        w = Wire(r.proxy.port)
        w.ask(Q("begin"))
        w.ask(Q(harmless))
        need(cells(w, "select notes from customers where id = 1")[0][0][:1] in b"xc", harmless)
        w.ask(Q("rollback"))


@check
def taint_is_of_the_column(r):
    r.cluster.sql("drop table if exists made.c1, made.c2, made.c3 cascade; create table made.c1 (id int, a text, b text, c text);"
                  "create view made.c1v as select a as y, b as z from made.c1; create table made.c1k () inherits (made.c1);"
                  "insert into made.c1 values (7, 'clear', 'clear', 'clear')")
    try:
        w, other = Wire(r.proxy.port), Wire(r.proxy.port)
        w.ask(Q("insert into made.c1 (id, b) select id, reverse(name) from customers where id = 1"))
        w.ask(P("create table made.c2 as select id, reverse(name) as n from customers where id = $1") + B(values=["1"]) + E() + S)
        w.ask(Q("insert into made.c1k select id, 'clear', reverse(name) from customers where id = 1"))
        w.ask(Q("select id, reverse(name) as n, 'clear' as m into made.c3 from customers where id = 1"))
        for x in (w, other):
            got = cells(x, "select id, a from made.c1 where id = 7")
            need(got == [[b"7", b"clear"]], got)
            need(cells(x, "select id, a || '' from made.c1 where id = 7") == [[b"7", b"clear"]])
            need(cells(x, "select b from made.c1 where id = 7")[0][0].startswith(b"***"))
            need(cells(x, "select y from made.c1v")[0][0].startswith(b"***"), "a view is tainted as a whole")
            need(cells(x, "select a from made.c1k") == [[b"clear"]])
            need(cells(x, "select id from made.c2") == [[b"1"]] and cells(x, "select id, m from made.c3") == [[b"1", b"clear"]])
            for text in ("b from made.c1", "b || '' from made.c1", "b as a from made.c1", "z from made.c1v", "z || '' from made.c1v", "n from made.c2", "upper(n) from made.c2",
                         "t from made.c1 t", "b from made.c1k", "b || '' from made.c1k", "n from made.c3"):
                cells(x, "select " + text)
            got = x.ask(Q("copy made.c1 (id, a) to stdout"))
            need(any(b"7\tclear" in body for kind, body in got if kind == "d"), shape(got))
            x.ask(Q("copy made.c1 to stdout"))
            x.ask(Q("copy made.c2 to stdout (format csv)"))
        # From a tainted column into another one, and on.
        w.ask(Q("update made.c1 set c = 'x' || b"))
        w.ask(Q("alter table made.c1 add d text"))
        w.ask(Q("update made.c1 set d = substr(c, 2)"))
        for x in (w, other):
            cells(x, "select c, d, d || '' from made.c1")
            need(cells(x, "select a from made.c1 where id = 7") == [[b"clear"]])
        for x in (w, other):
            clean(x)
            need(LEAK not in x.all and LEAK.upper() not in x.all and LEAK[::-1] not in x.all)
    finally:
        r.cluster.sql("drop table if exists made.c1, made.c2, made.c3 cascade")
