/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Sealed bytes: AES-256-GCM, as the library seals export files
 *
 *	sealed = nonce{12} ciphertext tag{16}
 *
 * No additional data, so the tag covers the ciphertext alone. Opening happens in place and gives
 * nothing away before the tag was found right.
 */

#include "chromem/chromem.h"

#include <openssl/evp.h>
#include <openssl/rand.h>

/* What one nonce is good for, and what one call of libcrypto takes. */
#define SEAL_MAX ((UINT64_C(1) << 36) - 32)
#define UPDATE_MAX ((size_t)1 << 30)

struct chromem_seal {
	EVP_CIPHER_CTX *cipher;
	uint64_t len;
};

static void cipher_freep(EVP_CIPHER_CTX **cipher)
{
	EVP_CIPHER_CTX_free(*cipher);
}

static int no_cipher(struct vs_err *err)
{
	return vs_fail(err, VS_ENOTSUP, "AES-256-GCM does not work in this libcrypto");
}

/* Run @len bytes through @cipher in place. */
static bool update(EVP_CIPHER_CTX *cipher, unsigned char *bytes, size_t len)
{
	while (len > 0) {
		int piece = (int)VS_MIN(len, UPDATE_MAX);
		int done = 0;

		if (EVP_CipherUpdate(cipher, bytes, &done, bytes, piece) != 1 || done != piece)
			return false;
		bytes += piece;
		len -= (size_t)piece;
	}
	return true;
}

int chromem_seal_new(struct chromem_seal **out, const unsigned char *key, unsigned char *nonce,
		     struct vs_err *err)
{
	cleanup_(chromem_seal_freep) struct chromem_seal *seal = vs_alloc(sizeof(*seal));

	if (RAND_bytes(nonce, CHROMEM_NONCE_LEN) != 1)
		return vs_fail(err, VS_EIO, "no random bytes for a nonce");
	seal->cipher = EVP_CIPHER_CTX_new();
	if (!seal->cipher ||
	    EVP_EncryptInit_ex(seal->cipher, EVP_aes_256_gcm(), NULL, key, nonce) != 1)
		return no_cipher(err);
	*out = VS_TAKE(seal);
	return 0;
}

void chromem_seal_freep(struct chromem_seal **seal)
{
	if (!*seal)
		return;
	EVP_CIPHER_CTX_free((*seal)->cipher);
	free(*seal);
	*seal = NULL;
}

int chromem_seal_add(struct chromem_seal *seal, unsigned char *bytes, size_t len,
		     struct vs_err *err)
{
	if (len > SEAL_MAX - seal->len)
		return vs_fail(err, VS_ELIMIT, "more than %" PRIu64 " bytes cannot be sealed",
			       (uint64_t)SEAL_MAX);
	seal->len += len;
	return update(seal->cipher, bytes, len) ? 0 : no_cipher(err);
}

int chromem_seal_end(struct chromem_seal *seal, unsigned char *tag, struct vs_err *err)
{
	unsigned char rest[16]; /* this mode has none */
	int len = 0;

	if (EVP_EncryptFinal_ex(seal->cipher, rest, &len) != 1 || len != 0 ||
	    EVP_CIPHER_CTX_ctrl(seal->cipher, EVP_CTRL_GCM_GET_TAG, CHROMEM_TAG_LEN, tag) != 1)
		return no_cipher(err);
	return 0;
}

static int refuse(struct chromem_fault *fault, enum chromem_fault_kind kind, size_t off,
		  const char *detail, const char *loader_text)
{
	*fault = (struct chromem_fault){ .kind = kind, .off = off };
	snprintf(fault->detail, sizeof(fault->detail), "%s", detail);
	snprintf(fault->loader_text, sizeof(fault->loader_text), "%s", loader_text);
	return 1;
}

int chromem_unseal(const unsigned char *key, unsigned char *sealed, size_t len, struct slice *plain,
		   struct chromem_fault *fault, struct vs_err *err)
{
	static const char not_authentic[] =
		"couldn't decrypt data: cipher: message authentication failed";
	cleanup_(cipher_freep) EVP_CIPHER_CTX *cipher = EVP_CIPHER_CTX_new();
	unsigned char rest[16];
	size_t text_len;
	int rest_len = 0;

	if (len < CHROMEM_NONCE_LEN)
		return refuse(fault, CHROMEM_FAULT_TRUNCATED, len,
			      "too short to hold the nonce of encrypted data",
			      "encrypted data too short");
	if (len < CHROMEM_NONCE_LEN + CHROMEM_TAG_LEN)
		return refuse(fault, CHROMEM_FAULT_TRUNCATED, len,
			      "too short to hold the authentication tag of encrypted data",
			      not_authentic);
	text_len = len - CHROMEM_NONCE_LEN - CHROMEM_TAG_LEN;
	if (!cipher || EVP_DecryptInit_ex(cipher, EVP_aes_256_gcm(), NULL, key, sealed) != 1 ||
	    EVP_CIPHER_CTX_ctrl(cipher, EVP_CTRL_GCM_SET_TAG, CHROMEM_TAG_LEN,
				sealed + CHROMEM_NONCE_LEN + text_len) != 1 ||
	    !update(cipher, sealed + CHROMEM_NONCE_LEN, text_len))
		return no_cipher(err);
	if (EVP_DecryptFinal_ex(cipher, rest, &rest_len) != 1)
		return refuse(
			fault, CHROMEM_FAULT_SEALED, 0,
			"authentication failed: the key is another one, or a byte has changed",
			not_authentic);
	*plain = slice_of(sealed + CHROMEM_NONCE_LEN, text_len);
	return 0;
}
