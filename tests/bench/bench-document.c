/* SPDX-License-Identifier: Apache-2.0 */

/*
 * What it takes to decode a document from memory: along the short cut, the general way, and out of
 * gzip. 1536 elements, 8 metadata entries, 300 bytes of text.
 *
 * Rounds of all contestants alternate and the best round of each counts, so that a busy machine
 * slows all alike. Ends with 1 when the ways disagree.
 */

#include "chromem/chromem.h"

#include <math.h>

#define DOCUMENTS 32
#define DIMENSION 1536
#define ROUNDS 200

struct bench {
	struct buf plain[DOCUMENTS];
	struct buf packed[DOCUMENTS];
	struct chromem_reader *reader;
};

/* Elements of a vector of length about 1, as an embedding has them. */
static float element(uint64_t *seed)
{
	double sum = 0;

	for (int i = 0; i < 4; i++) {
		*seed = *seed * UINT64_C(6364136223846793005) + 1442695040888963407;
		sum += (double)(*seed >> 11) / (double)(UINT64_C(1) << 53) - 0.5;
	}
	return (float)(sum * sqrt(3.0 / DIMENSION));
}

static void make(struct bench *b, uint64_t *seed)
{
	static const char *const keys[] = {
		"a", "bb", "owner", "kind", "created_at", "f", "g", "h"
	};
	static float embedding[DIMENSION];
	struct chromem_pair pairs[VS_COUNT(keys)];
	struct vs_err err = { 0 };
	char id[32], text[300];

	memset(text, 'x', sizeof(text));
	for (size_t i = 0; i < VS_COUNT(keys); i++)
		pairs[i] = (struct chromem_pair){ slice_str(keys[i]), slice_str("some value") };
	for (size_t i = 0; i < DOCUMENTS; i++) {
		struct chromem_doc doc = {
			.id = slice_of(id, (size_t)snprintf(id, sizeof(id), "document-%zu", i)),
			.content = slice_of(text, sizeof(text)),
			.metadata = pairs,
			.metadata_count = VS_COUNT(pairs),
			.has_metadata = true,
			.embedding = embedding,
			.dimension = DIMENSION,
		};

		for (size_t k = 0; k < DIMENSION; k++)
			embedding[k] = element(seed);
		chromem_encode_doc(&b->plain[i], &doc);
		if (chromem_pack(CHROMEM_GZIP, buf_slice(&b->plain[i]), &b->packed[i], &err) < 0)
			abort();
	}
}

static double now_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

/* Decode all documents once; returns microseconds for each. Adds up something of what was read. */
static double run(struct bench *b, const struct buf *files, bool general, double *sum)
{
	struct chromem_fault fault;
	struct chromem_doc doc;
	struct vs_err err = { 0 };
	double start = now_us();

	chromem_reader_set_general(b->reader, general);
	for (size_t i = 0; i < DOCUMENTS; i++) {
		if (chromem_decode_doc(b->reader, buf_slice(&files[i]), &doc, &fault, &err) != 0)
			abort();
		*sum += (double)doc.embedding[i] + (double)doc.content.len;
	}
	return (now_us() - start) / DOCUMENTS;
}

int main(void)
{
	static struct bench b;
	static const char *const names[] = { "short cut", "general", "gzip" };
	double best[] = { INFINITY, INFINITY, INFINITY };
	double sum[VS_COUNT(names)] = { 0 };
	uint64_t seed = 1;

	make(&b, &seed);
	b.reader = chromem_reader_new();
	for (int round = 0; round < ROUNDS; round++) {
		best[0] = fmin(best[0], run(&b, b.plain, false, &sum[0]));
		best[1] = fmin(best[1], run(&b, b.plain, true, &sum[1]));
		best[2] = fmin(best[2], run(&b, b.packed, false, &sum[2]));
	}
	for (size_t i = 0; i < VS_COUNT(names); i++)
		printf("%-10s %8.3f us a document\n", names[i], best[i]);
	chromem_reader_freep(&b.reader);
	for (size_t i = 0; i < DOCUMENTS; i++) {
		buf_fini(&b.plain[i]);
		buf_fini(&b.packed[i]);
	}
	return sum[0] == sum[1] && sum[1] == sum[2] ? 0 : 1;
}
