/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Steps, done and taken back.
 *
 * How far a run has come is read off the store, not off the record: steps happen in order and each
 * is one change, so the last step whose outcome is there tells how many were done. A step is synced
 * before the next begins, so this holds after a power cut as well.
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

int journal_progress(struct journal *j, size_t *applied, struct vs_err *err)
{
	size_t done = j->count;
	int r = 0;

	while (done > 0) {
		r = step_is_after(j, &j->steps[done - 1], err);
		if (r != 0)
			break;
		done--;
	}
	if (r < 0)
		return r;
	if (done < j->count) {
		r = step_is_before(j, &j->steps[done], err);
		if (r < 0)
			return r;
		if (r == 0)
			return vs_fail(err, VS_EFORMAT, "%s: has changed since run %s was prepared",
				       j->steps[done].path, j->run);
	}
	*applied = done;
	return 0;
}

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

static int fail_staged(const struct journal *j, const char *name, struct vs_err *err)
{
	return vs_fail(err, VS_EFORMAT, "run %s: %s is not what was staged", j->run, name);
}

static int read_staged(struct journal *j, const char *name, const struct digest *want,
		       struct buf *out, struct vs_err *err)
{
	struct digest digest;
	int r;

	r = file_read_at(j->dirfd, name, FILE_NO_FOLLOW, JOURNAL_WHOLE_MAX, out, NULL, err);
	if (r < 0)
		return vs_err_in(err, "run %s", j->run);
	digest_of(buf_slice(out), &digest);
	if (r > 0 || memcmp(digest.bytes, want->bytes, DIGEST_LEN) != 0)
		return fail_staged(j, name, err);
	return 0;
}

/* The same for a file that is not to be held in memory: opened, and proven to be what was staged. */
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
		return fail_staged(j, name, err);
	*out = fd;
	fd = -1;
	return 0;
}

/* Put staged content in place; with @times also the time of modification that @node has. */
static int put_file(struct journal *j, size_t number, const char *suffix, const struct node *node,
		    bool times, struct place *at, struct vs_err *err)
{
	cleanup_(buf_fini) struct buf bytes = { 0 };
	cleanup_(file_closep) int fd = -1;
	struct file_info info;
	char name[32];
	int r;

	snprintf(name, sizeof(name), "%zu.%s", number, suffix);
	r = file_stat_at(j->dirfd, name, FILE_NO_FOLLOW, &info, err);
	if (r < 0)
		return vs_err_in(err, "run %s", j->run);
	if (info.size > JOURNAL_WHOLE_MAX)
		r = open_staged(j, name, &node->digest, &fd, err);
	else
		r = read_staged(j, name, &node->digest, &bytes, err);
	if (r == 0 && fd >= 0)
		r = file_replace_from_at(at->parent, at->name, node->mode, fd, err);
	else if (r == 0)
		r = file_replace_at(at->parent, at->name, node->mode, buf_slice(&bytes), err);
	if (r == 0 && times)
		r = file_set_times_at(at->parent, at->name, node->modified_ns, err);
	return r;
}

static int make_dir(struct place *at, uint32_t mode, struct vs_err *err)
{
	int r = file_mkdir_at(at->parent, at->name, 0700, err);

	if (r < 0 && r != VS_EBUSY)
		return r;
	return file_chmod_at(at->parent, at->name, mode, err);
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
	case STEP_WRITE: /* syncs the directory itself */
		return put_file(j, index + 1, "new", &step->after, step->after.modified_ns != 0,
				&at, err);
	case STEP_REMOVE:
		r = file_unlink_at(at.parent, at.name, err);
		break;
	case STEP_MOVE:
		r = file_rename_at(at.parent, at.name, to.parent, to.name, false, err);
		break;
	case STEP_EXCHANGE:
		r = file_exchange_at(at.parent, at.name, to.parent, to.name, err);
		break;
	case STEP_MKDIR:
		r = make_dir(&at, step->after.mode, err);
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
			return put_file(j, index + 1, "old", &step->before, true, &at, err);
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
		r = make_dir(&at, step->before.mode, err);
		break;
	case STEP_MODE:
		r = file_chmod_at(at.parent, at.name, step->before.mode, err);
		break;
	}
	return r < 0 ? r : sync_places(&at, &to, err);
}

int journal_forward(struct journal *j, struct vs_err *err)
{
	size_t applied;
	int r;

	r = journal_progress(j, &applied, err);
	for (size_t i = applied; r == 0 && i < j->count; i++)
		r = do_step(j, i, err);
	return r;
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
	size_t applied = 0;
	int r;

	r = journal_progress(j, &applied, err);
	if (r == 0 && applied < j->count)
		r = clear_half_step(j, &j->steps[applied], err);
	while (r == 0 && applied > 0) {
		r = undo_step(j, --applied, err);
		if (r == 0)
			r = clear_half_step(j, &j->steps[applied], err);
	}
	return r;
}
