/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Out of quarantine for good: only what is proven to be elsewhere as well.
 *
 * A copy may be a directory with the same tree, or a snapshot of the store. Where the snapshot has
 * the files does not matter (before they were set aside they stood in their collection): what
 * counts are their bytes. Its list is cheap to ask and proves nothing, so the members are then read
 * from the archives, of that snapshot alone.
 */

#include "chromem/chromem.h"
#include "repair/repair-private.h"

#include <fcntl.h>

#define ITEM_DEPTH_MAX 8

/* One file of the item. */
struct part {
	char *path; /* in the item */
	uint64_t size;
	struct digest digest;
	const struct snap_member *member; /* of the snapshot that is asked; NULL: it has none */
};

struct parts {
	struct part *all; /* in the order of the digests, once sorted */
	size_t count, cap;
};

static void parts_fini(struct parts *p)
{
	for (size_t i = 0; i < p->count; i++)
		free(p->all[i].path);
	free(p->all);
}

struct names {
	char **at;
	size_t count, cap;
};

static void names_fini(struct names *n)
{
	for (size_t i = 0; i < n->count; i++)
		free(n->at[i]);
	free(n->at);
}

static int add_name(void *ctx, const char *name, enum file_type type, struct vs_err *err)
{
	struct names *n = ctx;

	(void)type;
	(void)err;
	n->at = vs_grow(n->at, &n->cap, n->count + 1, sizeof(*n->at));
	n->at[n->count++] = vs_strdup(name);
	return 0;
}

/* ---- the item ---- */

struct walk {
	struct plan *plan;
	int store_dirfd;
	struct parts *parts; /* NULL: their bytes are not asked for */
	const char *item;    /* the path of the item */
};

/* What is no file is in no list of a snapshot's. */
static int read_part(const struct walk *w, int dirfd, const char *name, const char *path,
		     enum file_type type, struct vs_err *err)
{
	cleanup_(buf_fini) struct buf bytes = { 0 };
	struct part *part;
	int r;

	if (type != FILE_REGULAR)
		return vs_fail(err, VS_ENOTSUP,
			       "%s: not a file, so no snapshot holds it; give --copy DIR", path);
	r = file_read_at(dirfd, name, FILE_NO_FOLLOW, CHROMEM_FILE_MAX, &bytes, NULL, err);
	if (r > 0)
		return vs_fail(err, VS_EBUSY, "%s: was replaced meanwhile", path);
	if (r < 0)
		return vs_err_in(err, "%s", path);
	w->parts->all =
		vs_grow(w->parts->all, &w->parts->cap, w->parts->count + 1, sizeof(*w->parts->all));
	part = &w->parts->all[w->parts->count++];
	*part = (struct part){ .path = vs_strdup(path + strlen(w->item) + 1), .size = bytes.len };
	digest_of(buf_slice(&bytes), &part->digest);
	return 0;
}

static int purge_tree(const struct walk *w, const char *path, unsigned depth, struct vs_err *err)
{
	cleanup_(names_fini) struct names list = { 0 };
	cleanup_(file_closep) int fd = -1;
	int r;

	if (depth > ITEM_DEPTH_MAX)
		return vs_fail(err, VS_ELIMIT, "%s: directories nested deeper than %d", path,
			       ITEM_DEPTH_MAX);
	r = file_open_dir(w->store_dirfd, path, FILE_NO_FOLLOW, &fd, err);
	if (r == 0)
		r = file_list(fd, add_name, &list, err);
	for (size_t i = 0; r == 0 && i < list.count; i++) {
		cleanup_(buf_fini) struct buf below = { 0 };
		struct file_info info;

		buf_printf(&below, "%s/%s", path, list.at[i]);
		r = file_stat_at(fd, list.at[i], FILE_NO_FOLLOW, &info, err);
		if (r == 0 && info.type == FILE_DIRECTORY) {
			r = purge_tree(w, buf_cstr(&below), depth + 1, err);
			continue;
		}
		if (r == 0 && w->parts)
			r = read_part(w, fd, list.at[i], buf_cstr(&below), info.type, err);
		if (r == 0)
			plan_add(w->plan, STEP_REMOVE, "purge-file", buf_cstr(&below), NULL);
	}
	if (r == 0)
		plan_add(w->plan, STEP_RMDIR, "remove-directory", path, NULL);
	return r;
}

/* ---- snapshots ---- */

static int compare_parts(const void *a_, const void *b_)
{
	const struct part *a = a_;
	const struct part *b = b_;

	return memcmp(a->digest.bytes, b->digest.bytes, DIGEST_LEN);
}

/* The first of the parts with these bytes. */
static struct part *find_part(const struct parts *parts, const struct snap_member *member)
{
	size_t low = 0, high = parts->count;

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (memcmp(parts->all[mid].digest.bytes, member->digest.bytes, DIGEST_LEN) < 0)
			low = mid + 1;
		else
			high = mid;
	}
	if (low == parts->count || parts->all[low].size != member->size ||
	    memcmp(&parts->all[low].digest, &member->digest, sizeof(member->digest)) != 0)
		return NULL;
	return &parts->all[low];
}

/* Which of the parts the list has; returns how many it lacks, *@first is one of these. */
static size_t ask_list(struct parts *parts, const struct snap_manifest *m, const char **first)
{
	size_t missing = 0;

	for (size_t i = 0; i < parts->count; i++)
		parts->all[i].member = NULL;
	for (size_t i = 0; i < m->member_count; i++) {
		struct part *part = find_part(parts, &m->members[i]);

		if (part && !part->member)
			part->member = &m->members[i];
	}
	for (size_t i = 0; i < parts->count; i++) {
		struct part *part = &parts->all[i];

		if (!part->member && i > 0 && compare_parts(part, part - 1) == 0)
			part->member = part[-1].member;
		if (!part->member && missing++ == 0)
			*first = part->path;
	}
	return missing;
}

