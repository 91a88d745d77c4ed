/* SPDX-License-Identifier: Apache-2.0 */

/* `vsctl audit-log seal`: from now on, records that nobody can write who comes later. */

#include "audit-log.h"

#include "repair/repair.h"

#include <fcntl.h>

#define KEY_FILE_MAX 256

struct seal_opts {
	const char *state;
	const char *key_file;
};

static const struct opt options[] = {
	AUDIT_STATE_OPTION(struct seal_opts),
	OPT_FILE("key-file", 0, struct seal_opts, key_file, "FILE",
		 "where to put the first key; must not exist, and belongs on another machine"),
	OPT_END,
};

/* ---- key files ---- */

int seal_file_load(const char *path, unsigned char key[AUDIT_KEY_LEN], struct vs_err *err)
{
	cleanup_(buf_fini) struct buf text = { 0 };
	bool is_key;
	int r = file_read_at(AT_FDCWD, path, FILE_FOLLOW, KEY_FILE_MAX, &text, NULL, err);

	if (r < 0 && r != VS_ELIMIT)
		return r;
	while (r == 0 && text.len > 0 && strchr(" \t\r\n", text.ptr[text.len - 1]))
		text.len--;
	is_key = r == 0 && hex_parse(buf_slice(&text), key, AUDIT_KEY_LEN);
	if (text.ptr)
		explicit_bzero(text.ptr, text.cap);
	return is_key ? 0
		      : vs_fail(err, VS_EUSAGE,
				"%s: a sealing key is a file with %d hexadecimal digits", path,
				2 * AUDIT_KEY_LEN);
}

/* Written and synced before anything is sealed with it. */
static int seal_file_save(const char *path, const unsigned char key[AUDIT_KEY_LEN],
			  struct vs_err *err)
{
	cleanup_(file_closep) int fd = -1;
	const size_t digits = 2 * (size_t)AUDIT_KEY_LEN;
	char text[2 * AUDIT_KEY_LEN + 2];
	int r;

	hex_format(key, AUDIT_KEY_LEN, text);
	text[digits] = '\n';
	r = file_create_at(AT_FDCWD, path, 0600, &fd, err);
	if (r == 0)
		r = file_write(fd, slice_of(text, digits + 1), err);
	if (r == 0)
		r = file_sync(fd, err);
	explicit_bzero(text, sizeof(text));
	return r;
}

static bool is_below(const char *path, const char *dir)
{
	size_t len = strlen(dir);

	return strncmp(path, dir, len) == 0 && path[len] == '/';
}

/* Beside the log, the key would be found by whoever comes to change the log. */
static int refuse_near(struct app *app, const struct session *s, const char *key_file)
{
	cleanup_(vs_freep) char *key = NULL;
	cleanup_(vs_freep) char *state = NULL;
	struct vs_err err = { 0 };

	if (path_absolute(key_file, &key, &err) < 0 ||
	    path_absolute(session_state_path(s), &state, &err) < 0)
		return app_error(app, &err);
	if (is_below(key, state) || is_below(key, session_store_path(s)))
		return app_usage(app,
				 "--key-file: the first key must not stay with the store; give "
				 "a place outside of it and of its state directory");
	return -1;
}

/* ---- the run ---- */

static int seal(struct app *app, struct session *s, const char *key_file, struct vs_err *err)
{
	const struct audit_record rec = { .phase = AUDIT_FINISHED,
					  .action = app->command_words,
					  .store = session_store_path(s),
					  .argv = (const char *const *)app->argv,
					  .message = "every record from this one on is sealed" };
	unsigned char key[AUDIT_KEY_LEN];
	struct vs_err ignored = { 0 };
	int r;

	r = audit_is_sealed(session_state_dirfd(s), err);
	if (r > 0)
		return vs_fail(err, VS_EBUSY, "the audit log is being sealed already");
	if (r == 0)
		r = audit_key_new(key, err);
	if (r == 0)
		r = seal_file_save(key_file, key, err);
	if (r < 0)
		return r;
	r = audit_seal_init(session_state_dirfd(s), app->clock, key, &rec, err);
	explicit_bzero(key, sizeof(key));
	/* A key that has sealed nothing is no use to anybody, unless the failure came after. */
	if (r < 0 && audit_is_sealed(session_state_dirfd(s), &ignored) == 0)
		(void)!file_unlink_at(AT_FDCWD, key_file, &ignored);
	return r;
}

