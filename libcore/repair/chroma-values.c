/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Values of metadata that cannot all be right. Where the row of the queue that wrote a record last is still
 * there, it says what the client sent; where it is not, nothing tells, and they are left.
 */

#include "repair/chroma-private.h"

/* What the queue has for the key of a row of the table @t: the column @c of json_each(). */
#define QUEUED(c, t)                                                                               \
	"(SELECT j." c " FROM embeddings e JOIN embeddings_queue q ON q.seq_id = e.seq_id AND "    \
	"q.id = e.embedding_id, json_each(CASE WHEN json_valid(q.metadata) THEN q.metadata "       \
	"ELSE '{}' END) j WHERE e.id = " t ".id AND j.key = " t ".key)"
#define M "embedding_metadata"
#define A "embedding_metadata_array"
#define SCALAR QUEUED("type", M) " IN ('text', 'integer', 'real', 'true', 'false')"
#define BAD                                                                                        \
	"((string_value IS NOT NULL) + (int_value IS NOT NULL) + (float_value IS NOT NULL) + "     \
	"(bool_value IS NOT NULL) > 1 OR bool_value NOT IN (0, 1))"
#define TWICE_M "EXISTS (SELECT 1 FROM " A " b WHERE b.id = " M ".id AND b.key = " M ".key)"
#define TWICE_A "EXISTS (SELECT 1 FROM " M " b WHERE b.id = " A ".id AND b.key = " A ".key)"

static int correct_values(struct chroma_fixing *f, struct vs_err *err)
{
	struct chroma_fault *fault = chroma_fault_find(f, PROB_CHROMA_METADATA_VALUE);
	cleanup_(buf_fini) struct buf detail = { 0 };
	uint64_t count = 0;
	int r;

	if (!fault || f->catalog.metadb < 2)
		return 0;
	chroma_fault_leave(fault, "which of the values is right nothing in the store tells");
	r = chroma_keep(f, PROB_CHROMA_METADATA_VALUE, M, BAD " AND " SCALAR, &count, err);
	if (r < 0 || count == 0)
		return r;
	text_count(&detail, count, "value");
	buf_append_str(&detail, " of metadata become what the write queue has");
	chroma_fault_done(f, PROB_CHROMA_METADATA_VALUE);
	return chroma_change(
		f, PROB_CHROMA_METADATA_VALUE, "correct-metadata", LOSS_NOTHING, buf_cstr(&detail),
		"UPDATE " M " SET "
		"string_value = CASE WHEN " QUEUED("type", M) " = 'text' THEN " QUEUED(
			"atom",
			M) " END, "
			   "int_value = CASE WHEN " QUEUED("type", M) " = 'integer' THEN " QUEUED(
				   "atom",
				   M) " END, "
				      "float_value = CASE WHEN " QUEUED("type", M) " = 'real' THEN " QUEUED(
					      "atom",
					      M) " END, "
						 "bool_value = CASE " QUEUED(
							 "type",
							 M) " WHEN 'true' THEN 1 WHEN 'false' THEN 0 END "
							    "WHERE " BAD " AND " SCALAR ";\n",
		err);
}

/* One of the two is what the client sent; the other came with a row number that was used again. */
static int part_twins(struct chroma_fixing *f, struct vs_err *err)
{
	struct chroma_fault *fault = chroma_fault_find(f, PROB_CHROMA_METADATA_TWICE);
	uint64_t arrays = 0, scalars = 0;
	int r;

	if (!fault)
		return 0;
	chroma_fault_leave(fault,
			   "whether the value or the array is the record's own nothing tells");
	r = chroma_keep(f, PROB_CHROMA_METADATA_TWICE, A,
			TWICE_A " AND " QUEUED(
				"type", A) " IN ('text', 'integer', 'real', 'true', 'false')",
			&arrays, err);
	if (r == 0)
		r = chroma_keep(f, PROB_CHROMA_METADATA_TWICE, M,
				TWICE_M " AND " QUEUED("type", M) " = 'array'", &scalars, err);
	if (r < 0 || arrays + scalars == 0)
		return r;
	chroma_fault_done(f, PROB_CHROMA_METADATA_TWICE);
	return chroma_change(
		f, PROB_CHROMA_METADATA_TWICE, "remove-leaked-metadata", LOSS_NOTHING,
		"of a key with a value and an array, what the write queue does not have goes to the quarantine",
		"DELETE FROM " A " WHERE " TWICE_A
		" AND " QUEUED("type", A) " IN ('text', 'integer', 'real', 'true', 'false');\n"
					  "DELETE FROM " M " WHERE " TWICE_M
					  " AND " QUEUED("type", M) " = 'array';\n",
		err);
}

/*
 * Arrays of a dropped collection on a record that was added since: an add has exactly the keys of its
 * row in the queue.
 */
#define LEAKED                                                                                     \
	"EXISTS (SELECT 1 FROM embeddings e JOIN embeddings_queue q ON q.seq_id = e.seq_id AND "   \
	"q.id = e.embedding_id WHERE e.id = " A ".id AND q.operation = 0 AND "                     \
	"json_valid(q.metadata) AND NOT EXISTS (SELECT 1 FROM json_each(q.metadata) j "            \
	"WHERE j.key = " A ".key))"

static int remove_leaked(struct chroma_fixing *f, struct vs_err *err)
{
	cleanup_(buf_fini) struct buf detail = { 0 };
	uint64_t count = 0;
	int r;

	if (!chroma_fault_find(f, PROB_CHROMA_METADATA_ARRAY_LEAKED))
		return 0;
	r = chroma_keep(f, PROB_CHROMA_METADATA_ARRAY_LEAKED, A, LEAKED, &count, err);
	if (r < 0 || count == 0)
		return r;
	text_count(&detail, count, "row");
	buf_append_str(
		&detail,
		" of array metadata that records have from a dropped collection go to the quarantine");
	chroma_fault_done(f, PROB_CHROMA_METADATA_ARRAY_LEAKED);
	return chroma_change(f, PROB_CHROMA_METADATA_ARRAY_LEAKED, "remove-leaked-metadata",
			     LOSS_NOTHING, buf_cstr(&detail),
			     "DELETE FROM " A " WHERE " LEAKED ";\n", err);
}

int chroma_fix_values(struct chroma_fixing *f, struct vs_err *err)
{
	int r;

	if (!chroma_has_table(f, "embeddings_queue"))
		return 0;
	r = remove_leaked(f, err);
	if (r == 0)
		r = part_twins(f, err);
	return r < 0 ? r : correct_values(f, err);
}
