"""copy_option_checks.py: the forms of COPY's stream, by its options and through psql."""
import os
import re
import subprocess

import rig
from checks import CANARIES, check, clean, need
from wire import B, E, P, Q, S, Wire, shape

OPTIONS = ("", "(format csv)", "(format csv, header)", "(format csv, delimiter ';')", "(format csv, quote '''')", "(format csv, quote '~', escape '^')",
           "(format csv, escape '\\')", "(format csv, null 'none')", "(format csv, force_quote *)", "(format csv, force_quote (what))",
           "(format csv, header, delimiter '|', quote '~', escape '^', null '-', force_quote (id, what))", "(delimiter ',')", "(null 'none')",
           "(delimiter '|', null '', header)", "(format text, header true)", "(format csv, encoding 'utf8')", "csv header delimiter ';' null 'x' quote '~' escape '^' force quote what",
           "(format binary)")


def parsed(data, options):
    """The second column of a COPY in one of the forms above, unquoted."""
    named = dict(re.findall(r"(delimiter|quote|escape|null) '((?:''|[^'])*)'", options))
    csv = "csv" in options
    delimiter, quote, null = named.get("delimiter", "," if csv else "\t"), named.get("quote", '"').replace("''", "'"), named.get("null", "" if csv else "\\N")
    escape, out, line, cell, quoted, at, text = named.get("escape", quote), [], [], "", None, 0, data.decode()
    while at < len(text):
        ch = text[at]
        if csv and quoted and ch == escape and at + 1 < len(text) and text[at + 1] in (quote, escape):
            cell, at = cell + text[at + 1], at + 1
        elif csv and ch == quote:
            quoted = not quoted
        elif not csv and ch == "\\" and text[at:at + len(null)] != null:
            cell, at = cell + {"n": "\n", "t": "\t", "r": "\r"}.get(text[at + 1], text[at + 1]), at + 1
        elif not quoted and ch in (delimiter, "\n"):
            line, cell, quoted = [*line, None if cell == null and quoted is None else cell], "", None
            if ch == "\n":
                out, line = [*out, line], []
        else:
            cell += ch
        at += 1
    return out[1:] if "header" in options else out


@check
def copy_options_are_kept(r):
    """Every form of a stream: untagged tables come as from the server itself; in tagged ones only the values differ."""
    r.cluster.sql("create table made.forms (id int, what text); insert into made.forms values (1, 'a,b;c|d'), (2, 'q\"uo''te~^'), (3, null), (4, ''), "
                  "(5, E'new\nline\ttab'), (6, 'none'), (7, 'back\\slash'), (8, 'ada@example.com x'), (9, 'x')")
    try:
        w, direct = Wire(r.proxy.port), r.cluster.sql
        for options in OPTIONS:
            path = f"{r.cluster.folder}/forms.copy"
            direct(f"copy (select * from made.forms where id <> 8 order by id) to '{path}' {options}")
            want = subprocess.run(["cat", path], capture_output=True, check=True).stdout
            for parts in (Q, lambda text: P(text) + B() + E() + S):
                got = w.ask(parts(f"copy (select id, what from made.forms where id <> 8 order by id) to stdout {options}"))
                need(b"".join(b for k, b in got if k == "d") == want, f"{options}: {shape(got)}")
                got = b"".join(b for k, b in w.ask(parts(f"copy customers (id, name, email, phone) to stdout {options.replace('what', 'phone')}")) if k == "d")
                need(got, options)
                if "binary" not in options:
                    cells = parsed(got, options)
                    # In text a value may be the word for NULL: whoever chooses the word would learn which.
                    null = ["***", "***@masked.invalid", None] if options == "(null 'none')" else [None] * 3
                    need(cells[0] == ["1", "***", "***@masked.invalid", "+49 30 901820"] and cells[2][1:] == null, f"{options}: {cells}")
                got = b"".join(b for k, b in w.ask(parts(f"copy made.forms to stdout {options}")) if k == "d")
                need(b"***@masked.invalid" in got or "binary" in options, f"{options}: {got}")
            clean(w)
        # The client's own marks inside a value: as they stand, no detector would know it.
        for options in ("(delimiter '@')", "(format csv, quote '@')", "(format csv, quote '~', escape '@', force_quote *)", "(format csv, escape '@', force_quote *)",
                        "(format csv, quote '-')", "(delimiter '-')", "(format csv, quote '6')"):
            for text in ("(select 1, 'ada@example.com, 536-22-8726')", "(select 536, 'x ' || notes from customers where id = 1)", "customers (id, notes, email)"):
                got = w.ask(Q(f"copy {text} to stdout {options}"))
                told = b"".join(b for k, b in got if k == "d")
                need(told and "E" not in shape(got), f"{options}: {shape(got)}")
                for mark in b"@-36q":
                    need(not any(x in told.replace(bytes([mark]) * 2, bytes([mark])).replace(b"\\" + bytes([mark]), bytes([mark])) for x in CANARIES), f"{options}: {told}")
        got = b"".join(b for k, b in w.ask(Q("copy (select name from customers where id = 1) to stdout (null 'Ada Lovelace')")) if k == "d")
        need(got == b"***\n", got)
        w.all = bytearray()
        for refused in ("(format csv, encoding 'latin1')", "(format csv, encoding 'sql_ascii')"):
            need("E" in shape(w.ask(Q(f"copy customers to stdout {refused}"))), refused)
        clean(w)
    finally:
        r.cluster.sql("drop table made.forms")


@check
def psql_copies(r):
    """To a file with psql and back into the table's shape, with a client of others."""
    env = {**os.environ, "PGPASSWORD": rig.TOKEN}
    path = f"{r.cluster.folder}/psql.copy"
    for options in ("", "csv header", "(format csv, delimiter ';', quote '~')", "(format binary)"):
        script = (f"\\copy customers to '{path}' {options}\n\\copy (select id, what from orders where id < 4) to '{path}.o' {options}\n"
                  f"create table made.back (id int, what text);\n\\copy made.back (id, what) from '{path}.o' {options}\nselect 'rows ' || count(*) from made.back;\ndrop table made.back;\n")
        done = subprocess.run([f"{rig.BIN}/psql", "-X", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-h", "127.0.0.1", "-p", str(r.proxy.port), "-U", "agent", "-d", "shop"],
                              input=script, capture_output=True, text=True, env=env)
        need(done.returncode == 0 and "rows 3" in done.stdout and done.stdout.count("COPY 3") == 3, f"{options}: {done.stdout}{done.stderr}")
        with open(path, "rb") as written:
            clean(written.read())
