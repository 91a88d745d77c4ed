/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Metadata files: is there one, does it decode, does it give a name, and are data gone from it? A
 * collection with documents and without a name refuses the whole store, whatever the reason.
 */

#include "check/chromem-run.h"

static const char *const known_fields[] = { "Name", "Metadata" };

static const char *metadata_name(const struct chromem_run *run, const struct part *part,
				 char scratch[32])
{
	if (part->metadata_index != SIZE_MAX)
		return part_entry_name(part, part->metadata_index, scratch);
	/* The extension fits: 8 digits and at most 7 characters. */
	chromem_hash_format(CHROMEM_META_KEY, scratch);
	snprintf(scratch + CHROMEM_ID_LEN, 32 - CHROMEM_ID_LEN, "%s",
		 chromem_extension(run->compression));
	return scratch;
}

static void report(struct chromem_run *run, struct part *part, struct finding *f)
{
	char scratch[32];

	f->has_count = true;
	f->count = part->record->documents;
	part_report(run, part, metadata_name(run, part, scratch), f);
}

/* What the library says when it has read all documents of a directory and knows no name. */
void refuse_nameless(struct part *part, char text[LOADER_TEXT_CAP], struct finding *f)
{
	snprintf(text, LOADER_TEXT_CAP, "collection metadata file not found: ${STORE}/%.256s",
		 part->c->dir);
	refusal_note(&part->sum.refusal, SIZE_MAX, text);
	f->loader_text = text;
}

/* ---- no name ---- */

static void report_no_name(struct chromem_run *run, struct part *part)
{
	const struct chromem_meta *meta = part->c->meta;
	struct finding f = { .code = PROB_CHROMEM_METADATA_NO_NAME, .detail = "its name is empty" };
	char detail[96];
	char text[LOADER_TEXT_CAP];

	if (meta->looks_like_document) {
		f.code = PROB_CHROMEM_METADATA_IS_DOCUMENT;
		f.document = meta->document_id;
	} else if (encoding_damaged_field(meta->unknown_field, known_fields,
					  VS_COUNT(known_fields))) {
		snprintf(detail, sizeof(detail), "the field Name is called %.*s",
			 (int)VS_MIN(meta->unknown_field.len, 32u),
			 (const char *)meta->unknown_field.ptr);
		f.detail = detail;
		f.has_offset = true;
		f.offset = meta->odd_off;
	}
	if (part->record->documents > 0) {
		refuse_nameless(part, text, &f);
		report(run, part, &f);
		return;
	}
	f.code = PROB_CHROMEM_METADATA_UNUSED;
	report(run, part, &f);
}

/* ---- a name, and something odd ---- */

static bool report_lost_data(struct chromem_run *run, struct part *part)
{
	const struct chromem_meta *meta = part->c->meta;
	struct finding f = { .has_offset = true, .offset = meta->odd_off };
	char actual[64];

	if ((meta->oddities & CHROMEM_ODD_ZERO_TAIL) != 0 &&
	    (meta->oddities & CHROMEM_ODD_LEFTOVER) != 0) {
		f.code = PROB_CHROMEM_METADATA_ZERO_TAIL;
		f.offset = meta->facts.zero_tail_off;
		report(run, part, &f);
		return true;
	}
	f.expected =
		encoding_damaged_field(meta->unknown_field, known_fields, VS_COUNT(known_fields));
	if ((meta->oddities & CHROMEM_ODD_MISSING_FIELD) == 0 || !f.expected)
		return false;
	snprintf(actual, sizeof(actual), "%.*s", (int)meta->unknown_field.len,
		 (const char *)meta->unknown_field.ptr);
	f.actual = actual;
	f.code = PROB_CHROMEM_METADATA_FIELD_DAMAGED;
	report(run, part, &f);
	return true;
}

static void report_form(struct chromem_run *run, struct part *part)
{
	bool is_gzip = (part->c->meta->oddities & CHROMEM_ODD_IS_GZIP) != 0;
	bool named_gzip = run->compression == CHROMEM_GZIP;
	struct finding f = { .code = PROB_CHROMEM_METADATA_FORM_MISMATCH,
			     .expected = named_gzip ? "gzip" : "plain gob",
			     .actual = is_gzip ? "gzip" : "plain gob" };

	if (is_gzip != named_gzip)
		report(run, part, &f);
}

static void report_checksum(struct chromem_run *run, struct part *part)
{
	struct finding f = { .code = PROB_CHROMEM_METADATA_CHECKSUM };

	if ((part->c->meta->oddities & CHROMEM_ODD_GZIP_CHECKSUM) != 0)
		f.detail = "the recorded checksum or length is not that of the data";
	else if ((part->c->meta->oddities & CHROMEM_ODD_GZIP_TRAILER) != 0)
		f.detail = "the recorded checksum and length are cut off";
	else
		return;
	report(run, part, &f);
}

static void report_oddities(struct chromem_run *run, struct part *part)
{
	const uint32_t behind =
		CHROMEM_ODD_LEFTOVER | CHROMEM_ODD_TRAILING | CHROMEM_ODD_GZIP_TRAILING;
	const struct chromem_meta *meta = part->c->meta;
	cleanup_(buf_fini) struct buf detail = { 0 };
	struct finding f = { .code = PROB_CHROMEM_METADATA_LEFTOVER_BYTES,
			     .has_offset = true,
			     .offset = meta->odd_off };

	report_form(run, part);
	report_checksum(run, part);
	if (report_lost_data(run, part))
		return;
	if ((meta->oddities & behind) != 0)
		report(run, part, &f);
	encoding_describe(meta->oddities, meta->unknown_field, &detail);
	if (detail.len > 0) {
		f = (struct finding){ .code = PROB_CHROMEM_METADATA_FOREIGN_ENCODING,
				      .detail = buf_cstr(&detail) };
		report(run, part, &f);
	}
}

static int metadata_begin(struct chromem_run *run, struct part *part, struct vs_err *err)
{
	struct finding f = { .code = PROB_CHROMEM_METADATA_MISSING };
	char text[LOADER_TEXT_CAP];

	(void)err;
	if (part->kind != PART_COLLECTION)
		return 0;
	if (part->c->meta_fault) {
		faults_metadata(run, part);
	} else if (part->c->meta) {
		if (part->c->meta->name.len == 0)
			report_no_name(run, part);
		else
			report_oddities(run, part);
	} else if (part->record->documents > 0) {
		refuse_nameless(part, text, &f);
		report(run, part, &f);
	}
	return 0;
}

const struct chromem_check chromem_metadata = {
	.begin = metadata_begin,
};
