/* SPDX-License-Identifier: Apache-2.0 */

/* May a change stay? What speaks against it, by the rules that the operator has set. */

#include "guard/guard.h"

static const char *const reason_names[GUARD_REASON_COUNT] = { "loss",    "collections", "errors",
							      "vectors", "dimension",   "schema" };

const char *guard_reason_name(enum guard_reason reason)
{
	for (size_t i = 0; i < GUARD_REASON_COUNT; i++) {
		if (reason == 1u << i)
			return reason_names[i];
	}
	return NULL;
}

bool guard_percent_parse(const char *text, uint64_t *out)
{
	size_t whole = strspn(text, "0123456789");
	const char *at = text + whole;
	uint64_t value = 0, unit = GUARD_PERCENT;

	if (whole == 0 || whole > 3)
		return false;
	for (size_t i = 0; i < whole; i++)
		value = value * 10 + (uint64_t)(text[i] - '0');
	value *= GUARD_PERCENT;
	if (*at == '.') {
		size_t digits = strspn(++at, "0123456789");

		if (digits == 0 || digits > 6)
			return false;
		for (; *at >= '0' && *at <= '9'; at++)
			value += (uint64_t)(*at - '0') * (unit /= 10);
	}
	if (*at == '%')
		at++;
	if (*at != '\0' || value > 100 * GUARD_PERCENT)
		return false;
	*out = value;
	return true;
}

int guard_allow_parse(const char *text, unsigned *out, struct vs_err *err)
{
	unsigned allowed = 0;

	for (const char *at = text; *at;) {
		size_t len = strcspn(at, ",");
		unsigned found = 0;

		/* How much may be lost is said with a number. */
		for (size_t i = 1; i < GUARD_REASON_COUNT; i++) {
			if (slice_eq_str(slice_of(at, len), reason_names[i]))
				found = 1u << i;
		}
		if (found == 0)
			return vs_fail(
				err, VS_EUSAGE,
				"--allow takes collections, errors, vectors, dimension and schema, with commas between them");
		allowed |= found;
		at += len;
		at += *at == ',';
	}
	*out = allowed;
	return 0;
}

bool guard_exceeds(uint64_t part, uint64_t whole, uint64_t percent)
{
	uint64_t left, right;

	/* No store has so many documents that these would not fit; whatever does not is too much. */
	if (__builtin_mul_overflow(part, 100 * GUARD_PERCENT, &left) ||
	    __builtin_mul_overflow(whole, percent, &right))
		return part > 0;
	return left > right;
}

/* ---- sentences ---- */

struct judging {
	const struct guard_change *change;
	uint64_t max_loss;
	struct buf *out;
};

static void begin(struct judging *j)
{
	if (j->out->len > 0)
		buf_append_str(j->out, "; ");
}

static void name_row(struct buf *out, const char *id, struct slice name)
{
	if (name.len > 0)
		text_escape(out, name);
	else
		text_escape(out, slice_str(id));
}

static void say_part(struct buf *out, uint64_t part, uint64_t whole)
{
	buf_printf(out, "%" PRIu64 " of %" PRIu64 " documents (%.2f %%)", part, whole,
		   whole > 0 ? (double)part * 100 / (double)whole : 0);
}

static bool judge_loss(struct judging *j)
{
	const struct guard_change *c = j->change;
	const struct guard_row *worst = NULL;
	char limit[32];

	for (size_t i = 0; i < c->count; i++) {
		const struct guard_row *row = &c->rows[i];

		if (guard_exceeds(row->lost, row->before, j->max_loss) &&
		    (!worst || row->lost > worst->lost))
			worst = row;
	}
	if (!worst && !guard_exceeds(c->lost, c->before, j->max_loss))
		return false;
	begin(j);
	if (worst) {
		name_row(j->out, worst->id, worst->name);
		buf_append_str(j->out, " lost ");
		say_part(j->out, worst->lost, worst->before);
	} else {
		say_part(j->out, c->lost, c->before);
		buf_append_str(j->out, " were lost in all");
	}
	snprintf(limit, sizeof(limit), "%g", (double)j->max_loss / (double)GUARD_PERCENT);
	buf_printf(j->out, ", more than %s %%", limit);
	return true;
}

