/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Building a run: steps with the states they lead between, their contents staged (content.c). Until
 * the record gets its name nothing has begun, and journal_recover() removes what is left of a run
 * that never did.
 */

#include "journal/journal-private.h"

/*
 * A directory for the run, named by its time, its command and four digits that put runs of one second
 * in their order: which 65,536th of it, or the next that is free.
 */
static int make_run(struct journal *j, int above, int64_t time_ns, const char *command,
		    struct vs_err *err)
{
	uint32_t part = (uint32_t)(((uint64_t)time_ns % 1000000000) * 65536 / 1000000000);
	cleanup_(vs_freep) char *word = vs_strdup(command);
	char when[32];
	int r = VS_EBUSY;

	/* "quarantine add" becomes one word, as it is typed behind `vsctl undo`. */
	for (char *at = word; *at; at++) {
		if (*at == ' ')
			*at = '-';
	}

	time_format_compact(time_ns, when);
	for (; r == VS_EBUSY && part < 65536; part++) {
		snprintf(j->run, sizeof(j->run), "%s-%.64s-%04" PRIx32, when, word, part);
		r = file_mkdir_at(above, j->run, 0700, err);
	}
	return r;
}

static void format_header(struct journal *j, const struct journal_header *head)
{
	struct buf out = { 0 };
	char when[32];
	struct jw w;

	time_format(head->time_ns, false, when);
	jw_init(&w, &out);
	jw_object(&w);
	jw_uint_field(&w, "schema", 1);
	jw_str_field(&w, "run", j->run);
	jw_str_field(&w, "command", head->command);
	jw_key(&w, "argv");
	jw_array(&w);
	for (const char *const *arg = head->argv; arg && *arg; arg++)
		jw_str(&w, *arg);
	jw_array_end(&w);
	jw_str_field(&w, "time", when);
	jw_str_field(&w, "plan_digest", head->plan_digest);
	/* The number of steps is not known yet: the line is finished when the run is prepared. */
	j->header_line = buf_take_str(&out);
}

int journal_begin(struct journal **out, int state_dirfd, int store_dirfd,
		  const struct journal_header *head, struct vs_err *err)
{
	cleanup_(journal_freep) struct journal *j = vs_alloc(sizeof(*j));
	cleanup_(file_closep) int above = -1;
	int r;

	*j = (struct journal){ .state_dirfd = state_dirfd,
			       .store_dirfd = store_dirfd,
			       .dirfd = -1,
			       .links_old = head->links_old };
	j->command = vs_strdup(head->command);
	r = file_mkdir_at(state_dirfd, JOURNAL_DIR, 0700, err);
	if (r < 0 && r != VS_EBUSY)
		return r;
	r = file_open_dir(state_dirfd, JOURNAL_DIR, FILE_NO_FOLLOW, &above, err);
	if (r == 0)
		r = make_run(j, above, head->time_ns, head->command, err);
	if (r == 0)
		r = file_open_dir(above, j->run, FILE_NO_FOLLOW, &j->dirfd, err);
	if (r < 0)
		return vs_err_in(err, "run %s", j->run);
	format_header(j, head);
	*out = VS_TAKE(j);
	return 0;
}

void journal_freep(struct journal **j_)
{
	struct journal *j = *j_;

	if (!j)
		return;
	for (size_t i = 0; i < j->count; i++) {
		free(j->steps[i].path);
		free(j->steps[i].to);
		buf_fini(&j->steps[i].content);
	}
	free(j->steps);
	free(j->command);
	free(j->header_line);
	path_index_fini(&j->paths);
	file_closep(&j->dirfd);
	free(j);
	*j_ = NULL;
}

const char *journal_run(const struct journal *j)
{
	return j->run;
}

/*
 * What @path will hold when the steps so far have been done, where one of them concerns it by
 * exactly this name. False: none does, and the disk tells. Steps inside a directory that an earlier
 * one moves must use its new name.
 */
static bool foresee(const struct journal *j, const char *path, struct node *out)
{
	const struct step *step;
	size_t index;

	if (!path_index_find(&j->paths, slice_str(path), &index))
		return false;
	step = &j->steps[index];
	*out = strcmp(step->path, path) == 0 ? step->after : step->to_after;
	return true;
}

