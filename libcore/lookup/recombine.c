/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Names made of pieces of the names that other collections of the store have. Who has
 * acme_ledger_memories and beta_portal_codebase may well have acme_ledger_codebase.
 *
 * A name is cut at each separator in turn, into a beginning that keeps the separator and an ending.
 */

#include "lookup/search.h"

#define SPLITS_LIMIT 16384 /* beginnings, endings and pieces */
#define NAME_SPLIT_MAX 256 /* longer names are not taken apart */
#define SIBLINGS_SPLIT_MAX 16384

/* How many words, the most frequent first, stand alone, in pairs and in threes. */
#define SINGLE_WORDS 2048
#define TRIPLE_WORDS 40

/* ---- taking apart ---- */

static bool is_separator(unsigned char c)
{
	return c == '_' || c == '-' || c == '.' || c == '/' || c == ':' || c == ' ';
}

static void split_name(struct splits *s, struct slice name)
{
	size_t piece = 0;

	if (name.len > NAME_SPLIT_MAX)
		return;
	for (size_t i = 0; i <= name.len; i++) {
		if (i < name.len && !is_separator(name.ptr[i]))
			continue;
		if (i > piece)
			tally_add(&s->pieces, slice_of(name.ptr + piece, i - piece), WORD_SIBLING);
		piece = i + 1;
		if (i == 0 || i + 1 >= name.len)
			continue;
		tally_add(&s->heads, slice_of(name.ptr, i + 1), WORD_SIBLING);
		tally_add(&s->tails, slice_of(name.ptr + i + 1, name.len - i - 1), WORD_SIBLING);
	}
}

void splits_init(struct splits *s, const struct lookup *l)
{
	s->heads.limit = SPLITS_LIMIT;
	s->tails.limit = SPLITS_LIMIT;
	s->pieces.limit = SPLITS_LIMIT;
	for (size_t i = 0; i < VS_MIN(l->sibling_count, (size_t)SIBLINGS_SPLIT_MAX); i++)
		split_name(s, slice_of(l->siblings[i].name, l->siblings[i].len));
	tally_settle(&s->heads);
	tally_settle(&s->tails);
	tally_settle(&s->pieces);
}

void splits_add_words(struct splits *s, const struct tally *words)
{
	for (size_t i = 0; i < words->count; i++)
		tally_add(&s->pieces, tally_text(&words->items[i]), words->items[i].tags);
	tally_settle(&s->pieces);
}

void splits_fini(struct splits *s)
{
	tally_fini(&s->heads);
	tally_fini(&s->tails);
	tally_fini(&s->pieces);
}

/* ---- beginnings and endings ---- */

static void describe_sibling(const struct lookup *l, const struct origin *o, struct buf *out)
{
	const struct seen_name *sibling = o->a;

	(void)l;
	buf_append_str(out, "the name that ");
	if (sibling->where)
		text_escape(out, slice_str(sibling->where));
	else
		buf_append_str(out, "another collection");
	buf_append_str(out, " has");
}

/* An example for a beginning or an ending. */
static const struct seen_name *sibling_with(const struct lookup *l, struct slice part, bool at_end)
{
	for (size_t i = 0; i < l->sibling_count; i++) {
		const struct seen_name *s = &l->siblings[i];

		if (s->len > part.len &&
		    memcmp(s->name + (at_end ? s->len - part.len : 0), part.ptr, part.len) == 0)
			return s;
	}
	return NULL;
}

static void describe_part(const struct lookup *l, struct buf *out, const char *verb,
			  const struct tally_item *item, bool at_end)
{
	const struct seen_name *sibling = sibling_with(l, tally_text(item), at_end);

	buf_printf(out, "%s ", verb);
	append_quoted(out, tally_text(item));
	if (!sibling)
		return;
	buf_append_str(out, " as ");
	append_quoted(out, slice_of(sibling->name, sibling->len));
	buf_append_str(out, " does");
}

static void describe_recombined(const struct lookup *l, const struct origin *o, struct buf *out)
{
	describe_part(l, out, "begins with", o->a, false);
	if (o->b)
		buf_printf(out, ", ends in \"%s\", a kind of record", (const char *)o->b);
	else
		describe_part(l, out, ", ends in", o->c, true);
}

