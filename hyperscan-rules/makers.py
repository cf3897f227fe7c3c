"""Makers of valid identifiers, written from the published rules and independent of the C validators: the samples of
the class files and the rows of the quality test come from here. A maker takes a random.Random and returns one value."""
import hashlib, zlib, base64, json, random, datetime, string

def digits(r, n): return ''.join(r.choice('0123456789') for _ in range(n))
def luhn_digit(body):
    s = 0
    for i, c in enumerate(reversed(body)):
        d = int(c)
        if i % 2 == 0:
            d *= 2
            if d > 9: d -= 9
        s += d
    return str(-s % 10)
def with_luhn(body): return body + luhn_digit(body)
def day(r, lo=1930, hi=2009):
    return datetime.date(lo, 1, 1) + datetime.timedelta(days=r.randrange((hi - lo) * 365))

def card(r):
    kind = r.randrange(6)
    if kind == 0: return with_luhn('4' + digits(r, 14))
    if kind == 1: return with_luhn('5' + r.choice('12345') + digits(r, 13))
    if kind == 2: return with_luhn('3' + r.choice('47') + digits(r, 12))
    if kind == 3: return with_luhn('6011' + digits(r, 11))
    if kind == 4: return with_luhn('35' + str(r.randrange(28, 90)) + digits(r, 11))
    return with_luhn(str(r.randrange(2221, 2721)) + digits(r, 11))
def card_long(r):
    return with_luhn('62' + digits(r, 16)) if r.random() < .5 else with_luhn('4' + digits(r, 11))
IBANS = {'DE': '{8}{10}', 'GB': 'NWBK{6}{8}', 'FR': '{10}{11}{2}', 'NL': 'ABNA{10}', 'ES': '{20}', 'IT': 'X{10}{12}', 'CH': '{5}{12}',
         'PL': '{24}', 'SE': '{20}', 'NO': '{11}', 'BE': '{12}', 'AT': '{16}', 'IE': 'AIBK{14}', 'PT': '{21}', 'DK': '{14}', 'FI': '{14}'}
def iban(r, cc=None):
    cc = cc or r.choice(sorted(IBANS))
    body, t = '', IBANS[cc]
    while t:
        if t[0] == '{':
            n, t = t[1:].split('}', 1); body += digits(r, int(n))
        else: body += t[0]; t = t[1:]
    num = ''.join(str(int(c, 36)) for c in body + cc + '00')
    return cc + '%02d' % (98 - int(num) % 97) + body
def ssn(r):
    while True:
        a, g, s = r.randrange(1, 900), r.randrange(1, 100), r.randrange(1, 10000)
        if a != 666: return '%03d%02d%04d' % (a, g, s)
def itin(r):
    m = r.choice([x for x in range(50, 100) if x <= 65 or 70 <= x <= 88 or 90 <= x <= 92 or x >= 94])
    return '9%02d%02d%04d' % (r.randrange(100), m, r.randrange(10000))
def aba(r):
    p = r.choice([*range(1, 13), *range(21, 33), *range(61, 73), 80])
    b = '%02d' % p + digits(r, 6)
    s = sum(int(c) * w for c, w in zip(b, [3, 7, 1] * 3))
    return b + str(-s % 10)
def npi(r):
    b = r.choice('12') + digits(r, 8)
    return b + luhn_digit('80840' + b)
def dea(r):
    while True:
        d = digits(r, 6)
        if len(set(d)) > 1: break
    s = int(d[0]) + int(d[2]) + int(d[4]) + 2 * (int(d[1]) + int(d[3]) + int(d[5]))
    return r.choice('ABCDEFGHJKLMPRSTUX') + r.choice(string.ascii_uppercase) + d + str(s % 10)
def sin(r): return with_luhn(r.choice('12345679') + digits(r, 7))
def nhs(r):
    while True:
        b = r.choice('4567') + digits(r, 8)
        c = 11 - sum(int(x) * (10 - i) for i, x in enumerate(b)) % 11
        if c == 11: c = 0
        if c != 10: return b + str(c)
