/* SPDX-License-Identifier: Apache-2.0 */

/* What follows from the list of members: counts, sizes, root digests. */

#include "snap/private.h"

void snap_root_begin(struct digest_ctx *ctx)
{
	digest_ctx_reset(ctx);
}

void snap_root_add(struct digest_ctx *ctx, const struct snap_member *member)
{
	size_t len = strlen(member->path);

	digest_ctx_add_u64(ctx, len);
	digest_ctx_add(ctx, member->path, len);
	digest_ctx_add_u64(ctx, member->size);
	digest_ctx_add(ctx, member->digest.bytes, DIGEST_LEN);
}

struct sums {
	uint64_t bytes, stored_bytes, stored_members, documents;
	struct digest root;
	struct snap_collection *collections; /* documents, bytes, batches and root only; owned */
};

static void sums_fini(struct sums *s)
{
	free(s->collections);
}

static void free_contexts(struct digest_ctx **contexts, size_t count)
{
	for (size_t i = 0; i < count; i++)
		digest_ctx_freep(&contexts[i]);
	free(contexts);
}

static void count_member(struct sums *s, const struct snap_member *member)
{
	struct snap_collection *c;

	s->bytes += member->size;
	if (member->archive == 0) {
		s->stored_bytes += member->size;
		s->stored_members++;
	}
	if (member->collection == UINT32_MAX)
		return;
	c = &s->collections[member->collection];
	c->bytes += member->size;
	if (member->batch == SNAP_NO_BATCH)
		return;
	c->documents++;
	c->batches = VS_MAX(c->batches, member->batch + 1);
	s->documents++;
}

static void add_up(const struct snap_manifest *m, struct sums *out)
{
	/* The last one is that of the whole. */
	struct digest_ctx **ctx =
		vs_alloc_array(m->collection_count + 1, sizeof(struct digest_ctx *));

	out->collections = vs_alloc_array(m->collection_count + 1, sizeof(*out->collections));
	for (size_t i = 0; i <= m->collection_count; i++) {
		ctx[i] = digest_ctx_new();
		snap_root_begin(ctx[i]);
	}
	for (size_t i = 0; i < m->member_count; i++) {
		const struct snap_member *member = &m->members[i];

		count_member(out, member);
		snap_root_add(ctx[m->collection_count], member);
		if (member->collection != UINT32_MAX)
			snap_root_add(ctx[member->collection], member);
	}
	for (size_t i = 0; i < m->collection_count; i++) {
		digest_ctx_final(ctx[i], &out->collections[i].root);
		if (!m->collections[i].has_rows)
			continue;
		out->collections[i].documents = m->collections[i].documents;
		out->collections[i].batches = m->collections[i].batches;
		out->documents += m->collections[i].documents;
	}
	digest_ctx_final(ctx[m->collection_count], &out->root);
	free_contexts(ctx, m->collection_count + 1);
}

void snap_sum(struct snap_manifest *m)
{
	cleanup_(sums_fini) struct sums s = { 0 };

	add_up(m, &s);
	m->bytes = s.bytes;
	m->stored_bytes = s.stored_bytes;
	m->stored_members = s.stored_members;
	m->documents = s.documents;
	m->member_count_total = m->member_count;
	m->root = s.root;
	for (size_t i = 0; i < m->collection_count; i++) {
		m->collections[i].documents = s.collections[i].documents;
		m->collections[i].bytes = s.collections[i].bytes;
		m->collections[i].batches = s.collections[i].batches;
		m->collections[i].root = s.collections[i].root;
	}
}

static bool same_collection(const struct snap_collection *a, const struct snap_collection *b)
{
	return a->documents == b->documents && a->bytes == b->bytes && a->batches == b->batches &&
	       memcmp(&a->root, &b->root, sizeof(a->root)) == 0;
}

int snap_check_sums(const struct snap_manifest *m, struct vs_err *err)
{
	cleanup_(sums_fini) struct sums s = { 0 };

	add_up(m, &s);
	for (size_t i = 0; i < m->collection_count; i++) {
		if (!same_collection(&m->collections[i], &s.collections[i]))
			return vs_fail(
				err, VS_EFORMAT,
				"%s: counts or root digest do not follow from the list of files",
				m->collections[i].directory);
	}
	if (m->bytes != s.bytes || m->stored_bytes != s.stored_bytes ||
	    m->stored_members != s.stored_members || m->documents != s.documents ||
	    m->member_count_total != m->member_count)
		return vs_fail(err, VS_EFORMAT, "its sums do not follow from the list of files");
	if (memcmp(&m->root, &s.root, sizeof(m->root)) != 0)
		return vs_fail(err, VS_EFORMAT,
			       "its root digest does not follow from the list of files");
	return 0;
}
