/* The two tiers. Invariants: work is bounded by a budget that grows with the length of the value; whatever exceeds a bound masks more,
 * never less; hits are inside the value. */
#include "dataplane/match/match.h"

#include <string.h>

#include "dataplane/match/fold.h"
#include "dataplane/match/set.h"
#include "dataplane/match/survey.h"
#include "hyperscan-rules/validate/candidate.h"

/* One scan of one text. */
struct scan {
	const struct match_set *set;
	struct match_scratch *scratch;
	const struct match_want *want;
	struct bytes text;
	struct class_bits awake; /* wanted, and woken by tier one */
	uint64_t work, budget;
	bool overflow, any;
	size_t said_before; /* `said` is what the words before this offset speak for; 0 = not looked at yet */
	struct match_name said;
};

static struct class_bits bits_of(const struct blob_expression *expression)
{
	struct class_bits bits;

	memcpy(bits.w, expression->classes, sizeof bits.w);
	return bits;
}

static int on_trigger(unsigned id, unsigned long long from, unsigned long long to, unsigned flags, void *ctx)
{
	struct scan *s = ctx;

	if (id < s->set->blob.triggers_count)
		s->awake = class_bits_or(s->awake, bits_of(&s->set->blob.triggers[id]));
	return 0;
}

/* Context, or a form that is evidence enough, or a word just before. */
static bool is_proved(struct scan *s, unsigned class, const struct candidate *found)
{
	const struct class *c = &s->set->blob.classes[class];
	size_t from = found->start > MATCH_CONTEXT_BYTES ? found->start - MATCH_CONTEXT_BYTES : 0;

	if (c->alone == ALONE_YES || (c->alone == ALONE_SEPARATED && found->separated) || class_bits_has(&s->want->context, class))
		return true;
	if (found->start == 0)
		return false;
	if (s->said_before != found->start) {
		s->said_before = found->start;
		s->said = (struct match_name){ 0 };
		set_names(s->set, bytes_of(s->text.base + from, found->start - from), &s->said);
		s->work += 256;
	}
	return class_bits_has(&s->said.strong, class) || class_bits_has(&s->said.weak, class);
}

static void keep(struct scan *s, unsigned class, const struct candidate *found)
{
	struct match_scratch *scratch = s->scratch;

	if (scratch->raw_count == MATCH_HITS_RAW) {
		s->overflow = true;
		return;
	}
	scratch->raw[scratch->raw_count++] = (struct raw_hit){ .start = (uint32_t)found->start, .end = (uint32_t)found->end, .class = (uint16_t)class };
}

/* A value of `class` may end here. False when the budget is spent. */
static bool on_class_end(void *ctx, unsigned class, size_t end)
{
	struct scan *s = ctx;
	const struct class *c = &s->set->blob.classes[class];
	struct candidate found;

	s->work++;
	/* Without context and without room for a word in front (two letters and a separator) there is nothing to prove. */
	if (end < c->length_min + 3u && !class_bits_has(&s->set->unaided, class) && !class_bits_has(&s->want->context, class))
		return true;
	if (candidate_find(c, s->text, end, &found, &s->work) && is_proved(s, class, &found))
		keep(s, class, &found);
	s->overflow = s->overflow || s->work > s->budget;
	return !s->overflow;
}

static int on_end(unsigned id, unsigned long long from, unsigned long long to, unsigned flags, void *ctx)
{
	struct scan *s = ctx;
	struct class_bits classes;

	if (id >= s->set->blob.expressions_count)
		return 0;
	classes = class_bits_and(bits_of(&s->set->blob.expressions[id]), s->awake);
	for (unsigned w = 0; w < LIMIT_CLASSES / 64; w++)
		for (uint64_t left = classes.w[w]; left; left &= left - 1)
			if (!on_class_end(s, w * 64 + (unsigned)__builtin_ctzll(left), (size_t)to))
				return 1;
	return 0;
}

static int on_any(unsigned id, unsigned long long from, unsigned long long to, unsigned flags, void *ctx)
{
	struct scan *s = ctx;
	struct class_bits classes;

	if (id >= s->set->blob.expressions_count)
		return 0;
	classes = class_bits_and(bits_of(&s->set->blob.expressions[id]), s->awake);
	s->any = class_bits_any(&classes);
	return s->any;
}

