/* The small texts of a policy: addresses, windows of the week, selectors. Pure. */
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/policy/parse.h"

/* Decimal digits only, without a leading zero. */
static bool small_number(const char *text, size_t len, unsigned max, unsigned *out)
{
	unsigned value = 0;

	if (len == 0 || len > 5 || (len > 1 && text[0] == '0'))
		return false;
	for (size_t i = 0; i < len; i++) {
		if (text[i] < '0' || text[i] > '9')
			return false;
		value = value * 10 + (unsigned)(text[i] - '0');
	}
	*out = value;
	return value <= max;
}

static bool address_of(const char *text, size_t len, uint8_t *family, uint8_t address[16])
{
	char copy[INET6_ADDRSTRLEN];

	memset(address, 0, 16);
	if (len >= sizeof copy)
		return false;
	memcpy(copy, text, len);
	copy[len] = 0;
	*family = strchr(copy, ':') ? 6 : 4;
	return inet_pton(*family == 6 ? AF_INET6 : AF_INET, copy, address) == 1;
}

/* An address a target can have: not unspecified, broadcast, multicast or loopback, and not IPv4 written as IPv6. */
static bool can_listen(const struct spec_listener *l)
{
	static const uint8_t zero[16], mapped[12] = { [10] = 0xff, [11] = 0xff };
	const uint8_t *a = l->address;

	if (l->family == 4)
		return a[0] != 0 && a[0] != 127 && a[0] < 224;
	return memcmp(a, zero, 15) != 0 && a[0] != 0xff && memcmp(a, mapped, sizeof mapped) != 0;
}

const char *policy_parse_listen(const char *text, struct spec_listener *out)
{
	const char *slash = strchr(text, '/'), *colon, *end = slash ? slash : text + strlen(text);
	unsigned port = 0;
	bool bracket = text[0] == '[', good;

	memset(out, 0, sizeof *out);
	if (slash && strcmp(slash, "/udp") != 0 && strcmp(slash, "/tcp") != 0)
		return "ends in neither /tcp nor /udp";
	out->transport = slash && strcmp(slash, "/udp") == 0 ? POLICY_UDP : POLICY_TCP;
	colon = memrchr(text, ':', (size_t)(end - text));
	if (!colon || !small_number(colon + 1, (size_t)(end - colon - 1), 65535, &port) || port == 0)
		return "has no port from 1 to 65535";
	out->port = (uint16_t)port;
	if (bracket && (colon == text || colon[-1] != ']'))
		return "has no closing bracket";
	good = bracket ? address_of(text + 1, (size_t)(colon - text) - 2, &out->family, out->address)
		       : address_of(text, (size_t)(colon - text), &out->family, out->address);
	if (!good || bracket != (out->family == 6))
		return "has no address; write 192.0.2.1:5432 or [2001:db8::1]:5432";
	return can_listen(out) ? NULL : "is no address that a target can have";
}

const char *policy_parse_source(const char *text, struct spec_source *out)
{
	const char *slash = strchr(text, '/');
	unsigned bits = 0;

	memset(out, 0, sizeof *out);
	if (!address_of(text, slash ? (size_t)(slash - text) : strlen(text), &out->family, out->address))
		return "has no address; write 192.0.2.0/24";
	bits = out->family == 4 ? 32 : 128;
	if (slash && !small_number(slash + 1, strlen(slash + 1), bits, &bits))
		return "has no prefix length that fits";
	out->bits = (uint8_t)bits;
	for (unsigned i = bits; i < (out->family == 4 ? 32u : 128u); i++)
		if (out->address[i / 8] >> (7 - i % 8) & 1)
			return "has address bits behind its prefix";
	return NULL;
}

static int day_of(const char *text)
{
	static const char days[] = "MonTueWedThuFriSatSun";

	for (int i = 0; i < 7; i++)
		if (strncmp(text, days + 3 * i, 3) == 0)
			return i;
	return -1;
}

/* "08:00"; 24:00 when `end`. -1: none. */
static int minute_of(const char *text, bool end)
{
	int hour, minute;

	for (unsigned i = 0; i < 5; i++)
		if (i == 2 ? text[i] != ':' : text[i] < '0' || text[i] > '9')
			return -1;
	hour = (text[0] - '0') * 10 + text[1] - '0';
	minute = (text[3] - '0') * 10 + text[4] - '0';
	if (minute > 59 || hour > 24 || (hour == 24 && (!end || minute)))
		return -1;
	return hour * 60 + minute;
}

unsigned policy_parse_time(const char *text, struct spec_window out[7], const char **why)
{
	size_t len = strlen(text);
	int first = len >= 3 ? day_of(text) : -1, last = first, from, to;
	unsigned count = 0;

	*why = "is no window; write \"Mon-Fri 08:00-18:00\"";
	if (first < 0)
		return 0;
	text += 3;
	if (*text == '-') {
		last = strlen(text) >= 4 ? day_of(text + 1) : -1;
		text += last < 0 ? 0 : 4;
	}
	if (last < 0 || *text != ' ' || strlen(text) != 12 || text[6] != '-')
		return 0;
	from = minute_of(text + 1, false);
	to = minute_of(text + 7, true);
	if (from < 0 || to < 0)
		return 0;
	*why = "ends before it begins; write two windows for one that passes midnight";
	if (from >= to)
		return 0;
	*why = NULL;
	for (int day = first;; day = (day + 1) % 7) {
		out[count++] = (struct spec_window){ .start = (uint16_t)(day * 1440 + from), .end = (uint16_t)(day * 1440 + to) };
		if (day == last)
			return count;
	}
}

const char *policy_parse_need(const char *text, char group[LIMIT_NAME_BYTES], unsigned *count)
{
	const char *colon = strrchr(text, ':');

	*count = 0;
	if (!colon || colon == text || (size_t)(colon - text) >= LIMIT_NAME_BYTES)
		return "is no selector; write \"dba:1\"";
	memcpy(group, text, (size_t)(colon - text));
	group[colon - text] = 0;
	if (!small_number(colon + 1, strlen(colon + 1), 16, count) || *count == 0)
		return "has no number of people from 1 to 16";
	return NULL;
}
