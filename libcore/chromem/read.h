/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * The reading half of the room's inside: unpacking (unpack.c, inflate.c), then decoding (doc.c,
 * meta.c) by way of the reader's memory (reader.c), or along a short cut (plan.c, floats.c).
 */

#include "chromem/chromem.h"
#include "gob/gob.h"

/* ---- inflate.c ---- */

/* Deflate data, read as far as Go's decompressor reads them. */
enum inflate_end {
	INFLATE_DONE,      /* the last block is complete */
	INFLATE_TRUNCATED, /* the data end before it */
	INFLATE_CORRUPT,
	INFLATE_FULL, /* the output has reached its limit */
};

struct inflate_result {
	enum inflate_end end;
	size_t used; /* bytes of input that were read */
};

/*
 * Append what @in unpacks to, up to @limit bytes in @out altogether, and in case of damage all that
 * comes before it. Negative only when memory runs out.
 */
must_check_ int inflate_append(struct slice in, size_t limit, struct buf *out,
			       struct inflate_result *result, struct vs_err *err);

/* ---- unpack.c ---- */

struct unpacker {
	struct libdeflate_decompressor *inflater; /* owned */
	struct buf out;                           /* owned */
	size_t limit;                             /* no more bytes than this come in or out */
	char error[64];                           /* what an ending's text may point to */
};

struct unpacked {
	struct slice bytes; /* borrowed: the file's own, or the unpacker's until its next use */
	struct gob_ending ending;
	bool is_gzip;
	bool has_bad_header; /* of the first member: there is nothing to decode */
	bool is_truncated;   /* the file ends too early, rather than being damaged */
	uint64_t end_off;    /* where in the file unpacking ended, for faults */
	uint32_t oddities;
	uint64_t odd_off; /* of the first, in the unpacked data */
	uint32_t crc_stored, crc_actual;
};

/* Unpack @file if it is gzip data. Negative only when memory runs out. */
must_check_ int chromem_unpack(struct unpacker *u, struct slice file, bool general_only,
			       struct unpacked *out, struct vs_err *err);
void unpacker_fini(struct unpacker *u);

/* Would @file be gzip data if one of its first three bytes were another? */
must_check_ int chromem_unpack_repaired(struct unpacker *u, struct slice file, bool *is_gzip,
					struct vs_err *err);

/* ---- reader.c, pairs.c ---- */

#define CHROMEM_PAIRS_MAX (1u << 20)

struct pairs {
	struct chromem_pair *at; /* owned */
	size_t count, cap;
	struct slice repeated; /* the first key that was there already; @ptr NULL: none */
	uint32_t *table;       /* owned; for finding duplicates among many */
	size_t table_cap;
};

/* What was learned from the descriptors of an ordinary document: how to decode the next one. */
#define PLAN_PREFIX_MAX 512
#define PLANS_MAX 8

struct plan {
	size_t prefix_len; /* of the definitions; 0: there is no plan */
	unsigned char prefix[PLAN_PREFIX_MAX];
	int32_t type;      /* of the value */
	uint32_t oddities; /* of the definitions */
	uint64_t odd_off;
};

struct chromem_reader {
	bool general_only;
	unsigned waited_ms, waited_in_vain_ms; /* by settle.c */
	struct file_known *known;              /* borrowed; NULL: nothing is written down */
	struct file_info info;                 /* where it is: of the last file */
	uint64_t file_size;
	struct buf file;
	struct unpacker unpacker;
	struct gob_reader gob;
	struct pairs doc_pairs, meta_pairs;
	float *embedding; /* owned */
	size_t embedding_cap;
	struct plan plans[PLANS_MAX];
	size_t plan_next;  /* to be replaced */
	struct buf mended; /* of salvage.c */
};

void pairs_fini(struct pairs *pairs);

/*
 * Take a key or a value of metadata. Negative when memory runs out, or VS_ELIMIT beyond
 * CHROMEM_PAIRS_MAX.
 */
must_check_ int pairs_take(struct pairs *pairs, const struct gob_event *event, struct vs_err *err);

/* Let the last of several pairs with one key count, in the place of the first. */
must_check_ int pairs_settle(struct pairs *pairs, struct vs_err *err);

/*
 * Read a file of at most reader->unpacker.limit bytes into reader->file. Returns 0, 1 with @fault
 * filled, or a negative status when it is not the file's fault.
 */
must_check_ int reader_load(struct chromem_reader *reader, int dirfd, const char *name,
			    enum file_flags flags, struct chromem_fault *fault, struct vs_err *err);

/* Room for @count elements in all; keeps what is there. */
must_check_ int reader_reserve_embedding(struct chromem_reader *reader, size_t count,
					 struct vs_err *err);