static void report(struct app *app, const struct audit_scene *scene, const char *key_file,
		   const struct audit_head *head)
{
	struct emit *e = &app->emit;
	cleanup_(buf_fini) struct buf next = { 0 };
	char text[AUDIT_HEAD_TEXT_LEN + 1];

	audit_head_format(head, text);
	audit_scene_command(&next, scene, "audit-log verify");
	buf_append_str(&next, " --key-file ");
	text_shell_word(&next, key_file);
	emit_document(e, app->command_words);
	audit_scene_emit(e, scene);
	emit_json_uint(e, "sealed_from", head->seq);
	emit_json_bytes(e, "key_file", slice_str(key_file));
	emit_json_str(e, "head", text);
	emit_line(e, "sealed: record %" PRIu64 " and all that follow carry a seal", head->seq);
	emit_paragraph(
		e, 2, EMIT_PLAIN, "",
		"move the key file to another machine now and delete it here: who has it can "
		"write records that pass for true, and without it no seal can be checked");
	emit_line(e, "next, from where the key is kept: %s", buf_cstr(&next));
	emit_json_str(e, "next", buf_cstr(&next));
	emit_document_end(e);
}

static void note(void *ctx, const char *text)
{
	app_note(ctx, "%s", text);
}

static int run(struct app *app, const void *opts_, char *const *operands)
{
	const struct seal_opts *opts = opts_;
	cleanup_(store_closep) struct store *store = NULL;
	cleanup_(session_closep) struct session *s = NULL;
	cleanup_(audit_scene_fini) struct audit_scene scene = { .state_dirfd = -1 };
	/* The store itself stays as it is: nothing has to be locked but the log, which locks
	 * itself.
	 */
	struct session_opts session = { .command = app->command_words,
					.argv = (const char *const *)app->argv,
					.state_path =
						opts->state ? opts->state : getenv("VSCTL_STATE"),
					.is_dry_run = true,
					.clock = app->clock,
					.note = note,
					.note_ctx = app };
	struct audit_head head = { 0 };
	struct vs_err err = { 0 };
	int status;

	if (!opts->key_file)
		return app_usage(app,
				 "give --key-file FILE: without the first key no seal can ever "
				 "be checked");
	app->path = operands[0];
	if (store_open(&store, operands[0], false, &err) < 0 ||
	    session_open(&s, store, &session, &err) < 0)
		return app_error(app, &err);
	status = refuse_near(app, s, opts->key_file);
	if (status < 0)
		status = audit_scene_open(&scene, app, operands[0], opts->state);
	if (status >= 0)
		return status;
	if (seal(app, s, opts->key_file, &err) < 0 ||
	    audit_head_load(scene.state_dirfd, &head, &err) < 0)
		return app_error(app, &err);
	report(app, &scene, opts->key_file, &head);
	return EXIT_CLEAN;
}

static const struct example examples[] = {
	{ "vsctl audit-log seal --key-file /mnt/usb/seal.key /var/lib/app/store",
	  "begin, with the key where the machine's next owner will not find it" },
	{ NULL, NULL },
};

const struct command cmd_audit_log_seal = {
	.name = "seal",
	.operands = "STORE",
	.summary = "seal every record from now on, with a key that moves forward",
	.details =
		"Each record gets a seal under a key of its own; the next key is the digest of that one, which is then "
		"forgotten. Whoever takes the machine over later can neither change what was sealed before nor cut it off "
		"unseen. The first key goes into FILE and checks all seals; keep it elsewhere.",
	.examples = examples,
	.options = options,
	.opts_size = sizeof(struct seal_opts),
	.run = run,
};
