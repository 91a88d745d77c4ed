/* SPDX-License-Identifier: Apache-2.0 */

/*
 * run.jsonl, both ways. The first line is the header, then one line a step, then what became of the
 * run; a last line without its newline was cut by a power failure while being appended, and counts
 * as not written.
 */

#include "journal/journal-private.h"

#include <fcntl.h>

static const char *const kind_names[] = {
	[STEP_WRITE] = "write",       [STEP_REMOVE] = "remove", [STEP_MOVE] = "move",
	[STEP_EXCHANGE] = "exchange", [STEP_MKDIR] = "mkdir",   [STEP_RMDIR] = "rmdir",
	[STEP_MODE] = "mode",
};

static const char *const node_names[] = {
	[NODE_ABSENT] = "absent", [NODE_FILE] = "file",   [NODE_DIRECTORY] = "directory",
	[NODE_LINK] = "link",     [NODE_OTHER] = "other",
};

const char *step_kind_name(enum step_kind kind)
{
	return kind_names[kind];
}

static void format_node(struct jw *j, const char *key, const struct node *node)
{
	char hex[DIGEST_HEX_LEN + 1];

	digest_format(&node->digest, hex);
	jw_key(j, key);
	jw_object(j);
	jw_str_field(j, "kind", node_names[node->kind]);
	if (node->kind != NODE_ABSENT) {
		jw_uint_field(j, "mode", node->mode);
		if (node->has_owner) {
			jw_uint_field(j, "owner", node->owner);
			jw_uint_field(j, "group", node->group);
		}
		jw_str_field(j, "digest", hex);
		jw_key(j, "modified_ns");
		jw_int(j, node->modified_ns);
	}
	jw_object_end(j);
}

/* Paths are bytes: hex keeps those that are no UTF-8 exact. */
static void format_path(struct jw *j, const char *key, const char *path)
{
	if (path)
		jw_bytes_field(j, key, slice_str(path));
}

void record_format_step(const struct step *step, size_t number, struct buf *out)
{
	struct jw j;

	jw_init(&j, out);
	jw_object(&j);
	jw_uint_field(&j, "step", number);
	jw_str_field(&j, "kind", kind_names[step->kind]);
	format_path(&j, "path", step->path);
	format_path(&j, "to", step->to);
	format_node(&j, "before", &step->before);
	format_node(&j, "after", &step->after);
	if (step->to) {
		format_node(&j, "to_before", &step->to_before);
		format_node(&j, "to_after", &step->to_after);
	}
	jw_bool_field(&j, "has_old", step->has_old);
	jw_object_end(&j);
	buf_append_byte(out, '\n');
}

static bool find_name(const char *const *names, size_t count, const char *name, unsigned *out)
{
	for (unsigned i = 0; i < count; i++) {
		if (strcmp(names[i], name) == 0) {
			*out = i;
			return true;
		}
	}
	return false;
}

static bool parse_node(const struct jr *object, const char *key, struct node *out)
{
	const struct jr *v = jr_get(object, key);
	uint64_t mode, owner, group;
	const char *text;
	unsigned kind;

	if (!jr_get_str(v, "kind", &text) ||
	    !find_name(node_names, VS_COUNT(node_names), text, &kind))
		return false;
	out->kind = (enum node_kind)kind;
	if (out->kind == NODE_ABSENT)
		return true;
	if (!jr_get_uint(v, "mode", &mode) || mode > 07777 || !jr_get_str(v, "digest", &text) ||
	    !hex_parse(slice_str(text), out->digest.bytes, DIGEST_LEN) ||
	    !jr_get_int(v, "modified_ns", &out->modified_ns))
		return false;
	out->mode = (uint32_t)mode;
	out->has_owner = jr_get_uint(v, "owner", &owner) && jr_get_uint(v, "group", &group) &&
			 owner <= UINT32_MAX && group <= UINT32_MAX;
	if (out->has_owner) {
		out->owner = (uint32_t)owner;
		out->group = (uint32_t)group;
	}
	return true;
}

