/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Steps, done and taken back.
 *
 * How far a run has come is read off the store, not off the record. Steps happen in groups, one after
 * the other: files that are written or removed, no two of one name, are a group, and every other step
 * is one by itself. A group is durable before the next begins, so the last one of which anything is
 * done tells that all before it are, after a power cut as well; within it, each step tells for itself.
 */

#include "journal/journal-private.h"

#include <fcntl.h>

bool step_compares_content(const struct step *step, const struct node *want)
{
	(void)want;
	/* A mode may be changed because what is there could not be read. */
	return step->kind != STEP_MKDIR && step->kind != STEP_RMDIR && step->kind != STEP_MODE;
}

/* Does @path hold @want? */
static int holds(struct journal *j, const struct step *step, const char *path,
		 const struct node *want, struct vs_err *err)
{
	struct node now = { 0 };
	int r;

	r = node_glance(j->store_dirfd, path, &now, err);
	if (r < 0)
		return r;
	if (now.kind != want->kind)
		return 0;
	if (now.kind == NODE_ABSENT)
		return 1;
	if (!step_compares_content(step, want))
		return now.mode == want->mode;
	r = node_look(j->store_dirfd, path, &now, err);
	return r < 0 ? r : node_equal(&now, want);
}

static int step_is_after(struct journal *j, const struct step *step, struct vs_err *err)
{
	struct node now = { 0 };
	int r;

	/* Being made again, and killed before it got its mode: still after, as for MKDIR below. */
	if (step->kind == STEP_RMDIR) {
		r = node_glance(j->store_dirfd, step->path, &now, err);
		return r < 0 ? r
			     : now.kind == NODE_ABSENT || (now.kind == NODE_DIRECTORY &&
							   now.mode != step->before.mode);
	}
	r = holds(j, step, step->path, &step->after, err);
	if (r > 0 && step->to)
		r = holds(j, step, step->to, &step->to_after, err);
	return r;
}

static int step_is_before(struct journal *j, const struct step *step, struct vs_err *err)
{
	struct node now = { 0 };
	int r;

	/* Made, and killed before its mode was set: still before, since making it again only sets
	 * the mode. */
	if (step->kind == STEP_MKDIR) {
		r = node_glance(j->store_dirfd, step->path, &now, err);
		return r < 0 ? r : now.kind == NODE_ABSENT || now.kind == NODE_DIRECTORY;
	}
	r = holds(j, step, step->path, &step->before, err);
	if (r > 0 && step->to)
		r = holds(j, step, step->to, &step->to_before, err);
	return r;
}

/* ---- groups ---- */

static bool is_free(const struct step *step)
{
	return step->kind == STEP_WRITE || step->kind == STEP_REMOVE;
}

static void find_groups(struct journal *j)
{
	cleanup_(path_index_fini) struct path_index names = { 0 };
	size_t first = 0, other;

	for (size_t i = 0; i < j->count; i++) {
		struct step *step = &j->steps[i];

		if (i == 0 || !is_free(step) || !is_free(&j->steps[i - 1]) ||
		    path_index_find(&names, slice_str(step->path), &other)) {
			path_index_fini(&names);
			first = i;
		}
		path_index_note(&names, slice_str(step->path), i);
		step->group = first;
	}
}

static size_t group_end(const struct journal *j, size_t first)
{
	size_t end = first;

	while (end < j->count && j->steps[end].group == first)
		end++;
	return end;
}

/* Returns whether any step of the group is done, or negative. */
static int look_at_group(struct journal *j, size_t first, size_t end, struct vs_err *err)
{
	bool any = false;

	for (size_t i = first; i < end; i++) {
		int r = step_is_after(j, &j->steps[i], err);

		if (r < 0)
			return r;
		j->steps[i].is_done = r > 0;
		any |= r > 0;
	}
	return any;
}

/* What is not done can be: it is as it was. Returns whether all is done. */
static int rest_is_before(struct journal *j, size_t first, size_t end, struct vs_err *err)
{
	bool all = true;

	for (size_t i = first; i < end; i++) {
		int r;

		if (j->steps[i].is_done)
			continue;
		all = false;
		r = step_is_before(j, &j->steps[i], err);
		if (r < 0)
			return r;
		if (r == 0)
			return vs_fail(err, VS_EFORMAT, "%s: has changed since run %s was prepared",
				       j->steps[i].path, j->run);
	}
	return all;
}

