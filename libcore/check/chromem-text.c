/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Text: the library takes any bytes, so text that is no UTF-8 is no fault of its own. But where all
 * other documents of a collection are valid and one of them holds a single bad byte in a word,
 * which a single bit turns into a letter, a bit has flipped.
 */

#include "check/chromem-run.h"

/* So many documents with good text make one with bad text an exception. */
#define GOOD_TEXTS_MIN 3

static bool pairs_are_valid(const struct chromem_doc *doc)
{
	for (size_t i = 0; i < doc->metadata_count; i++) {
		if (!utf8_is_valid(doc->metadata[i].key) || !utf8_is_valid(doc->metadata[i].value))
			return false;
	}
	return true;
}

static void text_document(const struct sight *s)
{
	bool is_valid;

	if (!s->doc || (*s->note & NOTE_EXPLAINED) != 0)
		return;
	is_valid = utf8_is_valid(s->doc->content) && pairs_are_valid(s->doc);
	if (!is_valid)
		*s->note |= NOTE_TEXT;
	s->chunk->tally[is_valid ? TALLY_TEXT_VALID : TALLY_TEXT_INVALID]++;
}

/* ---- a text that is not valid ---- */

static bool is_letter(unsigned char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c >= 0x80;
}

/* Does flipping one bit of the byte at @at make the text valid, with a letter there? */
static bool bit_makes_letter(unsigned char *text, size_t len, size_t at)
{
	unsigned char was = text[at];
	bool found = false;

	for (unsigned bit = 0; bit < 8 && !found; bit++) {
		text[at] = (unsigned char)(was ^ (1u << bit));
		found = is_letter(text[at]) && utf8_is_valid(slice_of(text, len));
	}
	text[at] = was;
	return found;
}

/* Does the byte at @at stand in a word, or at its beginning or end? */
static bool is_in_word(struct slice text, size_t at)
{
	unsigned char before = at > 0 ? text.ptr[at - 1] : ' ';
	unsigned char behind = at + 1 < text.len ? text.ptr[at + 1] : ' ';

	return (is_letter(before) || is_letter(behind)) && before >= ' ' && behind >= ' ';
}

/*
 * The offset of a byte that must have been altered by one bit: the text is valid but for it. A
 * damaged byte may spoil the character that began up to three before it.
 */
static bool find_flip(struct slice text, size_t *at)
{
	cleanup_(vs_freep) unsigned char *copy = vs_try_alloc(text.len, 1);
	size_t start = utf8_valid_len(text);

	if (!copy || start == text.len)
		return false;
	memcpy(copy, text.ptr, text.len);
	for (size_t i = start; i < text.len && i < start + 4; i++) {
		if (is_in_word(text, i) && bit_makes_letter(copy, text.len, i)) {
			*at = i;
			return true;
		}
	}
	return false;
}

/* The one text of the document that is not valid; ptr NULL when there are more. */
static struct slice only_bad_text(const struct chromem_doc *doc)
{
	struct slice bad = { 0 };
	size_t count = 0;

	if (!utf8_is_valid(doc->content)) {
		bad = doc->content;
		count++;
	}
	for (size_t i = 0; i < 2 * doc->metadata_count; i++) {
		const struct chromem_pair *pair = &doc->metadata[i / 2];
		struct slice text = i % 2 == 0 ? pair->key : pair->value;

		if (!utf8_is_valid(text)) {
			bad = text;
			count++;
		}
	}
	return count == 1 ? bad : (struct slice){ 0 };
}

static int text_end(struct chromem_run *run, struct part *part, struct vs_err *err)
{
	struct finding f = { .code = PROB_CHROMEM_DOCUMENT_TEXT_INVALID,
			     .has_count = true,
			     .count = part->sum.tally[TALLY_TEXT_INVALID] };
	struct chromem_doc doc;
	struct slice bad;
	char scratch[32];
	size_t index = 0, at;
	int r;

	if (f.count == 0 || !part_next_noted(part, NOTE_TEXT, &index))
		return 0;
	r = part_look(run, part, index, &doc, err);
	if (r <= 0)
		return r;
	bad = only_bad_text(&doc);
	at = utf8_valid_len(bad);
	if (f.count == 1 && part->sum.tally[TALLY_TEXT_VALID] >= GOOD_TEXTS_MIN && bad.ptr &&
	    find_flip(bad, &at))
		f.code = PROB_CHROMEM_DOCUMENT_TEXT_DAMAGED;
	if (bad.ptr && doc.id.ptr) {
		/* Both lie in the unpacked file. */
		f.has_offset = true;
		f.offset = doc.id_off + (uint64_t)(bad.ptr - doc.id.ptr) + at;
	}
	f.detail = bad.ptr == doc.content.ptr ? "the text" : "the metadata";
	f.document = doc.id;
	part_report(run, part, part_entry_name(part, index, scratch), &f);
	return 0;
}

const struct chromem_check chromem_text = {
	.document = text_document,
	.end = text_end,
};
