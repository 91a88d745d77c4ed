/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Sealing. HMAC-SHA256 (RFC 2104) is made here from two digests, so that libcrypto keeps its one
 * home. Keys are wiped from memory when they are done with.
 */

#include "audit/audit-private.h"

#include <sys/random.h>

#define BLOCK_LEN 64
#define KEY_FILE_MAX 4096

void seal_key_fini(struct seal_key *key)
{
	explicit_bzero(key, sizeof(*key));
}

/* ---- the key file: {"key":"<64 digits>","schema":1,"seq":<number>} and a newline ---- */

static bool parse_key(const struct jr *file, struct seal_key *out)
{
	const char *hex;
	uint64_t schema;

	return jr_get_uint(file, "schema", &schema) && schema == 1 &&
	       jr_get_uint(file, "seq", &out->seq) && out->seq > 0 && out->seq < AUDIT_SEQ_MAX &&
	       jr_get_str(file, "key", &hex) &&
	       hex_parse(slice_str(hex), out->bytes, AUDIT_KEY_LEN);
}

int seal_key_load(int state_dirfd, struct seal_key *out, struct vs_err *err)
{
	cleanup_(buf_fini) struct buf text = { 0 };
	cleanup_(jr_freep) struct jr *file = NULL;
	bool is_key;
	int r;

	*out = (struct seal_key){ 0 };
	r = file_read_at(state_dirfd, AUDIT_KEY, FILE_NO_FOLLOW, KEY_FILE_MAX, &text, NULL, err);
	if (r == VS_ENOENT)
		return 0;
	if (r == VS_ELIMIT || r > 0)
		return vs_fail(err, VS_EFORMAT, "%s: not a sealing key", AUDIT_KEY);
	if (r < 0)
		return r;
	is_key = jr_parse(&file, buf_slice(&text), err) == 0 && parse_key(file, out);
	explicit_bzero(text.ptr, text.len);
	if (is_key)
		return 1;
	seal_key_fini(out);
	return vs_fail(err, VS_EFORMAT, "%s: not a sealing key", AUDIT_KEY);
}

int seal_key_store(int state_dirfd, const struct seal_key *key, struct vs_err *err)
{
	cleanup_(buf_fini) struct buf text = { 0 };
	char hex[2 * AUDIT_KEY_LEN + 1];
	struct jw j;
	int r;

	hex_format(key->bytes, AUDIT_KEY_LEN, hex);
	jw_init(&j, &text);
	jw_object(&j);
	jw_str_field(&j, "key", hex);
	jw_uint_field(&j, "schema", 1);
	jw_uint_field(&j, "seq", key->seq);
	jw_object_end(&j);
	buf_append_byte(&text, '\n');
	r = file_replace_at(state_dirfd, AUDIT_KEY, 0600, buf_slice(&text), err);
	explicit_bzero(text.ptr, text.len);
	explicit_bzero(hex, sizeof(hex));
	return r;
}

int audit_key_new(unsigned char out[AUDIT_KEY_LEN], struct vs_err *err)
{
	/* So few bytes come whole or not at all. */
	if (getrandom(out, AUDIT_KEY_LEN, 0) != AUDIT_KEY_LEN)
		return vs_fail_errno(err, "cannot get random bytes");
	return 0;
}

/* ---- moving and sealing ---- */

void seal_key_step(struct seal_key *key)
{
	struct digest next;

	digest_of(slice_of(key->bytes, AUDIT_KEY_LEN), &next);
	memcpy(key->bytes, next.bytes, AUDIT_KEY_LEN);
	key->seq++;
	explicit_bzero(&next, sizeof(next));
}

static void add_pad(const struct seal_key *key, struct digest_ctx *ctx, unsigned char filler)
{
	unsigned char block[BLOCK_LEN];

	memset(block, filler, sizeof(block));
	for (size_t i = 0; i < AUDIT_KEY_LEN; i++)
		block[i] ^= key->bytes[i];
	digest_ctx_reset(ctx);
	digest_ctx_add(ctx, block, sizeof(block));
	explicit_bzero(block, sizeof(block));
}