/* Tier one; then the exact patterns of the groups that woke. An error of Hyperscan counts as overflow: fail closed. */
static void scan_patterns(struct scan *s, match_event_handler on_exact)
{
	const char *text = (const char *)s->text.base;
	unsigned len = (unsigned)s->text.len;
	struct class_bits wanted = class_bits_and(s->want->classes, s->set->patterned);

	memset(&s->awake, 0, sizeof s->awake);
	if (!class_bits_any(&wanted))
		return;
	if (hs_scan(s->set->tier_one, text, len, 0, s->scratch->hs, on_trigger, s) != HS_SUCCESS) {
		s->overflow = true;
		return;
	}
	s->awake = class_bits_and(s->awake, wanted);
	for (unsigned g = 0; g < s->set->blob.groups_count && !s->overflow && !s->any; g++) {
		struct class_bits here = class_bits_and(s->awake, s->set->group_classes[g]);
		hs_error_t error;

		if (!class_bits_any(&here))
			continue;
		error = hs_scan(s->set->groups[g], text, len, 0, s->scratch->hs, on_exact, s);
		if (error != HS_SUCCESS && error != HS_SCAN_TERMINATED)
			s->overflow = true;
	}
}

struct match_least match_least(const struct match_set *set, const struct class_bits *classes)
{
	struct match_least least = { .bytes = UINT16_MAX, .digits = UINT8_MAX, .at_sign = true };

	for (unsigned i = 0; i < set->blob.classes_count; i++) {
		const struct class *c = &set->blob.classes[i];
		bool number = class_bits_has(&set->packed, i);

		if (!class_bits_has(classes, i) || (!number && !class_bits_has(&set->patterned, i)))
			continue;
		if (c->length_min < least.bytes)
			least.bytes = c->length_min;
		if (number && c->digits_min < least.digits)
			least.digits = c->digits_min;
		least.at_sign &= number || c->validator == VALIDATOR_email;
	}
	return least;
}

/* Nothing of what is wanted can be in a text with so few digits and without @. Folding makes of bytes below 0x80 neither. */
static bool is_hopeless(const struct match_least *least, struct bytes text)
{
	struct survey s;

	if (!least->at_sign)
		return false;
	s = survey_values(text);
	return !s.high && !s.at_sign && s.digits < least->digits;
}

/* Whether the text has room for the shortest value of any wanted class. Most cells of a table are small numbers, which a scan, however
 * short, costs more than everything else that is done to them. */
static bool has_room(const struct scan *s)
{
	for (unsigned w = 0; w < LIMIT_CLASSES / 64; w++)
		for (uint64_t left = s->want->classes.w[w] & (s->set->packed.w[w] | s->set->patterned.w[w]); left; left &= left - 1)
			if (s->text.len >= s->set->blob.classes[w * 64 + (unsigned)__builtin_ctzll(left)].length_min)
				return true;
	return false;
}

static void scan_text(struct scan *s)
{
	struct class_bits numbers = class_bits_and(s->want->classes, s->set->packed);

	s->said_before = 0;
	if (s->text.len == 0 || !has_room(s))
		return;
	if (class_bits_any(&numbers) && packed_possible(s->text))
		packed_scan(&s->set->packed_index, numbers.w, s->text, on_class_end, s);
	if (!s->overflow)
		scan_patterns(s, on_end);
}

static bool comes_before(const struct raw_hit *a, const struct raw_hit *b)
{
	return a->start != b->start ? a->start < b->start : a->end > b->end;
}

/* Shell sort: in place, no allocation, nearly sorted input is cheap. */
static void sort_hits(struct raw_hit *hits, unsigned count)
{
	static const unsigned GAPS[] = { 1750, 701, 301, 132, 57, 23, 10, 4, 1 };

	for (unsigned g = 0; g < sizeof GAPS / sizeof *GAPS; g++)
		for (unsigned i = GAPS[g]; i < count; i++) {
			struct raw_hit hit = hits[i];
			unsigned j = i;

			for (; j >= GAPS[g] && comes_before(&hit, &hits[j - GAPS[g]]); j -= GAPS[g])
				hits[j] = hits[j - GAPS[g]];
			hits[j] = hit;
		}
}

