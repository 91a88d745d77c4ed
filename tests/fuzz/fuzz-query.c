/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Files with a vector to search for.
 *
 * Three oracles: what is taken has values, all finite, and not more than there may be; what is
 * refused is said; and raw floats come out as they went in.
 */

#include "search/search.h"

#include <math.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void parse(struct slice bytes, enum search_format format)
{
	cleanup_(vs_freep) float *values = NULL;
	size_t count = 0;
	struct vs_err err = { 0 };
	int r = search_query_parse(bytes, format, &values, &count, &err);

	if (r < 0) {
		if (r != VS_EUSAGE || err.text[0] == '\0' || values)
			abort();
		return;
	}
	if (r != 0 || count == 0 || count > SEARCH_DIMENSION_MAX)
		abort();
	for (size_t i = 0; i < count; i++)
		if (!isfinite(values[i]))
			abort();
	if (format == SEARCH_FORMAT_FLOAT32 &&
	    (count * sizeof(*values) != bytes.len || memcmp(values, bytes.ptr, bytes.len) != 0))
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size > SEARCH_QUERY_BYTES_MAX)
		return 0;
	for (int format = SEARCH_FORMAT_AUTO; format <= SEARCH_FORMAT_FLOAT32; format++)
		parse(slice_of(data, size), (enum search_format)format);
	return 0;
}
