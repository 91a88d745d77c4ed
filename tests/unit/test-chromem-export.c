/* SPDX-License-Identifier: Apache-2.0 */

/* Sealed bytes and export files: written, read back, damaged. */

#include "kit/samples.h"
#include "kit/scratch.h"

#include <criterion/criterion.h>

/* ---- sealed bytes ---- */

#define TEXT_LEN 100

/* Seal @len bytes of a pattern in two pieces. */
static void seal_pattern(struct buf *out, const unsigned char *key, size_t len)
{
	cleanup_(chromem_seal_freep) struct chromem_seal *seal = NULL;
	unsigned char nonce[CHROMEM_NONCE_LEN];
	unsigned char tag[CHROMEM_TAG_LEN];
	struct vs_err err = { 0 };
	unsigned char *text;

	cr_assert_eq(chromem_seal_new(&seal, key, nonce, &err), 0, "%s", err.text);
	buf_append(out, nonce, sizeof(nonce));
	for (size_t i = 0; i < len; i++)
		buf_append_byte(out, (unsigned char)(i * 3));
	text = out->ptr + sizeof(nonce);
	cr_assert_eq(chromem_seal_add(seal, text, len / 3, &err), 0);
	cr_assert_eq(chromem_seal_add(seal, text + len / 3, len - len / 3, &err), 0);
	cr_assert_eq(chromem_seal_end(seal, tag, &err), 0);
	buf_append(out, tag, sizeof(tag));
}

Test(seal, a_known_answer_is_opened)
{
	/* Test case 14 of the specification of GCM: all zero, 16 bytes of text. */
	unsigned char key[CHROMEM_KEY_LEN] = { 0 };
	unsigned char sealed[CHROMEM_NONCE_LEN + 16 + CHROMEM_TAG_LEN];
	struct chromem_fault fault;
	struct vs_err err = { 0 };
	struct slice plain;

	cr_assert(hex_parse(slice_str("000000000000000000000000"
				      "cea7403d4d606b6e074ec5d3baf39d18"
				      "d0d1c8a799996bf0265b98b5d48ab919"),
			    sealed, sizeof(sealed)));
	cr_assert_eq(chromem_unseal(key, sealed, sizeof(sealed), &plain, &fault, &err), 0);
	cr_assert_eq(plain.len, 16);
	cr_assert_arr_eq(plain.ptr, key, 16);
}

Test(seal, what_was_sealed_comes_back)
{
	static const size_t lens[] = { 0, 1, 15, 16, 17, 1000, 1 << 20 };
	unsigned char key[CHROMEM_KEY_LEN] = "0123456789abcdef0123456789abcde";

	for (size_t i = 0; i < VS_COUNT(lens); i++) {
		cleanup_(buf_fini) struct buf sealed = { 0 };
		struct chromem_fault fault;
		struct vs_err err = { 0 };
		struct slice plain;

		seal_pattern(&sealed, key, lens[i]);
		cr_assert_eq(sealed.len, CHROMEM_NONCE_LEN + lens[i] + CHROMEM_TAG_LEN);
		cr_assert_eq(chromem_unseal(key, sealed.ptr, sealed.len, &plain, &fault, &err), 0);
		cr_assert_eq(plain.len, lens[i]);
		for (size_t k = 0; k < lens[i]; k++)
			cr_assert_eq(plain.ptr[k], (unsigned char)(k * 3));
	}
}

Test(seal, no_nonce_comes_twice)
{
	cleanup_(buf_fini) struct buf one = { 0 };
	cleanup_(buf_fini) struct buf two = { 0 };
	unsigned char key[CHROMEM_KEY_LEN] = { 1 };

	seal_pattern(&one, key, TEXT_LEN);
	seal_pattern(&two, key, TEXT_LEN);
	cr_assert_neq(memcmp(one.ptr, two.ptr, CHROMEM_NONCE_LEN), 0);
	cr_assert_neq(memcmp(one.ptr + CHROMEM_NONCE_LEN, two.ptr + CHROMEM_NONCE_LEN, TEXT_LEN),
		      0);
}

static void expect_refused(const unsigned char *key, const struct buf *sealed, size_t len,
			   enum chromem_fault_kind kind, const char *loader_text)
{
	cleanup_(vs_freep) unsigned char *copy = vs_alloc(len);
	struct chromem_fault fault = { 0 };
	struct vs_err err = { 0 };
	struct slice plain;

	memcpy(copy, sealed->ptr, len);
	cr_assert_eq(chromem_unseal(key, copy, len, &plain, &fault, &err), 1);
	cr_assert_eq(fault.kind, kind);
	cr_assert_str_eq(fault.loader_text, loader_text);
	cr_assert_neq(fault.detail[0], '\0');
}

#define NOT_AUTHENTIC "couldn't decrypt data: cipher: message authentication failed"

