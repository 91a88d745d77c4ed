/* SPDX-License-Identifier: Apache-2.0 */

/*
 * audit.head: {"digest":"<64 digits>","schema":1,"seq":<number>} and a newline. It is replaced as a
 * whole, so it is old or new and never between.
 */

#include "audit/audit-private.h"

#define HEAD_MAX 4096

int audit_head_load(int state_dirfd, struct audit_head *out, struct vs_err *err)
{
	cleanup_(buf_fini) struct buf text = { 0 };
	cleanup_(jr_freep) struct jr *head = NULL;
	struct audit_head found = { 0 };
	const char *hex;
	uint64_t schema;
	int r;

	*out = (struct audit_head){ 0 };
	r = file_read_at(state_dirfd, AUDIT_HEAD, FILE_NO_FOLLOW, HEAD_MAX, &text, NULL, err);
	if (r == VS_ENOENT)
		return 0;
	if (r == VS_ELIMIT || r > 0)
		return vs_fail(err, VS_EFORMAT, "%s: not the head of an audit log", AUDIT_HEAD);
	if (r < 0)
		return r;
	if (jr_parse(&head, buf_slice(&text), err) < 0 || !jr_get_uint(head, "schema", &schema) ||
	    schema != 1 || !jr_get_uint(head, "seq", &found.seq) || found.seq == 0 ||
	    found.seq >= AUDIT_SEQ_MAX || !jr_get_str(head, "digest", &hex) ||
	    !hex_parse(slice_str(hex), found.digest.bytes, DIGEST_LEN))
		return vs_fail(err, VS_EFORMAT, "%s: not the head of an audit log", AUDIT_HEAD);
	*out = found;
	return 0;
}

void audit_head_format(const struct audit_head *head, char out[AUDIT_HEAD_TEXT_LEN + 1])
{
	char hex[DIGEST_HEX_LEN + 1];

	digest_format(&head->digest, hex);
	snprintf(out, AUDIT_HEAD_TEXT_LEN + 1, "%" PRIu64 ":%s", head->seq, hex);
}

bool audit_head_parse(const char *text, struct audit_head *out)
{
	const char *colon = strchr(text, ':');
	struct audit_head found = { 0 };
	char number[24];

	if (!colon || (size_t)(colon - text) >= sizeof(number))
		return false;
	snprintf(number, sizeof(number), "%.*s", (int)(colon - text), text);
	if (!parse_u64(number, AUDIT_SEQ_MAX - 1, &found.seq) || found.seq == 0 ||
	    !hex_parse(slice_str(colon + 1), found.digest.bytes, DIGEST_LEN))
		return false;
	*out = found;
	return true;
}

int audit_head_store(int state_dirfd, const struct audit_head *head, struct vs_err *err)
{
	cleanup_(buf_fini) struct buf text = { 0 };
	char hex[DIGEST_HEX_LEN + 1];
	struct jw j;

	digest_format(&head->digest, hex);
	jw_init(&j, &text);
	jw_object(&j);
	jw_str_field(&j, "digest", hex);
	jw_uint_field(&j, "schema", 1);
	jw_uint_field(&j, "seq", head->seq);
	jw_object_end(&j);
	buf_append_byte(&text, '\n');
	return file_replace_at(state_dirfd, AUDIT_HEAD, 0600, buf_slice(&text), err);
}
