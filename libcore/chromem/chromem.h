/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * chromem: the persistent directory of chromem-go
 *
 *	<store>/<8 hex>/00000000.gob	name and metadata of one collection
 *	<store>/<8 hex>/<8 hex>.gob	one document
 *	with compression: .gob.gz everywhere
 *
 * A directory is named after the first 4 bytes of SHA-256 of the collection's name, a document's
 * file after the same of its id. There is no index, no list of documents, no checksum and no
 * version. Files are written in place, one write call per gob message, without fsync or rename; so
 * after a crash one may be absent, empty, cut between two messages, cut anywhere, or hold zeros.
 *
 * How the library opens a store (what `loadable` is about), in byte order of the directory entries:
 *
 *  1. Entries of the store that are not directories are skipped, symbolic links to directories too.
 *     Every directory counts, whatever its name, hidden or not.
 *  2. In a collection: directories are skipped; `00000000` + extension is the metadata; any other
 *     name that ends in the extension is a document, whatever stands before; the rest is skipped
 *     (.gob.gz in a plain store, .gob in a compressed one). Symbolic links to files are followed.
 *     A FIFO blocks for ever.
 *  3. The first file that cannot be read or decoded refuses the whole store.
 *  4. Documents but no name (no metadata file, or one that decodes without a name) refuse the whole
 *     store. Neither documents nor name: skipped.
 *  5. Documents go into a map by the id inside the file, collections by the name inside the file;
 *     later entries replace earlier ones without a word. File and directory names are never
 *     compared with the hashes.
 *  6. gzip is recognised by the first two bytes of a file, not by its name. Once the value is
 *     complete nothing more is read, so a wrong checksum, a missing trailer and bytes behind it go
 *     unnoticed.
 *
 * Facts checked against chromem-go at commit 4e5d21d and the encoding/gob of Go 1.19 and 1.24.
 */

#include "file/file.h"
#include "util/util.h"

/* ---- names (layout.c) ---- */

#define CHROMEM_ID_LEN 8 /* hex digits of a directory or file name */
#define CHROMEM_META_KEY 0u

/* First 4 bytes of SHA-256 of @name, big endian: 0xe9f85bf6 for "contextd_memories". */
uint32_t chromem_hash(struct slice name);
void chromem_hash_format(uint32_t hash, char out[CHROMEM_ID_LEN + 1]);

/* Exactly 8 lower-case hex digits? Then *@hash is their value. */
bool chromem_hash_parse(struct slice text, uint32_t *hash);

/*
 * A name or id whose hash should be @hash and is not: find the text that differs from @damaged in
 * one bit, or else in one byte, and does hash to it. Returns true and appends it to @out; texts
 * longer than CHROMEM_ORIGINAL_MAX are not tried. A chance hit has odds below 1 : 60,000.
 */
#define CHROMEM_ORIGINAL_MAX 256
bool chromem_find_original(struct slice damaged, uint32_t hash, struct buf *out);

enum chromem_compression {
	CHROMEM_PLAIN, /* .gob */
	CHROMEM_GZIP,  /* .gob.gz */
};

const char *chromem_extension(enum chromem_compression c);        /* ".gob", ".gob.gz" */
const char *chromem_compression_name(enum chromem_compression c); /* "none", "gzip" */

/* ---- one directory, listed (list.c) ---- */

/*
 * A sorted listing of a collection directory in 4 bytes per ordinarily named document, so that a
 * directory of millions fits in memory. "Ordinary" is 8 lower-case hex digits and the extension of
 * @compression.
 */
enum chromem_entry_class {
	CHROMEM_ENTRY_DOCUMENT,   /* ends in the extension: the library decodes it */
	CHROMEM_ENTRY_METADATA,   /* 00000000 + extension */
	CHROMEM_ENTRY_OTHER_FORM, /* would be one of the two under the other compression setting */
	CHROMEM_ENTRY_IGNORED,    /* the library skips it */
};

