/* SPDX-License-Identifier: Apache-2.0 */

/*
 * A record becomes a line: what the caller says, and who, where and when. Through the JSON writer,
 * with the keys in byte order.
 */

#include "audit/audit-private.h"

#include <fcntl.h>
#include <pwd.h>

/* Cut what a caller says to this, so that a line always fits. */
#define TEXT_MAX ((size_t)16 << 10)
#define LIST_MAX ((size_t)128 << 10)

static void put_text(struct jw *j, const char *key, const char *text)
{
	size_t len = text ? strlen(text) : 0;
	cleanup_(buf_fini) struct buf cut = { 0 };

	jw_key(j, key);
	if (len <= TEXT_MAX) {
		jw_str(j, text);
		return;
	}
	buf_append(&cut, text, TEXT_MAX);
	buf_printf(&cut, " [%zu bytes more]", len - TEXT_MAX);
	jw_text(j, buf_slice(&cut));
}

static void put_element(struct jw *j, const char *text, bool is_hex)
{
	struct slice whole = slice_of(text, VS_MIN(strlen(text), TEXT_MAX));

	if (is_hex) {
		char hex[2 * TEXT_MAX + 1];

		hex_format(whole.ptr, whole.len, hex);
		jw_str(j, hex);
	} else {
		jw_text(j, whole);
	}
}

static void put_list(struct jw *j, const char *key, const char *const *list, bool is_hex)
{
	size_t start = j->out->len;
	size_t left = 0;
	char more[32];

	jw_key(j, key);
	if (!list) {
		jw_null(j);
		return;
	}
	jw_array(j);
	for (; *list && j->out->len - start < LIST_MAX; list++)
		put_element(j, *list, is_hex);
	for (; *list; list++)
		left++;
	if (left > 0 && !is_hex) {
		snprintf(more, sizeof(more), "[%zu more]", left);
		jw_str(j, more);
	}
	jw_array_end(j);
}

static bool is_text(const char *text)
{
	return utf8_is_valid(slice_str(text));
}

static bool are_texts(const char *const *list)
{
	for (; list && *list; list++) {
		if (!is_text(*list))
			return false;
	}
	return true;
}

static void put_user(struct jw *j, const char *key, uid_t uid)
{
	const struct passwd *user = getpwuid(uid);
	char number[32];

	snprintf(number, sizeof(number), "%lu", (unsigned long)uid);
	put_text(j, key, user && is_text(user->pw_name) ? user->pw_name : number);
}

/* A line of a file below /proc, without its newline; NULL when there is none. */
static const char *read_proc(const char *path, struct buf *out)
{
	struct vs_err ignored = { 0 };

	if (file_read_at(AT_FDCWD, path, FILE_FOLLOW, 256, out, NULL, &ignored) != 0)
		return NULL;
	while (out->len > 0 && out->ptr[out->len - 1] == '\n')
		out->len--;
	return out->len > 0 && utf8_is_valid(buf_slice(out)) ? buf_cstr(out) : NULL;
}

/* Who logged in, which sudo and su do not change; null outside of any login. */
static void put_login_user(struct jw *j)
{
	cleanup_(buf_fini) struct buf text = { 0 };
	const char *number = read_proc("/proc/self/loginuid", &text);
	uint64_t uid;

	if (number && parse_u64(number, UINT32_MAX - 1, &uid))
		put_user(j, "login_user", (uid_t)uid);
	else
		put_text(j, "login_user", NULL);
}

static void put_host(struct jw *j)
{
	char host[256] = "";

	if (gethostname(host, sizeof(host) - 1) < 0)
		host[0] = '\0';
	put_text(j, "host", host[0] && is_text(host) ? host : NULL);
}

static void put_circumstances(struct jw *j, const struct audit_record *rec)
{
	bool has_status = rec->phase == AUDIT_FINISHED || rec->phase == AUDIT_FAILED ||
			  rec->phase == AUDIT_REFUSED;

	jw_key(j, "exit_status");
	assert(rec->exit_status >= 0);
	if (has_status)
		jw_uint(j, (uint64_t)rec->exit_status);
	else
		jw_null(j);
	put_host(j);
	put_login_user(j);
	put_text(j, "message", rec->message);
	put_text(j, "phase", audit_phase_name(rec->phase));
	jw_uint_field(j, "pid", (uint64_t)getpid());
}

size_t audit_line_format(const struct audit_record *rec, const struct audit_place *place,
			 struct buf *out)
{
	cleanup_(buf_fini) struct buf boot_id = { 0 };
	char hex[DIGEST_HEX_LEN + 1];
	char when[32];
	size_t seal_at;
	struct jw j;

	digest_format(&place->prev, hex);
	time_format(place->time_ns, true, when);
	jw_init(&j, out);
	jw_object(&j);
	put_text(&j, "action", rec->action);
	put_list(&j, "argv", rec->argv, false);
	if (!are_texts(rec->argv))
		put_list(&j, "argv_hex", rec->argv, true);
	put_text(&j, "boot_id", read_proc("/proc/sys/kernel/random/boot_id", &boot_id));
	put_list(&j, "collections", rec->collections, false);
	put_text(&j, "digest_after", rec->digest_after);
	put_text(&j, "digest_before", rec->digest_before);
	put_circumstances(&j, rec);
	jw_str_field(&j, "prev", hex);
	put_text(&j, "run", rec->run);
	jw_uint_field(&j, "schema", 1);
	seal_at = out->len;
	jw_uint_field(&j, "seq", place->seq);
	put_text(&j, "store", rec->store);
	if (rec->store && !is_text(rec->store)) {
		jw_key(&j, "store_hex");
		put_element(&j, rec->store, true);
	}
	put_text(&j, "time", when);
	put_user(&j, "user", geteuid());
	jw_object_end(&j);
	return seal_at;
}