static int look_ahead(const struct journal *j, const char *path, struct node *out,
		      struct vs_err *err)
{
	return foresee(j, path, out) ? 0 : node_look(j->store_dirfd, path, out, err);
}

/* What is made where nothing was belongs to whom the directory belongs to. */
static int take_owner_above(struct journal *j, const char *path, struct node *out,
			    struct vs_err *err)
{
	const char *slash = strrchr(path, '/');
	cleanup_(vs_freep) char *parent =
		slash ? vs_strndup(slice_of(path, (size_t)(slash - path))) : NULL;
	struct node above = { 0 };
	struct file_info info;
	int r = 0;

	if (!parent) {
		r = file_stat_fd(j->store_dirfd, &info, err);
		above.has_owner = true;
		above.owner = info.owner;
		above.group = info.group;
	} else if (!foresee(j, parent, &above)) {
		r = node_glance(j->store_dirfd, parent, &above, err);
	}
	if (r == 0 && above.has_owner) {
		out->has_owner = true;
		out->owner = above.owner;
		out->group = above.group;
	}
	return r;
}

/* A new step whose paths are looked at now. The step is the journal's from here on. */
static int add_step(struct journal *j, enum step_kind kind, const char *path, const char *to,
		    struct step **out, struct vs_err *err)
{
	struct node before = { 0 };
	struct node to_before = { 0 };
	struct step *step = NULL;
	int r;

	assert(!j->is_prepared);
	if (j->count >= JOURNAL_STEPS_MAX)
		return vs_fail(err, VS_ELIMIT, "a plan of more than %u steps", JOURNAL_STEPS_MAX);
	r = look_ahead(j, path, &before, err);
	if (r == VS_EACCES && kind == STEP_MODE)
		r = node_glance(j->store_dirfd, path, &before, err);
	if (r == 0 && to)
		r = look_ahead(j, to, &to_before, err);
	if (r < 0)
		return r;
	j->steps = vs_grow(j->steps, &j->cap, j->count + 1, sizeof(*j->steps));
	step = &j->steps[j->count++];
	*step = (struct step){
		.kind = kind,
		.path = vs_strdup(path),
		.to = to ? vs_strdup(to) : NULL,
		.before = before,
		.to_before = to_before,
	};
	*out = step;
	return 0;
}

/*
 * The newest step is complete. One that changes nothing must not stay: its outcome would always be
 * there, and journal_progress() would take all steps before it for done.
 */
static void keep_step(struct journal *j)
{
	struct step *step = &j->steps[j->count - 1];

	if (!step->to && node_equal(&step->before, &step->after)) {
		free(step->path);
		buf_fini(&step->content);
		j->count--;
		return;
	}
	path_index_note(&j->paths, slice_str(step->path), j->count - 1);
	if (step->to)
		path_index_note(&j->paths, slice_str(step->to), j->count - 1);
}

static int must_be(const struct node *node, enum node_kind kind, const char *path,
		   struct vs_err *err)
{
	if (node->kind == kind)
		return 0;
	if (kind == NODE_ABSENT)
		return vs_fail(err, VS_EBUSY, "%s: is there already", path);
	if (node->kind == NODE_ABSENT)
		return vs_fail(err, VS_ENOENT, "%s: is not there", path);
	return vs_fail(err, VS_EUSAGE, "%s: is not a %s", path,
		       kind == NODE_FILE ? "file" : "directory");
}

static int begin_write(struct journal *j, const char *path, uint32_t mode,
		       const struct digest *digest, struct step **out, struct vs_err *err)
{
	struct step *step = NULL;
	int r;

	r = add_step(j, STEP_WRITE, path, NULL, &step, err);
	if (r < 0)
		return r;
	if (step->before.kind != NODE_ABSENT && step->before.kind != NODE_FILE)
		return vs_fail(err, VS_EUSAGE, "%s: is not a file", path);
	step->has_old = step->before.kind == NODE_FILE;
	step->after = step->has_old ? step->before : (struct node){ .kind = NODE_FILE };
	step->after.mode = mode;
	step->after.modified_ns = 0;
	step->after.digest = *digest;
	*out = step;
	return step->has_old ? 0 : take_owner_above(j, path, &step->after, err);
}

