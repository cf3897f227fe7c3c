#!/usr/bin/python3
"""Style and layering as a test: sizes, banned calls, include graph, self-contained headers.

usage: tests/tidy.py    (from anywhere; reads the files git knows or would know)
Prints one line for each fault, `file:line: what: what to do`, and ends with status 1 when there is one.
"""
import os
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

# The order of dependence (README): a folder includes only its own files and folders above it.
ORDER = [
    'platform/base', 'platform/contract', 'platform/os',
    'hyperscan-rules/validate', 'hyperscan-rules',
    'dataplane/packet', 'dataplane/flow', 'dataplane/tcp', 'dataplane/tls', 'dataplane/match',
    'dataplane/inspect', 'dataplane/verdict', 'dataplane/report', 'dataplane/capture', 'dataplane/relay', 'dataplane/standby', 'dataplane/port', 'dataplane',
    'control/journal', 'control/token', 'control/signer', 'control/anchor', 'control/witness', 'control/sqlparse', 'control/egress', 'control/identity', 'control/policy',
    'control/approval', 'control/keys', 'control/credential', 'control/inbox', 'control/export', 'control/capture', 'control/ship', 'control/cli', 'control',
    'tests', 'bench',
]
RANK = {folder: rank for rank, folder in enumerate(ORDER)}
# Exceptions to the order, each with its reason.
ALLOWED = {}
# One owner per dependency (DESIGN.md).
OWNERS = {
    r'rte_\w+\.h': ['dataplane/port', 'bench', 'tests/system'],
    r'openssl/ssl\.h': ['dataplane/tls', 'control/egress', 'control/ship', 'tests', 'bench', 'dataplane/inspect/postgres'],
    r'hs(_\w+)?\.h|hs/hs\.h': ['dataplane/match', 'hyperscan-rules', 'bench'],
    r'lmdb\.h': ['control/journal', 'bench'],
    r'libconfig\.h': ['platform/os'],
    r'pg_query\.h': ['control/sqlparse'],
    r'cjose/\w+\.h': ['control/identity'],
    r'p11-kit/.*': ['control/token'],
    r'curl/curl\.h': ['control/egress', 'control/identity'],
}
BANNED = {
    'strcpy': 'snprintf or struct writer', 'strcat': 'snprintf or struct writer', 'sprintf': 'snprintf', 'gets': 'fgets',
    'strtok': 'struct reader', 'atoi': 'strtol with its end checked', 'alloca': 'memory sized at start', 'rand': 'platform/base/random.h',
    'system': 'posix_spawn without a shell', 'popen': 'posix_spawn without a shell', 'tmpnam': 'mkstemp', 'vsprintf': 'vsnprintf',
}
BANNED_IN_LOOP = {name: 'memory sized at start' for name in ('malloc', 'calloc', 'realloc', 'free', 'strdup')}
LOOP_FOLDERS = ('dataplane/packet', 'dataplane/tcp', 'dataplane/inspect/postgres', 'dataplane/report', 'dataplane/capture')
LINES_MAX = 800
FUNCTION_LINES_MAX = 70
faults = []


def fault(path, line, text):
    faults.append(f'{path}:{line}: {text}')


def folder_of(path):
    """The longest folder of ORDER that holds this file."""
    parts = path.split('/')
    for count in range(len(parts) - 1, 0, -1):
        folder = '/'.join(parts[:count])
        if folder in RANK:
            return folder
    return None


