/* SPDX-License-Identifier: Apache-2.0 */

/*
 * SHA-256 over libcrypto.
 *
 * The EVP interface looks its algorithm up by name for each digest, which costs more than hashing a
 * short name does. The algorithm is therefore fetched once per context and reused.
 */

#include "util/util.h"

/* Short names are hashed with the functions of 1.1, which look nothing up. */
#define OPENSSL_API_COMPAT 10101
#include <openssl/evp.h>
#include <openssl/sha.h>

struct digest_ctx {
	EVP_MD *algorithm;
	EVP_MD_CTX *md;
};

void digest_of(struct slice bytes, struct digest *out)
{
	SHA256_CTX ctx;

	/* These fail only where SHA-256 is not what its parameters say. */
	if (SHA256_Init(&ctx) != 1 ||
	    (bytes.len > 0 && SHA256_Update(&ctx, bytes.ptr, bytes.len) != 1) ||
	    SHA256_Final(out->bytes, &ctx) != 1)
		abort();
}

struct digest_ctx *digest_ctx_new(void)
{
	struct digest_ctx *ctx = vs_alloc(sizeof(*ctx));

	ctx->algorithm = EVP_MD_fetch(NULL, "SHA256", NULL);
	ctx->md = EVP_MD_CTX_new();
	if (!ctx->algorithm || !ctx->md)
		abort();
	digest_ctx_reset(ctx);
	return ctx;
}

void digest_ctx_freep(struct digest_ctx **ctx)
{
	if (!*ctx)
		return;
	EVP_MD_CTX_free((*ctx)->md);
	EVP_MD_free((*ctx)->algorithm);
	free(*ctx);
	*ctx = NULL;
}

void digest_ctx_reset(struct digest_ctx *ctx)
{
	if (EVP_DigestInit_ex2(ctx->md, ctx->algorithm, NULL) != 1)
		abort();
}

void digest_ctx_add(struct digest_ctx *ctx, const void *ptr, size_t len)
{
	if (len > 0 && EVP_DigestUpdate(ctx->md, ptr, len) != 1)
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
	if (EVP_DigestFinal_ex(ctx->md, out->bytes, NULL) != 1)
		abort();
}

void digest_format(const struct digest *d, char out[DIGEST_HEX_LEN + 1])
{
	hex_format(d->bytes, DIGEST_LEN, out);
}