int journal_progress(struct journal *j, struct reach *out, struct vs_err *err)
{
	size_t first = j->count, end = j->count;
	int r = 0;

	find_groups(j);
	while (r == 0 && first > 0) {
		end = first;
		first = j->steps[end - 1].group;
		r = look_at_group(j, first, end, err);
	}
	if (r < 0)
		return r;
	for (size_t i = 0; i < first; i++)
		j->steps[i].is_done = true;
	out->from = first;
	/* The one that is under way, and where that is done the next. */
	r = rest_is_before(j, first, end, err);
	if (r > 0 && end < j->count) {
		first = end;
		end = group_end(j, first);
		r = rest_is_before(j, first, end, err);
	}
	out->end = end;
	return VS_MIN(r, 0);
}

/* ---- one step ---- */

/* Both parents opened, the change made by @change, both parents synced. */
struct place {
	int parent;
	const char *name;
};

static void place_fini(struct place *p)
{
	file_closep(&p->parent);
}

static int open_place(struct journal *j, const char *path, struct place *out, struct vs_err *err)
{
	return journal_open_parent(j->store_dirfd, path, &out->parent, &out->name, err);
}

static int sync_places(const struct place *a, const struct place *b, struct vs_err *err)
{
	int r = file_sync_dir(a->parent, err);

	return r == 0 && b && b->parent >= 0 ? file_sync_dir(b->parent, err) : r;
}

/* What stands beside the record, proven to be what was staged. */
static int open_staged(struct journal *j, const char *name, const struct digest *want, int *out,
		       struct vs_err *err)
{
	cleanup_(file_closep) int fd =
		openat(j->dirfd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	struct digest digest;
	int r;

	if (fd < 0)
		return vs_fail_errno(err, "run %s: %s", j->run, name);
	r = file_digest_fd(fd, &digest, NULL, err);
	if (r < 0)
		return vs_err_in(err, "run %s: %s", j->run, name);
	if (memcmp(digest.bytes, want->bytes, DIGEST_LEN) != 0)
		return vs_fail(err, VS_EFORMAT, "run %s: %s is not what was staged", j->run, name);
	*out = fd;
	fd = -1;
	return 0;
}

/* Put a copy of staged content in place. */
static int put_file(struct journal *j, const char *name, const struct node *node, bool has_time,
		    struct place *at, struct vs_err *err)
{
	const struct file_look look = node_dress(node, has_time);
	cleanup_(file_closep) int fd = -1;
	int r = open_staged(j, name, &node->digest, &fd, err);