struct chromem_entry {
	/* Borrowed: until the next call on the same listing, or the listing's end for odd names. */
	const char *name;
	enum file_type type;
	enum chromem_entry_class entry_class;
	bool is_ordinary; /* of any type */
	uint32_t key;     /* value of the hex digits when ordinary */
};

struct chromem_list; /* opaque; read only once loaded, then safe to share between threads */

/* @seen: what is known of the directory in this run, or NULL. */
must_check_ int chromem_list_load(struct chromem_list **out, int dirfd, struct file_seen_dir *seen,
				  enum chromem_compression c, struct vs_err *err);
void chromem_list_freep(struct chromem_list **list);

size_t chromem_list_count(const struct chromem_list *list); /* of all entries */
size_t chromem_list_documents(
	const struct chromem_list *list); /* class DOCUMENT, any type but directory */

/* Entry @index in byte order. The name of an ordinary entry is written to @scratch. */
void chromem_list_at(const struct chromem_list *list, size_t index, char scratch[32],
		     struct chromem_entry *out);

/* The entry of exactly this name. */
bool chromem_list_find(const struct chromem_list *list, const char *name, size_t *index);

/* ---- one file, decoded (pack.c, doc.c, meta.c) ---- */

/* No document or metadata file larger than this, on disk or unpacked, is decoded. */
#define CHROMEM_FILE_MAX (UINT64_C(32) << 20)

/* Why a file could not be decoded. Grouped by what an operator would do about it. */
enum chromem_fault_kind {
	CHROMEM_FAULT_NONE,
	CHROMEM_FAULT_EMPTY,          /* no bytes */
	CHROMEM_FAULT_ZEROS,          /* all bytes are zero */
	CHROMEM_FAULT_TRUNCATED,      /* ends before its value does */
	CHROMEM_FAULT_GZIP_TRUNCATED, /* deflate data end before the value does */
	CHROMEM_FAULT_GZIP_CORRUPT,   /* header or deflate data damaged before the value's end */
	CHROMEM_FAULT_GOB,            /* not valid gob */
	CHROMEM_FAULT_SHAPE,          /* valid gob of something else */
	CHROMEM_FAULT_TOO_LARGE,      /* over a named limit, as CHROMEM_FILE_MAX: not looked at */
	CHROMEM_FAULT_UNREADABLE,     /* the system refused */
	CHROMEM_FAULT_DANGLING,       /* a symbolic link to nothing */
	CHROMEM_FAULT_NOT_A_FILE,     /* FIFO, socket, device: the library would block or fail */
	CHROMEM_FAULT_VANISHED,       /* listed, and gone when it was to be read: not damage */
	CHROMEM_FAULT_BEING_WRITTEN,  /* incomplete, and changing all the while: not damage */
	CHROMEM_FAULT_SEALED,         /* not authentic: another key, or changed bytes */
};

struct chromem_fault {
	enum chromem_fault_kind kind;
	int sysno;             /* with CHROMEM_FAULT_UNREADABLE and _DANGLING: errno; 0: not known */
	uint64_t off;          /* in the (unpacked) gob data, or in the file for the gzip faults */
	char detail[192];      /* ours: "need 8 bytes at offset 402, 1 left" */
	char loader_text[192]; /* what the library prints after "couldn't read document: " */
};

