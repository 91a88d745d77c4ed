/* SPDX-License-Identifier: Apache-2.0 */

/* `vsctl wal list` and `check`: what the log holds, and whether contextd will ever send it. */

#include "wal.h"

#include "file/file.h"

#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>

#define WAL_FILE_MAX (UINT64_C(256) << 20)
#define WAL_FILES_MAX 1000000

const char *wal_state_name(enum wal_state state)
{
	static const char *const names[] = { [WAL_PENDING] = "pending",
					     [WAL_SYNCED] = "synced",
					     [WAL_BAD_MAC] = "bad-mac",
					     [WAL_UNPROVEN] = "unproven",
					     [WAL_UNREADABLE] = "unreadable" };

	return names[state];
}

const char *wal_key_name(enum wal_key key)
{
	static const char *const names[] = {
		[WAL_KEY_THERE] = "there", [WAL_KEY_LOST] = "lost", [WAL_KEY_DAMAGED] = "damaged"
	};

	return names[key];
}

/* ---- reading ---- */

void wal_fini(struct wal *w)
{
	for (size_t i = 0; i < w->count; i++) {
		free(w->files[i].name);
		free(w->files[i].why);
	}
	free(w->files);
	free(w->only);
	free(w->path);
	file_closep(&w->dirfd);
	*w = (struct wal)WAL_CLOSED;
}

static bool has_ending(const char *name, const char *ending)
{
	return slice_ends_with(slice_str(name), ending);
}

static int note_wal(void *ctx, const char *name, enum file_type type, struct vs_err *err)
{
	bool *is_wal = ctx;

	(void)type;
	(void)err;
	*is_wal = *is_wal || has_ending(name, ".wal") || strcmp(name, ".hmac_key") == 0;
	return 0;
}

/* A directory with entries or the key in it is the log; of any other it lies beside. */
static int open_directory(struct wal *w, const char *path, struct vs_err *err)
{
	cleanup_(file_closep) int fd = -1;
	bool is_wal = false;
	int r;

	r = file_open_dir(AT_FDCWD, path, FILE_FOLLOW, &fd, err);
	if (r == 0)
		r = file_list(fd, note_wal, &is_wal, err);
	if (r < 0)
		return r;
	if (is_wal) {
		w->dirfd = fd;
		fd = -1;
		return 0;
	}
	r = file_open_dir(fd, "../wal", FILE_FOLLOW, &w->dirfd, err);
	if (r == VS_ENOENT)
		return vs_fail(err, VS_ENOENT,
			       "%s is no write-ahead log, and there is none beside it as ../wal",
			       path);
	return r;
}

static int open_log(struct wal *w, const char *path, struct vs_err *err)
{
	char proc[64], resolved[PATH_MAX];
	struct stat st;
	ssize_t len;
	int r;

	if (stat(path, &st) < 0)
		return vs_fail_errno(err, "%s", path);
	if (S_ISREG(st.st_mode)) {
		const char *slash = strrchr(path, '/');
		cleanup_(vs_freep) char *dir =
			slash ? vs_strndup(slice_of(path, (size_t)(slash - path) + 1))
			      : vs_strdup(".");

		w->only = vs_strdup(slash ? slash + 1 : path);
		r = file_open_dir(AT_FDCWD, dir, FILE_FOLLOW, &w->dirfd, err);
	} else {
		r = open_directory(w, path, err);
	}
	if (r < 0)
		return r;
	snprintf(proc, sizeof(proc), "/proc/self/fd/%d", w->dirfd);
	len = readlink(proc, resolved, sizeof(resolved) - 1);
	if (len < 0)
		return vs_fail_errno(err, "%s", proc);
	w->path = vs_strndup(slice_of(resolved, (size_t)len));
	return 0;
}

static int list_entry(void *ctx, const char *name, enum file_type type, struct vs_err *err)
{
	struct wal *w = ctx;

	(void)type;
	if (strstr(name, ".tmp."))
		w->leftovers++;
	if (!has_ending(name, ".wal") && !(w->only && strcmp(name, w->only) == 0))
		return 0;
	if (w->only && strcmp(name, w->only) != 0)
		return 0;
	if (w->count >= WAL_FILES_MAX)
		return vs_fail(err, VS_ELIMIT, "more than %d entries", WAL_FILES_MAX);
	w->files = vs_grow(w->files, &w->cap, w->count + 1, sizeof(*w->files));
	w->files[w->count++] = (struct wal_file){ .name = vs_strdup(name) };
	return 0;
}

static int by_name(const void *a, const void *b)
{
	return strcmp(((const struct wal_file *)a)->name, ((const struct wal_file *)b)->name);
}

