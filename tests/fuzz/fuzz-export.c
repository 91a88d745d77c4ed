/* SPDX-License-Identifier: Apache-2.0 */

/*
 * A hostile export file, in the clear: plain or gzip.
 *
 * The oracle is the writer. What can be read is written again in the same order; that has to read
 * the same, and with nothing odd about it.
 */

#include "kit/samples.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int append(void *ctx, struct slice bytes, struct vs_err *err)
{
	(void)err;
	buf_append(ctx, bytes.ptr, bytes.len);
	return 0;
}

/* Returns 0 or 1 as chromem_decode_export(). */
static int decode(struct slice bytes, struct sample_store *store, uint32_t *oddities)
{
	const struct chromem_export_visitor visitor = {
		.ctx = store,
		.collection = sample_store_take_collection,
		.document = sample_store_take_document,
	};
	struct chromem_fault fault = { 0 };
	struct vs_err err = { 0 };
	int r = chromem_decode_export(bytes, &visitor, oddities, &fault, &err);

	/* Only memory may run out. */
	if (r < 0 && r != VS_ENOMEM)
		abort();
	if (r == 1 && (fault.kind == CHROMEM_FAULT_NONE || fault.detail[0] == '\0'))
		abort();
	return r;
}

static void write_again(const struct sample_store *store, enum chromem_compression c,
			struct buf *out)
{
	struct sample_store copy = *store;
	const struct chromem_export_source source = { &copy, sample_store_visit };
	const struct chromem_export_sink sink = { out, append };
	struct vs_err err = { 0 };

	if (chromem_export_write(&source, c, NULL, &sink, &err) < 0)
		abort();
}

static void check_again(const struct sample_store *store, enum chromem_compression c)
{
	cleanup_(sample_store_fini) struct sample_store back = { 0 };
	cleanup_(buf_fini) struct buf first = { 0 };
	cleanup_(buf_fini) struct buf second = { 0 };
	uint32_t oddities = 0;

	write_again(store, c, &first);
	if (decode(buf_slice(&first), &back, &oddities) != 0 ||
	    (oddities & ~(uint32_t)CHROMEM_ODD_IS_GZIP) != 0)
		abort();
	write_again(&back, c, &second);
	if (!slice_eq(buf_slice(&first), buf_slice(&second)))
		abort();
}

/* Nobody has sealed these bytes. */
static void check_sealed(struct slice bytes)
{
	static const unsigned char key[CHROMEM_KEY_LEN] = "a key that has sealed nothing";
	cleanup_(buf_fini) struct buf copy = { 0 };
	struct chromem_fault fault;
	struct vs_err err = { 0 };
	struct slice plain;

	buf_append(&copy, bytes.ptr, bytes.len);
	if (chromem_unseal(key, copy.ptr, copy.len, &plain, &fault, &err) != 1)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	cleanup_(sample_store_fini) struct sample_store store = { 0 };
	uint32_t oddities = 0;

	if (decode(slice_of(data, size), &store, &oddities) == 0) {
		check_again(&store, CHROMEM_PLAIN);
		if (size % 16 == 0)
			check_again(&store, CHROMEM_GZIP);
	}
	if (size < 64)
		check_sealed(slice_of(data, size));
	return 0;
}
