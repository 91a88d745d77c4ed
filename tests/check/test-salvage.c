/* SPDX-License-Identifier: Apache-2.0 */

/*
 * What the sidecar of a quarantined document says: all that the damaged file still holds, and
 * nothing that it does not. On documents of a real store, plain and gzip, cut at every length and
 * with every byte flipped.
 */

#include "kit.h"
#include "repair/repair.h"

#include <criterion/criterion.h>

/* What the document said before it was damaged. */
struct original {
	char *collection, *file;
	struct buf id, content, bytes;
	struct buf pairs[16]; /* "key\nvalue" */
	size_t pair_count;
};

static void original_fini(struct original *o)
{
	free(o->collection);
	free(o->file);
	buf_fini(&o->id);
	buf_fini(&o->content);
	buf_fini(&o->bytes);
	for (size_t i = 0; i < o->pair_count; i++)
		buf_fini(&o->pairs[i]);
}

static struct kit_dir *original_load(struct original *o, const char *fixture, const char *path)
{
	struct kit_dir *dir = kit_fixture(fixture);
	cleanup_(chromem_reader_freep) struct chromem_reader *reader = chromem_reader_new();
	struct chromem_fault fault = { 0 };
	struct chromem_doc doc = { 0 };
	struct vs_err err = { 0 };
	const char *slash = strchr(path, '/');

	o->collection = vs_strndup(slice_of(path, (size_t)(slash - path)));
	o->file = vs_strdup(slash + 1);
	kit_read(dir, path, &o->bytes);
	cr_assert_eq(chromem_decode_doc(reader, buf_slice(&o->bytes), &doc, &fault, &err), 0);
	cr_assert_gt(doc.metadata_count, 1);
	cr_assert_leq(doc.metadata_count, VS_COUNT(o->pairs));
	cr_assert_gt(doc.content.len, 20);
	buf_append(&o->id, doc.id.ptr, doc.id.len);
	buf_append(&o->content, doc.content.ptr, doc.content.len);
	for (; o->pair_count < doc.metadata_count; o->pair_count++) {
		const struct chromem_pair *pair = &doc.metadata[o->pair_count];

		buf_append(&o->pairs[o->pair_count], pair->key.ptr, pair->key.len);
		buf_append_byte(&o->pairs[o->pair_count], '\n');
		buf_append(&o->pairs[o->pair_count], pair->value.ptr, pair->value.len);
	}
	return dir;
}

/* What one sidecar has of it. */
struct salvaged {
	char state[16];
	bool has_id, has_content, content_is_right, id_is_right;
	size_t right_pairs, pairs;
};

static void read_salvage(const struct original *o, const struct jr *salvage, struct salvaged *out)
{
	const struct jr *pairs = jr_get(salvage, "metadata");
	const char *text;

	cr_assert(jr_get_str(salvage, "state", &text));
	snprintf(out->state, sizeof(out->state), "%s", text);
	out->has_id = jr_get_str(salvage, "id", &text);
	out->id_is_right = out->has_id && slice_eq_str(buf_slice(&o->id), text);
	out->has_content = jr_get_str(salvage, "content", &text);
	out->content_is_right = out->has_content && slice_eq_str(buf_slice(&o->content), text);
	out->pairs = jr_count(pairs);
	for (size_t i = 0; i < out->pairs; i++) {
		cleanup_(buf_fini) struct buf pair = { 0 };
		const char *key, *value;

		if (!jr_get_str(jr_at(pairs, i), "key", &key) ||
		    !jr_get_str(jr_at(pairs, i), "value", &value))
			continue;
		buf_printf(&pair, "%s\n%s", key, value);
		for (size_t k = 0; k < o->pair_count; k++)
			out->right_pairs += slice_eq(buf_slice(&pair), buf_slice(&o->pairs[k]));
	}
}

/* Set the file aside as it is now; nothing is moved, the plan has the sidecar. */
static struct salvaged salvage(struct original *o, const struct kit_dir *dir)
{
	struct quarantine_file file = { .name = o->file,
					.reason = "chromem-document-gob",
					.message = "a test",
					.is_document = true };
	struct quarantine_request req = {
		.collection = o->collection, .files = &file, .file_count = 1, .time_ns = 1
	};
	cleanup_(plan_fini) struct plan plan = { .command = vs_strdup("quarantine add") };
	cleanup_(store_closep) struct store *store = NULL;
	cleanup_(jr_freep) struct jr *doc = NULL;
	struct salvaged out = { 0 };
	struct vs_err err = { 0 };
	const struct action *last;
	uint64_t size;