/* What was seen that the library does not care about, or does not notice. */
enum chromem_oddity {
	/* Bytes of the message behind the end of its value. */
	CHROMEM_ODD_LEFTOVER = 1 << 0,
	/* Bytes behind the message. */
	CHROMEM_ODD_TRAILING = 1 << 1,
	/* The value ends with its message, without an end mark. */
	CHROMEM_ODD_NO_END = 1 << 2,
	/* Leftover or trailing bytes are there and all zero, or text ends in NULs up to the end. */
	CHROMEM_ODD_ZERO_TAIL = 1 << 3,
	/* A field the library does not know; its data are dropped. */
	CHROMEM_ODD_UNKNOWN_FIELD = 1 << 4,
	/* The type lacks a field that the library's own always has. */
	CHROMEM_ODD_MISSING_FIELD = 1 << 5,
	/* Valid, but not the type names or field order that the library writes. */
	CHROMEM_ODD_FOREIGN_TYPES = 1 << 6,
	/* A metadata key twice: the last counts. */
	CHROMEM_ODD_DUPLICATE_KEY = 1 << 7,
	/* A double that is no float32: the library did not write it. */
	CHROMEM_ODD_INEXACT_FLOAT = 1 << 8,
	/* An integer in a longer form than needed. */
	CHROMEM_ODD_LONG_INTEGER = 1 << 9,
	/* The file is gzip data, whatever its name. */
	CHROMEM_ODD_IS_GZIP = 1 << 10,
	/* CRC-32 or length in the trailer disagree with the data. */
	CHROMEM_ODD_GZIP_CHECKSUM = 1 << 11,
	/* The trailer, or data after the value, is cut off. */
	CHROMEM_ODD_GZIP_TRAILER = 1 << 12,
	/* Bytes behind the last member. */
	CHROMEM_ODD_GZIP_TRAILING = 1 << 13,
};

struct chromem_pair {
	struct slice key;
	struct slice value;
};

/* The value of @key, which must be there and not empty; false otherwise. */
bool chromem_pairs_find(const struct chromem_pair *pairs, size_t count, const char *key,
			struct slice *out);

/* Measures that go with the oddities. Offsets are into the unpacked data. */
struct chromem_facts {
	uint64_t unpacked_size; /* as far as the data can be unpacked */
	uint64_t value_end;     /* behind the last byte that the library needs */
	uint64_t leftover;      /* bytes behind that, in the message */
	uint64_t trailing;      /* bytes behind the message */
	/* With CHROMEM_ODD_ZERO_TAIL: where the zeros begin; the first few may belong there. */
	uint64_t zero_tail_off;
	uint64_t inexact_floats;
};

/* A decoded document. Slices and arrays borrow from the reader, until its next use. */
struct chromem_doc {
	struct slice id;
	struct slice content;
	const struct chromem_pair *metadata; /* in file order, later duplicates already applied */
	size_t metadata_count;
	bool has_metadata;
	const float *embedding;
	size_t dimension; /* number of elements; 0 when there is no embedding */
	uint32_t oddities;
	uint64_t odd_off;           /* where the first oddity was seen, in the unpacked data */
	struct slice unknown_field; /* name of the first unknown field */
	/* In the unpacked data: of the first byte of the id, the first element of the embedding,
	 * the first byte of the text; 0 when absent. */
	uint64_t id_off, embedding_off, content_off;
	/* With CHROMEM_ODD_GZIP_CHECKSUM: the CRC-32 in the trailer and that of the data; the same
	 * where only the length is wrong; 0 and its complement where the data cannot be unpacked to
	 * their end. A single bit of difference means that the trailer was hit, not the data. */
	uint32_t gzip_crc_stored, gzip_crc_actual;
	struct chromem_facts facts;
};

struct chromem_meta {
	struct slice name; /* empty when the value has none */
	const struct chromem_pair *metadata;
	size_t metadata_count;
	bool has_metadata;
	bool looks_like_document; /* its type has the fields of a document */
	struct slice document_id; /* then: the id */
	uint32_t oddities;
	uint64_t odd_off;
	struct slice unknown_field;
	uint64_t name_off;                         /* of its first byte */
	uint32_t gzip_crc_stored, gzip_crc_actual; /* as in a document */
	struct chromem_facts facts;
};

/*
 * A reader: buffers, decompressor and the type descriptors seen last. One per worker; owned. It
 * remembers the descriptors of the file before, since files of one process begin with the same
 * bytes.
 */
struct chromem_reader;
struct chromem_reader *chromem_reader_new(void);
void chromem_reader_freep(struct chromem_reader **reader);

/*
 * Read and decode one file. Returns 0 and fills @out, or 1 and fills @fault (the file's fault, not
 * ours); negative only when we cannot go on (no memory). @out borrows from @reader until its next
 * use.
 */
must_check_ int chromem_reader_doc(struct chromem_reader *reader, int dirfd, const char *name,
				   struct chromem_doc *out, struct chromem_fault *fault,
				   struct vs_err *err);