void compose_siblings(const struct lookup *l, const struct splits *s, struct trial *t)
{
	const char *kind;

	for (size_t i = 0; i < l->sibling_count; i++) {
		struct slice name = slice_of(l->siblings[i].name, l->siblings[i].len);
		struct origin origin = { .describe = describe_sibling, .a = &l->siblings[i] };

		if (!trial_add(t, &name, 1, &origin))
			return;
	}
	for (size_t i = 0; i < s->heads.count; i++) {
		for (size_t k = 0; (kind = record_kind_at(k)) != NULL; k++) {
			const struct slice parts[] = { tally_text(&s->heads.items[i]),
						       slice_str(kind) };
			struct origin origin = { .describe = describe_recombined,
						 .a = &s->heads.items[i],
						 .b = kind };

			if (!trial_add(t, parts, VS_COUNT(parts), &origin))
				return;
		}
	}
}

/* The usual endings first. */
void compose_endings(const struct splits *s, struct trial *t)
{
	for (size_t k = 0; k < s->tails.count; k++) {
		for (size_t i = 0; i < s->heads.count; i++) {
			const struct slice parts[] = { tally_text(&s->heads.items[i]),
						       tally_text(&s->tails.items[k]) };
			struct origin origin = { .describe = describe_recombined,
						 .a = &s->heads.items[i],
						 .c = &s->tails.items[k] };

			if (!trial_add(t, parts, VS_COUNT(parts), &origin))
				return;
		}
	}
}

/* ---- words ---- */

static void describe_words(const struct lookup *l, const struct origin *o, struct buf *out)
{
	const struct tally_item *const words[] = { o->a, o->b, o->c };

	(void)l;
	buf_append_str(out, "made of");
	for (size_t i = 0; i < VS_COUNT(words) && words[i]; i++) {
		buf_append_str(out, i == 0 ? " " : " and ");
		append_quoted(out, tally_text(words[i]));
		buf_printf(out, " (%s)", word_tag_text(words[i]->tags));
	}
	if (o->n > 0)
		buf_printf(out, " and \"%s\", a kind of record", record_kind_at(o->n - 1));
}

/* One to three words, with and without a kind of record behind them. */
static bool try_words(struct trial *t, const struct tally_item *a, const struct tally_item *b,
		      const struct tally_item *c)
{
	struct origin origin = { .describe = describe_words, .a = a, .b = b, .c = c };
	unsigned tags = a->tags | (b ? b->tags : 0) | (c ? c->tags : 0);
	struct slice parts[7];
	size_t count = 0;

	/* Those have had their turn without a hint. */
	if (tags == WORD_COMMON)
		return true;
	parts[count++] = tally_text(a);
	if (b) {
		parts[count++] = slice_str("_");
		parts[count++] = tally_text(b);
	}
	if (c) {
		parts[count++] = slice_str("_");
		parts[count++] = tally_text(c);
	}
	if (!trial_add(t, parts, count, &origin) || c)
		return t->left > 0;
	parts[count++] = slice_str("_");
	for (size_t k = 0; record_kind_at(k); k++) {
		parts[count] = slice_str(record_kind_at(k));
		origin.n = k + 1;
		if (!trial_add(t, parts, count + 1, &origin))
			return false;
	}
	return true;
}

void compose_words(const struct tally *pieces, struct trial *t)
{
	const struct tally_item *items = pieces->items;
	size_t few = VS_MIN(pieces->count, (size_t)TRIPLE_WORDS);

	for (size_t i = 0; i < VS_MIN(pieces->count, (size_t)SINGLE_WORDS); i++) {
		if (!try_words(t, &items[i], NULL, NULL))
			return;
	}
	for (size_t i = 0; i < few; i++) {
		for (size_t j = 0; j < few; j++) {
			if (!try_words(t, &items[i], &items[j], NULL))
				return;
		}
	}
	for (size_t i = 0; i < few * few * few; i++) {
		if (!try_words(t, &items[i / few / few], &items[i / few % few], &items[i % few]))
			return;
	}
}