def nino(r):
    while True:
        a, b = r.choice('ABCEGHJKLMNOPRSTWXYZ'), r.choice('ABCEGHJKLMNPRSTWXYZ')
        if a + b not in ('BG', 'GB', 'KN', 'NK', 'NT', 'TN', 'ZZ'): return a + b + digits(r, 6) + r.choice('ABCD')
def tfn(r):
    while True:
        t = r.choice('123456789') + digits(r, 8)
        if sum(int(c) * w for c, w in zip(t, [1, 4, 3, 7, 5, 8, 6, 9, 10])) % 11 == 0 and len(set(t)) > 1: return t
def abn(r):
    while True:
        b = digits(r, 9)
        for c in range(100):
            t = '%02d' % c + b
            s = sum((int(x) - (i == 0)) * w for i, (x, w) in enumerate(zip(t, [10, 1, 3, 5, 7, 9, 11, 13, 15, 17, 19])))
            if c >= 10 and s % 89 == 0: return t
V_D = [[0,1,2,3,4,5,6,7,8,9],[1,2,3,4,0,6,7,8,9,5],[2,3,4,0,1,7,8,9,5,6],[3,4,0,1,2,8,9,5,6,7],[4,0,1,2,3,9,5,6,7,8],
       [5,9,8,7,6,0,4,3,2,1],[6,5,9,8,7,1,0,4,3,2],[7,6,5,9,8,2,1,0,4,3],[8,7,6,5,9,3,2,1,0,4],[9,8,7,6,5,4,3,2,1,0]]
V_P = [[0,1,2,3,4,5,6,7,8,9],[1,5,7,6,2,8,3,0,9,4],[5,8,0,3,7,9,6,1,4,2],[8,9,1,6,0,4,3,5,2,7],[9,4,5,3,1,2,6,8,7,0],
       [4,2,8,6,5,7,3,9,0,1],[2,7,9,3,8,0,6,4,1,5],[7,0,4,6,9,1,3,2,5,8]]
V_INV = [0,4,3,2,1,5,6,7,8,9]
def aadhaar(r):
    b = r.choice('23456789') + digits(r, 10)
    c = 0
    for i, x in enumerate(reversed(b)): c = V_D[c][V_P[(i + 1) % 8][int(x)]]
    return b + str(V_INV[c])
def in_pan(r):
    return ''.join(r.choice(string.ascii_uppercase) for _ in range(3)) + r.choice('ABCFGHLJPT') + r.choice(string.ascii_uppercase) + '%04d' % r.randrange(1, 10000) + r.choice(string.ascii_uppercase)
def gstin(r):
    b = '%02d' % r.randrange(1, 38) + in_pan(r) + r.choice('123456789') + 'Z'
    s = 0
    for i, c in enumerate(b):
        p = int(c, 36) * (1, 2)[i % 2]
        s += p // 36 + p % 36
    return b + '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ'[-s % 36]
def cpf(r):
    b = digits(r, 9)
    while len(set(b)) == 1: b = digits(r, 9)
    for n in (10, 11):
        s = sum(int(c) * (n - i) for i, c in enumerate(b)) * 10 % 11
        b += str(s % 10)
    return b
def cnpj(r):
    b = digits(r, 8) + '0001'
    for w in ([5,4,3,2,9,8,7,6,5,4,3,2], [6,5,4,3,2,9,8,7,6,5,4,3,2]):
        s = sum(int(c) * k for c, k in zip(b, w)) % 11
        b += str(0 if s < 2 else 11 - s)
    return b
def de_tax(r):
    while True:
        ds = list('0123456789'); r.shuffle(ds)
        body = ds[:9]; body.append(r.choice(body)); r.shuffle(body)
        if body[0] == '0': continue
        b = ''.join(body)
        if any(b[i] == b[i+1] == b[i+2] for i in range(8)): continue
        p = 10
        for c in b:
            s = (int(c) + p) % 10 or 10
            p = s * 2 % 11
        return b + str((11 - p) % 10)