must_check_ int chromem_reader_meta(struct chromem_reader *reader, int dirfd, const char *name,
				    struct chromem_meta *out, struct chromem_fault *fault,
				    struct vs_err *err);

/*
 * The same for an entry of a listing, whose type is known: the quickest way. @flags are 0 or
 * FILE_NO_ATIME.
 */
must_check_ int chromem_reader_entry(struct chromem_reader *reader, int dirfd,
				     enum file_flags flags, const struct chromem_entry *entry,
				     struct chromem_doc *out, struct chromem_fault *fault,
				     struct vs_err *err);

/*
 * Reading by name looks again at a young file that cannot be decoded, for some time, since it may
 * be half written at this moment (settle.c). The same for who looks at files in another way: after
 * @fault, waits a little and returns true when the file is to be looked at again. When it returns
 * false @fault stands; its kind may have become BEING_WRITTEN. @s begins zeroed for each file.
 */
struct chromem_settling {
	unsigned looks;
	uint64_t size;
	int64_t modified_ns;
};

bool chromem_settle(struct chromem_reader *reader, struct chromem_settling *s, int dirfd,
		    const char *name, struct chromem_fault *fault);

/* The same for bytes in memory (@bytes as on disk: plain or gzip). */
must_check_ int chromem_decode_doc(struct chromem_reader *reader, struct slice bytes,
				   struct chromem_doc *out, struct chromem_fault *fault,
				   struct vs_err *err);
must_check_ int chromem_decode_meta(struct chromem_reader *reader, struct slice bytes,
				    struct chromem_meta *out, struct chromem_fault *fault,
				    struct vs_err *err);

/* How a damaged document was read (salvage.c). */
struct chromem_salvage {
	bool was_cut;           /* the file ends too early; what is there was read */
	bool text_was_searched; /* the text was found from the end of the file, not decoded */
};

/*
 * Decode what can be decoded of @bytes, whatever is wrong with them: fields that did not survive
 * are absent from @out, the embedding may hold fewer elements than it had. Returns 0, or VS_ENOMEM.
 * @out borrows from @reader and @bytes.
 */
must_check_ int chromem_salvage_doc(struct chromem_reader *reader, struct slice bytes,
				    struct chromem_doc *out, struct chromem_salvage *how,
				    struct vs_err *err);

/*
 * A document one of whose field names was damaged, with the name @right put in place of @wrong:
 * @gob becomes the unpacked file. Returns 0, 1 when that does not make a whole document of it, or
 * negative.
 */
must_check_ int chromem_mend_field(struct chromem_reader *reader, struct slice bytes,
				   const char *wrong, const char *right, struct buf *gob,
				   struct vs_err *err);

/* Size of the last file read, on disk. */
uint64_t chromem_reader_file_size(const struct chromem_reader *reader);

/* Write the digest of each file that is read down in @known, which is borrowed; NULL: not any more. */
void chromem_reader_set_known(struct chromem_reader *reader, struct file_known *known);

/* Turn off the fast path, for tests that hold the two together. */
void chromem_reader_set_general(struct chromem_reader *reader, bool general_only);

/* ---- a document's vector, measured (vector.c) ---- */

struct chromem_vector_stats {
	double norm; /* Euclidean, summed in double precision; not finite when an element is not */
	bool has_nan;
	bool has_inf;
	bool is_zero;     /* every element is +0 or -0 (and there is at least one) */
	size_t first_bad; /* index of the first NaN or infinite element; 0 when there is none */
};

void chromem_vector_measure(const float *v, size_t count, struct chromem_vector_stats *out);

/* The library's own normalising stays within 1.2e-6 (1536 elements) and 2.7e-6 (8192). */
#define CHROMEM_NORM_TOLERANCE 1e-5

/* ---- writing (write.c) ---- */

/*
 * Append what a fresh process of the library writes: byte-identical, descriptors included, but for
 * the order of map entries, which is random there and the order given here. Not yet compressed.
 *
 * A process numbers types in the order in which it first writes them. Metadata has 64 and 65 where
 * it comes first. Documents have 66, 65, 67 where the process made a collection before them, which
 * is the form given here; one that only adds to a collection that was there gives 64, 65, 66. Both
 * mean the same to every reader.
 */
