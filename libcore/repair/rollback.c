/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Back to a snapshot: what differs between it and the store becomes a plan of single files, so what
 * has not changed is not touched. Only collections go back. What else is in the store's directory,
 * the quarantine above all, is not part of a collection and stays as it is, unless the whole is asked
 * for.
 */

#include "repair/rollback-chroma.h"

#include <fcntl.h>

struct rollback {
	struct plan *plan;
	const struct rollback_request *req;
	struct rollback_change *changes;
	size_t count, cap;
	char *made; /* of the whole: the directory that parents were made for last; owned */
};

void rollback_changes_free(struct rollback_change *changes, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		free(changes[i].directory);
		vs_free_const(changes[i].name.ptr);
	}
	free(changes);
}

/* ---- which documents are wanted ---- */

/* The directory that a file is in, if that may be a collection's: "e9f85bf6/00000000.gob". */
static bool collection_of(const char *path, struct slice *out)
{
	const char *slash = strchr(path, '/');
	uint32_t hash;

	if (!slash || strchr(slash + 1, '/'))
		return false;
	*out = slice_of(path, (size_t)(slash - path));
	return chromem_hash_parse(*out, &hash);
}

/* What a file is counted with: its collection, or, of the whole, what it is in. */
static bool part_of(const struct rollback_request *req, const char *path, struct slice *out)
{
	const char *slash = strchr(path, '/');

	if (collection_of(path, out))
		return true;
	*out = slash ? slice_of(path, (size_t)(slash - path)) : slice_str(".");
	return req->is_whole;
}

static bool is_chosen(const struct rollback_request *req, struct slice directory)
{
	if (req->collection_count == 0)
		return true;
	for (size_t i = 0; i < req->collection_count; i++) {
		if (slice_eq_str(directory, req->collections[i]))
			return true;
	}
	return false;
}

/* Batches and times choose among documents; metadata always belong to it. */
static bool is_wanted(const struct rollback_request *req, struct slice directory,
		      const struct snap_member *member)
{
	if (member->batch == SNAP_NO_BATCH)
		return true;
	if (req->at_ns != 0 && member->modified_ns > req->at_ns)
		return false;
	for (size_t i = 0; i < req->batch_count; i++) {
		if (slice_eq_str(directory, req->batches[i].directory) &&
		    req->batches[i].batch == member->batch)
			return true;
	}
	return req->batch_count == 0;
}

/* ---- the plan ---- */

static struct rollback_change *change_for(struct rollback *rb, struct slice directory)
{
	struct rollback_change *change;

	/* Paths come in byte order, and with them the directories. */
	if (rb->count > 0 && slice_eq_str(directory, rb->changes[rb->count - 1].directory))
		return &rb->changes[rb->count - 1];
	rb->changes = vs_grow(rb->changes, &rb->cap, rb->count + 1, sizeof(*rb->changes));
	change = &rb->changes[rb->count++];
	*change = (struct rollback_change){ .directory = vs_strndup(directory) };
	for (size_t i = 0; i < rb->req->m->collection_count; i++) {
		const struct snap_collection *c = &rb->req->m->collections[i];

		if (!slice_eq_str(directory, c->directory))
			continue;
		change->is_in_snapshot = true;
		if (c->name.len > 0)
			change->name = slice_of(vs_strndup(c->name), c->name.len);
	}
	return change;
}

static void make_directory(struct rollback *rb, const char *directory)
{
	struct action *a;

	if (plan_has(rb->plan, STEP_MKDIR, directory))
		return;
	a = plan_add(rb->plan, STEP_MKDIR, "make-directory", directory, NULL);
	a->mode = 0700;
	for (size_t i = 0; i < rb->req->m->directory_count; i++) {
		if (strcmp(rb->req->m->directories[i].path, directory) == 0)
			a->mode = rb->req->m->directories[i].mode;
	}
}

