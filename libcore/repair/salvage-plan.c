/* SPDX-License-Identifier: Apache-2.0 */

/* The plan that puts a salvaged database in place, and keeps the old one. */

#include "chroma/chroma.h"
#include "repair/repair-private.h"

#include <fcntl.h>

static const char *const parts[] = { "", "-journal", "-wal" };

void salvage_steps_fini(struct salvage_steps *steps)
{
	free(steps->source);
	*steps = (struct salvage_steps){ 0 };
}

/* The new database, or what is to be kept of the old one, whose name in quarantine begins like it. */
static int open_content(void *ctx, const struct action *a, int *fd, struct vs_err *err)
{
	const struct salvage_steps *steps = ctx;
	char name[64];

	if (strcmp(a->path, CHROMA_DATABASE) == 0) {
		*fd = open(steps->salvage->path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
		return *fd < 0 ? vs_fail_errno(err, "%s", steps->salvage->path) : 0;
	}
	for (size_t i = VS_COUNT(parts); i-- > 0;) {
		snprintf(name, sizeof(name), "%s%s", CHROMA_DATABASE, parts[i]);
		if (!slice_ends_with(slice_str(a->path), name))
			continue;
		*fd = openat(steps->store_dirfd, name,
			     O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
		return *fd < 0 ? vs_fail_errno(err, "%s", name) : 0;
	}
	return vs_fail(err, VS_EUSAGE, "%s: nothing is known of this file", a->path);
}

static bool is_there(const struct store *store, const char *path, struct file_info *info)
{
	struct vs_err absent = { 0 };

	return file_stat_at(store->dirfd, path, FILE_NO_FOLLOW, info, &absent) == 0;
}

/* A directory of its own for each salvage, so that two of them keep both. */
static char *home_of(const struct store *store, int64_t time_ns)
{
	struct buf path = { 0 };
	struct file_info info;
	char when[32];

	time_format_compact(time_ns, when);
	for (unsigned i = 1; i < 1000; i++) {
		buf_clear(&path);
		buf_printf(&path, QUARANTINE_DIR "/salvaged.%s", when);
		if (i > 1)
			buf_printf(&path, "-%u", i);
		if (!is_there(store, buf_cstr(&path), &info))
			break;
	}
	return buf_take_str(&path);
}

static void plan_keep(struct plan *plan, const struct store *store, const char *home)
{
	for (size_t i = 0; i < VS_COUNT(parts); i++) {
		cleanup_(buf_fini) struct buf path = { 0 };
		struct file_info info;
		struct action *a;
		char name[64];

		snprintf(name, sizeof(name), "%s%s", CHROMA_DATABASE, parts[i]);
		if (!is_there(store, name, &info))
			continue;
		buf_printf(&path, "%s/%s", home, name);
		a = plan_add(plan, STEP_WRITE, "keep-database", buf_cstr(&path), NULL);
		a->is_file = true;
		a->mode = info.mode;
		a->modified_ns = info.modified_ns;
		if (i == 0)
			a->detail = vs_strdup("keeps the old database as it is");
	}
}

static void describe(const struct salvage *s, struct buf *out)
{
	buf_append_str(out, "a new database with ");
	text_count(out, s->count[SALVAGE_WHOLE] + s->count[SALVAGE_PARTLY], "record");
	buf_printf(out, ": %" PRIu64 " whole, %" PRIu64 " partly; %" PRIu64 " lost",
		   s->count[SALVAGE_WHOLE], s->count[SALVAGE_PARTLY], s->count[SALVAGE_LOST]);
}

/* What only the owner can bring back. */
static void leave_gaps(struct plan *plan, const struct salvage *s)
{
	cleanup_(buf_fini) struct buf why = { 0 };

	text_count(&why, s->count[SALVAGE_PARTLY], "record");
	buf_printf(&why,
		   " without all that they had, %" PRIu64
		   " lost: write these again, from a snapshot or from where they came",
		   s->count[SALVAGE_LOST]);
	plan_leave(plan, "chroma-database-corrupt", CHROMA_DATABASE, buf_cstr(&why), NULL);
}

int plan_salvage(struct plan *plan, const struct store *store, const struct salvage *salvage,
		 int64_t time_ns, struct salvage_steps *steps, struct vs_err *err)
{
	cleanup_(vs_freep) char *home = home_of(store, time_ns);
	cleanup_(buf_fini) struct buf detail = { 0 };
	struct file_info info;
	struct action *a;
	int r = file_stat_at(store->dirfd, CHROMA_DATABASE, FILE_NO_FOLLOW, &info, err);

	if (r < 0)
		return r;
	steps->salvage = salvage;
	steps->store_dirfd = store->dirfd;
	steps->source = vs_alloc(sizeof(*steps->source));
	*steps->source = (struct plan_source){ .ctx = steps, .file = open_content };
	plan->source = steps->source;
	if (is_there(store, QUARANTINE_DIR, &info) && info.type != FILE_DIRECTORY)
		return vs_fail(err, VS_EUSAGE, QUARANTINE_DIR " in the store is not a directory");
	if (!is_there(store, QUARANTINE_DIR, &info))
		plan_add(plan, STEP_MKDIR, "make-directory", QUARANTINE_DIR, NULL)->mode = 0755;
	plan_add(plan, STEP_MKDIR, "make-directory", home, NULL)->mode = 0700;
	plan_keep(plan, store, home);
	r = file_stat_at(store->dirfd, CHROMA_DATABASE, FILE_NO_FOLLOW, &info, err);
	if (r < 0)
		return r;
	describe(salvage, &detail);
	a = plan_add(plan, STEP_WRITE, "write-database", CHROMA_DATABASE, NULL);
	a->is_file = true;
	a->mode = info.mode;
	a->modified_ns = time_ns;
	a->detail = buf_take_str(&detail);
	if (salvage->count[SALVAGE_PARTLY] + salvage->count[SALVAGE_LOST] > 0 ||
	    !salvage->has_all_ids)
		leave_gaps(plan, salvage);
	if (salvage->needs_index)
		plan_leave(plan, "chroma-index-id-missing", CHROMA_DATABASE,
			   "the index directories do not hold the same ids as the new database",
			   "vsctl index rebuild STORE");
	return plan_stamp(plan, store->dirfd, err);
}
