/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * export: a whole chromem store in one file, as the library's Export and Import have it, and the seal
 * (AES-256-GCM) that such files and archives may be under
 */

#include "chromem/chromem.h"

/* ---- sealed bytes (seal.c) ---- */

#define CHROMEM_KEY_LEN 32
#define CHROMEM_NONCE_LEN 12
#define CHROMEM_TAG_LEN 16

/*
 * Seal bytes with AES-256-GCM, in any number of pieces: nonce, ciphertext of the same length, tag,
 * no additional data. The nonce is random; @key has CHROMEM_KEY_LEN bytes and is read during the
 * call only. Pieces are replaced in place. Fails with VS_ENOTSUP where libcrypto does not offer the
 * cipher, VS_ELIMIT beyond 64 GiB. Owned.
 */
struct chromem_seal;
must_check_ int chromem_seal_new(struct chromem_seal **out, const unsigned char *key,
				 unsigned char *nonce, struct vs_err *err);
void chromem_seal_freep(struct chromem_seal **seal);
must_check_ int chromem_seal_add(struct chromem_seal *seal, unsigned char *bytes, size_t len,
				 struct vs_err *err);
must_check_ int chromem_seal_end(struct chromem_seal *seal, unsigned char *tag, struct vs_err *err);

/*
 * Open @len sealed bytes in place; *@plain borrows from them. Returns 0; 1 with @fault filled when
 * they are too short or not authentic, and then what they hold is of no use; or negative.
 */
must_check_ int chromem_unseal(const unsigned char *key, unsigned char *sealed, size_t len,
			       struct slice *plain, struct chromem_fault *fault,
			       struct vs_err *err);

/* ---- export files (export.c, export-write.c) ---- */

/* No export file larger than this, unpacked, is decoded. */
#define CHROMEM_EXPORT_MAX (UINT64_C(4) << 30)

/*
 * Decode a whole-store export (one gob value; plain, gzip, or AES-256-GCM over either: 12-byte
 * nonce, ciphertext, 16-byte tag, no additional data). @key is NULL or CHROMEM_KEY_LEN bytes. Calls
 * back for each collection and then each of its documents, in file order; arguments are borrowed
 * for the call, and void if the file is refused in the end: it is decoded while it is passed on.
 * Returns 0, 1 with @fault filled (loader_text without its "couldn't read file: "),
 * or negative.
 */
struct chromem_export_visitor {
	void *ctx;
	int (*collection)(void *ctx, struct slice key, const struct chromem_meta *meta,
			  struct vs_err *err);
	int (*document)(void *ctx, struct slice key, const struct chromem_doc *doc,
			struct vs_err *err);
};
must_check_ int chromem_export_read(int dirfd, const char *name, const unsigned char *key,
				    const struct chromem_export_visitor *visitor,
				    uint32_t *oddities, struct chromem_fault *fault,
				    struct vs_err *err);

/*
 * The same for bytes in memory that are not sealed, or not any more.
 */
must_check_ int chromem_decode_export(struct slice bytes,
				      const struct chromem_export_visitor *visitor,
				      uint32_t *oddities, struct chromem_fault *fault,
				      struct vs_err *err);

/*
 * Write an export as a fresh process of the library would: the same bytes but for the order of map
 * entries, which is the source's. With CHROMEM_GZIP it is a row of gzip members, which readers take
 * for one; with @key (CHROMEM_KEY_LEN bytes, or NULL) the whole is sealed.
 *
 * @source is visited twice, to count and to write, and has to give the same both times: each
 * collection, then its documents, as chromem_export_read() does. Where it does not, the writing
 * ends with VS_EVANISHED. @sink gets the bytes in order; what it got before a failure is void.
 * VS_ELIMIT for more than CHROMEM_EXPORT_MAX, before the sink got anything.
 */
struct chromem_export_source {
	void *ctx;
	int (*visit)(void *ctx, const struct chromem_export_visitor *to, struct vs_err *err);
};
struct chromem_export_sink {
	void *ctx;
	int (*write)(void *ctx, struct slice bytes, struct vs_err *err);
};
must_check_ int chromem_export_write(const struct chromem_export_source *source,
				     enum chromem_compression c, const unsigned char *key,
				     const struct chromem_export_sink *sink, struct vs_err *err);

/* ---- a store as the library has it in memory (source.c) ---- */

/*
 * The content of a store directory as the library would load it: of two documents with one id, or
 * two collections with one name, the one that it reads last; nothing that it passes over; in byte
 * order of names and ids. Made for exports and digests. Reads everything once when it is opened
 * (with @pool) and again at each visit, and keeps the ids and 16 bytes for each.
 *
 * Returns 0; 1 with @fault filled and the file's or directory's name in the store appended to @path
 * when the library would refuse the store; or negative. @dirfd stays the caller's and open. Owned.
 */
struct chromem_source;
must_check_ int chromem_source_open(struct chromem_source **out, int dirfd,
				    enum chromem_compression c, struct pool *pool,
				    struct chromem_fault *fault, struct buf *path,
				    struct vs_err *err);
void chromem_source_freep(struct chromem_source **source);
size_t chromem_source_collections(const struct chromem_source *source);
uint64_t chromem_source_documents(const struct chromem_source *source);

/*
 * The visit of a struct chromem_export_source; @source is the struct chromem_source. VS_EVANISHED
 * when the store is not any more what it was when it was opened.
 */
int chromem_source_visit(void *source, const struct chromem_export_visitor *to, struct vs_err *err);

/* The digest of the store, as chromem_store_digest_begin() describes it. */
must_check_ int chromem_source_digest(struct chromem_source *source, struct digest *out,
				      struct vs_err *err);