int journal_add_write(struct journal *j, const char *path, uint32_t mode, struct slice bytes,
		      struct vs_err *err)
{
	struct step *step = NULL;
	struct digest digest;
	int r;

	digest_of(bytes, &digest);
	r = begin_write(j, path, mode, &digest, &step, err);
	if (r < 0)
		return r;
	buf_append(&step->content, bytes.ptr, bytes.len);
	keep_step(j);
	return 0;
}

/* A step whose content is staged next. Returns 1 when nothing would change. */
static int begin_staged(struct journal *j, const char *path, uint32_t mode, int64_t modified_ns,
			const struct digest *digest, struct vs_err *err)
{
	struct step *step = NULL;
	int r;

	r = begin_write(j, path, mode, digest, &step, err);
	if (r < 0)
		return r;
	step->after.modified_ns = modified_ns;
	keep_step(j);
	if (j->count == 0 || &j->steps[j->count - 1] != step)
		return 1;
	step->is_staged = true;
	return 0;
}

int journal_add_write_at(struct journal *j, const char *path, uint32_t mode, int64_t modified_ns,
			 struct slice bytes, struct vs_err *err)
{
	struct digest digest;
	int r;

	digest_of(bytes, &digest);
	r = begin_staged(j, path, mode, modified_ns, &digest, err);
	if (r != 0)
		return VS_MIN(r, 0);
	return content_put(j, j->count, bytes, -1, NULL, err);
}

int journal_add_write_moved(struct journal *j, const char *path, uint32_t mode, int64_t modified_ns,
			    int dirfd, const char *name, struct vs_err *err)
{
	struct digest digest, staged;
	int r;

	r = file_digest_at(dirfd, name, FILE_NO_FOLLOW, &digest, NULL, err);
	staged = digest;
	if (r == 0)
		r = begin_staged(j, path, mode, modified_ns, &digest, err);
	if (r != 0)
		return VS_MIN(r, 0);
	r = content_move(j, dirfd, name, &staged, err);
	if (r == 0 && memcmp(&staged, &digest, sizeof(digest)) != 0)
		r = content_changed(path, err);
	return r;
}

int journal_add_write_file(struct journal *j, const char *path, uint32_t mode, int64_t modified_ns,
			   int fd, struct vs_err *err)
{
	struct digest digest, staged;
	int r;

	r = file_digest_fd(fd, &digest, NULL, err);
	if (r == 0)
		r = begin_staged(j, path, mode, modified_ns, &digest, err);
	if (r == 0)
		r = content_put(j, j->count, (struct slice){ 0 }, fd, &staged, err);
	else
		return VS_MIN(r, 0);
	if (r == 0 && memcmp(&staged, &digest, sizeof(digest)) != 0)
		r = content_changed(path, err);
	return r;
}

int journal_add_remove(struct journal *j, const char *path, struct vs_err *err)
{
	struct step *step = NULL;
	int r;

	r = add_step(j, STEP_REMOVE, path, NULL, &step, err);
	if (r == 0)
		r = must_be(&step->before, NODE_FILE, path, err);
	if (r < 0)
		return r;
	step->has_old = true;
	keep_step(j);
	return 0;
}

int journal_add_move(struct journal *j, const char *from, const char *to, struct vs_err *err)
{
	struct step *step = NULL;
	int r;

	r = add_step(j, STEP_MOVE, from, to, &step, err);
	if (r == 0 && step->before.kind == NODE_ABSENT)
		return vs_fail(err, VS_ENOENT, "%s: is not there", from);
	if (r == 0)
		r = must_be(&step->to_before, NODE_ABSENT, to, err);
	if (r < 0)
		return r;
	step->to_after = step->before;
	keep_step(j);
	return 0;
}

int journal_add_exchange(struct journal *j, const char *a, const char *b, struct vs_err *err)
{
	struct step *step = NULL;
	int r;

	r = add_step(j, STEP_EXCHANGE, a, b, &step, err);
	if (r < 0)
		return r;
	if (step->before.kind == NODE_ABSENT || step->to_before.kind == NODE_ABSENT)
		return vs_fail(err, VS_ENOENT, "%s: is not there",
			       step->before.kind == NODE_ABSENT ? a : b);
	step->after = step->to_before;
	step->to_after = step->before;
	keep_step(j);
	return 0;
}