/* Of the whole: each directory on the way to a file that is not there now. */
static void make_parents(struct rollback *rb, const char *path)
{
	const char *last = strrchr(path, '/');
	cleanup_(vs_freep) char *parent = vs_strdup(path);
	size_t len = last ? (size_t)(last - path) : 0;

	/* Files of one directory come one after the other. */
	if (!last || (rb->made && strlen(rb->made) == len && strncmp(rb->made, path, len) == 0))
		return;
	free(rb->made);
	rb->made = vs_strndup(slice_of(path, len));
	for (char *slash = strchr(parent, '/'); slash; slash = strchr(slash + 1, '/')) {
		struct vs_err absent = { 0 };
		struct file_info info;

		*slash = '\0';
		if (file_stat_at(rb->req->store->dirfd, parent, FILE_NO_FOLLOW, &info, &absent) <
			    0 ||
		    info.type != FILE_DIRECTORY)
			make_directory(rb, parent);
		*slash = '/';
	}
}

static void put_back(struct rollback *rb, struct rollback_change *change, const char *path,
		     const struct snap_member *member)
{
	struct action *a;

	/* Of a collection that is not there, this is the first file. */
	if (rb->req->is_whole)
		make_parents(rb, path);
	else if (!change->has_changes && change->kept == 0 &&
		 faccessat(rb->req->store->dirfd, change->directory, F_OK, AT_SYMLINK_NOFOLLOW) < 0)
		make_directory(rb, change->directory);
	a = plan_add(rb->plan, STEP_WRITE, "restore-file", path, NULL);
	a->collection = vs_strdup(change->directory);
	a->mode = member->mode;
	a->modified_ns = member->modified_ns;
	a->is_sourced = true;
	change->has_changes = true;
}

static void take_away(struct rollback *rb, struct rollback_change *change, const char *path)
{
	struct action *a = plan_add(rb->plan, STEP_REMOVE, "remove-file", path, NULL);

	a->collection = vs_strdup(change->directory);
	change->has_changes = true;
}

static int on_change(void *ctx, enum snap_change kind, const char *path,
		     const struct snap_member *member, struct vs_err *err)
{
	struct rollback *rb = ctx;
	struct rollback_change *change;
	struct slice directory;
	bool wanted;

	(void)err;
	if (!part_of(rb->req, path, &directory) || !is_chosen(rb->req, directory))
		return 0;
	change = change_for(rb, directory);
	wanted = member && is_wanted(rb->req, directory, member);
	if (!wanted && kind != SNAP_MISSING) {
		change->added++;
		take_away(rb, change, path);
	} else if (wanted && kind == SNAP_SAME) {
		change->kept++;
	} else if (wanted) {
		change->removed += kind == SNAP_MISSING;
		change->changed += kind == SNAP_MODIFIED;
		put_back(rb, change, path, member);
	}
	return 0;
}

/* A collection that the snapshot does not have goes with its directory. */
static void remove_collections(struct rollback *rb)
{
	for (size_t i = 0; i < rb->count; i++) {
		if (!rb->changes[i].is_in_snapshot)
			(void)plan_add(rb->plan, STEP_RMDIR, "remove-directory",
				       rb->changes[i].directory, NULL);
	}
}

static bool had_directory(const struct snap_manifest *m, const char *path)
{
	for (size_t i = 0; i < m->directory_count; i++) {
		if (strcmp(m->directories[i].path, path) == 0)
			return true;
	}
	return false;
}

/*
 * Of the whole: every directory that files were taken from and that the snapshot does not have. The
 * files come in byte order, so from the last to the first each directory comes before the one that
 * it is in.
 */
