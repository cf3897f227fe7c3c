"""copy_checks.py: COPY both ways, and long rows."""
import hashlib
import subprocess

from checks import CANARIES, check, clean, need
from wire import B, D, E, H, P, Q, S, Wire, c, d, f, rows, shape


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
    # A tagged value of a type that has no mask of its own length.
    long_row = "select repeat('x', 3000000), secret_interval from typed"
    got = w.ask(Q(long_row))
    need(shape(got) == "T E54000 ZI", shape(got))
    w.ask(Q("begin"))
    got = w.ask(Q(long_row))
    need(shape(got) == "T E54000 ZE", shape(got))
    w.ask(Q("rollback"))
    got = w.ask(P(long_row) + B() + E() + S)
    need(shape(got) == "1 2 E54000 ZI", shape(got))
    got = w.ask(Q("select repeat('ada@example.com ', 40000)"))
    clean(w)
    need(rows(w.ask(Q("select 1"))) == [[b"1"]])


@check
def rows_longer_than_are_read_whole(r):
    """Masked while they go by: as long as they were, and every value in them hidden, wherever it lies."""
    w = Wire(r.proxy.port)
    # An address at every distance to the windows' ends, several columns, both formats.
    inner = "string_agg(repeat('lorem ', g) || 'ada@example.com ', '' order by g) from generate_series(1, 900) g"
    text = f"select 7 as n, repeat('x', 1200000) as a, (select {inner}) as b, null as c, ''::text as d, true as e, '2020-02-03'::date as f, 5::int8 as g"
    plain = r.cluster.sql(f"select {inner}").rstrip("\n").encode()
    for parts in (Q(text), P(text) + B(results=[1]) + E() + S, P(text) + B(results=[0]) + D() + E() + S):
        got = w.ask(parts)
        row = rows(got)[0]
        need(row[1] == b"x" * 1200000 and row[3] is None and row[4] == b"" and len(row) == 8, shape(got))
        need(row[2] == plain.replace(b"ada@example.com", b"*" * 15), "the text is another")
        clean(w)
        w.all = bytearray()
    got = rows(w.ask(Q("select repeat(name, 200000), id, repeat('y', 100) from customers where id = 1")))[0]
    need(got[0] == b"*" * 2400000 and got[1:] == [b"1", b"y" * 100], len(got[0]))
    got = w.ask(P("select repeat('x', 1100000), 4111111111111111::int8, 4111111111111111::text") + B(results=[0, 1, 0]) + E() + S)
    need(rows(got)[0][1:] == [b"\0" * 8, b"0000000000001111"], rows(got)[0][1:])
    got = w.ask(P("select repeat('x', 65 * 1024 * 1024), email, 'end'::text from customers where id = 1") + B() + E() + S)
    row = rows(got)[0]
    need(len(row[0]) == 65 << 20 and row[1:] == [b"*" * 15, b"end"], row[1:])
    need(rows(w.ask(Q("select 1"))) == [[b"1"]])
