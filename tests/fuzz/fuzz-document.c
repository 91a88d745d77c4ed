/* SPDX-License-Identifier: Apache-2.0 */

/*
 * A hostile document file, as it lies on the disk: gob, plain or in gzip.
 *
 * Three oracles. The short cut for files that begin as an earlier one did (plan.c, floats.c, and
 * libdeflate in one call) must give what the general way gives, in every field and in every word
 * of a refusal. The same bytes in gzip must give the same document, or be refused alike. And what
 * was read is written again; that has to read the same, and with nothing odd about it.
 */

#include "chromem/chromem.h"

#include <zlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What one reading gave. */
struct reading {
	int ret;
	struct chromem_doc doc; /* borrows from the reader */
	struct chromem_fault fault;
};

static void read_doc(struct chromem_reader *reader, struct slice bytes, struct reading *out)
{
	struct vs_err err = { 0 };

	out->ret = chromem_decode_doc(reader, bytes, &out->doc, &out->fault, &err);
	if (out->ret < 0 && out->ret != VS_ENOMEM)
		abort();
	if (out->ret == 1 && (out->fault.kind == CHROMEM_FAULT_NONE || !out->fault.detail[0]))
		abort();
}

/* A reader that has seen documents of a process that made a collection first, and of one that did
 * not: their types have other numbers. */
static struct chromem_reader *experienced_reader(void)
{
	static const struct chromem_pair pairs[] = {
		{ { (const unsigned char *)"kind", 4 }, { (const unsigned char *)"note", 4 } },
	};
	static const float vector[] = { 0.5f, -0.25f, 0.0f };
	const struct chromem_doc doc = {
		.id = slice_str("d1"),
		.content = slice_str("text"),
		.metadata = pairs,
		.metadata_count = 1,
		.has_metadata = true,
		.embedding = vector,
		.dimension = 3,
	};
	struct chromem_reader *reader = chromem_reader_new();
	cleanup_(buf_fini) struct buf bytes = { 0 };
	struct reading seen;

	chromem_encode_doc(&bytes, &doc);
	read_doc(reader, buf_slice(&bytes), &seen);
	if (seen.ret != 0)
		abort();
	return reader;
}

/* ---- comparing ---- */

static void want(bool holds)
{
	if (!holds)
		abort();
}

static bool same_content(const struct chromem_doc *a, const struct chromem_doc *b)
{
	if (!slice_eq(a->id, b->id) || !slice_eq(a->content, b->content) ||
	    a->metadata_count != b->metadata_count || a->dimension != b->dimension)
		return false;
	for (size_t i = 0; i < a->metadata_count; i++) {
		if (!slice_eq(a->metadata[i].key, b->metadata[i].key) ||
		    !slice_eq(a->metadata[i].value, b->metadata[i].value))
			return false;
	}
	return a->dimension == 0 ||
	       memcmp(a->embedding, b->embedding, a->dimension * sizeof(*a->embedding)) == 0;
}

/* Two readings of the same bytes: no difference is allowed. */
static void want_same(const struct reading *a, const struct reading *b)
{
	want(a->ret == b->ret);
	if (a->ret == 1) {
		want(a->fault.kind == b->fault.kind && a->fault.off == b->fault.off);
		want(strcmp(a->fault.detail, b->fault.detail) == 0);
		want(strcmp(a->fault.loader_text, b->fault.loader_text) == 0);
	}
	if (a->ret != 0)
		return;
	want(same_content(&a->doc, &b->doc) && a->doc.has_metadata == b->doc.has_metadata);
	want(a->doc.oddities == b->doc.oddities && a->doc.odd_off == b->doc.odd_off);
	want(slice_eq(a->doc.unknown_field, b->doc.unknown_field));
	want(a->doc.id_off == b->doc.id_off && a->doc.content_off == b->doc.content_off);
	want(a->doc.embedding_off == b->doc.embedding_off);
	want(a->doc.gzip_crc_stored == b->doc.gzip_crc_stored);
	want(a->doc.gzip_crc_actual == b->doc.gzip_crc_actual);
	want(a->doc.facts.unpacked_size == b->doc.facts.unpacked_size);
	want(a->doc.facts.value_end == b->doc.facts.value_end);
	want(a->doc.facts.leftover == b->doc.facts.leftover);
	want(a->doc.facts.trailing == b->doc.facts.trailing);
	want(a->doc.facts.zero_tail_off == b->doc.facts.zero_tail_off);
	want(a->doc.facts.inexact_floats == b->doc.facts.inexact_floats);
}

/* ---- the oracles ---- */

