/* Validators against published numbers, and the share of noise that passes them (data-classes.md 3) recomputed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "hyperscan-rules/validate/blob.h"
#include "hyperscan-rules/validate/candidate.h"
#include "hyperscan-rules/validate/packed.h"
#include "platform/base/random.h"

struct vector {
	const char *good, *bad; /* one character apart, or a rule apart */
	bool (*check)(struct bytes);
};

/* Public test numbers, each with a neighbour that must fail. */
static const struct vector VECTORS[] = {
	{ "4111111111111111", "4111111111111112", validate_card },
	{ "378282246310005", "378282246310006", validate_card },
	{ "30569309025904", "30569309025905", validate_card },
	{ "5555555555554444", "9555555555554448", validate_card },
	{ "DE89370400440532013000", "DE89370400440532013001", validate_iban },
	{ "GB29NWBK60161331926819", "GB29NWBK6016133192681", validate_iban },
	{ "FR1420041010050500013M02606", "DE00000000000000000000", validate_iban },
	{ "021000021", "021000022", validate_aba },
	{ "123456789", "666456789", validate_us_ssn },
	{ "536904399", "078051120", validate_us_ssn },
	{ "912703456", "912693456", validate_us_itin },
	{ "1234567893", "1234567890", validate_us_npi },
	{ "AB1234563", "AB1234564", validate_us_dea },
	{ "130692544", "130692545", validate_luhn9 },
	{ "9434765919", "9434765918", validate_nhs },
	{ "AB123456C", "BG123456C", validate_nino },
	{ "123456782", "123456783", validate_au_tfn },
	{ "51824753556", "51824753557", validate_au_abn },
	{ "234123412346", "234123412347", validate_aadhaar },
	{ "27AAPFU0939F1ZV", "27AAPFU0939F1ZW", validate_in_gstin },
	{ "52998224725", "52998224726", validate_cpf },
	{ "11222333000181", "11222333000182", validate_cnpj },
	{ "86095742719", "86095742718", validate_de_tax_id },
	{ "255081416802538", "255081416802539", validate_fr_nir },
	{ "12345678Z", "12345678A", validate_es_nif },
	{ "X1234567L", "X1234567M", validate_es_nif },
	{ "RSSMRA85T10A562S", "RSSMRA85T10A562T", validate_it_cf },
	{ "111222333", "111222334", validate_nl_bsn },
	{ "44051401359", "44051401358", validate_pl_pesel },
	{ "85073003328", "85073003329", validate_be_nrn },
	{ "7561234567897", "7561234567898", validate_ch_ahv },
	{ "131052-308T", "131052-308U", validate_fi_hetu },
	{ "8112189876", "8112189877", validate_se_pin },
	{ "S1234567D", "S1234567E", validate_sg_nric },
	{ "10000000146", "10000000147", validate_tr_tckn },
	{ "8001015009087", "8001015009088", validate_za_id },
	{ "11010519491231002X", "110105194912310021", validate_cn_id },
	{ "490154203237518", "490154203237519", validate_imei },
	{ "1M8GDM9AXKP042788", "1M8GDM9A1KP042788", validate_vin },
	{ "+442079460958", "+9992079460958", validate_phone },
	{ "2125550142", "1125550142", validate_phone },
	{ "user+tag@example.com", "user@example", validate_email },
	{ "192.168.0.1", "192.168.0.256", validate_ipv4 },
	{ "::ffff:192.0.2.128", "::ffff:999.0.2.128", validate_ipv6 },
	{ "2001:db8::1", "2001:db8:::1", validate_ipv6 },
	{ "1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa", "1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNb", validate_crypto_address },
	{ "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4", "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t5", validate_crypto_address },
	{ "eyJhbGciOiJIUzI1NiJ9.eyJhIjoxfQ.c2ln", "eyJmb28iOiJiYXIifQ.eyJhIjoxfQ.c2ln", validate_jwt },
	{ "://user:secret@", "://user:<secret>@", validate_url_password },
};

static void published_numbers(void **state)
{
	for (size_t i = 0; i < sizeof VECTORS / sizeof *VECTORS; i++) {
		if (!VECTORS[i].check(bytes_str(VECTORS[i].good)))
			fail_msg("refused: %s", VECTORS[i].good);
		if (VECTORS[i].check(bytes_str(VECTORS[i].bad)))
			fail_msg("taken: %s", VECTORS[i].bad);
	}
}

struct noise {
	const char *name;
	unsigned digits;
	double percent, tolerance;
	bool (*check)(struct bytes);
};

/* Share of random digit strings that pass: data-classes.md 3. Where a rule here asks more than the checksum, the name says what. The DE
 * tax id is not here: the rule that one digit comes twice or three times leaves far less than its checksum's 8.9 %. */