static char *parse_path(const struct jr *object, const char *key)
{
	const char *text;
	char hex_key[16];
	size_t len;
	char *path;

	if (!jr_get_str(object, key, &text))
		return NULL;
	snprintf(hex_key, sizeof(hex_key), "%s_hex", key);
	if (!jr_get_str(object, hex_key, &text))
		return vs_strdup(text);
	len = strlen(text) / 2;
	path = vs_alloc(len + 1);
	if (!hex_parse(slice_str(text), (unsigned char *)path, len) || strlen(path) != len) {
		free(path);
		return NULL;
	}
	return path;
}

static bool parse_step(const struct jr *line, size_t number, struct step *out)
{
	const char *text;
	uint64_t value;
	unsigned kind;

	if (!jr_get_uint(line, "step", &value) || value != number ||
	    !jr_get_str(line, "kind", &text) ||
	    !find_name(kind_names, VS_COUNT(kind_names), text, &kind))
		return false;
	out->kind = (enum step_kind)kind;
	out->path = parse_path(line, "path");
	out->to = parse_path(line, "to");
	if (!out->path ||
	    ((out->kind == STEP_MOVE || out->kind == STEP_EXCHANGE) != (out->to != NULL)))
		return false;
	if (!parse_node(line, "before", &out->before) || !parse_node(line, "after", &out->after) ||
	    !jr_get_bool(line, "has_old", &out->has_old))
		return false;
	return !out->to || (parse_node(line, "to_before", &out->to_before) &&
			    parse_node(line, "to_after", &out->to_after));
}

static bool parse_state(struct journal *j, const struct jr *line)
{
	const char *state;

	if (!jr_get_str(line, "state", &state))
		return false;
	if (strcmp(state, "done") == 0)
		j->state = RUN_DONE;
	else if (strcmp(state, "taking-back") == 0)
		j->state = RUN_PREPARED;
	else if (strcmp(state, "taken-back") == 0)
		j->state = RUN_TAKEN_BACK;
	else
		return false;
	j->is_taking_back = strcmp(state, "taking-back") == 0;
	return true;
}

static bool parse_header(struct journal *j, const struct jr *line, uint64_t *steps)
{
	const char *command;
	uint64_t schema;

	if (!jr_get_uint(line, "schema", &schema) || schema != 1 ||
	    !jr_get_str(line, "command", &command) || !jr_get_uint(line, "steps", steps) ||
	    *steps > JOURNAL_STEPS_MAX)
		return false;
	j->command = vs_strdup(command);
	return true;
}

/* One line of the record; @number 0 is the header. */
static bool parse_line(struct journal *j, const struct jr *line, size_t number, uint64_t *steps)
{
	if (number == 0)
		return parse_header(j, line, steps);
	if (number > *steps)
		return parse_state(j, line);
	j->steps = vs_grow(j->steps, &j->cap, j->count + 1, sizeof(*j->steps));
	j->steps[j->count] = (struct step){ 0 };
	j->count++;
	return parse_step(line, number, &j->steps[j->count - 1]);
}

static int parse_record(struct journal *j, struct slice text, struct vs_err *err)
{
	const unsigned char *newline;
	uint64_t steps = 0;
	size_t number = 0;

	while (text.len > 0 && (newline = memchr(text.ptr, '\n', text.len)) != NULL) {
		struct slice line = slice_of(text.ptr, (size_t)(newline - text.ptr));
		cleanup_(jr_freep) struct jr *value = NULL;

		text = slice_of(newline + 1, text.len - line.len - 1);
		/* A state line that a power cut left broken was closed by the append after it. */
		if (jr_parse(&value, line, err) < 0 && number > steps && number > 0)
			continue;
		if (!value || !parse_line(j, value, number, &steps))
			return vs_fail(err, VS_EFORMAT, "line %zu of %s is not a journal record",
				       number + 1, JOURNAL_RECORD);
		number++;
	}
	if (number == 0 || j->count != steps)
		return vs_fail(err, VS_EFORMAT, "%s ends after %zu of %" PRIu64 " steps",
			       JOURNAL_RECORD, j->count, steps);
	return 0;
}