void chromem_encode_meta(struct buf *out, struct slice name, const struct chromem_pair *metadata,
			 size_t count);
void chromem_encode_doc(struct buf *out, const struct chromem_doc *doc);

/*
 * Append @gob to @out, packed as the library does (one gzip member, default level, the header that
 * Go writes), or as it is when @c is CHROMEM_PLAIN. Go's deflate finds other matches than ours: the
 * bytes behind the header differ from the library's, what they unpack to does not.
 */
must_check_ int chromem_pack(enum chromem_compression c, struct slice gob, struct buf *out,
			     struct vs_err *err);

/* ---- content digests (content.c) ---- */

/*
 * Digest of what a document says, independent of how it was encoded: SHA-256 over id, metadata in
 * byte order of the keys, number of elements, each element as 4 bytes of its float32, content.
 * Strings: 8-byte little-endian length, then the bytes. Maps: 8-byte count, then keys and values;
 * no map and an empty one are the same. Aborts where a map of more than 64 entries finds no memory
 * to be put in order, which is as much as the map itself takes.
 */
void chromem_doc_digest(struct digest_ctx *ctx, const struct chromem_doc *doc, struct digest *out);

/*
 * The digest of a collection: SHA-256 over its name, its metadata, the number of documents and then
 * each document as above, in byte order of their ids. So the number must be known first, and the
 * order: make a roster of the ids while reading the collection once, then read the files again in
 * that order. Call begin, add once for each document, then digest_ctx_final().
 */
void chromem_collection_digest_begin(struct digest_ctx *ctx, const struct chromem_meta *meta,
				     uint64_t documents);
void chromem_collection_digest_add(struct digest_ctx *ctx, const struct chromem_doc *doc);

/*
 * The digest of a store: SHA-256 over the number of collections and the digest of each as
 * lower-case hexadecimal text, in byte order of the collections' names. Call begin, add once for
 * each, then digest_ctx_final().
 */
void chromem_store_digest_begin(struct digest_ctx *ctx, uint64_t collections);
void chromem_store_digest_add(struct digest_ctx *ctx, const struct digest *collection);

/* ---- names in order (roster.c) ---- */

/*
 * A list of names (ids of documents, names of collections), each with a number that says where it
 * was read: put together in any order, read in byte order. Takes 16 bytes a name beside its own.
 * Sorting leaves one row per name, the one with the highest number: what is read last replaces what
 * went before, as in the library. Owned.
 */
struct chromem_roster;
struct chromem_roster *chromem_roster_new(void);
void chromem_roster_freep(struct chromem_roster **roster);

/* @name is copied. Fails with VS_ENOMEM, or VS_ELIMIT for an @index of more than 32 bits. */
must_check_ int chromem_roster_add(struct chromem_roster *roster, struct slice name, size_t index,
				   struct vs_err *err);
void chromem_roster_sort(struct chromem_roster *roster);
size_t chromem_roster_count(const struct chromem_roster *roster);

/* The index that came with row @at. @name, unless NULL, borrows until the next add. */
size_t chromem_roster_at(const struct chromem_roster *roster, size_t at, struct slice *name);

/* ---- the whole store, visited (scan.c) ---- */

/* One top-level entry of the store. */
struct chromem_collection {
	const char *dir; /* its name in the store */
	int dirfd;
	bool has_hash; /* name is 8 lower-case hex digits */
	uint32_t hash;
	const struct chromem_list *list;
	const struct chromem_meta *meta; /* NULL when there is none or it has a fault */
	/* Non-NULL when there is a metadata file that cannot be used. */
	const struct chromem_fault *meta_fault;
	struct file_info info; /* of the directory */
};

struct chromem_scan_request {
	enum chromem_compression compression; /* as the application opens the store */
	bool decode;                          /* false: list and read metadata only */
	const char *only; /* one entry of the store (VS_ENOENT when absent), or NULL for all */
	struct pool *pool;
	struct vs_progress *progress; /* kept up to date when not NULL */
	struct file_known *known;     /* what is read is written down there; NULL for nothing */
};

