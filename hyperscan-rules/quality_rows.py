#!/usr/bin/python3
"""Rows for the quality test (data-classes.md 8), one per line, tab separated:
class, 1 for a valid value or 0 for a hard negative, name condition, column, cell.

usage: quality_rows.py ROWS_PER_CLASS > rows.tsv      (the seed is fixed)
"""
import random
import sys
import uuid

import makers as m

# class: maker, right names, abbreviated or weak names, names in other languages
CLASSES = {
    'payment_card': (m.card, ['card_number', 'credit_card'], ['cc_num', 'pan'], ['kreditkarte', 'numero_tarjeta']),
    'iban': (m.iban, ['iban', 'bank_account_iban'], ['account', 'konto'], ['rekeningnummer', 'cuenta']),
    'us_ssn': (m.ssn, ['ssn', 'social_security_number'], ['tax_id', 'socsec'], ['national_id', 'social_sec']),
    'us_itin': (m.itin, ['itin'], ['tax_id'], ['tin']),
    'aba_routing': (m.aba, ['routing_number'], ['aba'], ['bank']),
    'us_npi': (m.npi, ['npi'], ['provider'], ['physician']),
    'us_dea': (m.dea, ['dea_number'], ['dea'], ['prescriber']),
    'ca_sin': (m.sin, ['social_insurance_number'], ['sin'], ['nas']),
    'au_tfn': (m.tfn, ['tax_file_number'], ['tfn'], ['tax_id']),
    'au_abn': (m.abn, ['business_number'], ['abn'], ['company']),
    'uk_nhs': (m.nhs, ['nhs_number'], ['nhs'], ['patient_id']),
    'uk_nino': (m.nino, ['national_insurance_number'], ['nino'], ['insurance']),
    'de_tax_id': (m.de_tax, ['steuer_id'], ['idnr'], ['tax_id']),
    'fr_nir': (m.nir, ['numero_securite_sociale'], ['nir'], ['insee']),
    'es_nif': (m.nif, ['nif'], ['dni'], ['documento']),
    'it_codice_fiscale': (m.it_cf, ['codice_fiscale'], ['cf'], ['fiscale']),
    'nl_bsn': (m.bsn, ['bsn'], ['burger'], ['burgerservicenummer']),
    'pl_pesel': (m.pesel, ['pesel'], ['pesel'], ['numer_pesel']),
    'be_nrn': (m.nrn, ['rijksregisternummer'], ['nrn'], ['registre_national']),
    'ch_ahv': (m.ahv, ['ahv'], ['ahv_nr'], ['numero_avs']),
    'fi_hetu': (m.hetu, ['henkilotunnus'], ['hetu'], ['personbeteckning']),
    'se_personnummer': (m.pin, ['personnummer'], ['pnr'], ['samordningsnummer']),
    'in_aadhaar': (m.aadhaar, ['aadhaar'], ['uid'], ['aadhar']),
    'br_cpf': (m.cpf, ['cpf'], ['documento'], ['numero_cpf']),
    'br_cnpj': (m.cnpj, ['cnpj'], ['documento'], ['numero_cnpj']),
    'sg_nric': (m.nric, ['nric'], ['fin'], ['nric_no']),
    'imei': (m.imei, ['imei'], ['device'], ['handset']),
    'vin': (m.vin, ['vin'], ['chassis'], ['fahrgestellnummer']),
    'phone': (m.phone, ['phone_number'], ['tel'], ['telefono']),
    'email': (m.email, ['email'], ['contact'], ['correo']),
    'ipv4': (m.ipv4, ['ip_address'], ['host'], ['adresse_ip']),
    'ipv6': (m.ipv6, ['ip_address'], ['host'], ['ipv6']),
    'mac_address': (m.mac, ['mac_address'], ['mac'], ['hwaddr']),
    'crypto_address': (m.crypto, ['wallet_address'], ['wallet'], ['btc_address']),
    'jwt': (m.jwt, ['access_token'], ['jwt'], ['id_token']),
    'aws_access_key': (m.aws, ['aws_access_key_id'], ['access_key_id'], ['access_key_id']),
    'github_token': (m.github, ['github_token'], ['gh_token'], ['github_pat']),
    'slack_token': (m.slack, ['slack_token'], ['slack_token'], ['slack_bot_token']),
    'stripe_key': (m.stripe, ['stripe_key'], ['stripe_secret'], ['stripe_key']),
}
MISLEADING = ['order_id', 'tracking_number', 'invoice_no', 'version', 'checksum', 'sku']
RANDOM = ['c17', 'val', 'x', 'field_3', 'data']
HEX = '0123456789abcdef'


def hard_negative(r):
    """Values without personal data that look like some (data-classes.md 3)."""
    kind = r.randrange(14)
    if kind == 0: return str(r.randrange(1, 10 ** 6))
    if kind == 1: return str(uuid.UUID(int=r.getrandbits(128), version=4))
    if kind == 2: return ''.join(r.choice(HEX) for _ in range(r.choice([32, 40, 64])))
    if kind == 3: return '%d.%d.%d.%d' % tuple(r.randrange(20) for _ in range(4))
    if kind == 4: return str(1600000000000 + r.randrange(2 * 10 ** 11))
    if kind == 5: return str(r.randrange(10 ** 8, 10 ** 10))
    if kind == 6: return '978' + m.digits(r, 10)
    if kind == 7: return '1Z' + ''.join(r.choice('0123456789ABCDEFGH') for _ in range(16))
    if kind == 8: return '20%02d-%02d-%02d %02d:%02d:%02d' % (r.randrange(26), r.randrange(1, 13), r.randrange(1, 29), r.randrange(24), r.randrange(60), r.randrange(60))
    if kind == 9: return '#' + ''.join(r.choice(HEX) for _ in range(6))
    if kind == 10: return '%d.%02d' % (r.randrange(10 ** 6), r.randrange(100))
    if kind == 11: return 'ORD-%04d-%06d' % (r.randrange(2015, 2027), r.randrange(10 ** 6))
    if kind == 12: return m.tok(r, r.randrange(8, 40))
    return 'v%d.%d.%d-rc%d' % tuple(r.randrange(30) for _ in range(4))


def carried(r, column, value):
    """A cell, a JSON document, a log line or a sentence: the value as a client would see it."""
    kind = r.randrange(4)
    if kind == 0: return value
    if kind == 1: return '{"id":%d,"%s":"%s","ok":true}' % (r.randrange(100), column or 'v', value)
    if kind == 2: return 'INFO request %s="%s" done' % (column or 'v', value)
    return '%s: %s, see file' % (column or 'value', value)


def main():
    rows = int(sys.argv[1])
    r = random.Random(20260101)
    out = []
    for name, (make, right, short, foreign) in sorted(CLASSES.items()):
        conditions = [('right', right), ('short', short), ('foreign', foreign), ('misleading', MISLEADING), ('random', RANDOM), ('none', [''])]
        for i in range(rows):
            condition, columns = conditions[i % 6]
            column = r.choice(columns)
            out.append((name, '1', condition, column, carried(r, column, make(r))))
            column = r.choice(columns) if condition not in ('short', 'foreign') else r.choice(RANDOM)
            out.append((name, '0', condition if column not in RANDOM else 'random', column, carried(r, column, hard_negative(r))))
    for row in out:
        print('\t'.join(row))


if __name__ == '__main__':
    main()
