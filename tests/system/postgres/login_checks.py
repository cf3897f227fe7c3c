"""login_checks.py: what comes before the first command."""
import socket
import struct

from checks import check, need
from wire import C, Q, S, Wire, c, f, rows


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

    s = socket.create_connection(("127.0.0.1", r.proxy.port))
    body = struct.pack("!I", 196610) + b"user\0agent\0database\0shop\0_pq_.wish\0" + b"1\0\0"
    s.sendall(struct.pack("!I", len(body) + 4) + body)
    got = s.recv(1000)
    need(got.startswith(b"v" + struct.pack("!III", 4 + 8 + 10, 196610, 1) + b"_pq_.wish\0" + b"R"), got)
    s.close()


@check
def the_password_is_nowhere_on_the_wire(r):
    w = Wire(r.proxy.port)
    w.ask(Q("select rolpassword from pg_authid"))
    w.ask(Q("show all"))
    need(r.cluster.password.encode() not in w.all)
    need(w.parameters["session_authorization"] == "app")