static bool judge_collections(struct judging *j)
{
	const struct guard_row *first = NULL;
	uint64_t count = 0;

	for (size_t i = 0; i < j->change->count; i++) {
		const struct guard_row *row = &j->change->rows[i];

		if (!row->is_gone)
			continue;
		first = first ? first : row;
		count++;
	}
	if (!first)
		return false;
	begin(j);
	text_count(j->out, count, "collection");
	buf_printf(j->out, " %s gone: ", count == 1 ? "is" : "are");
	name_row(j->out, first->id, first->name);
	return true;
}

static bool judge_errors(struct judging *j)
{
	const struct guard_change *c = j->change;

	if (c->new_errors == 0 && !c->is_less_loadable)
		return false;
	begin(j);
	if (c->is_less_loadable)
		buf_append_str(j->out, "the store does not load as it did");
	if (c->is_less_loadable && c->new_errors > 0)
		buf_append_str(j->out, ", ");
	if (c->new_errors > 0) {
		text_count(j->out, c->new_errors, "new error");
		buf_printf(j->out, ": %s", c->first_error ? c->first_error : "see vsctl verify");
	}
	return true;
}

static bool judge_vectors(struct judging *j)
{
	uint64_t zero = 0, bad = 0, without = 0;

	for (size_t i = 0; i < j->change->count; i++) {
		zero += j->change->rows[i].zeroed;
		bad += j->change->rows[i].not_finite;
		without += j->change->rows[i].without;
	}
	if (zero + bad + without == 0)
		return false;
	begin(j);
	text_count(j->out, zero + bad + without, "embedding");
	buf_printf(j->out,
		   " became unusable (%" PRIu64 " all zero, %" PRIu64 " not finite, %" PRIu64
		   " gone)",
		   zero, bad, without);
	return true;
}

static bool judge_dimension(struct judging *j)
{
	uint64_t count = 0;

	for (size_t i = 0; i < j->change->count; i++)
		count += j->change->rows[i].redimensioned;
	if (count == 0)
		return false;
	begin(j);
	text_count(j->out, count, "embedding");
	buf_printf(j->out, " %s another dimension", count == 1 ? "has" : "have");
	return true;
}

static bool judge_schema(struct judging *j)
{
	bool is_first = true;

	for (size_t i = 0; i < j->change->key_count; i++) {
		const struct guard_key_change *key = &j->change->keys[i];
		bool is_lost = guard_exceeds(key->lost, key->had, j->max_loss);

		if (!is_lost && !guard_exceeds(key->changed, key->had, j->max_loss))
			continue;
		/* One is told; all are in the table. */
		if (is_first) {
			begin(j);
			buf_append_str(j->out, "metadata of ");
			name_row(j->out, key->collection, key->name);
			buf_append_str(j->out, " changed: key ");
			text_escape(j->out, key->key);
			if (is_lost)
				buf_append_str(j->out, " is gone from ");
			else
				buf_printf(j->out, " is %s instead of %s in ",
					   guard_kind_name(key->to), guard_kind_name(key->from));
			say_part(j->out, is_lost ? key->lost : key->changed, key->had);
		}
		is_first = false;
	}
	return !is_first;
}

unsigned guard_judge(const struct guard_change *change, uint64_t max_loss, unsigned allowed,
		     struct buf *out)
{
	static bool (*const judges[GUARD_REASON_COUNT])(struct judging * j) = {
		judge_loss,    judge_collections, judge_errors,
		judge_vectors, judge_dimension,   judge_schema,
	};
	struct judging j = { change, max_loss, out };
	unsigned reasons = 0;

	for (size_t i = 0; i < GUARD_REASON_COUNT; i++) {
		if (!(allowed & 1u << i) && judges[i](&j))
			reasons |= 1u << i;
	}
	return reasons;
}
