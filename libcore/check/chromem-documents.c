/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Documents that decode: is anything about them not as the library writes it, and are data gone?
 *
 * The decoder of the library forgives much. Damage that it forgives shows as zeros to the end of
 * the file, as a field of unknown name in place of a known one, as bytes left over, or as a
 * checksum that does not fit; nothing but a program of other make shows as mere oddity.
 */

#include "check/chromem-run.h"

/* Shorter runs of NULs at the end of a text may have been meant. */
#define NUL_TAIL_MIN 8

static const char *const known_fields[] = { "ID", "Metadata", "Embedding", "Content" };

/* Is @name a known one but for a single byte? Then that one. */
const char *encoding_damaged_field(struct slice name, const char *const *known, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		size_t len = strlen(known[i]);
		size_t differing = 0;

		for (size_t at = 0; at < len && name.len == len; at++)
			differing += name.ptr[at] != (unsigned char)known[i][at];
		if (differing == 1)
			return known[i];
	}
	return NULL;
}

/* ---- damage that takes data away ---- */

static bool is_metadata(const struct chromem_doc *doc)
{
	return doc->id.len == 0 && (doc->oddities & CHROMEM_ODD_MISSING_FIELD) != 0 &&
	       slice_eq_str(doc->unknown_field, "Name");
}

static bool report_damaged_field(const struct sight *s)
{
	const struct chromem_doc *doc = s->doc;
	struct finding f = { .code = PROB_CHROMEM_DOCUMENT_FIELD_DAMAGED };
	char name[64];

	if ((doc->oddities & CHROMEM_ODD_UNKNOWN_FIELD) == 0 ||
	    (doc->oddities & CHROMEM_ODD_MISSING_FIELD) == 0)
		return false;
	f.expected =
		encoding_damaged_field(doc->unknown_field, known_fields, VS_COUNT(known_fields));
	if (!f.expected)
		return false;
	snprintf(name, sizeof(name), "%.*s", (int)doc->unknown_field.len,
		 (const char *)doc->unknown_field.ptr);
	f.actual = name;
	f.has_offset = true;
	f.offset = doc->odd_off;
	sight_report(s, &f);
	return true;
}

static size_t nul_tail(struct slice text)
{
	size_t count = 0;

	while (count < text.len && text.ptr[text.len - 1 - count] == 0)
		count++;
	return count;
}

static bool report_zero_tail(const struct sight *s)
{
	const struct chromem_doc *doc = s->doc;
	struct finding f = { .code = PROB_CHROMEM_DOCUMENT_ZERO_TAIL,
			     .has_offset = true,
			     .offset = doc->facts.zero_tail_off };

	if ((doc->oddities & CHROMEM_ODD_ZERO_TAIL) == 0)
		return false;
	/* Else the text ends in NULs, or there are zeros behind a whole document. */
	if ((doc->oddities & CHROMEM_ODD_LEFTOVER) == 0 && nul_tail(doc->content) < NUL_TAIL_MIN)
		return false;
	sight_report(s, &f);
	return true;
}

/* ---- oddities that take nothing away ---- */

static void report_leftover(const struct sight *s)
{
	const uint32_t bytes_behind =
		CHROMEM_ODD_LEFTOVER | CHROMEM_ODD_TRAILING | CHROMEM_ODD_GZIP_TRAILING;
	struct finding f = { .code = PROB_CHROMEM_DOCUMENT_LEFTOVER_BYTES,
			     .has_offset = true,
			     .offset = s->doc->odd_off };

	if ((s->doc->oddities & bytes_behind) != 0)
		sight_report(s, &f);
}

static void report_form(const struct sight *s)
{
	bool is_gzip = (s->doc->oddities & CHROMEM_ODD_IS_GZIP) != 0;
	bool named_gzip = s->run->compression == CHROMEM_GZIP;
	struct finding f = { .code = PROB_CHROMEM_DOCUMENT_FORM_MISMATCH,
			     .expected = named_gzip ? "gzip" : "plain gob",
			     .actual = is_gzip ? "gzip" : "plain gob" };

	if (is_gzip != named_gzip)
		sight_report(s, &f);
}

/*
 * The checksum is over the data, so when it disagrees either may have changed. A single differing
 * bit, a wrong length beside a right checksum, or a cut trailer means that the trailer has: the
 * odds that damage to the data moves the checksum by one bit are 1 : 10^8.
 */