static bool is_wanted(void *ctx, const struct snap_member *member)
{
	const struct part *part = find_part(ctx, member);

	return part && part->member == member;
}

/* What the best of the snapshots lacks, for the refusal. */
struct refusal {
	size_t missing; /* SIZE_MAX: nothing was asked */
	char text[400];
};

/* Does this snapshot hold everything, now? 1 when it does; what it lacks goes into @refusal. */
static int ask_snapshot(struct parts *parts, const struct snap_access *access,
			struct snap_manifest *m, const struct store *store, struct refusal *refusal,
			struct vs_err *err)
{
	const char *first = NULL;
	struct vs_err why = { 0 };
	size_t missing;

	if (m->status == SNAP_FAILED || archived_check_store(m, store, &why) < 0)
		return 0;
	if (snap_load_members(access->state_dirfd, m, &why) < 0)
		return why.status == VS_ENOMEM ? vs_fail(err, VS_ENOMEM, "%s", why.text) : 0;
	missing = ask_list(parts, m, &first);
	if (missing == 0 && snap_read(access, m, is_wanted, NULL, parts, &why) == 0)
		return 1;
	if (missing > 0 && missing < refusal->missing)
		snprintf(refusal->text, sizeof(refusal->text),
			 "%s lacks %zu of them, one is %.200s", m->id, missing, first);
	else if (missing == 0 && refusal->missing > 0)
		snprintf(refusal->text, sizeof(refusal->text),
			 "%s has all of them in its list, but: %.300s", m->id, why.text);
	refusal->missing = VS_MIN(refusal->missing, missing);
	return 0;
}

/* The newest snapshot that holds every part; its name goes into @who. */
static int prove_by_snapshot(struct parts *parts, const struct store *store,
			     const struct purge_request *req, struct buf *who, struct vs_err *err)
{
	struct snap_access access = { .state_dirfd = req->state_dirfd,
				      .key = req->key,
				      .jobs = req->jobs,
				      .reads_whole = true };
	cleanup_(snap_list_fini) struct snap_list list = { 0 };
	struct refusal refusal = { .missing = SIZE_MAX, .text = "there is no snapshot" };
	int r = 0;

	if (parts->count == 0)
		return 0;
	qsort(parts->all, parts->count, sizeof(*parts->all), compare_parts);
	if (req->state_dirfd >= 0)
		r = snap_list_load(&list, req->state_dirfd, err);
	for (size_t i = list.count; r == 0 && i > 0; i--) {
		struct snap_manifest *m = list.entries[i - 1].m;

		if (m)
			r = ask_snapshot(parts, &access, m, store, &refusal, err);
		if (r > 0)
			buf_printf(who, "snapshot %s", m->id);
	}
	if (r != 0)
		return VS_MIN(r, 0);
	return vs_fail(
		err, VS_ENOENT,
		"no snapshot is proven to hold all %zu files of %s, so nothing is purged: %s; "
		"make one with vsctl snapshot create, or give --copy DIR",
		parts->count, req->item->name, refusal.text);
}

/* ---- a directory ---- */

static int prove_by_copy(const struct store *store, const char *path,
			 const struct purge_request *req, struct buf *who, struct vs_err *err)
{
	struct digest mine, theirs;
	int r;

	r = journal_look(store->dirfd, path, &mine, err);
	if (r > 0)
		r = journal_tree_digest(req->copy, &theirs, err);
	if (r < 0)
		return r;
	if (r == 0 || memcmp(mine.bytes, theirs.bytes, DIGEST_LEN) != 0)
		return vs_fail(err, VS_EUSAGE,
			       "%s does not hold what %s holds, so nothing is purged", req->copy,
			       req->item->name);
	buf_append_str(who, req->copy);
	return 0;
}

int plan_purge(struct plan *plan, const struct store *store, const struct purge_request *req,
	       struct vs_err *err)
{
	cleanup_(parts_fini) struct parts parts = { 0 };
	cleanup_(buf_fini) struct buf path = { 0 };
	cleanup_(buf_fini) struct buf who = { 0 };
	cleanup_(buf_fini) struct buf detail = { 0 };
	size_t first = plan->count;
	struct walk w = { plan, store->dirfd, req->copy ? NULL : &parts, NULL };
	int r;

	buf_printf(&path, QUARANTINE_DIR "/%s", req->item->name);
	w.item = buf_cstr(&path);
	r = purge_tree(&w, buf_cstr(&path), 0, err);
	if (r == 0 && req->copy)
		r = prove_by_copy(store, buf_cstr(&path), req, &who, err);
	else if (r == 0)
		r = prove_by_snapshot(&parts, store, req, &who, err);
	if (r < 0)
		return r;
	if (who.len > 0)
		buf_printf(&detail, "remove the item, which %s holds byte for byte",
			   buf_cstr(&who));
	else
		buf_append_str(&detail, "remove the item, in which there is no file");
	plan->actions[first].detail = buf_take_str(&detail);
	plan_sidecar_removal(plan, req->item);
	r = plan_home_removal(plan, store, req->item, err);
	return r < 0 ? r : plan_stamp(plan, store->dirfd, err);
}
