/* SPDX-License-Identifier: Apache-2.0 */

/*
 * How fast a document's vector is measured, the document encoded, digested and packed, and an
 * export written and read. Ends with 1 when what was written does not come back.
 *
 * The best of several rounds counts, so that a busy machine does not show.
 */

#include "chromem/chromem.h"

#define DIMENSION 1536
#define DOCUMENTS 2000
#define ROUNDS 7

struct bench {
	float *vector;
	struct chromem_doc doc;
	struct buf gob, packed, file;
	struct digest_ctx *ctx;
	double norm;
	uint64_t back; /* documents read from the export */
};

/* Normalised, as most vectors are. */
static void bench_init(struct bench *b)
{
	static const struct chromem_pair metadata[] = {
		{ { (const unsigned char *)"lang", 4 }, { (const unsigned char *)"en", 2 } },
	};
	struct chromem_vector_stats stats;
	uint32_t state = 1;

	*b = (struct bench){ .vector = vs_alloc_array(DIMENSION, sizeof(*b->vector)),
			     .ctx = digest_ctx_new() };
	for (size_t i = 0; i < DIMENSION; i++) {
		state = state * 1664525 + 1013904223;
		b->vector[i] = (float)state / 4294967296.0f - 0.5f;
	}
	chromem_vector_measure(b->vector, DIMENSION, &stats);
	for (size_t i = 0; i < DIMENSION; i++)
		b->vector[i] = (float)((double)b->vector[i] / stats.norm);
	b->doc = (struct chromem_doc){ .id = slice_str("0d5c7b1e-7d35-4b0e-9d27-6a2f3f0c6b11"),
				       .content = slice_str(
					       "A text of some forty letters and spaces."),
				       .metadata = metadata,
				       .metadata_count = VS_COUNT(metadata),
				       .has_metadata = true,
				       .embedding = b->vector,
				       .dimension = DIMENSION };
}

static void bench_fini(struct bench *b)
{
	free(b->vector);
	buf_fini(&b->gob);
	buf_fini(&b->packed);
	buf_fini(&b->file);
	digest_ctx_freep(&b->ctx);
}

static void measure_vector(struct bench *b)
{
	struct chromem_vector_stats stats;

	chromem_vector_measure(b->vector, DIMENSION, &stats);
	b->norm += stats.norm;
}

static void encode(struct bench *b)
{
	buf_clear(&b->gob);
	chromem_encode_doc(&b->gob, &b->doc);
}

static void digest(struct bench *b)
{
	struct digest d;

	chromem_doc_digest(b->ctx, &b->doc, &d);
}

static void pack(struct bench *b)
{
	struct vs_err err = { 0 };

	buf_clear(&b->packed);
	if (chromem_pack(CHROMEM_GZIP, buf_slice(&b->gob), &b->packed, &err) < 0)
		buf_clear(&b->packed);
}

/* The same document under one key after the other. */
static int visit(void *ctx, const struct chromem_export_visitor *to, struct vs_err *err)
{
	const struct chromem_meta meta = { .name = slice_str("notes"), .has_metadata = true };
	const struct bench *b = ctx;
	int r = to->collection(to->ctx, meta.name, &meta, err);
	char key[16];

	for (int i = 0; r == 0 && i < DOCUMENTS; i++) {
		snprintf(key, sizeof(key), "%d", i);
		r = to->document(to->ctx, slice_str(key), &b->doc, err);
	}
	return r;
}

static int append(void *ctx, struct slice bytes, struct vs_err *err)
{
	(void)err;
	buf_append(ctx, bytes.ptr, bytes.len);
	return 0;
}

static void write_as(struct bench *b, enum chromem_compression c, const unsigned char *key)
{
	const struct chromem_export_source source = { b, visit };
	const struct chromem_export_sink sink = { &b->file, append };
	struct vs_err err = { 0 };

	buf_clear(&b->file);
	if (chromem_export_write(&source, c, key, &sink, &err) < 0)
		buf_clear(&b->file);
}

static void write_plain(struct bench *b)
{
	write_as(b, CHROMEM_PLAIN, NULL);
}

static void write_gzip(struct bench *b)
{
	write_as(b, CHROMEM_GZIP, NULL);
}

static void write_sealed(struct bench *b)
{
	static const unsigned char key[CHROMEM_KEY_LEN] = { 1 };

	write_as(b, CHROMEM_PLAIN, key);
}

static int count_collection(void *ctx, struct slice key, const struct chromem_meta *meta,
			    struct vs_err *err)
{
	(void)ctx, (void)key, (void)meta, (void)err;
	return 0;
}

static int count_document(void *ctx, struct slice key, const struct chromem_doc *doc,
			  struct vs_err *err)
{
	struct bench *b = ctx;

	(void)key, (void)err;
	b->back += doc->dimension == DIMENSION ? 1 : 0;
	return 0;
}

static void read_back(struct bench *b)
{
	const struct chromem_export_visitor visitor = { b, count_collection, count_document };
	struct chromem_fault fault;
	struct vs_err err = { 0 };
	uint32_t oddities;

	b->back = 0;
	if (chromem_decode_export(buf_slice(&b->file), &visitor, &oddities, &fault, &err) != 0)
		b->back = 0;
}

/* Returns the time of one call in microseconds. */
static double time_of(struct bench *b, void (*run)(struct bench *b), unsigned repeats)
{
	int64_t best = INT64_MAX;

	for (int round = 0; round < ROUNDS; round++) {
		int64_t begin = clock_elapsed_ns();

		for (unsigned i = 0; i < repeats; i++)
			run(b);
		best = VS_MIN(best, clock_elapsed_ns() - begin);
	}
	return (double)best / repeats / 1000;
}

int main(void)
{
	static const struct {
		const char *what;
		void (*run)(struct bench *b);
		unsigned repeats;
		bool is_read; /* of what was written last */
	} rows[] = {
		{ "measure a vector of 1536", measure_vector, 20000, false },
		{ "encode a document of 1536", encode, 5000, false },
		{ "digest it", digest, 5000, false },
		{ "pack it", pack, 200, false },
		{ "export 2000 of them", write_plain, 1, false },
		{ "read that export", read_back, 1, true },
		{ "export them sealed", write_sealed, 1, false },
		{ "export them compressed", write_gzip, 1, false },
		{ "read that export", read_back, 1, true },
	};
	cleanup_(bench_fini) struct bench b;
	int status = 0;

	bench_init(&b);
	for (size_t i = 0; i < VS_COUNT(rows); i++) {
		double us = time_of(&b, rows[i].run, rows[i].repeats);

		printf("%-28s %12.3f us\n", rows[i].what, us);
		if (rows[i].is_read && b.back != DOCUMENTS)
			status = 1;
	}
	return b.norm > 0 ? status : 1;
}