def nir(r):
    dep = r.choice(['%02d' % d for d in range(1, 96) if d != 20] + ['2A', '2B'])
    b = r.choice('12') + '%02d%02d' % (r.randrange(100), r.randrange(1, 13)) + dep + digits(r, 3) + '%03d' % r.randrange(1, 1000)
    n = int(b.replace('2A', '19').replace('2B', '18')) if dep in ('2A', '2B') else int(b)
    return b + '%02d' % (97 - n % 97)
def nif(r):
    if r.random() < .3:
        p = r.choice('XYZ'); n = digits(r, 7); v = int(str('XYZ'.index(p)) + n)
        return p + n + 'TRWAGMYFPDXBNJZSQVHLCKE'[v % 23]
    n = digits(r, 8)
    return n + 'TRWAGMYFPDXBNJZSQVHLCKE'[int(n) % 23]
IT_ODD = dict(zip('0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ', [1,0,5,7,9,13,15,17,19,21,1,0,5,7,9,13,15,17,19,21,2,4,18,20,11,3,6,8,12,14,16,10,22,25,24,23]))
def it_cf(r):
    b = ''.join(r.choice('BCDFGLMNPRSTV') for _ in range(6)) + '%02d' % r.randrange(100) + r.choice('ABCDEHLMPRST') + '%02d' % (r.randrange(1, 29) + r.choice([0, 40])) + r.choice('ABCDEFGHIL') + digits(r, 3)
    s = 0
    for i, c in enumerate(b):
        s += IT_ODD[c] if i % 2 == 0 else (int(c) if c.isdigit() else ord(c) - 65)
    return b + chr(65 + s % 26)
def bsn(r):
    while True:
        b = r.choice('123456789') + digits(r, 7)
        s = sum(int(c) * (9 - i) for i, c in enumerate(b)) % 11
        if s != 10 and len(set(b)) > 1: return b + str(s)
def pesel(r):
    d = day(r, 1930, 2015)
    b = '%02d%02d%02d' % (d.year % 100, d.month + (20 if d.year >= 2000 else 0), d.day) + digits(r, 4)
    s = sum(int(c) * w for c, w in zip(b, [1,3,7,9,1,3,7,9,1,3]))
    return b + str(-s % 10)
def nrn(r):
    d = day(r, 1930, 2015)
    b = d.strftime('%y%m%d') + '%03d' % r.randrange(1, 998)
    n = int(('2' if d.year >= 2000 else '') + b)
    return b + '%02d' % (97 - n % 97)
def ahv(r):
    b = '756' + digits(r, 9)
    return b + str(-sum(int(c) * (1, 3)[i % 2] for i, c in enumerate(b)) % 10)
def hetu(r):
    d = day(r, 1930, 2015)
    n = '%03d' % r.randrange(2, 900)
    b = d.strftime('%d%m%y')
    return b + ('A' if d.year >= 2000 else '-') + n + '0123456789ABCDEFHJKLMNPRSTUVWXY'[int(b + n) % 31]
def pin(r):
    d = day(r, 1930, 2015)
    b = d.strftime('%y%m%d') + digits(r, 3)
    return (d.strftime('%Y')[:2] if r.random() < .5 else '') + with_luhn(b)
def rrn(r):
    d = day(r, 1930, 2015)
    b = d.strftime('%y%m%d') + r.choice('12' if d.year < 2000 else '34') + digits(r, 5)
    return b + str((11 - sum(int(c) * w for c, w in zip(b, [2,3,4,5,6,7,8,9,2,3,4,5])) % 11) % 10)
def nric(r):
    p = r.choice('STFG'); n = digits(r, 7)
    s = sum(int(c) * w for c, w in zip(n, [2,7,6,5,4,3,2])) + (4 if p in 'TG' else 0)
    return p + n + ('JZIHGFEDCBA' if p in 'ST' else 'XWUTRQPNMLK')[s % 11]
def tckn(r):
    b = r.choice('123456789') + digits(r, 8)
    o, e = sum(map(int, b[0::2])), sum(map(int, b[1::2]))
    b += str((o * 7 - e) % 10)
    return b + str(sum(map(int, b)) % 10)
def za(r):
    return with_luhn(day(r).strftime('%y%m%d') + digits(r, 4) + r.choice('01') + r.choice('89'))
