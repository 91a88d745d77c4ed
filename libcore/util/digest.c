/* SPDX-License-Identifier: Apache-2.0 */

/*
 * SHA-256 over libcrypto, through the functions of its version 1.1: the newer interface looks the
 * algorithm up by name, which costs more than hashing a short name does, and reads a configuration
 * file first, which is a fourth of the time that a check of a small store takes.
 */

#include "util/util.h"

#define OPENSSL_API_COMPAT 10101
#include <openssl/md5.h>
#include <openssl/sha.h>

struct digest_ctx {
	SHA256_CTX sha;
};

void digest_of(struct slice bytes, struct digest *out)
{
	struct digest_ctx ctx;

	digest_ctx_reset(&ctx);
	digest_ctx_add(&ctx, bytes.ptr, bytes.len);
	digest_ctx_final(&ctx, out);
}

struct digest_ctx *digest_ctx_new(void)
{
	struct digest_ctx *ctx = vs_alloc(sizeof(*ctx));

	digest_ctx_reset(ctx);
	return ctx;
}

void digest_ctx_freep(struct digest_ctx **ctx)
{
	free(*ctx);
	*ctx = NULL;
}

/* These functions fail only where SHA-256 is not what its parameters say. */

void digest_ctx_reset(struct digest_ctx *ctx)
{
	if (SHA256_Init(&ctx->sha) != 1)
		abort();
}

void digest_ctx_add(struct digest_ctx *ctx, const void *ptr, size_t len)
{
	if (len > 0 && SHA256_Update(&ctx->sha, ptr, len) != 1)
		abort();
}

void digest_ctx_add_u64(struct digest_ctx *ctx, uint64_t value)
{
	unsigned char bytes[8];

	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (unsigned char)(value >> (8 * i));
	digest_ctx_add(ctx, bytes, sizeof(bytes));
}

void digest_ctx_final(struct digest_ctx *ctx, struct digest *out)
{
	if (SHA256_Final(out->bytes, &ctx->sha) != 1)
		abort();
}

void digest_format(const struct digest *d, char out[DIGEST_HEX_LEN + 1])
{
	hex_format(d->bytes, DIGEST_LEN, out);
}

void md5_of(struct slice bytes, char out[MD5_HEX_LEN + 1])
{
	unsigned char md5[MD5_DIGEST_LENGTH];
	MD5_CTX ctx;

	if (MD5_Init(&ctx) != 1 || (bytes.len > 0 && MD5_Update(&ctx, bytes.ptr, bytes.len) != 1) ||
	    MD5_Final(md5, &ctx) != 1)
		abort();
	for (size_t i = 0; i < sizeof(md5); i++)
		snprintf(out + 2 * i, 3, "%02x", md5[i]);
}
