"""hold_checks.py: held commands, cancel, pipelines."""
import re
import struct
import subprocess
import time

import rig
from checks import DENY, FAIL, cancel, check, clean, need, rebuild
from wire import B, C, D, E, P, Q, S, X, Wire, c, d, f, fields, rows, shape


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


@check
def hold_in_every_state(r):
    """Released: the course of a command that nobody held. Refused or cancelled: the course of an error of the server in the same place."""
    held, base = Wire(r.proxy.port), Wire(r.proxy.port)
    ins = "insert into plain values (-3, 'x')"
    bound = B(name="h") + E() + S
    places = [
        [Q("{}")], [Q("begin"), Q("{}"), Q("select 1"), Q("rollback")], [Q("begin"), Q(FAIL), Q("{}"), Q("rollback")],
        [P("{}") + B() + E() + P(ins) + B() + E() + S], [P(ins) + B() + E() + P("{}") + B() + D() + E() + P(ins) + B() + E() + S],
        [P(ins) + B() + E() + P("{}") + B() + E() + S], [Q("begin"), P("{}", "h") + S, bound, Q("rollback"), C("S", "h") + S],
        [Q("begin"), Q(FAIL), P("{}") + B() + E() + S, Q("rollback")],
    ]
    def course(session, place, sql, cancels):
        out = []
        for part in place:
            session.send(rebuild(part, sql))
            waits = cancels and (b"{}" in part or part == bound) and not (part != bound and bound in place)
            before = session.until("N") if waits else []
            if waits:
                cancel(r, session)
            out.append(re.sub("E[0-9A-Z]{5}", "E", shape(before + session.until(count=max(1, part.count(S))))))
        return out

    try:
        for text, like in (("delete from orders where id = -5", "delete from plain where id = -5"), ("delete from orders where what = 'deny'", FAIL),
                           ("delete from orders where what = 'forever'", FAIL)):
            for place in places:
                if bound in place and like == FAIL:
                    continue  # the server fails at Parse, the policy at Bind: not the same place
                one, other = course(held, place, text, "forever" in text), course(base, place, like, False)
                # Parse is answered before the hold, where the server's own error would be at Parse.
                one, other = [[x.replace("1 E", "E") for x in c] for c in (one, other)]
                need(one == other, f"{text} in {place}: {one} is not {other}")
        need(r.cluster.sql("select count(*) from orders").strip() == "50")
    finally:
        r.cluster.sql("delete from plain where id = -3")


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
    need(out.returncode == 0, out.stderr + out.stdout[-300:])
    clean(out.stdout + out.stderr)
    script = f"{r.cluster.folder}/bench.sql"
    open(script, "w").write("select id, email from customers where id = 1;\nselect count(*) from orders;\n")
    for mode in ("simple", "extended", "prepared"):
        out = subprocess.run([f"{rig.BIN}/pgbench", "-n", "-M", mode, "-c", "4", "-t", "50", "-f", script], env=env, capture_output=True, timeout=120)
        need(out.returncode == 0 and b"actually processed: 200/200" in out.stdout, out.stderr)