def strip(text):
    """Comments and literals blanked out, lines kept."""
    def blank(match):
        return re.sub(r'[^\n]', ' ', match.group(0))
    return re.sub(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', blank, text, flags=re.S)


def check_sizes(path, text, code):
    lines = text.count('\n')
    if lines > LINES_MAX:
        fault(path, 1, f'{lines} lines, over {LINES_MAX}: split it by noun')
    start = None
    for number, line in enumerate(code.split('\n'), 1):
        if line.startswith('{'):
            start = number
        elif line.startswith('}') and start:
            if number - start - 1 > FUNCTION_LINES_MAX and not line.startswith('};'):
                fault(path, start, f'function of {number - start - 1} lines, over {FUNCTION_LINES_MAX}: split it')
            start = None


def check_calls(path, code, test):
    banned = {name: why for name, why in BANNED.items() if not (test and name in ('system', 'atoi'))}
    if path.startswith(LOOP_FOLDERS) and not test:
        banned.update(BANNED_IN_LOOP)
    for number, line in enumerate(code.split('\n'), 1):
        for name in re.findall(r'(?<![\w.>])(\w+)\s*\(', line):
            if name in banned:
                fault(path, number, f'{name}: banned: use {banned[name]}')


def check_includes(path, text, test):
    mine = folder_of(path)
    for number, line in enumerate(text.split('\n'), 1):
        match = re.match(r'\s*#\s*include\s*([<"])([^>"]+)[>"]', line)
        if not match:
            continue
        kind, name = match.groups()
        if kind == '<':
            for pattern, owners in OWNERS.items():
                if re.fullmatch(pattern, name) and not path.startswith(tuple(owners)):
                    fault(path, number, f'{name}: belongs to {owners[0]}: call that folder')
            continue
        if '/' not in name:
            continue
        if not (ROOT / name).exists():
            continue  # generated
        theirs = folder_of(name)
        if theirs is None or mine is None or theirs == mine or test:
            continue
        if RANK[theirs] > RANK[mine] and (mine, theirs) not in ALLOWED:
            fault(path, number, f'{name}: {theirs} stands below {mine} in the order of dependence: turn the call round')


# In pieces, so that a search for them does not find this line.
LEFT_OVER = r'\b(TO' r'DO|FIX' r'ME|XX' r'X|HA' r'CK)\b'


def check_words(path, text):
    for number, line in enumerate(text.split('\n'), 1):
        if re.search(LEFT_OVER, line):
            fault(path, number, 'left-over word: finish it, or say in the README what is missing')
        if re.search(r'/wo' r'rk/|/ro' r'ot/', line):
            fault(path, number, 'a path of one machine')


def check_header(path):
    """It compiles alone."""
    text = (ROOT / path).read_text(errors='replace')
    if re.search(r'#\s*include\s*<(rte_|hs)', text):
        return
    guard = re.sub(r'\W', '_', path).upper()
    if '#ifndef ' + guard not in text and '#pragma once' not in text:
        fault(path, 1, f'no include guard {guard}')
    done = subprocess.run(['cc', '-std=gnu17', '-D_GNU_SOURCE', '-I', str(ROOT), '-x', 'c', '-fsyntax-only', '-'],
                          input=f'#include "{path}"\n', text=True, stderr=subprocess.PIPE)
    if done.returncode != 0:
        fault(path, 1, 'not self-contained: ' + done.stderr.strip().split('\n')[0])


def main():
    files = subprocess.run(['git', '-C', str(ROOT), 'ls-files', '-co', '--exclude-standard'], text=True, stdout=subprocess.PIPE,
                           check=True).stdout.split('\n')
    sources = [f for f in files if f.endswith(('.c', '.h')) and (ROOT / f).exists()]
    for path in sources:
        text = (ROOT / path).read_text(errors='replace')
        test = re.search(r'_(test|fuzz|bench)\.c$|_test_', path) is not None or path.startswith(('tests/', 'bench/'))
        code = strip(text)
        check_sizes(path, text, code)
        check_calls(path, code, test)
        check_includes(path, text, test)
        check_words(path, text)
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        list(pool.map(check_header, (f for f in sources if f.endswith('.h'))))
    for line in sorted(faults):
        print(line)
    print(f'tidy: {len(sources)} files, {len(faults)} faults')
    return 1 if faults else 0


if __name__ == '__main__':
    sys.exit(main())