/* ---- types.c: the library's Go types ---- */

/* Tags of shapes, to tell values by. */
enum chromem_tag {
	TAG_NONE,
	TAG_KEY, /* of metadata */
	TAG_VALUE,
	TAG_METADATA,
	TAG_ID,
	TAG_EMBEDDING,
	TAG_ELEMENT,
	TAG_CONTENT,
	TAG_DOCUMENT,
	TAG_NAME,
	TAG_COLLECTION,
	/* Of exports: */
	TAG_COLLECTION_KEY,
	TAG_DOCUMENTS,
	TAG_DOCUMENT_KEY,
	TAG_STORE,
};

extern const struct gob_shape chromem_string_shape; /* without a tag */
extern const struct gob_shape chromem_name_shape, chromem_metadata_shape;
extern const struct gob_shape chromem_document_shape, chromem_collection_shape;

/* The library's own definitions of a type. */
struct library_type {
	const char *name;
	const char *const *fields; /* in order */
	size_t field_count;
	size_t definitions;
};
extern const struct library_type chromem_library_document, chromem_library_collection;

/* ---- export-types.c: the same of an export ---- */

/* A whole store; and one whose documents are passed over. */
extern const struct gob_shape chromem_store_shape, chromem_bare_store_shape;

/*
 * Do name, metadata and documents of a collection come in this order, each at most once? The fields
 * of a value come as its type has them; known as soon as the value begins.
 */
bool store_is_in_order(const struct gob_reader *r);

/* Where in @whole a part of it begins; 0 when there is none. */
static inline uint64_t offset_in(struct slice part, struct slice whole)
{
	return part.ptr ? (uint64_t)(part.ptr - whole.ptr) : 0;
}

/* ---- oddities (odd.c) and faults (fault.c) ---- */

/* Where a doc's or meta's oddities are kept. */
struct odd {
	uint32_t *set;
	uint64_t *off;
	struct slice *unknown_field;
	uint32_t *crc_stored, *crc_actual;
	struct chromem_facts *facts;
};

void odd_note(const struct odd *odd, uint32_t which, uint64_t off);

void odd_note_unpacked(const struct odd *odd, const struct unpacked *in);
void odd_note_types(const struct odd *odd, const struct gob_reader *r,
		    const struct library_type *library);

/*
 * Note fields of the struct @type that the library's has not, and the reverse. Returns whether
 * those that it has come in its order.
 */
bool odd_note_fields(const struct odd *odd, const struct gob_reader *r, const struct gob_type *type,
		     const struct library_type *library);

/* Fields that the types of an export have not, the reverse, and another order. */
void odd_note_store_types(const struct odd *odd, const struct gob_reader *r);

/* What stands behind the value, and whether zeros took the place of something. */
void odd_note_tail(const struct odd *odd, const struct gob_reader *r, struct slice content);

/*
 * Describe why @file could not be decoded, from reader->gob.fault unless it did not come that far.
 * Returns 1, or a negative status.
 */
must_check_ int reader_refuse(struct chromem_reader *reader, struct slice file,
			      const struct unpacked *in, struct chromem_fault *fault,
			      struct vs_err *err);

/*
 * After gob_reader_next() has returned 0 or less: 1 when there is a fault, which more metadata than
 * we take is too, or the negative status.
 */
must_check_ int reader_settle(struct chromem_reader *reader, int ret, struct vs_err *err);

/* ---- doc.c ---- */

/* A document that is being decoded. */
struct doc_pass {
	struct chromem_reader *reader;
	struct chromem_doc *out;
	struct odd odd;
};

struct doc_pass doc_pass_init(struct chromem_reader *reader, struct chromem_doc *out);

/* Take a value that belongs to a document. */
must_check_ int doc_pass_take(struct doc_pass *p, const struct gob_event *event,
			      struct vs_err *err);

/* All values were taken: fill in what is known now, but for what is known of the whole stream. */
must_check_ int doc_pass_finish(struct doc_pass *p, struct vs_err *err);

/* Returns 0, 1 with reader->gob.fault filled, or a negative status. */
must_check_ int doc_decode_general(struct chromem_reader *reader, const struct unpacked *in,
				   struct chromem_doc *out, struct vs_err *err);

/* ---- plan.c ---- */

/* Remember how the document was laid out that reader->gob has just decoded. */
void plan_learn(struct chromem_reader *reader, const struct chromem_doc *doc);

/*
 * Decode a document along the plan. False when anything about it is out of the ordinary, and the
 * general way has to be taken.
 */
bool plan_decode(struct chromem_reader *reader, const struct unpacked *in, struct chromem_doc *out);