int journal_add_mkdir(struct journal *j, const char *path, uint32_t mode, struct vs_err *err)
{
	struct step *step = NULL;
	int r;

	r = add_step(j, STEP_MKDIR, path, NULL, &step, err);
	if (r == 0)
		r = must_be(&step->before, NODE_ABSENT, path, err);
	if (r < 0)
		return r;
	step->after = (struct node){ .kind = NODE_DIRECTORY, .mode = mode };
	r = take_owner_above(j, path, &step->after, err);
	if (r == 0)
		keep_step(j);
	return r;
}

int journal_add_rmdir(struct journal *j, const char *path, struct vs_err *err)
{
	struct step *step = NULL;
	int r;

	r = add_step(j, STEP_RMDIR, path, NULL, &step, err);
	if (r == 0)
		r = must_be(&step->before, NODE_DIRECTORY, path, err);
	if (r == 0)
		keep_step(j);
	return r;
}

int journal_add_mode(struct journal *j, const char *path, uint32_t mode, struct vs_err *err)
{
	struct step *step = NULL;
	int r;

	r = add_step(j, STEP_MODE, path, NULL, &step, err);
	if (r < 0)
		return r;
	if (step->before.kind != NODE_FILE && step->before.kind != NODE_DIRECTORY)
		return vs_fail(err, VS_EUSAGE, "%s: neither a file nor a directory", path);
	step->after = step->before;
	step->after.mode = mode;
	keep_step(j);
	return 0;
}

static int stage_step(struct journal *j, struct step *step, size_t number, struct vs_err *err)
{
	int r = 0;

	if (step->kind == STEP_WRITE && !step->is_staged)
		r = content_put(j, number, buf_slice(&step->content), -1, NULL, err);
	if (r == 0 && step->has_old)
		r = content_keep(j, step, number, err);
	buf_fini(&step->content);
	return r;
}

static int write_record(struct journal *j, struct vs_err *err)
{
	cleanup_(buf_fini) struct buf text = { 0 };
	cleanup_(file_closep) int above = -1;
	int r;

	buf_printf(&text, "%s,\"steps\":%zu}\n", j->header_line, j->count);
	for (size_t i = 0; i < j->count; i++)
		record_format_step(&j->steps[i], i + 1, &text);
	r = file_open_dir(j->state_dirfd, JOURNAL_DIR, FILE_NO_FOLLOW, &above, err);
	/* The directories above must be durable before the record can be. */
	if (r == 0)
		r = file_sync_dir(j->state_dirfd, err);
	if (r == 0)
		r = file_sync_dir(above, err);
	if (r == 0)
		r = file_replace_at(j->dirfd, JOURNAL_RECORD, 0600, buf_slice(&text), err);
	return r < 0 ? vs_err_in(err, "run %s", j->run) : 0;
}

int journal_apply(struct journal *j, struct vs_err *err)
{
	struct vs_err again = { 0 };
	int r = 0;

	assert(!j->is_prepared);
	for (size_t i = 0; i < j->count && r == 0; i++)
		r = stage_step(j, &j->steps[i], i + 1, err);
	if (r == 0)
		r = content_sync(j, err);
	if (r == 0)
		r = write_record(j, err);
	if (r < 0)
		return r;
	j->is_prepared = true;
	r = journal_forward_first(j, err);
	if (r == 0)
		return 0;
	if (journal_abort(j, &again) < 0) {
		vs_err_in(err, "run %s is unfinished (taking it back failed: %s)", j->run,
			  again.text);
		return err->status;
	}
	return r;
}

int journal_commit(struct journal *j, struct vs_err *err)
{
	int r = record_append_state(j, "done", err);

	if (r == 0)
		j->state = RUN_DONE;
	return r;
}

int journal_abort(struct journal *j, struct vs_err *err)
{
	int r;

	r = record_append_state(j, "taking-back", err);
	if (r == 0)
		r = journal_back(j, err);
	if (r == 0)
		r = record_append_state(j, "taken-back", err);
	if (r == 0)
		j->state = RUN_TAKEN_BACK;
	return r;
}