def th(r):
    b = r.choice('12345678') + digits(r, 11)
    return b + str((11 - sum(int(c) * (13 - i) for i, c in enumerate(b)) % 11) % 10)
def cn(r):
    b = r.choice(['110101', '310115', '440305', '510104']) + day(r).strftime('%Y%m%d') + digits(r, 3)
    return b + '10X98765432'[sum(int(c) * w for c, w in zip(b, [7,9,10,5,8,4,2,1,6,3,7,9,10,5,8,4,2])) % 11]
def imei(r): return with_luhn(r.choice(['35', '01', '86', '49']) + digits(r, 12))
VIN_T = dict(zip('ABCDEFGHJKLMNPRSTUVWXYZ', [1,2,3,4,5,6,7,8,1,2,3,4,5,7,9,2,3,4,5,6,7,8,9])); VIN_T.update({str(i): i for i in range(10)})
def vin(r):
    a = 'ABCDEFGHJKLMNPRSTUVWXYZ0123456789'
    v = r.choice(['1HG', '1FT', '5YJ', '2T1', '3VW']) + ''.join(r.choice(a) for _ in range(5)) + '0' + r.choice('ABCDEFGHJKLMNPRSTVWXY') + r.choice(a) + digits(r, 6)
    s = sum(VIN_T[c] * w for c, w in zip(v, [8,7,6,5,4,3,2,10,0,9,8,7,6,5,4,3,2])) % 11
    return v[:8] + ('X' if s == 10 else str(s)) + v[9:]
def phone(r):
    k = r.randrange(6)
    if k == 0: return '+1 %d%d%d-%d%s-%s' % (r.randrange(2, 10), r.randrange(10), r.randrange(10), r.randrange(2, 10), digits(r, 2), digits(r, 4))
    if k == 1: return '+44 20 7%s %s' % (digits(r, 3), digits(r, 4))
    if k == 2: return '+49 151 ' + digits(r, 8)
    if k == 3: return '+33 6 ' + ' '.join(digits(r, 2) for _ in range(4))
    if k == 4: return '(%d%s) %d%s-%s' % (r.randrange(2, 10), digits(r, 2), r.randrange(2, 10), digits(r, 2), digits(r, 4))
    return '+81 3-%s-%s' % (digits(r, 4), digits(r, 4))
FIRST = 'anna bert carla david eva frank gina hugo ida jan kira lars mona nils olga paul rosa sven tina uwe'.split()
LAST = 'smith jones mueller garcia rossi novak kim silva dubois ivanov tanaka olsen khan'.split()
def email(r):
    return r.choice(FIRST) + r.choice(['.', '_', '', '+x.']) + r.choice(LAST) + r.choice(['', str(r.randrange(100))]) + '@' + r.choice(['example.com', 'mail.example.org', 'corp.example.net', 'example.co.uk', 'uni-example.de'])
def ipv4(r): return '.'.join(str(x) for x in (r.choice([10, 172, 192, 8, 93, 203]), r.randrange(256), r.randrange(256), r.randrange(1, 255)))
def ipv6(r):
    g = ['2001', 'db8'] + ['%x' % r.randrange(1, 65536) for _ in range(6)]
    if r.random() < .5: return ':'.join(g)
    return ':'.join(g[:4]) + '::' + ':'.join(g[6:])
def mac(r):
    s = r.choice(':-')
    return s.join('%02x' % r.randrange(256) for _ in range(6))
B58 = '123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz'
def b58(payload):
    full = payload + hashlib.sha256(hashlib.sha256(payload).digest()).digest()[:4]
    n, out = int.from_bytes(full, 'big'), ''
    while n: n, m = divmod(n, 58); out = B58[m] + out
    return '1' * (len(full) - len(full.lstrip(b'\0'))) + out
CH = 'qpzry9x8gf2tvdw0s3jn54khce6mua7l'
def polymod(values):
    g, c = [0x3b6a57b2, 0x26508e6d, 0x1ea119fa, 0x3d4233dd, 0x2a1462b3], 1
    for v in values:
        t = c >> 25; c = (c & 0x1ffffff) << 5 ^ v
        for i in range(5): c ^= g[i] if t >> i & 1 else 0
    return c