static void remove_directories(struct rollback *rb)
{
	size_t count = rb->plan->count;

	free(rb->made);
	rb->made = NULL;
	for (size_t i = count; i > 0; i--) {
		const char *path = rb->plan->actions[i - 1].path;
		size_t len = strrchr(path, '/') ? (size_t)(strrchr(path, '/') - path) : 0;
		cleanup_(vs_freep) char *parent = vs_strdup(path);
		char *slash;

		if (rb->plan->actions[i - 1].kind != STEP_REMOVE ||
		    (rb->made && strlen(rb->made) == len && strncmp(rb->made, path, len) == 0))
			continue;
		free(rb->made);
		rb->made = vs_strndup(slice_of(path, len));
		while ((slash = strrchr(parent, '/'))) {
			*slash = '\0';
			if (had_directory(rb->req->m, parent) ||
			    plan_has(rb->plan, STEP_RMDIR, parent))
				continue;
			(void)plan_add(rb->plan, STEP_RMDIR, "remove-directory", parent, NULL);
		}
	}
}

int plan_rollback(struct plan *plan, const struct rollback_request *req,
		  struct rollback_change **changes, size_t *count, struct vs_err *err)
{
	const struct snap_comparison what = { req->m, req->store, req->rehash, req->jobs,
					      req->known };
	struct rollback rb = { .plan = plan, .req = req };
	int r;

	if (req->store->kind == STORE_CHROMA)
		return plan_rollback_chroma(plan, req, changes, count, err);
	r = snap_compare_known(&what, on_change, &rb, err);
	if (r == 0) {
		if (req->is_whole)
			remove_directories(&rb);
		else
			remove_collections(&rb);
		r = plan_stamp(plan, req->store->dirfd, err);
	}
	free(rb.made);
	if (r < 0) {
		rollback_changes_free(rb.changes, rb.count);
		return r;
	}
	*changes = rb.changes;
	*count = rb.count;
	return 0;
}

/* ---- what the store must be afterwards ---- */

struct proof {
	const struct rollback_request *req;
	uint64_t wanted, there; /* documents */
	uint64_t wrong;
	char first[300];
};

static bool is_document(const char *path)
{
	const char *slash = strrchr(path, '/');
	const char *name = slash ? slash + 1 : path;
	const char *suffix = strchr(name, '.');

	return slash && suffix && (strcmp(suffix, ".gob") == 0 || strcmp(suffix, ".gob.gz") == 0) &&
	       strncmp(name, "00000000.", 9) != 0;
}

static int on_difference(void *ctx, enum snap_change kind, const char *path,
			 const struct snap_member *member, struct vs_err *err)
{
	struct proof *proof = ctx;
	struct slice directory;
	bool wanted, is_right;

	(void)err;
	if (!part_of(proof->req, path, &directory) || !is_chosen(proof->req, directory))
		return 0;
	wanted = member && is_wanted(proof->req, directory, member);
	is_right = wanted ? kind == SNAP_SAME : kind == SNAP_MISSING;
	if (is_document(path)) {
		proof->wanted += wanted;
		proof->there += kind != SNAP_MISSING;
	}
	if (!is_right && proof->wrong++ == 0)
		snprintf(proof->first, sizeof(proof->first), "%s", path);
	return 0;
}

int rollback_prove(const struct rollback_request *req, struct vs_err *err)
{
	const struct snap_comparison what = { req->m, req->store, true, req->jobs, req->known };
	struct proof proof = { .req = req };
	int r;

	if (req->store->kind == STORE_CHROMA)
		return rollback_prove_chroma(req, err);
	r = snap_compare_known(&what, on_difference, &proof, err);
	if (r == 0 && proof.wanted != proof.there)
		return vs_fail(err, VS_EFORMAT,
			       "%s: Document count mismatch: %" PRIu64 " vs %" PRIu64, proof.first,
			       proof.wanted, proof.there);
	if (r == 0 && proof.wrong > 0)
		return vs_fail(err, VS_EFORMAT,
			       "%s: is not what snapshot %s has (%" PRIu64 " file%s)", proof.first,
			       req->m->id, proof.wrong, proof.wrong == 1 ? "" : "s");
	return r;
}
