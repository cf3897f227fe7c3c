#!/usr/bin/python3
"""cli_test.py: the sluice command without a node: help, errors, exit statuses, manual page, completion.

usage: cli_test.py SLUICE CLASSES. TAP on stdout.
"""
import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path

SLUICE, CLASSES = (str(Path(p).resolve()) for p in sys.argv[1:3])
LINE = re.compile(r'sluice: [^\n]+: [^\n]+: [^\n]+\n')
count = failed = 0


def run(*argv):
    return subprocess.run([SLUICE, *argv], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=30)


def check(good, what, more=''):
    global count, failed
    count += 1
    failed += not good
    print(f"{'ok' if good else 'not ok'} {count} - {what}" + ('' if good else f' # {more}'), flush=True)


def fails(what, status, *argv, text=''):
    done = run(*argv)
    check(done.returncode == status and LINE.fullmatch(done.stderr) and done.stdout == '' and text in done.stderr, what, (done.returncode, done.stderr, done.stdout))


def verbs():
    rows = re.findall(r'^  ([a-z]+) ([a-z-]*) *([A-Z\[][A-Z\]]*)? +\S', run('--help').stdout, re.M)
    return [(o, v, a) for o, v, a in rows if o not in ('c', 'config')]


def usage(folder):
    listed = verbs()
    check(len(listed) > 25 and ('approval', 'approve', 'ID') in listed and ('journal', 'verify', '[DIR]') in listed, '--help lists the verbs', listed)
    for o, v, _ in listed:
        done = run(o, *([v] if v else []), '--help')
        check(done.returncode == 0 and done.stdout.startswith(f'Usage: sluice {o}'), f'{o} {v} --help', done.stderr)
    fails('an unknown object', 2, 'frobnicate', 'it', text='no such command')
    fails('an unknown verb', 2, 'session', 'dance', text='no such command')
    fails('a missing argument', 2, 'session', 'show', text='ID is missing')
    fails('an argument too many', 2, 'show', 'health', 'now', text='too many')
    fails('an unknown option', 2, 'show', 'health', '--watch', '3', text='no such option')
    fails('a value that is missing', 2, 'approval', 'approve', 'abcd', '--reason', text='value is missing')
    fails('no reason', 2, 'approval', 'approve', 'abcd', '--token-file', '/dev/null', text='--reason')
    fails('no configuration', 2, '-c', '/nonexistent.conf', 'show', 'health')
    check(run().returncode == 2 and run('--version').stdout.startswith('sluice '), 'nothing at all; --version')
    conf = folder / 'sluice.conf'
    conf.write_text(f'run_dir = "{folder}"; policy = "/p"; classes = "{CLASSES}"; state_dir = "{folder}";\n')
    fails('no control process', 4, '-c', conf, 'show', 'health', text='start sluice-control')
    done = run('-c', conf, '--json', 'session', 'list')
    error = json.loads(done.stderr)
    check(done.returncode == 4 and error['id'] == 'unreachable' and error['hint'] == 'start sluice-control', 'the same as JSON', done.stderr)
    fails('a session that is none', 2, '-c', conf, 'session', 'show', 'xyz!', text='not a session')
    fails('a record that is none', 2, '-c', conf, 'journal', 'show', '-7x')
    fails('a proof of nothing', 2, '-c', conf, 'journal', 'proof', text='N is missing')
    fails('a proof between trees of a journal that is none', 1, '-c', conf, 'journal', 'proof', '--consistency', '3', f'--dir={folder}/none')
    fails('a size that is none', 2, '-c', conf, 'journal', 'proof', '--consistency', 'all', f'--dir={folder}', text='not a number')
    fails('a kept checkpoint that is not there', 2, '-c', conf, 'journal', 'verify', folder, '--checkpoint', folder / 'no-note', text='no-note')
    (folder / 'note').write_text('a.example\n3\n')
    fails('a kept checkpoint that is none', 2, '-c', conf, 'journal', 'verify', folder, '--checkpoint', folder / 'note', text='give a checkpoint of the log')
    fails('a journal that is none', 1, '-c', conf, 'journal', 'show', '3', f'--dir={folder}/none')
    done = run('-c', conf, 'journal', 'verify', folder / 'none')
    check(done.returncode == 1 and 'not good' in done.stdout, 'a journal that is none, verified', done.stdout + done.stderr)


def disk(folder):
    done = run('journal', 'bench', folder)
    check(done.returncode == 0 and 'durable records/s' in done.stdout, 'the disk is measured', done.stdout + done.stderr)
    told = json.loads(run('--json', 'journal', 'bench', folder).stdout)
    flush = told['flush_us']
    check(0 < flush['least'] <= flush['median'] <= flush['most'] and [r['batch'] for r in told['expected']] == [1, 64, 256], 'and as JSON', told)
    fails('a directory that is none', 1, 'journal', 'bench', folder / 'none', text='cannot be measured')


def policies(folder):
    bad = folder / 'bad.cfg'
    bad.write_text('policy : { format = 1; name = "x"; version = 1; };\nrules = (\n  { id = "r"; who = [ "nobody" ]; action = "allow"; }\n);\n')
    done = run('policy', 'check', bad, '--classes', CLASSES)
    check(done.returncode == 2 and 'bad.cfg:3:' in done.stderr, 'policy check names the line', done.stderr)
    done = run('policy', 'check', bad, '--classes', CLASSES, '--json')
    check(done.returncode == 2 and not json.loads(done.stdout)['good'], 'and as JSON', done.stdout[:200])


def papers():
    man, completion = run('--man').stdout, run('--completion').stdout
    check(man.startswith('.TH SLUICE 1') and all(f'.B {o} {v}' in man for o, v, _ in verbs()), 'the manual page has every verb')
    check(subprocess.run(['bash', '-n'], input=completion, text=True).returncode == 0 and 'complete -o default -F _sluice sluice' in completion, 'the completion parses')


def main():
    with tempfile.TemporaryDirectory(prefix='sluice-cli-') as folder:
        usage(Path(folder))
        policies(Path(folder))
        disk(Path(folder))
    papers()
    print(f'1..{count}')
    return 1 if failed else 0


if __name__ == '__main__':
    sys.exit(main())