/*
 * What to call for what is found. Everything but @document runs on the calling thread and in byte
 * order of the directory entries, as the library reads them. @document runs on any worker, in no
 * order: it may only write to its @chunk and to what belongs to its @worker. A chunk covers
 * neighbouring documents of one collection;
 * @chunk_end gets the chunks of a collection in order, between its begin and end; the end of one
 * collection comes before the begin of the next.
 *
 * A callback that returns anything but 0 stops the scan with it. Chunks that were handed out and
 * not given back by then stay the visitor's. All but @document may be NULL.
 */
struct chromem_visitor {
	void *ctx;
	/* A top-level entry that is not a directory, or a directory that cannot be read (@fault
	 * then not NULL). */
	int (*entry)(void *ctx, const char *name, enum file_type type,
		     const struct chromem_fault *fault, struct vs_err *err);
	int (*collection_begin)(void *ctx, const struct chromem_collection *c, struct vs_err *err);
	void *(*chunk_new)(void *ctx, const struct chromem_collection *c);
	/* @index: of the entry in c->list. Exactly one of @doc and @fault is not NULL. */
	void (*document)(void *ctx, unsigned worker, void *chunk,
			 const struct chromem_collection *c, size_t index,
			 const struct chromem_entry *entry, const struct chromem_doc *doc,
			 const struct chromem_fault *fault, uint64_t file_size);
	int (*chunk_end)(void *ctx, const struct chromem_collection *c, void *chunk,
			 struct vs_err *err);
	int (*collection_end)(void *ctx, const struct chromem_collection *c, struct vs_err *err);
	/*
	 * Where the request has a place for what is known. @remark comes behind each @document that
	 * decoded: true to have *@out back when the same bytes are met again. Then @again is asked, in
	 * place of reading the file: true when it has done what @document would have. Both or neither.
	 */
	bool (*remark)(void *ctx, void *chunk, size_t index, const struct chromem_entry *entry,
		       struct file_remark *out);
	bool (*again)(void *ctx, void *chunk, size_t index, const struct chromem_entry *entry,
		      const struct file_remark *remark, uint64_t file_size);
};

must_check_ int chromem_scan(int dirfd, const struct chromem_scan_request *req,
			     const struct chromem_visitor *visitor, struct vs_err *err);

/*
 * Find a collection (find.c): the directory called @wanted, or else the one whose metadata give
 * that name (of several the last, which the library serves), or else the one that the name hashes
 * to, as one without metadata has no other. *@dir is owned. VS_ENOENT when there is none.
 */
must_check_ int chromem_find_collection(int dirfd, enum chromem_compression c, const char *wanted,
					struct pool *pool, char **dir, struct vs_err *err);

/* Which setting was the store written with? Counts files of both forms, in at most the first 64
 * collections. */
struct chromem_form {
	enum chromem_compression compression; /* of the majority; PLAIN when there are none */
	uint64_t plain;
	uint64_t gzip;
};
must_check_ int chromem_detect_form(int dirfd, struct chromem_form *out, struct vs_err *err);

/* ---- a file of unknown kind, from its first bytes (peek.c) ---- */

enum chromem_content {
	CHROMEM_CONTENT_OTHER, /* no gob data */
	CHROMEM_CONTENT_EXPORT,
	CHROMEM_CONTENT_DOCUMENT,
	CHROMEM_CONTENT_METADATA,
	CHROMEM_CONTENT_GOB, /* gob data of something else */
};

/* A guess, good enough to say what to do with a file; @head are its first bytes, unpacked. */
enum chromem_content chromem_peek(struct slice head);

/* The first bytes that gzip data unpack to, at most @cap; 0 when @head is no gzip data. */
size_t chromem_unpack_head(struct slice head, unsigned char *out, size_t cap);

/* What the service contextd tells of its stores; whole stores in one file. */
#include "chromem/contextd.h"
#include "chromem/export.h"