Test(seal, every_bit_counts)
{
	cleanup_(buf_fini) struct buf sealed = { 0 };
	unsigned char key[CHROMEM_KEY_LEN] = { 0 };

	seal_pattern(&sealed, key, TEXT_LEN);
	for (size_t bit = 0; bit < 8 * sealed.len; bit++) {
		sealed.ptr[bit / 8] ^= (unsigned char)(1 << bit % 8);
		expect_refused(key, &sealed, sealed.len, CHROMEM_FAULT_SEALED, NOT_AUTHENTIC);
		sealed.ptr[bit / 8] ^= (unsigned char)(1 << bit % 8);
	}
	for (size_t bit = 0; bit < 8 * sizeof(key); bit++) {
		key[bit / 8] ^= (unsigned char)(1 << bit % 8);
		expect_refused(key, &sealed, sealed.len, CHROMEM_FAULT_SEALED, NOT_AUTHENTIC);
		key[bit / 8] ^= (unsigned char)(1 << bit % 8);
	}
}

Test(seal, every_cut_is_refused)
{
	cleanup_(buf_fini) struct buf sealed = { 0 };
	unsigned char key[CHROMEM_KEY_LEN] = { 0 };

	seal_pattern(&sealed, key, TEXT_LEN);
	for (size_t len = 0; len < sealed.len; len++) {
		if (len < CHROMEM_NONCE_LEN)
			expect_refused(key, &sealed, len, CHROMEM_FAULT_TRUNCATED,
				       "encrypted data too short");
		else if (len < CHROMEM_NONCE_LEN + CHROMEM_TAG_LEN)
			expect_refused(key, &sealed, len, CHROMEM_FAULT_TRUNCATED, NOT_AUTHENTIC);
		else
			expect_refused(key, &sealed, len, CHROMEM_FAULT_SEALED, NOT_AUTHENTIC);
	}
}

/* ---- writing ---- */

static int append(void *ctx, struct slice bytes, struct vs_err *err)
{
	(void)err;
	buf_append(ctx, bytes.ptr, bytes.len);
	return 0;
}

/* Ways in which a store may shrink (by -1) or grow. */
static void change_documents(struct sample_store *store, int by)
{
	store->collections[1].count += (size_t)by;
}

static void change_last_documents(struct sample_store *store, int by)
{
	store->collections[store->count - 1].count += (size_t)by;
}

static void change_collections(struct sample_store *store, int by)
{
	store->count += (size_t)by;
}

static void change_text(struct sample_store *store, int by)
{
	store->collections[1].docs[0].content.len += (size_t)by;
}

/* A source that gives something else the second time. */
struct fickle {
	struct sample_store store;
	int visits;
	int by;
	void (*change)(struct sample_store *store, int by);
};

static int fickle_visit(void *ctx, const struct chromem_export_visitor *to, struct vs_err *err)
{
	struct fickle *f = ctx;

	if (f->visits++ == 1)
		f->change(&f->store, f->by);
	return sample_store_visit(&f->store, to, err);
}

Test(export_write, a_source_that_changes_is_noticed)
{
	void (*const changes[])(struct sample_store *, int) = { change_documents,
								change_last_documents,
								change_collections, change_text };

	for (size_t i = 0; i < 2 * VS_COUNT(changes); i++) {
		struct fickle f = { .change = changes[i / 2], .by = i % 2 == 0 ? -1 : 1 };
		cleanup_(buf_fini) struct buf out = { 0 };
		const struct chromem_export_source source = { &f, fickle_visit };
		const struct chromem_export_sink sink = { &out, append };
		struct vs_err err = { 0 };

		sample_store_init(&f.store, 3, 20, 8);
		if (f.by > 0)
			f.change(&f.store, -1);
		cr_assert_eq(chromem_export_write(&source, CHROMEM_PLAIN, NULL, &sink, &err),
			     VS_EVANISHED, "%zu", i);
		cr_assert_eq(f.visits, 2);
		sample_store_fini(&f.store);
	}
}

static int full(void *ctx, struct slice bytes, struct vs_err *err)
{
	size_t *left = ctx;

	if (bytes.len > *left)
		return vs_fail(err, VS_EIO, "no room");
	*left -= bytes.len;
	return 0;
}

Test(export_write, a_sink_that_fails_ends_it)
{
	static const unsigned char key[CHROMEM_KEY_LEN] = { 7 };
	cleanup_(sample_store_fini) struct sample_store store;
	const struct chromem_export_source source = { &store, sample_store_visit };
	cleanup_(buf_fini) struct buf whole = { 0 };
	struct chromem_export_sink sink = { &whole, append };
	struct vs_err err = { 0 };
	size_t rooms[4];

	sample_store_init(&store, 3, 20, 64);
	cr_assert_eq(chromem_export_write(&source, CHROMEM_PLAIN, key, &sink, &err), 0);

	/* In turn the nonce, the text and the tag find no room. */
	rooms[0] = CHROMEM_NONCE_LEN - 1;
	rooms[1] = CHROMEM_NONCE_LEN;
	rooms[2] = whole.len - 1;
	rooms[3] = whole.len;
	for (size_t i = 0; i < VS_COUNT(rooms); i++) {
		size_t left = rooms[i];

		sink = (struct chromem_export_sink){ &left, full };
		cr_assert_eq(chromem_export_write(&source, CHROMEM_PLAIN, key, &sink, &err),
			     i < 3 ? VS_EIO : 0, "%zu", rooms[i]);
	}
}
