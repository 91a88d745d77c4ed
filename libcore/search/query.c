/* SPDX-License-Identifier: Apache-2.0 */

/* A vector as somebody gives it: text in JSON, or the floats as they lie in memory. */

#include "search/search.h"

#include <math.h>

static bool is_text(struct slice bytes)
{
	for (size_t i = 0; i < bytes.len; i++) {
		unsigned char byte = bytes.ptr[i];

		if (byte > 126 || (byte < 32 && byte != '\n' && byte != '\r' && byte != '\t'))
			return false;
	}
	return true;
}

static int check_count(size_t count, struct vs_err *err)
{
	if (count == 0)
		return vs_fail(err, VS_EUSAGE, "a vector without values");
	if (count > SEARCH_DIMENSION_MAX)
		return vs_fail(err, VS_EUSAGE, "%zu values, and no vector has more than %u", count,
			       SEARCH_DIMENSION_MAX);
	return 0;
}

static int parse_json(struct slice bytes, float **out, size_t *count, struct vs_err *err)
{
	cleanup_(jr_freep) struct jr *doc = NULL;
	cleanup_(vs_freep) float *values = NULL;
	const struct jr *array;
	struct vs_err why = { 0 };
	size_t n;
	int r;

	if (jr_parse(&doc, bytes, &why) < 0)
		return vs_fail(err, VS_EUSAGE, "not JSON: %s", why.text);
	array = doc;
	/* Clients print the vectors of a query as a list of them. */
	if (jr_is_array(doc) && jr_count(doc) == 1 && jr_is_array(jr_at(doc, 0)))
		array = jr_at(doc, 0);
	if (!jr_is_array(array))
		return vs_fail(err, VS_EUSAGE, "not an array of numbers");
	n = jr_count(array);
	r = check_count(n, err);
	if (r < 0)
		return r;
	values = vs_alloc_array(n, sizeof(*values));
	for (size_t i = 0; i < n; i++) {
		double value;

		if (!jr_as_double(jr_at(array, i), &value))
			return vs_fail(err, VS_EUSAGE, "element %zu is not a number", i);
		values[i] = (float)value;
		if (!isfinite(values[i]))
			return vs_fail(err, VS_EUSAGE,
				       "element %zu is larger than a 32-bit float can be", i);
	}
	*out = VS_TAKE(values);
	*count = n;
	return 0;
}

static int parse_floats(struct slice bytes, float **out, size_t *count, struct vs_err *err)
{
	cleanup_(vs_freep) float *values = NULL;
	size_t n = bytes.len / sizeof(*values);
	int r;

	if (bytes.len % sizeof(*values) != 0)
		return vs_fail(err, VS_EUSAGE, "%zu bytes are no whole number of 32-bit floats",
			       bytes.len);
	r = check_count(n, err);
	if (r < 0)
		return r;
	values = vs_alloc_array(n, sizeof(*values));
	for (size_t i = 0; i < n; i++) {
		uint32_t bits = load_le32(bytes.ptr + i * sizeof(bits));

		memcpy(&values[i], &bits, sizeof(bits));
		if (!isfinite(values[i]))
			return vs_fail(err, VS_EUSAGE,
				       "element %zu, at offset %zu, is %s: nothing is near to that",
				       i, i * sizeof(bits),
				       isnan(values[i]) ? "not a number" : "infinite");
	}
	*out = VS_TAKE(values);
	*count = n;
	return 0;
}

int search_query_parse(struct slice bytes, enum search_format format, float **out, size_t *count,
		       struct vs_err *err)
{
	if (bytes.len == 0)
		return vs_fail(err, VS_EUSAGE, "a vector without values: there are no bytes");
	if (format == SEARCH_FORMAT_AUTO)
		format = is_text(bytes) ? SEARCH_FORMAT_JSON : SEARCH_FORMAT_FLOAT32;
	return format == SEARCH_FORMAT_JSON ? parse_json(bytes, out, count, err)
					    : parse_floats(bytes, out, count, err);
}
