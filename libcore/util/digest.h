/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Digest: SHA-256, and MD5 where a format has it, over libcrypto
 */

#define DIGEST_LEN 32
#define DIGEST_HEX_LEN 64

struct digest {
	unsigned char bytes[DIGEST_LEN];
};

/* SHA-256 of @bytes in one call. */
void digest_of(struct slice bytes, struct digest *out);

/* A running digest; owned, freed with digest_ctx_freep(). One per thread. */
struct digest_ctx;
struct digest_ctx *digest_ctx_new(void);
void digest_ctx_freep(struct digest_ctx **ctx);
void digest_ctx_reset(struct digest_ctx *ctx);
void digest_ctx_add(struct digest_ctx *ctx, const void *ptr, size_t len);
void digest_ctx_add_u64(struct digest_ctx *ctx, uint64_t value); /* 8 bytes, little-endian */
void digest_ctx_final(struct digest_ctx *ctx, struct digest *out);

/* MD5 in lower-case hex: not against forgery, but what Chroma records of its migrations. */
#define MD5_HEX_LEN 32
void md5_of(struct slice bytes, char out[MD5_HEX_LEN + 1]);

void digest_format(const struct digest *d, char out[DIGEST_HEX_LEN + 1]);