int record_load(struct journal **out, int state_dirfd, int store_dirfd, const char *run,
		struct vs_err *err)
{
	cleanup_(journal_freep) struct journal *j = vs_alloc(sizeof(*j));
	cleanup_(buf_fini) struct buf text = { 0 };
	cleanup_(file_closep) int above = -1;
	int r;

	*j = (struct journal){ .state_dirfd = state_dirfd,
			       .store_dirfd = store_dirfd,
			       .dirfd = -1 };
	if (strlen(run) >= sizeof(j->run) || strchr(run, '/') || run[0] == '.' || run[0] == '\0')
		return vs_fail(err, VS_EUSAGE, "%s: not the name of a run", run);
	snprintf(j->run, sizeof(j->run), "%s", run);
	r = file_open_dir(state_dirfd, JOURNAL_DIR, FILE_NO_FOLLOW, &above, err);
	if (r == 0)
		r = file_open_dir(above, run, FILE_NO_FOLLOW, &j->dirfd, err);
	if (r == 0)
		r = file_read_at(j->dirfd, JOURNAL_RECORD, FILE_NO_FOLLOW, JOURNAL_RECORD_MAX,
				 &text, NULL, err);
	if (r > 0)
		return vs_fail(err, VS_EFORMAT, "run %s: %s is not a file", run, JOURNAL_RECORD);
	if (r == 0)
		r = parse_record(j, buf_slice(&text), err);
	if (r < 0)
		return vs_err_in(err, "run %s", run);
	j->is_prepared = true;
	*out = VS_TAKE(j);
	return 0;
}

#define TAIL 512

/* A line that was cut, or that is too long to be one of these, says no. */
static bool says_ended(struct slice tail)
{
	cleanup_(jr_freep) struct jr *line = NULL;
	const unsigned char *before;
	const char *state;
	struct vs_err ignored;

	if (tail.len == 0 || tail.ptr[tail.len - 1] != '\n')
		return false;
	tail.len--;
	before = memrchr(tail.ptr, '\n', tail.len);
	if (!before)
		return false;
	tail = slice_of(before + 1, (size_t)(tail.ptr + tail.len - before - 1));
	return jr_parse(&line, tail, &ignored) == 0 && jr_get_str(line, "state", &state) &&
	       (strcmp(state, "done") == 0 || strcmp(state, "taken-back") == 0);
}

int record_is_ended(int run_dirfd, bool *out, struct vs_err *err)
{
	cleanup_(file_closep) int fd = -1;
	unsigned char tail[TAIL];
	struct file_info info;
	ssize_t got;
	int r;

	fd = openat(run_dirfd, JOURNAL_RECORD, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0)
		return vs_fail_errno(err, "%s", JOURNAL_RECORD);
	r = file_stat_fd(fd, &info, err);
	if (r < 0)
		return r;
	got = pread(fd, tail, sizeof(tail),
		    info.size > sizeof(tail) ? (off_t)(info.size - sizeof(tail)) : 0);
	*out = got > 0 && says_ended(slice_of(tail, (size_t)got));
	return 0;
}

int record_append_state(struct journal *j, const char *state, struct vs_err *err)
{
	cleanup_(file_closep) int fd = -1;
	cleanup_(buf_fini) struct buf line = { 0 };
	unsigned char last;
	char when[32];
	off_t size;
	struct jw w;
	int r;

	r = file_append_at(j->dirfd, JOURNAL_RECORD, 0600, &fd, err);
	if (r < 0)
		return r;
	size = lseek(fd, 0, SEEK_END);
	if (size > 0 && pread(fd, &last, 1, size - 1) == 1 && last != '\n')
		buf_append_byte(&line, '\n');
	time_format(clock_now_ns(&vs_clock_system), false, when);
	jw_init(&w, &line);
	jw_object(&w);
	jw_str_field(&w, "state", state);
	jw_str_field(&w, "time", when);
	jw_object_end(&w);
	buf_append_byte(&line, '\n');
	r = file_write(fd, buf_slice(&line), err);
	if (r == 0)
		r = file_sync(fd, err);
	return r < 0 ? vs_err_in(err, "run %s", j->run) : 0;
}
