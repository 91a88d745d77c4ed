/* SPDX-License-Identifier: Apache-2.0 */

/*
 * An entry of contextd's write-ahead log as a whole: is it synced, and did contextd write it?
 *
 * The checksum is HMAC-SHA256 under the 32 bytes of `.hmac_key` over, one behind the other,
 *
 *	ID Operation Timestamp (of each document: ID Content) (each of IDs)
 *
 * where the time is written as RFC 3339 with as many digits of a second as are needed, in the
 * offset that it was recorded with. Whether the entry is synced is not covered, nor are metadata
 * and collections. The time itself is Go's binary form of it:
 *
 *	version{1} seconds since year 1{8} nanoseconds{4} offset in minutes{2} [seconds of it{1}]
 *
 * big endian; version 1, or 2 with the last byte; offset -1 stands for UTC.
 */

#include "chromem/chromem.h"

#include "gob/gob.h"

enum {
	TAG_NONE,
	TAG_ENTRY_ID,
	TAG_OPERATION,
	TAG_DOC,
	TAG_DOC_ID,
	TAG_DOC_CONTENT,
	TAG_IDS,
	TAG_TIME,
	TAG_SYNCED,
	TAG_CHECKSUM,
};

#define STRING_SHAPE(name_, tag_)                                                                  \
	static const struct gob_shape name_ = { .kind = GOB_STRING,                                \
						.tag = (tag_),                                     \
						.go_type = "string" }

STRING_SHAPE(id_shape, TAG_ENTRY_ID);
STRING_SHAPE(operation_shape, TAG_OPERATION);
STRING_SHAPE(doc_id_shape, TAG_DOC_ID);
STRING_SHAPE(content_shape, TAG_DOC_CONTENT);
STRING_SHAPE(one_id_shape, TAG_IDS);
static const struct gob_shape ids_shape = { .kind = GOB_SLICE,
					    .go_type = "[]string",
					    .elem = &one_id_shape };
static const struct gob_shape time_shape = { .kind = GOB_BLOB,
					     .tag = TAG_TIME,
					     .go_type = "time.Time" };
static const struct gob_shape synced_shape = { .kind = GOB_BOOL,
					       .tag = TAG_SYNCED,
					       .go_type = "bool" };
static const struct gob_shape checksum_shape = { .kind = GOB_BYTES,
						 .tag = TAG_CHECKSUM,
						 .go_type = "[]uint8" };
static const struct gob_member doc_members[] = {
	{ "ID", &doc_id_shape },
	{ "Content", &content_shape },
};
static const struct gob_shape doc_shape = {
	.kind = GOB_STRUCT,
	.tag = TAG_DOC,
	.go_type = "vectorstore.Document",
	.go_name = "Document",
	.members = doc_members,
	.member_count = VS_COUNT(doc_members),
};
static const struct gob_shape docs_shape = { .kind = GOB_SLICE,
					     .go_type = "[]vectorstore.Document",
					     .elem = &doc_shape };
static const struct gob_member entry_members[] = {
	{ "ID", &id_shape },
	{ "Operation", &operation_shape },
	{ "Docs", &docs_shape },
	{ "IDs", &ids_shape },
	{ "Timestamp", &time_shape },
	{ "Synced", &synced_shape },
	{ "Checksum", &checksum_shape },
};
static const struct gob_shape entry_shape = {
	.kind = GOB_STRUCT,
	.go_type = "vectorstore.WALEntry",
	.go_name = "WALEntry",
	.members = entry_members,
	.member_count = VS_COUNT(entry_members),
};

/* What the checksum covers, in pieces that point into the input. */
struct entry_reading {
	struct contextd_wal_entry *entry;
	struct slice time, checksum;
	struct slice *docs; /* owned: id and content in turn */
	size_t doc_count, doc_cap;
	struct slice *ids; /* owned */
	size_t id_count, id_cap;
};

static void entry_reading_fini(struct entry_reading *r)
{
	free(r->docs);
	free(r->ids);
}

static void entry_doc_part(struct entry_reading *r, size_t part, struct slice bytes)
{
	if (r->doc_count > 0)
		r->docs[2 * (r->doc_count - 1) + part] = bytes;
}

static int entry_value(void *ctx, const struct gob_event *event, struct vs_err *err)
{
	struct entry_reading *r = ctx;

	(void)err;
	if (event->kind == GOB_BEGIN && event->shape->tag == TAG_DOC) {
		r->docs = vs_grow(r->docs, &r->doc_cap, 2 * (r->doc_count + 1), sizeof(*r->docs));
		memset(&r->docs[2 * r->doc_count++], 0, 2 * sizeof(*r->docs));
	}
	if (event->kind != GOB_VALUE)
		return 0;
	switch (event->shape->tag) {
	case TAG_ENTRY_ID:
		r->entry->id = event->bytes;
		break;
	case TAG_OPERATION:
		r->entry->operation = event->bytes;
		break;
	case TAG_DOC_ID:
		entry_doc_part(r, 0, event->bytes);
		break;
	case TAG_DOC_CONTENT:
		entry_doc_part(r, 1, event->bytes);
		break;
	case TAG_IDS:
		r->ids = vs_grow(r->ids, &r->id_cap, r->id_count + 1, sizeof(*r->ids));
		r->ids[r->id_count++] = event->bytes;
		break;
	case TAG_TIME:
		r->time = event->bytes;
		break;
	case TAG_SYNCED:
		r->entry->is_synced = event->u != 0;
		break;
	case TAG_CHECKSUM:
		r->checksum = event->bytes;
		break;
	default:
		break;
	}
	return 0;
}

/* ---- the time as text ---- */