static const struct noise NOISE[] = {
	{ "SSN structure", 9, 88.9, 0.5, validate_us_ssn },
	{ "ITIN ranges", 9, 4.4, 0.3, validate_us_itin },
	{ "ABA with prefix", 9, 3.8, 0.3, validate_aba },
	{ "CA SIN, first digit not 0 or 8", 9, 8.0, 0.4, validate_luhn9 },
	{ "AU TFN", 9, 9.1, 0.4, validate_au_tfn },
	{ "AU ABN, first digit not 0", 11, 1.01, 0.12, validate_au_abn },
	{ "card of 16 with brand", 16, 2.3, 0.15, validate_card },
	{ "IMEI, first two digits not 00", 15, 9.9, 0.4, validate_imei },
	{ "CPF", 11, 1.0, 0.12, validate_cpf },
	{ "NHS", 10, 9.0, 0.4, validate_nhs },
	{ "NPI", 10, 2.0, 0.2, validate_us_npi },
	{ "Aadhaar", 12, 8.0, 0.4, validate_aadhaar },
	{ "PESEL with date", 11, 1.8, 0.2, validate_pl_pesel },
	{ "NL BSN, not 00 in front", 9, 9.0, 0.4, validate_nl_bsn },
	{ "FR NIR with sex and month", 15, 0.025, 0.015, validate_fr_nir },
	{ "KR RRN with date", 13, 0.30, 0.06, validate_kr_rrn },
	{ "TH, first digit 1 to 8", 13, 8.0, 0.4, validate_th_id },
};

static void noise_is_as_published(void **state)
{
	const unsigned rounds = 200000;

	for (size_t i = 0; i < sizeof NOISE / sizeof *NOISE; i++) {
		struct rng rng = rng_seeded(1000 + i);
		unsigned passed = 0;
		double percent;

		for (unsigned round = 0; round < rounds; round++) {
			uint8_t digits[20];

			for (unsigned d = 0; d < NOISE[i].digits; d++)
				digits[d] = (uint8_t)('0' + rng_below(&rng, 10));
			passed += NOISE[i].check(bytes_of(digits, NOISE[i].digits));
		}
		percent = 100.0 * passed / rounds;
		print_message("# noise %-32s %7.3f %%\n", NOISE[i].name, percent);
		if (percent < NOISE[i].percent - NOISE[i].tolerance || percent > NOISE[i].percent + NOISE[i].tolerance)
			fail_msg("%s: %.3f %%, expected %.3f", NOISE[i].name, percent, NOISE[i].percent);
	}
}

/* Luhn, Verhoeff and mod 97 find every single wrong digit. */
static void single_errors_are_found(void **state)
{
	char text[] = "4111111111111111", verhoeff[] = "234123412346";

	for (size_t i = 0; i < sizeof text - 1; i++)
		for (char c = '0'; c <= '9'; c++) {
			char old = text[i];

			text[i] = c;
			assert_int_equal(validate_luhn(bytes_str(text)), c == old);
			text[i] = old;
		}
	for (size_t i = 0; i < sizeof verhoeff - 1; i++)
		for (char c = '0'; c <= '9'; c++) {
			char old = verhoeff[i];

			verhoeff[i] = c;
			assert_int_equal(validate_verhoeff(bytes_str(verhoeff)), c == old);
			verhoeff[i] = old;
		}
	assert_int_equal(validate_mod97(bytes_str("370400440532013000DE89")), 1);
	assert_int_equal(validate_mod97(bytes_str("37-0")), 97);
}

/* What masks leave is never a number: all zero but for the last four. */
static void masked_forms_are_known(void **state)
{
	assert_true(validate_is_masked(bytes_str("000000000")));
	assert_true(validate_is_masked(bytes_str("0000000000001111")));
	assert_true(validate_is_masked(bytes_str("0100000000001111")));
	assert_false(validate_is_masked(bytes_str("000010000")));
	assert_false(validate_is_masked(bytes_str("00000")));
	assert_false(validate_is_masked(bytes_str("00000000x")));
}

/* Every validator takes any bytes of any length: address sanitizer is the judge. */
static void any_bytes_are_safe(void **state)
{
	struct rng rng = rng_seeded(42);
	static const char COMMON[] = "0123456789ABXZghp_eyJ:.@-+% /=bc10x";

	for (unsigned which = 0; which < VALIDATOR_count; which++)
		for (unsigned round = 0; round < 400; round++) {
			size_t len = rng_below(&rng, 100);
			uint8_t *text = test_malloc(len ? len : 1);

			for (size_t i = 0; i < len; i++)
				text[i] = round % 2 ? (uint8_t)rng_next(&rng) : (uint8_t)COMMON[rng_below(&rng, sizeof COMMON - 1)];
			(void)validate((enum validator)which, bytes_of(text, len));
			test_free(text);
		}
	assert_false(validate(VALIDATOR_count, bytes_str("x")));
}