/* Twice, as the first time may teach the second. */
static void check_ways(struct chromem_reader *fast, struct slice bytes,
		       const struct reading *general)
{
	struct reading quick;

	for (int i = 0; i < 2; i++) {
		read_doc(fast, bytes, &quick);
		want_same(&quick, general);
	}
}

/* One member with one stored block, which costs next to nothing to make. */
static void wrap(struct slice bytes, struct buf *out)
{
	static const unsigned char head[] = { 0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff, 1 };
	uint32_t crc = (uint32_t)crc32(0, bytes.ptr, (uInt)bytes.len);

	buf_append(out, head, sizeof(head));
	for (unsigned i = 0; i < 4; i++)
		buf_append_byte(out,
				(unsigned char)((i < 2 ? bytes.len : ~bytes.len) >> i % 2 * 8));
	buf_append(out, bytes.ptr, bytes.len);
	for (unsigned i = 0; i < 4; i++)
		buf_append_byte(out, (unsigned char)(crc >> i * 8));
	for (unsigned i = 0; i < 4; i++)
		buf_append_byte(out, (unsigned char)(bytes.len >> i * 8));
}

/* The gob data in gzip: the same document with one oddity more, or a refusal as before. Go reads
 * the end of gzip data otherwise than the end of a file only in its words. */
static void check_wrapped(struct chromem_reader *fast, struct chromem_reader *general,
			  struct slice bytes, const struct reading *plain)
{
	cleanup_(buf_fini) struct buf packed = { 0 };
	struct reading wrapped;

	wrap(bytes, &packed);
	read_doc(general, buf_slice(&packed), &wrapped);
	want(wrapped.ret == plain->ret);
	if (wrapped.ret == 0) {
		want(wrapped.doc.oddities == (plain->doc.oddities | CHROMEM_ODD_IS_GZIP));
		want(same_content(&wrapped.doc, &plain->doc));
		want(wrapped.doc.facts.value_end == plain->doc.facts.value_end);
	}
	check_ways(fast, buf_slice(&packed), &wrapped);
}

static void check_again(struct chromem_reader *fast, const struct chromem_doc *doc)
{
	cleanup_(buf_fini) struct buf bytes = { 0 };
	struct reading again;

	chromem_encode_doc(&bytes, doc);
	read_doc(fast, buf_slice(&bytes), &again);
	/* Text may end in NULs of its own, which is noted as a hole. */
	want(again.ret == 0 && (again.doc.oddities & ~(uint32_t)CHROMEM_ODD_ZERO_TAIL) == 0);
	want(same_content(&again.doc, doc));
}

/* A refused file: what is salvaged of it lies in it, and can be written. */
static void check_salvage(struct chromem_reader *reader, struct slice bytes)
{
	cleanup_(buf_fini) struct buf written = { 0 };
	struct chromem_salvage how = { 0 };
	struct chromem_doc doc = { 0 };
	struct vs_err err = { 0 };

	if (chromem_salvage_doc(reader, bytes, &doc, &how, &err) == 0)
		chromem_encode_doc(&written, &doc);
}

/* As metadata of a collection: only that nothing breaks, and that a refusal has its words. */
static void check_meta(struct chromem_reader *reader, struct slice bytes)
{
	struct chromem_fault fault = { 0 };
	struct chromem_meta meta;
	struct vs_err err = { 0 };
	int ret = chromem_decode_meta(reader, bytes, &meta, &fault, &err);

	want(ret == 0 || ret == VS_ENOMEM || (ret == 1 && fault.kind != CHROMEM_FAULT_NONE));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	cleanup_(chromem_reader_freep) struct chromem_reader *fast = experienced_reader();
	cleanup_(chromem_reader_freep) struct chromem_reader *general = chromem_reader_new();
	cleanup_(chromem_reader_freep) struct chromem_reader *other = NULL;
	struct slice bytes = slice_of(data, size);
	struct reading plain;

	chromem_reader_set_general(general, true);
	read_doc(general, bytes, &plain);
	check_ways(fast, bytes, &plain);
	if (plain.ret == 0)
		check_again(fast, &plain.doc);
	if (size % 4 == 0 && size > 0 && size <= UINT16_MAX && data[0] != 0x1f) {
		other = chromem_reader_new();
		chromem_reader_set_general(other, true);
		check_wrapped(fast, other, bytes, &plain);
	}
	if (plain.ret == 1 && size % 4 == 1)
		check_salvage(fast, bytes);
	if (size % 4 == 2)
		check_meta(fast, bytes);
	return 0;
}