static void read_entry(struct wal *w, struct wal_file *f, const unsigned char *key,
		       struct buf *bytes)
{
	struct contextd_wal_entry entry;
	struct vs_err err = { 0 };
	enum file_type type;
	int r;

	f->state = WAL_UNREADABLE;
	r = file_read_at(w->dirfd, f->name, FILE_NO_FOLLOW, WAL_FILE_MAX, bytes, &type, &err);
	if (r != 0) {
		f->why = vs_strdup(r < 0 ? err.text : "not a regular file");
		return;
	}
	f->size = bytes->len;
	digest_of(buf_slice(bytes), &f->digest);
	r = contextd_wal_entry(buf_slice(bytes), key, &entry, &err);
	if (r != 0) {
		f->why = vs_strdup(r < 0 ? err.text : "not a whole entry");
		return;
	}
	f->is_synced = entry.is_synced;
	f->documents = entry.document_count + entry.id_count;
	f->time_ns = entry.time_ns;
	snprintf(f->operation, sizeof(f->operation), "%s",
		 slice_eq_str(entry.operation, "add")      ? "add"
		 : slice_eq_str(entry.operation, "delete") ? "delete"
							   : "other");
	if (!key)
		f->state = WAL_UNPROVEN;
	else if (!entry.is_proven)
		f->state = WAL_BAD_MAC;
	else
		f->state = entry.is_synced ? WAL_SYNCED : WAL_PENDING;
}

int wal_load(struct wal *w, const char *path, struct vs_err *err)
{
	cleanup_(buf_fini) struct buf bytes = { 0 };
	cleanup_(buf_fini) struct buf key = { 0 };
	struct vs_err lost = { 0 };
	int r;

	r = open_log(w, path, err);
	if (r < 0)
		return r;
	r = file_read_at(w->dirfd, ".hmac_key", FILE_NO_FOLLOW, 4096, &key, NULL, &lost);
	if (r < 0 && r != VS_ENOENT && r != VS_ELIMIT)
		return vs_fail(err, (enum vs_status)r, "%s/.hmac_key: %s", w->path, lost.text);
	if (r == VS_ENOENT)
		w->key = WAL_KEY_LOST;
	else if (r != 0 || key.len != CONTEXTD_KEY_LEN)
		w->key = WAL_KEY_DAMAGED;
	r = file_list(w->dirfd, list_entry, w, err);
	if (r < 0)
		return r;
	if (w->count > 1)
		qsort(w->files, w->count, sizeof(*w->files), by_name);
	for (size_t i = 0; i < w->count; i++) {
		read_entry(w, &w->files[i], w->key == WAL_KEY_THERE ? key.ptr : NULL, &bytes);
		w->counts[w->files[i].state]++;
	}
	return 0;
}

/* ---- telling ---- */

void wal_emit_head(struct app *app, const struct wal *w)
{
	struct emit *e = &app->emit;

	emit_object(e, "store");
	emit_json_bytes(e, "path", slice_str(app->path));
	emit_object_end(e);
	emit_json_bytes(e, "log", slice_str(w->path));
	emit_json_str(e, "key", wal_key_name(w->key));
	emit_object(e, "counts");
	for (size_t i = 0; i < WAL_STATES_; i++)
		emit_json_uint(e, wal_state_name((enum wal_state)i), w->counts[i]);
	emit_object_end(e);
	emit_json_uint(e, "leftovers", w->leftovers);
}

static const struct emit_field fields[] = {
	{ "entry", "entry", false },
	{ "state", "state", false },
	{ "operation", "does", false },
	{ "documents", "documents", true },
	{ "time", "written", false },
	{ "synced", NULL, false },
	{ "size", "size", true },
	{ "why", "why", false },
	{ 0 },
};

static void show_files(struct emit *e, const struct wal *w, bool only_bad)
{
	emit_table(e, "entries", fields);
	for (size_t i = 0; i < w->count; i++) {
		const struct wal_file *f = &w->files[i];
		char when[32] = "";

		if (only_bad && (f->state == WAL_PENDING || f->state == WAL_SYNCED))
			continue;
		if (f->time_ns != 0)
			time_format(f->time_ns, false, when);
		emit_text(e, f->name);
		emit_styled(e, f->state <= WAL_SYNCED ? EMIT_PLAIN : EMIT_BAD,
			    wal_state_name(f->state));
		emit_str(e, *f->operation ? f->operation : NULL);
		emit_uint(e, f->documents);
		emit_str(e, *when ? when : NULL);
		emit_bool(e, f->is_synced);
		emit_size(e, f->size);
		emit_text(e, f->why);
	}
	emit_table_end(e);
}