/* The quick look for numbers sees each trace wherever it stands, and no trace where there is none. */
static void traces_are_seen_at_every_offset(void **state)
{
	static const char *const TRACES[] = { "1234", "1 2 3", "1-23-4", "1.234.5", "1/2345/6", "85T10", "12a34" };
	static const char *const NONE[] = { "123", "1 2", "12 ab 34", "a1b2c3", "1,234", "12-ab" };
	uint8_t text[260];

	for (size_t t = 0; t < sizeof TRACES / sizeof *TRACES; t++)
		for (size_t at = 0; at + 10 < sizeof text; at++) {
			memset(text, 'x', sizeof text);
			memcpy(text + at, TRACES[t], strlen(TRACES[t]));
			if (!packed_possible(bytes_of(text, sizeof text)))
				fail_msg("%s not seen at %zu", TRACES[t], at);
			assert_true(packed_possible(bytes_of(text, at + strlen(TRACES[t]))));
		}
	for (size_t t = 0; t < sizeof NONE / sizeof *NONE; t++)
		if (packed_possible(bytes_str(NONE[t])))
			fail_msg("%s seen", NONE[t]);
	assert_false(packed_possible(bytes_of(NULL, 0)));
}

static void names_fold(void **state)
{
	static const struct { const char *name, *folded; } ROWS[] = {
		{ "firstName", "_first_name_" },
		{ "SSNNumber", "_ssn_number_" },
		{ "address_line1", "_address_line_1_" },
		{ "E-Mail Adresse", "_e_mail_adresse_" },
		{ "pr\xc3\xa9nom", "_prenom_" },
		{ "\xc3\x89tat", "_etat_" },
		{ "__x__", "_x_" },
		{ "", "_" },
		{ "public.users.dob", "_public_users_dob_" },
	};

	for (size_t i = 0; i < sizeof ROWS / sizeof *ROWS; i++) {
		char out[64];
		size_t len = class_fold_name(bytes_str(ROWS[i].name), out, sizeof out);

		if (!bytes_equal(bytes_of(out, len), bytes_str(ROWS[i].folded)))
			fail_msg("%s became %.*s", ROWS[i].name, (int)len, out);
	}
	for (size_t cap = 4; cap < 12; cap++) {
		char out[16];

		assert_true(class_fold_name(bytes_str("aVeryLongColumnName"), out, cap) <= cap);
	}
}

static void blob_refuses_damage(void **state)
{
	static struct blob blob, back;
	static uint8_t out[65536];
	struct writer w = writer_of(out, sizeof out);

	blob.classes_count = 1;
	blob.classes[0].name[0] = 'x';
	blob.classes[0].shape = SHAPE_RUN;
	blob.classes[0].length_min = 1;
	blob.classes[0].length_max = blob.classes[0].span_max = 10;
	blob.expressions_count = blob.triggers_count = blob.groups_count = 1;
	blob.expressions[0].classes[0] = blob.triggers[0].classes[0] = 1;
	blob.tier_one = blob.groups[0] = bytes_str("database");
	blob_encode(&blob, &w);
	assert_true(w.ok);
	assert_null(blob_decode(bytes_of(out, w.len), &back));
	assert_string_equal(back.classes[0].name, "x");
	for (size_t cut = 0; cut < w.len; cut++)
		assert_non_null(blob_decode(bytes_of(out, cut), &back));
	for (size_t i = 0; i < w.len; i++) {
		out[i] ^= 0x40;
		assert_non_null(blob_decode(bytes_of(out, w.len), &back));
		out[i] ^= 0x40;
	}
	/* A field out of range is refused even under a right checksum. */
	blob.classes[0].validator = VALIDATOR_count;
	w = writer_of(out, sizeof out);
	blob_encode(&blob, &w);
	assert_string_equal(blob_decode(bytes_of(out, w.len), &back), "a class is malformed");
	blob.classes[0].validator = 0;
	blob.expressions[0].classes[0] = 2;
	w = writer_of(out, sizeof out);
	blob_encode(&blob, &w);
	assert_string_equal(blob_decode(bytes_of(out, w.len), &back), "the table of expressions is malformed");
	blob.expressions[0].classes[0] = 1;
	blob.expressions[0].group = 1;
	w = writer_of(out, sizeof out);
	blob_encode(&blob, &w);
	assert_string_equal(blob_decode(bytes_of(out, w.len), &back), "an expression names a group that is not there");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(published_numbers),
		cmocka_unit_test(noise_is_as_published),
		cmocka_unit_test(single_errors_are_found),
		cmocka_unit_test(masked_forms_are_known),
		cmocka_unit_test(any_bytes_are_safe),
		cmocka_unit_test(traces_are_seen_at_every_offset),
		cmocka_unit_test(names_fold),
		cmocka_unit_test(blob_refuses_damage),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