/* Overlapping hits become one: the class of the longest, then of the highest priority; the span is the union, so that nothing of
 * either stays in clear. */
static void merge(const struct match_set *set, struct match_hit *into, unsigned *width, const struct raw_hit *hit)
{
	unsigned len = hit->end - hit->start;

	if (len > *width || (len == *width && set->blob.classes[hit->class].priority > set->blob.classes[into->class].priority)) {
		into->class = hit->class;
		*width = len;
	}
	if (hit->end > into->end)
		into->end = hit->end;
}

static size_t resolve(const struct match_set *set, struct match_scratch *scratch, size_t len, struct match_hit *hits, size_t hits_max)
{
	size_t count = 0;
	unsigned width = 0;

	sort_hits(scratch->raw, scratch->raw_count);
	for (unsigned i = 0; i < scratch->raw_count; i++) {
		const struct raw_hit *hit = &scratch->raw[i];

		if (count && hit->start < hits[count - 1].end) {
			merge(set, &hits[count - 1], &width, hit);
			continue;
		}
		if (count == hits_max) {
			hits[count - 1].end = (uint32_t)len;
			return count;
		}
		hits[count++] = (struct match_hit){ .start = hit->start, .end = hit->end, .class = hit->class };
		width = hit->end - hit->start;
	}
	return count;
}

_Static_assert(MATCH_FOLD_BYTES > 4 * (CLASS_SPAN_MAX + 2 * MATCH_CONTEXT_BYTES), "windows advance");

/* A text that had to be folded, window by window. Windows overlap by the longest class and its context, so that every hit
 * lies whole in one of them; what an edge cuts out of a longer number is masked too much, not too little. */
static void scan_folded(struct scan *s, struct bytes value)
{
	struct match_scratch *scratch = s->scratch;
	size_t overlap = s->set->longest + 2 * MATCH_CONTEXT_BYTES, from = 0;

	while (from < value.len && !s->overflow) {
		unsigned first = scratch->raw_count;
		size_t len = fold(value, from, scratch->folded, scratch->origin, MATCH_FOLD_BYTES);

		s->text = bytes_of(scratch->folded, len);
		scan_text(s);
		for (unsigned i = first; i < scratch->raw_count; i++) {
			struct raw_hit *hit = &scratch->raw[i];

			hit->end = hit->end < len ? scratch->origin[hit->end] : scratch->origin[len];
			hit->start = scratch->origin[hit->start];
		}
		if (scratch->origin[len] >= value.len)
			break;
		from = scratch->origin[len - overlap];
	}
}

size_t match_value(const struct match_set *set, struct match_scratch *scratch, const struct match_want *want, struct bytes value,
		   struct match_hit *hits, size_t hits_max)
{
	struct scan s = { .set = set, .scratch = scratch, .want = want, .text = value, .budget = 65536 + 64 * (uint64_t)value.len };

	if (hits_max == 0 || value.len == 0 || value.len < want->least.bytes || !class_bits_any(&want->classes) || is_hopeless(&want->least, value))
		return 0;
	scratch->raw_count = 0;
	if (value.len > UINT32_MAX)
		s.overflow = true;
	else if (fold_is_needed(value))
		scan_folded(&s, value);
	else
		scan_text(&s);
	if (s.overflow) {
		unsigned class = 0;

		while (!class_bits_has(&want->classes, class))
			class++;
		hits[0] = (struct match_hit){ .start = 0, .end = value.len > UINT32_MAX ? UINT32_MAX : (uint32_t)value.len,
					      .class = scratch->raw_count ? scratch->raw[0].class : (uint16_t)class };
		return 1;
	}
	return resolve(set, scratch, value.len, hits, hits_max);
}

bool match_any(const struct match_set *set, struct match_scratch *scratch, const struct match_want *want, struct bytes message)
{
	struct scan s = { .set = set, .scratch = scratch, .want = want, .text = message, .budget = UINT64_MAX };
	struct class_bits numbers;

	if (message.len == 0 || !class_bits_any(&want->classes) || is_hopeless(&want->least, message))
		return false;
	numbers = class_bits_and(want->classes, set->packed);
	if (message.len > UINT32_MAX || (class_bits_any(&numbers) && packed_possible(message)) || fold_is_needed(message))
		return true;
	scan_patterns(&s, on_any);
	return s.any || s.overflow;
}