	cr_assert_eq(store_open(&store, dir->path, 0, &err), 0, "%s", err.text);
	cr_assert_eq(plan_quarantine(&plan, store, &req, &err), 0, "%s", err.text);
	last = &plan.actions[plan.count - 1];
	cr_assert_str_eq(last->what, "write-sidecar");
	cr_assert_eq(jr_parse(&doc, slice_of(last->content.ptr, last->content.len), &err), 0, "%s",
		     err.text);
	cr_assert(jr_get_uint(jr_at(jr_get(doc, "files"), 0), "size", &size));
	read_salvage(o, jr_get(jr_at(jr_get(doc, "files"), 0), "salvage"), &out);
	return out;
}

/* Cut at every length: what comes first in the file is there first, and nothing is made up. */
static void cut(const char *fixture, const char *path, bool is_gzip)
{
	cleanup_(original_fini) struct original o = { 0 };
	cleanup_(kit_dir_freep) struct kit_dir *dir = original_load(&o, fixture, path);
	size_t with_id = 0, with_all_pairs = 0, with_content = 0;

	for (size_t len = 0; len < o.bytes.len; len += 1 + len % 3) {
		struct salvaged s;

		kit_write(dir, path, slice_of(o.bytes.ptr, len));
		s = salvage(&o, dir);
		cr_assert(!s.has_id || s.id_is_right, "%zu: another id", len);
		cr_assert_leq(s.right_pairs, s.pairs, "%zu", len);
		cr_assert_geq(s.right_pairs + 1, s.pairs, "%zu: pairs that were not there", len);
		cr_assert(s.right_pairs == 0 || s.has_id, "%zu: metadata come behind the id", len);
		cr_assert(!s.content_is_right || s.right_pairs == o.pair_count, "%zu", len);
		cr_assert(strcmp(s.state, "lost") != 0 || (!s.has_id && !s.has_content), "%zu",
			  len);
		with_id += s.has_id;
		with_all_pairs += s.right_pairs == o.pair_count;
		with_content += s.has_content;
	}
	/* The id stands in the first third, the metadata behind it, the vector takes the rest. */
	cr_assert_gt(with_id, is_gzip ? 40 : 100);
	cr_assert_gt(with_all_pairs, is_gzip ? 20 : 80);
	cr_assert_gt(with_content, 0);
}

/* Every byte flipped: what the flip did not hit is there in most cases, and is what it was. */
static void flip(const char *fixture, const char *path, size_t least)
{
	cleanup_(original_fini) struct original o = { 0 };
	cleanup_(kit_dir_freep) struct kit_dir *dir = original_load(&o, fixture, path);
	size_t texts = 0, tried = 0;

	for (size_t at = 0; at < o.bytes.len; at++) {
		cleanup_(buf_fini) struct buf bytes = { 0 };
		struct salvaged s;

		buf_append(&bytes, o.bytes.ptr, o.bytes.len);
		bytes.ptr[at] ^= (unsigned char)(1u << at % 8);
		kit_write(dir, path, buf_slice(&bytes));
		s = salvage(&o, dir);
		cr_assert(strcmp(s.state, "whole") == 0 || strcmp(s.state, "partly") == 0 ||
				  strcmp(s.state, "lost") == 0,
			  "%zu: %s", at, s.state);
		texts += s.content_is_right;
		tried++;
	}
	cr_assert_geq(texts * 100, tried * least, "the text of %zu of %zu", texts, tried);
}

#define PLAIN "healthy-plain", "e9f85bf6/12fdb9a5.gob"
#define PACKED "healthy-gz", "e9f85bf6/12fdb9a5.gob.gz"

Test(salvage, a_plain_document_cut_at_every_length)
{
	cut(PLAIN, false);
}

Test(salvage, a_compressed_document_cut_at_every_length)
{
	cut(PACKED, true);
}

Test(salvage, a_plain_document_with_every_byte_flipped)
{
	flip(PLAIN, 50);
}

/* Behind a flipped bit nothing of deflate's data means what it did. */
Test(salvage, a_compressed_document_with_every_byte_flipped)
{
	flip(PACKED, 1);
}