	return r == 0 ? file_put_at(at->parent, at->name, &look, fd, err) : r;
}

/* New content is moved to its place, with all that it is to have, and copied where that cannot be. */
static int put_new(struct journal *j, size_t number, struct place *at, struct vs_err *err)
{
	const struct node *after = &j->steps[number - 1].after;
	char name[32];
	int r;

	snprintf(name, sizeof(name), "%zu.new", number);
	r = file_rename_at(j->dirfd, name, at->parent, at->name, true, err);
	if (r != VS_ENOTSUP)
		return r < 0 ? vs_err_in(err, "run %s", j->run) : r;
	return put_file(j, name, after, after->modified_ns != 0, at, err);
}

static int put_old(struct journal *j, size_t number, struct place *at, struct vs_err *err)
{
	char name[32];

	snprintf(name, sizeof(name), "%zu.old", number);
	return put_file(j, name, &j->steps[number - 1].before, true, at, err);
}

static int make_dir(struct place *at, const struct node *node, struct vs_err *err)
{
	int r = file_mkdir_at(at->parent, at->name, 0700, err);

	if (r < 0 && r != VS_EBUSY)
		return r;
	r = node->has_owner ? file_give_at(at->parent, at->name, node->owner, node->group, err) : 0;
	return r < 0 ? r : file_chmod_at(at->parent, at->name, node->mode, err);
}

static int do_step(struct journal *j, size_t index, struct vs_err *err)
{
	const struct step *step = &j->steps[index];
	cleanup_(place_fini) struct place at = { .parent = -1 };
	cleanup_(place_fini) struct place to = { .parent = -1 };
	int r;

	r = open_place(j, step->path, &at, err);
	if (r == 0 && step->to)
		r = open_place(j, step->to, &to, err);
	if (r < 0)
		return r;
	switch (step->kind) {
	case STEP_WRITE: /* syncing is left to do_group() */
		return put_new(j, index + 1, &at, err);
	case STEP_REMOVE:
		return file_unlink_at(at.parent, at.name, err);
	case STEP_MOVE:
		r = file_rename_at(at.parent, at.name, to.parent, to.name, false, err);
		break;
	case STEP_EXCHANGE:
		r = file_exchange_at(at.parent, at.name, to.parent, to.name, err);
		break;
	case STEP_MKDIR:
		r = make_dir(&at, &step->after, err);
		break;
	case STEP_RMDIR:
		r = file_rmdir_at(at.parent, at.name, err);
		break;
	case STEP_MODE:
		r = file_chmod_at(at.parent, at.name, step->after.mode, err);
		break;
	}
	return r < 0 ? r : sync_places(&at, &to, err);
}

static int undo_step(struct journal *j, size_t index, struct vs_err *err)
{
	const struct step *step = &j->steps[index];
	cleanup_(place_fini) struct place at = { .parent = -1 };
	cleanup_(place_fini) struct place to = { .parent = -1 };
	int r;

	r = open_place(j, step->path, &at, err);
	if (r == 0 && step->to)
		r = open_place(j, step->to, &to, err);
	if (r < 0)
		return r;
	switch (step->kind) {
	case STEP_WRITE:
	case STEP_REMOVE:
		if (step->has_old)
			return put_old(j, index + 1, &at, err);
		r = file_unlink_at(at.parent, at.name, err);
		break;
	case STEP_MOVE:
		r = file_rename_at(to.parent, to.name, at.parent, at.name, false, err);
		break;
	case STEP_EXCHANGE:
		r = file_exchange_at(at.parent, at.name, to.parent, to.name, err);
		break;
	case STEP_MKDIR:
		r = file_rmdir_at(at.parent, at.name, err);
		break;
	case STEP_RMDIR:
		r = make_dir(&at, &step->before, err);
		break;
	case STEP_MODE:
		r = file_chmod_at(at.parent, at.name, step->before.mode, err);
		break;
	}
	return r < 0 ? r : sync_places(&at, &to, err);
}

/* Make the directories durable whose entries a group has changed; those of one directory follow one
 * another. */
static int sync_group(struct journal *j, size_t first, size_t end, struct vs_err *err)
{
	size_t last_len = SIZE_MAX;
	const char *last = "";
	int r = 0;

	for (size_t i = first; r == 0 && i < end; i++) {
		cleanup_(place_fini) struct place at = { .parent = -1 };
		const char *path = j->steps[i].path;
		const char *slash = strrchr(path, '/');
		size_t len = slash ? (size_t)(slash - path) : 0;

		if (len == last_len && memcmp(path, last, len) == 0)
			continue;
		last = path;
		last_len = len;
		r = open_place(j, path, &at, err);
		if (r == 0)
			r = file_sync_dir(at.parent, err);
	}
	return r;
}

static int do_group(struct journal *j, size_t first, size_t end, struct vs_err *err)
{
	int r = 0;

	for (size_t i = first; r == 0 && i < end; i++) {
		if (!j->steps[i].is_done)
			r = do_step(j, i, err);
	}
	return r == 0 && is_free(&j->steps[first]) ? sync_group(j, first, end, err) : r;
}

static int do_groups(struct journal *j, size_t from, struct vs_err *err)
{
	size_t end;
	int r = 0;

	for (size_t first = from; r == 0 && first < j->count; first = end) {
		end = group_end(j, first);
		r = do_group(j, first, end, err);
	}
	return r;
}

int journal_forward_first(struct journal *j, struct vs_err *err)
{
	find_groups(j);
	return do_groups(j, 0, err);
}

int journal_forward(struct journal *j, struct vs_err *err)
{
	struct reach reach;
	int r = journal_progress(j, &reach, err);

	return r == 0 ? do_groups(j, reach.from, err) : r;
}

/* A step that was begun and not finished may have left something beside its target. */
static int clear_half_step(struct journal *j, const struct step *step, struct vs_err *err)
{
	cleanup_(place_fini) struct place at = { .parent = -1 };
	struct node now = { 0 };
	int r;

	if (step->kind != STEP_WRITE && step->kind != STEP_REMOVE && step->kind != STEP_MKDIR)
		return 0;
	r = open_place(j, step->path, &at, err);
	if (r == VS_ENOENT)
		return 0;
	if (r == 0 && step->kind != STEP_MKDIR)
		return file_remove_leftover_at(at.parent, at.name, err);
	if (r == 0)
		r = node_glance(j->store_dirfd, step->path, &now, err);
	return r == 0 && now.kind == NODE_DIRECTORY ? file_rmdir_at(at.parent, at.name, err) : r;
}

int journal_back(struct journal *j, struct vs_err *err)
{
	struct reach reach = { 0 };
	int r = journal_progress(j, &reach, err);

	for (size_t i = reach.end; r == 0 && i > 0; i--) {
		if (j->steps[i - 1].is_done)
			r = undo_step(j, i - 1, err);
		if (r == 0)
			r = clear_half_step(j, &j->steps[i - 1], err);
	}
	return r;
}