#define SECONDS_PER_DAY INT64_C(86400)
/* Seconds from year 1 to 1970, and to year 10000: Go writes no other years in this form. */
#define UNIX_EPOCH INT64_C(62135596800)
#define YEAR_10000 INT64_C(315537897600)

/* Year, month and day of a day counted from 0001-01-01, in the Gregorian calendar. */
static void civil_from_days(int64_t days, int64_t *year, int64_t *month, int64_t *day)
{
	/* Days since 0000-03-01, in eras of 400 years. */
	int64_t z = days + 306;
	int64_t era = z / 146097;
	int64_t of_era = z % 146097;
	int64_t y = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
	int64_t of_year = of_era - (365 * y + y / 4 - y / 100);
	int64_t m = (5 * of_year + 2) / 153;

	*day = of_year - (153 * m + 2) / 5 + 1;
	*month = m < 10 ? m + 3 : m - 9;
	*year = y + era * 400 + (*month <= 2);
}

/* False for what Go's own decoder would refuse, and for years of other than four digits. */
static bool format_time(struct slice blob, struct contextd_wal_entry *entry, char out[64])
{
	const unsigned char *p = blob.ptr;
	int64_t seconds, local, year, month, day, rest;
	uint32_t nanoseconds;
	int offset_s;
	size_t n;

	if (blob.len < 15 || (p[0] != 1 && p[0] != 2) || blob.len != (p[0] == 1 ? 15u : 16u))
		return false;
	seconds = (int64_t)load_be64(p + 1);
	nanoseconds = load_be32(p + 9);
	offset_s = (int16_t)(p[13] << 8 | p[14]);
	offset_s = offset_s == -1 ? 0 : offset_s * 60 + (p[0] == 2 ? (int8_t)p[15] : 0);
	/* The zero time is in year 1, and may lie before it by its offset. */
	if (seconds < 0 || seconds >= YEAR_10000 || nanoseconds > 999999999)
		return false;
	local = seconds + offset_s;
	if (local < 0 || local >= YEAR_10000)
		return false;
	if (__builtin_mul_overflow(seconds - UNIX_EPOCH, INT64_C(1000000000), &entry->time_ns))
		entry->time_ns = 0;
	civil_from_days(local / SECONDS_PER_DAY, &year, &month, &day);
	rest = local % SECONDS_PER_DAY;
	n = (size_t)snprintf(out, 64,
			     "%04" PRId64 "-%02" PRId64 "-%02" PRId64 "T%02" PRId64 ":%02" PRId64
			     ":%02" PRId64,
			     year, month, day, rest / 3600, rest / 60 % 60, rest % 60);
	if (nanoseconds > 0) {
		n += (size_t)snprintf(out + n, 64 - n, ".%09" PRIu32, nanoseconds);
		while (out[n - 1] == '0')
			n--;
	}
	if (offset_s == 0)
		snprintf(out + n, 64 - n, "Z");
	else
		snprintf(out + n, 64 - n, "%c%02d:%02d", offset_s <= -60 ? '-' : '+',
			 abs(offset_s / 60) / 60, abs(offset_s / 60) % 60);
	return true;
}

/* ---- the checksum ---- */

/* RFC 2104 with a key of half a block. */
static void mac_pad(struct digest_ctx *ctx, const unsigned char key[CONTEXTD_KEY_LEN],
		    unsigned char with)
{
	unsigned char block[64];

	memset(block, with, sizeof(block));
	for (size_t i = 0; i < CONTEXTD_KEY_LEN; i++)
		block[i] ^= key[i];
	digest_ctx_reset(ctx);
	digest_ctx_add(ctx, block, sizeof(block));
}

static void mac_slice(struct digest_ctx *ctx, struct slice bytes)
{
	if (bytes.len > 0)
		digest_ctx_add(ctx, bytes.ptr, bytes.len);
}

static void mac_of(const struct entry_reading *r, const char *time,
		   const unsigned char key[CONTEXTD_KEY_LEN], struct digest *out)
{
	cleanup_(digest_ctx_freep) struct digest_ctx *ctx = digest_ctx_new();
	struct digest inner;

	mac_pad(ctx, key, 0x36);
	mac_slice(ctx, r->entry->id);
	mac_slice(ctx, r->entry->operation);
	mac_slice(ctx, slice_str(time));
	for (size_t i = 0; i < 2 * r->doc_count; i++)
		mac_slice(ctx, r->docs[i]);
	for (size_t i = 0; i < r->id_count; i++)
		mac_slice(ctx, r->ids[i]);
	digest_ctx_final(ctx, &inner);
	mac_pad(ctx, key, 0x5c);
	digest_ctx_add(ctx, inner.bytes, sizeof(inner.bytes));
	digest_ctx_final(ctx, out);
}

int contextd_wal_entry(struct slice bytes, const unsigned char *key, struct contextd_wal_entry *out,
		       struct vs_err *err)
{
	cleanup_(entry_reading_fini) struct entry_reading reading = { .entry = out };
	cleanup_(gob_reader_fini) struct gob_reader reader = { 0 };
	struct gob_sink sink = { .ctx = &reading, .value = entry_value };
	struct digest mac;
	char time[64];
	int r;

	*out = (struct contextd_wal_entry){ 0 };
	gob_reader_init(&reader, bytes, (struct gob_ending){ 0 });
	r = gob_reader_next(&reader, &entry_shape, &sink, err);
	if (r <= 0)
		return r < 0 ? r : 1;
	out->document_count = reading.doc_count;
	out->id_count = reading.id_count;
	if (!format_time(reading.time, out, time) || !key)
		return 0;
	mac_of(&reading, time, key, &mac);
	out->is_proven = slice_eq(reading.checksum, slice_of(mac.bytes, sizeof(mac.bytes)));
	return 0;
}
