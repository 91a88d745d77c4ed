/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Back to a snapshot: what differs between it and the store becomes a plan of single files, so what
 * has not changed is not touched. Only collections go back. What else is in the store's directory,
 * the quarantine above all, is not part of a collection and stays as it is.
 */

#include "repair/rollback-chroma.h"

#include <fcntl.h>

struct rollback {
	struct plan *plan;
	const struct rollback_request *req;
	struct rollback_change *changes;
	size_t count, cap;
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

	a = plan_add(rb->plan, STEP_MKDIR, "make-directory", directory, NULL);
	a->mode = 0700;
	for (size_t i = 0; i < rb->req->m->directory_count; i++) {
		if (strcmp(rb->req->m->directories[i].path, directory) == 0)
			a->mode = rb->req->m->directories[i].mode;
	}
}

static void put_back(struct rollback *rb, struct rollback_change *change, const char *path,
		     const struct snap_member *member)
{
	struct action *a;

	/* Of a collection that is not there, this is the first file. */
	if (!change->has_changes && change->kept == 0 &&
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
	if (!collection_of(path, &directory) || !is_chosen(rb->req, directory))
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
static void remove_directories(struct rollback *rb)
{
	for (size_t i = 0; i < rb->count; i++) {
		if (!rb->changes[i].is_in_snapshot)
			(void)plan_add(rb->plan, STEP_RMDIR, "remove-directory",
				       rb->changes[i].directory, NULL);
	}
}

int plan_rollback(struct plan *plan, const struct rollback_request *req,
		  struct rollback_change **changes, size_t *count, struct vs_err *err)
{
	struct rollback rb = { .plan = plan, .req = req };
	int r;

	if (req->store->kind == STORE_CHROMA)
		return plan_rollback_chroma(plan, req, changes, count, err);
	r = snap_compare(req->m, req->store, req->rehash, req->jobs, on_change, &rb, err);
	if (r == 0) {
		remove_directories(&rb);
		r = plan_stamp(plan, req->store->dirfd, err);
	}
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
	const char *name = strrchr(path, '/') + 1;
	const char *suffix = strchr(name, '.');

	return suffix && (strcmp(suffix, ".gob") == 0 || strcmp(suffix, ".gob.gz") == 0) &&
	       strncmp(name, "00000000.", 9) != 0;
}

static int on_difference(void *ctx, enum snap_change kind, const char *path,
			 const struct snap_member *member, struct vs_err *err)
{
	struct proof *proof = ctx;
	struct slice directory;
	bool wanted, is_right;

	(void)err;
	if (!collection_of(path, &directory) || !is_chosen(proof->req, directory))
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
	struct proof proof = { .req = req };
	int r;

	if (req->store->kind == STORE_CHROMA)
		return rollback_prove_chroma(req, err);
	r = snap_compare(req->m, req->store, true, req->jobs, on_difference, &proof, err);
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