static void report_gzip_trailer(const struct sight *s)
{
	const struct chromem_doc *doc = s->doc;
	struct finding f = { .code = PROB_CHROMEM_DOCUMENT_GZIP_TRAILER };

	if ((doc->oddities & CHROMEM_ODD_GZIP_CHECKSUM) != 0) {
		uint32_t crc = doc->gzip_crc_stored ^ doc->gzip_crc_actual;

		if ((crc & (crc - 1)) != 0)
			f.code = PROB_CHROMEM_DOCUMENT_CHECKSUM;
		f.detail = crc != 0 ? "one bit of the recorded checksum is wrong"
				    : "the recorded length is wrong and the checksum right";
	} else if ((doc->oddities & CHROMEM_ODD_GZIP_TRAILER) != 0) {
		f.detail = "the recorded checksum and length are cut off";
	} else {
		return;
	}
	sight_report(s, &f);
}

/* How the encoding differs from the library's own; empty when it does not. */
void encoding_describe(uint32_t oddities, struct slice unknown_field, struct buf *out)
{
	static const struct {
		uint32_t oddity;
		const char *text;
	} rows[] = {
		{ CHROMEM_ODD_FOREIGN_TYPES, "other types" },
		{ CHROMEM_ODD_MISSING_FIELD, "a field less" },
		{ CHROMEM_ODD_NO_END, "no end mark" },
		{ CHROMEM_ODD_DUPLICATE_KEY, "a metadata key twice" },
		{ CHROMEM_ODD_LONG_INTEGER, "integers longer than needed" },
	};

	for (size_t i = 0; i < VS_COUNT(rows); i++) {
		if ((oddities & rows[i].oddity) == 0)
			continue;
		buf_append_str(out, out->len > 0 ? ", " : "");
		buf_append_str(out, rows[i].text);
	}
	if ((oddities & CHROMEM_ODD_UNKNOWN_FIELD) != 0) {
		buf_append_str(out, out->len > 0 ? ", " : "");
		buf_append_str(out, "unknown field ");
		text_escape(out, unknown_field);
	}
}

#define ODD_ENCODING                                                                               \
	(CHROMEM_ODD_FOREIGN_TYPES | CHROMEM_ODD_MISSING_FIELD | CHROMEM_ODD_NO_END |              \
	 CHROMEM_ODD_DUPLICATE_KEY | CHROMEM_ODD_LONG_INTEGER | CHROMEM_ODD_UNKNOWN_FIELD)

/* ---- hooks ---- */

static void report_decoded(const struct sight *s)
{
	struct finding f = { 0 };

	if (is_metadata(s->doc)) {
		f.code = PROB_CHROMEM_DOCUMENT_IS_METADATA;
		*s->note |= NOTE_EXPLAINED;
		sight_report(s, &f);
		return;
	}
	if (report_damaged_field(s) || report_zero_tail(s)) {
		*s->note |= NOTE_EXPLAINED;
		return;
	}
	if (s->doc->id.len == 0) {
		f.code = PROB_CHROMEM_DOCUMENT_NO_ID;
		sight_report(s, &f);
	}
	report_leftover(s);
	if ((s->doc->oddities & ODD_ENCODING) != 0) {
		*s->note |= NOTE_FOREIGN;
		s->chunk->tally[TALLY_FOREIGN]++;
	}
}

static void documents_document(const struct sight *s)
{
	const uint32_t usual = s->run->compression == CHROMEM_GZIP ? CHROMEM_ODD_IS_GZIP : 0;

	if (s->fault) {
		faults_document(s);
		return;
	}
	*s->note |= NOTE_DECODED;
	s->chunk->tally[TALLY_DECODED]++;
	if (s->doc->oddities == usual && s->doc->id.len > 0)
		return;
	report_decoded(s);
	report_form(s);
	report_gzip_trailer(s);
}

/* Programs of other make write all their documents the same way: one word for all of them. */
static int report_foreign(struct chromem_run *run, struct part *part, struct vs_err *err)
{
	struct finding f = { .code = PROB_CHROMEM_DOCUMENT_FOREIGN_ENCODING,
			     .has_count = true,
			     .count = part->sum.tally[TALLY_FOREIGN] };
	cleanup_(buf_fini) struct buf detail = { 0 };
	struct chromem_doc doc;
	char scratch[32];
	size_t index = 0;
	int r;

	if (f.count == 0 || !part_next_noted(part, NOTE_FOREIGN, &index))
		return 0;
	r = part_look(run, part, index, &doc, err);
	if (r <= 0)
		return r;
	encoding_describe(doc.oddities, doc.unknown_field, &detail);
	f.detail = buf_cstr(&detail);
	part_report(run, part, part_entry_name(part, index, scratch), &f);
	return 0;
}

static int documents_end(struct chromem_run *run, struct part *part, struct vs_err *err)
{
	if (part->sum.tally[TALLY_UNREAD] > 0)
		run_gap(run, part->c->dir, "documents",
			"some are larger than the limit, are being written, or cannot be read",
			false);
	return report_foreign(run, part, err);
}

const struct chromem_check chromem_documents = {
	.document = documents_document,
	.end = documents_end,
};