static uint64_t bad_count(const struct wal *w)
{
	return w->counts[WAL_BAD_MAC] + w->counts[WAL_UNPROVEN] + w->counts[WAL_UNREADABLE];
}

/* What is wrong with the log as a whole, and what that means; NULL: nothing. */
static const char *meaning(const struct wal *w)
{
	if (w->key != WAL_KEY_THERE && w->count > 0)
		return "the key is lost: contextd makes a new one in silence and then skips every entry here; bring .hmac_key back from a backup before it starts";
	if (w->counts[WAL_BAD_MAC] == w->count && w->count > 1)
		return "no entry fits the key, so it is probably another one than they were written with; look for the old .hmac_key in a backup";
	if (w->counts[WAL_BAD_MAC] > 0)
		return "contextd skips entries whose checksum is wrong; what they hold is in no other place unless it was synced";
	return bad_count(w) > 0 ? "entries that cannot be read are skipped by contextd" : NULL;
}

static void counts_line(const struct wal *w, struct buf *out)
{
	text_count(out, w->count, "entry");
	for (size_t i = 0; i < WAL_STATES_; i++) {
		if (w->counts[i] > 0)
			buf_printf(out, ", %" PRIu64 " %s", w->counts[i],
				   wal_state_name((enum wal_state)i));
	}
	if (w->leftovers > 0)
		buf_printf(out, ", %" PRIu64 " cut off while written", w->leftovers);
}

static int look(struct app *app, char *const *operands, bool is_check)
{
	cleanup_(wal_fini) struct wal w = WAL_CLOSED;
	cleanup_(buf_fini) struct buf line = { 0 };
	cleanup_(buf_fini) struct buf next = { 0 };
	struct emit *e = &app->emit;
	struct vs_err err = { 0 };
	const char *text;

	if (wal_load(&w, operands[0], &err) < 0)
		return app_error(app, &err);
	text = meaning(&w);
	counts_line(&w, &line);
	buf_append_str(&next, text && is_check           ? "vsctl wal list "
			      : text                     ? "vsctl wal check "
			      : w.counts[WAL_SYNCED] > 0 ? "vsctl wal compact --dry-run "
							 : "vsctl wal list ");
	text_shell_word(&next, operands[0]);
	emit_document(e, app->command_words);
	wal_emit_head(app, &w);
	emit_json_bool(e, "sound", !text);
	emit_json_str(e, "meaning", text);
	if (text || !app->common.quiet)
		emit_line(e, "%s: %s", text ? "damaged" : "sound", buf_cstr(&line));
	if (e->is_json || (w.count > 0 && (!is_check || bad_count(&w) > 0)))
		show_files(e, &w, is_check);
	if (text && !e->is_json)
		emit_paragraph(e, 0, EMIT_PLAIN, "", text);
	emit_json_str(e, "next", buf_cstr(&next));
	if (text || !app->common.quiet)
		emit_line(e, "next: %s", buf_cstr(&next));
	emit_document_end(e);
	return is_check && text ? EXIT_PROBLEMS : EXIT_CLEAN;
}

static int run_list(struct app *app, const void *opts, char *const *operands)
{
	(void)opts;
	return look(app, operands, false);
}

static int run_check(struct app *app, const void *opts, char *const *operands)
{
	(void)opts;
	return look(app, operands, true);
}

static const struct example list_examples[] = {
	{ "vsctl wal list .claude/contextd/wal", "every entry, with its state" },
	{ NULL, NULL },
};

static const struct command cmd_wal_list = {
	.name = "list",
	.operands = "STORE",
	.summary = "list the entries of the log, with the state of each",
	.examples = list_examples,
	.run = run_list,
};

static const struct example check_examples[] = {
	{ "vsctl wal check .claude/contextd/store", "the log beside a store" },
	{ NULL, NULL },
};

static const struct command cmd_wal_check = {
	.name = "check",
	.operands = "STORE",
	.summary = "is the key there, and does every entry fit it?",
	.examples = check_examples,
	.run = run_check,
};

static const struct command *const verbs[] = { &cmd_wal_list, &cmd_wal_check, &cmd_wal_compact,
					       NULL };

const struct command cmd_wal = {
	.name = "wal",
	.summary = "look after contextd's write-ahead log",
	.details =
		"STORE is a store with its log beside it as ../wal, the directory of the log, or one entry. An entry is "
		"pending (the only copy of a write), synced (the remote store has it), bad-mac (its checksum is not the one "
		"that .hmac_key gives), unproven (the key is lost) or unreadable.",
	.verbs = verbs,
	.default_verb = &cmd_wal_list,
};