def bech32(hrp, version, prog):
    acc = bits = 0; data = [version]
    for b in prog:
        acc = acc << 8 | b; bits += 8
        while bits >= 5: bits -= 5; data.append(acc >> bits & 31)
    if bits: data.append(acc << (5 - bits) & 31)
    values = [ord(x) >> 5 for x in hrp] + [0] + [ord(x) & 31 for x in hrp] + data
    p = polymod(values + [0] * 6) ^ (1 if version == 0 else 0x2bc830a3)
    return hrp + '1' + ''.join(CH[d] for d in data + [p >> 5 * (5 - i) & 31 for i in range(6)])
def rb(r, n): return bytes(r.randrange(256) for _ in range(n))
def crypto(r):
    k = r.randrange(4)
    if k == 0: return b58(b'\0' + rb(r, 20))
    if k == 1: return b58(b'\5' + rb(r, 20))
    if k == 2: return bech32('bc', 0, rb(r, 20))
    return '0x' + rb(r, 20).hex()
def b64u(b): return base64.urlsafe_b64encode(b).decode().rstrip('=')
def jwt(r):
    h = b64u(json.dumps({'alg': r.choice(['HS256', 'RS256', 'ES256']), 'typ': 'JWT'}, separators=(',', ':')).encode())
    p = b64u(json.dumps({'sub': str(r.randrange(10**9)), 'iat': 1700000000 + r.randrange(10**6)}, separators=(',', ':')).encode())
    return h + '.' + p + '.' + b64u(rb(r, 32))
def pem(r, kind='RSA '):
    body = base64.b64encode(b'\x30\x82\x02\x5c\x02\x01\x00' + rb(r, 90)).decode()
    return '-----BEGIN %sPRIVATE KEY-----\n%s\n-----END %sPRIVATE KEY-----' % (kind, '\n'.join(body[i:i+64] for i in range(0, len(body), 64)), kind)
A62 = string.digits + string.ascii_uppercase + string.ascii_lowercase
def crc_tail(r):
    b = ''.join(r.choice(A62) for _ in range(30)); n, t = zlib.crc32(b.encode()), ''
    for _ in range(6): n, m = divmod(n, 62); t = A62[m] + t
    return b + t
def tok(r, n, a=A62): return ''.join(r.choice(a) for _ in range(n))
def github(r): return 'gh' + r.choice('pousr') + '_' + crc_tail(r) if r.random() < .8 else 'github_pat_' + tok(r, 22) + '_' + tok(r, 59)
def npm(r): return 'npm_' + crc_tail(r)
def aws(r): return r.choice(['AKIA', 'ASIA']) + tok(r, 14, 'ABCDEFGHIJKLMNOPQRSTUVWXYZ') + tok(r, 2, '234567')
def slack(r): return r.choice(['xoxb-', 'xoxp-']) + digits(r, 12) + '-' + digits(r, 12) + '-' + tok(r, 24)
def stripe(r): return r.choice(['sk_live_', 'rk_live_', 'sk_test_']) + tok(r, 24)
def google(r): return 'AIza' + tok(r, 33, A62 + '_-') + tok(r, 2, string.digits)
def gitlab(r): return 'glpat-' + tok(r, 18, A62 + '_-') + tok(r, 2, string.digits)
def sendgrid(r): return 'SG.' + tok(r, 22, A62) + '.' + tok(r, 43, A62)
def huggingface(r): return 'hf_' + tok(r, 34, string.ascii_letters)
def track(r):
    c = card(r)
    while len(c) != 16: c = card(r)
    return '%%B%s^%s/%s^2912101%s?' % (c, r.choice(LAST).upper(), r.choice(FIRST).upper(), digits(r, 10)) if r.random() < .5 else ';%s=2912101%s?' % (c, digits(r, 9))
def url_password(r): return r.choice(['postgres', 'mysql', 'https', 'mongodb+srv', 'redis', 'amqp']), r.choice(FIRST), tok(r, 12), r.choice(['db.example.com:5432/app', '10.0.0.5/x', 'example.org'])
