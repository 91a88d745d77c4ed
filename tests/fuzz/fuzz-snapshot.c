/* SPDX-License-Identifier: Apache-2.0 */

/*
 * A hostile manifest, a hostile list of files and the list that this one builds on, divided by NULs;
 * the lists may be missing. The manifest comes without its last key, the digest of its text, which is put behind it here: so what is tried is what somebody
 * can write who knows the format.
 *
 * The oracle is the writer: what can be read is written again, and that has to read the same.
 */

#include "snap/private.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define ID "x"

static void seal(struct slice text, struct buf *out)
{
	struct digest digest;
	char hex[DIGEST_HEX_LEN + 1];

	digest_of(text, &digest);
	digest_format(&digest, hex);
	buf_append(out, text.ptr, text.len);
	buf_printf(out, "%s%s\"}\n", MANIFEST_SEAL, hex);
}

static struct snap_manifest *parse(struct slice text)
{
	struct snap_manifest *m = NULL;
	struct vs_err err = { 0 };
	int r = snap_parse_manifest(text, ID, &m, &err);

	if (r < 0 && err.text[0] == '\0')
		abort();
	return m;
}

/* Written, read and written: twice the same text. */
static void check_manifest(const struct snap_manifest *m)
{
	cleanup_(snap_manifest_freep) struct snap_manifest *again = NULL;
	cleanup_(buf_fini) struct buf first = { 0 };
	cleanup_(buf_fini) struct buf second = { 0 };

	snap_format_manifest(m, &first);
	again = parse(buf_slice(&first));
	if (!again)
		abort();
	snap_format_manifest(again, &second);
	if (!slice_eq(buf_slice(&first), buf_slice(&second)))
		abort();
}

static void check_members(struct snap_manifest *m, struct slice text, struct slice base)
{
	cleanup_(snap_manifest_freep) struct snap_manifest *again = NULL;
	cleanup_(buf_fini) struct buf manifest = { 0 };
	cleanup_(buf_fini) struct buf first = { 0 };
	cleanup_(buf_fini) struct buf second = { 0 };
	struct vs_err err = { 0 };

	snap_format_manifest(m, &manifest);
	if (snap_parse_members(text, base, m, &err) < 0) {
		if (m->members || m->directories || err.text[0] == '\0')
			abort();
		return;
	}
	for (size_t i = 0; i < m->member_count; i++) {
		if (!snap_path_is_safe(slice_str(m->members[i].path)))
			abort();
		if (snap_find_member(m, m->members[i].path) != &m->members[i])
			abort();
	}
	(void)!snap_check_sums(m, &err);
	snap_format_members(m, &first);
	again = parse(buf_slice(&manifest));
	if (!again || snap_parse_members(buf_slice(&first), base, again, &err) < 0)
		abort();
	snap_format_members(again, &second);
	if (!slice_eq(buf_slice(&first), buf_slice(&second)))
		abort();
}

/* What stands before the next NUL; @rest is what is behind it. */
static struct slice next_part(struct slice *rest)
{
	const uint8_t *end = rest->len > 0 ? memchr(rest->ptr, 0, rest->len) : NULL;
	size_t len = end ? (size_t)(end - rest->ptr) : rest->len;
	struct slice part = slice_of(rest->ptr, len);

	len += end != NULL;
	*rest = slice_of(rest->ptr + len, rest->len - len);
	return part;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	cleanup_(snap_manifest_freep) struct snap_manifest *m = NULL;
	cleanup_(buf_fini) struct buf sealed = { 0 };
	cleanup_(buf_fini) struct buf unpacked = { 0 };
	struct slice rest = slice_of(data, size);
	struct slice text, list;
	struct vs_err err = { 0 };

	(void)!snap_unpack_all(slice_of(data, size), (uint64_t)16 << 20, &unpacked, &err);
	text = next_part(&rest);
	seal(text, &sealed);
	m = parse(buf_slice(&sealed));
	if (!m || m->is_older)
		return 0;
	check_manifest(m);
	if (text.len < size) {
		list = next_part(&rest);
		check_members(m, list, rest);
	}
	return 0;
}