void seal_compute(const struct seal_key *key, struct digest_ctx *ctx, struct slice before,
		  struct slice behind, struct digest *out)
{
	struct digest inner;

	add_pad(key, ctx, 0x36);
	digest_ctx_add(ctx, before.ptr, before.len);
	digest_ctx_add(ctx, behind.ptr, behind.len);
	digest_ctx_final(ctx, &inner);
	add_pad(key, ctx, 0x5c);
	digest_ctx_add(ctx, inner.bytes, DIGEST_LEN);
	digest_ctx_final(ctx, out);
}

/* ,"seal":"<64 digits>" goes in behind the schema, and is left out when the seal is computed. */
static const char member_start[] = ",\"seal\":\"";
static const char member_end[] = "\"";

void seal_line(const struct seal_key *key, struct digest_ctx *ctx, size_t at, struct buf *line)
{
	struct buf sealed = { 0 };
	char hex[DIGEST_HEX_LEN + 1];
	struct digest seal;

	seal_compute(key, ctx, buf_slice(line), slice_of(NULL, 0), &seal);
	digest_format(&seal, hex);
	buf_append(&sealed, line->ptr, at);
	buf_append_str(&sealed, member_start);
	buf_append_str(&sealed, hex);
	buf_append_str(&sealed, member_end);
	buf_append(&sealed, line->ptr + at, line->len - at);
	buf_fini(line);
	*line = sealed;
}

bool seal_fits(const struct seal_key *key, struct digest_ctx *ctx, struct slice text,
	       const struct audit_line *line)
{
	size_t start = (size_t)(line->seal.ptr - text.ptr) - (sizeof(member_start) - 1);
	size_t end = (size_t)(line->seal.ptr - text.ptr) + DIGEST_HEX_LEN + sizeof(member_end) - 1;
	char hex[DIGEST_HEX_LEN + 1];
	struct digest seal;

	seal_compute(key, ctx, slice_of(text.ptr, start), slice_of(text.ptr + end, text.len - end),
		     &seal);
	digest_format(&seal, hex);
	return memcmp(hex, line->seal.ptr, DIGEST_HEX_LEN) == 0;
}

/* ---- beginning ---- */

int audit_is_sealed(int state_dirfd, struct vs_err *err)
{
	struct seal_key key;
	int r = seal_key_load(state_dirfd, &key, err);

	seal_key_fini(&key);
	return r;
}

/* A key that was lost shows in the last line: it has a seal. */
static int refuse_second(const struct audit_log *log, struct vs_err *err)
{
	if (log->has_key)
		return vs_fail(err, VS_EBUSY, "the audit log is being sealed already");
	if (log->was_sealed)
		return vs_fail(
			err, VS_EBUSY,
			"the audit log was sealed, and %s is gone: verify the log, then move "
			"it away to begin a new one",
			AUDIT_KEY);
	return 0;
}

int audit_seal_init(int state_dirfd, const struct vs_clock *clock,
		    const unsigned char first_key[AUDIT_KEY_LEN], const struct audit_record *rec,
		    struct vs_err *err)
{
	cleanup_(audit_log_fini) struct audit_log log = { .fd = -1 };
	int r;

	r = audit_log_open(&log, state_dirfd, err);
	if (r == 0)
		r = refuse_second(&log, err);
	if (r < 0)
		return r;
	/* The key before the record: killed in between, the next record of anybody is the first
	 * sealed one, which the first key checks as well. */
	memcpy(log.key.bytes, first_key, AUDIT_KEY_LEN);
	log.key.seq = log.next;
	r = seal_key_store(state_dirfd, &log.key, err);
	if (r < 0)
		return r;
	log.has_key = true;
	return audit_log_append(&log, clock, rec, err);
}
