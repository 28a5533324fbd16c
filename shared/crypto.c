#include "shared/crypto.h"
#include "shared/mem.h"
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <stdlib.h>
#include <string.h>

enum {
    ID_BYTES = 15, /* 20 characters of base64url */
    RSA_MIN_BITS = 2048
};

static const char base64url_alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/* libcrypto's one-shot digests fail only without memory or with a broken installation. */
static void require(bool ok)
{
    if (!ok)
        mem_exhausted();
}

void crypto_sha256(struct view data, unsigned char out[static SHA256_BYTES])
{
    require(EVP_Digest(data.n ? data.p : "", data.n, out, NULL, EVP_sha256(), NULL) == 1);
}

void crypto_hmac_sha256(struct view key, struct view data, unsigned char out[static SHA256_BYTES])
{
    /* An empty key is a pointer to nothing, not NULL: NULL means "the key of the call before". */
    const char *key_bytes = key.n ? key.p : "";
    const unsigned char *bytes = (const unsigned char *)(data.n ? data.p : "");
    require(HMAC(EVP_sha256(), key_bytes, (int)key.n, bytes, data.n, out, NULL) != NULL);
}

bool crypto_equal(const void *a, const void *b, size_t n)
{
    return CRYPTO_memcmp(a, b, n) == 0;
}

void crypto_random(void *out, size_t n)
{
    require(RAND_bytes(out, (int)n) == 1);
}

void crypto_hex(const unsigned char *bytes, size_t n, char *out)
{
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < n; i++) {
        *out++ = digits[bytes[i] >> 4];
        *out++ = digits[bytes[i] & 15];
    }
    *out = 0;
}

static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

bool crypto_unhex(struct view hex, unsigned char *out, size_t n)
{
    if (hex.n != 2 * n)
        return false;
    for (size_t i = 0; i < n; i++) {
        int high = hex_value(hex.p[2 * i]), low = hex_value(hex.p[2 * i + 1]);
        if (high < 0 || low < 0)
            return false;
        out[i] = (unsigned char)(high << 4 | low);
    }
    return true;
}

size_t crypto_base64url(const unsigned char *bytes, size_t n, char *out)
{
    char *at = out;
    for (size_t i = 0; i < n; i += 3) {
        size_t have = n - i < 3 ? n - i : 3;
        unsigned group = (unsigned)bytes[i] << 16;
        if (have > 1)
            group |= (unsigned)bytes[i + 1] << 8;
        if (have > 2)
            group |= bytes[i + 2];
        for (size_t j = 0; j <= have; j++)
            *at++ = base64url_alphabet[group >> (18 - 6 * j) & 63];
    }
    *at = 0;
    return (size_t)(at - out);
}

static int base64url_value(char c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    return c == '-' ? 62 : c == '_' ? 63 : -1;
}

bool crypto_unbase64url(struct view text, unsigned char *out, size_t *n)
{
    unsigned bits = 0;
    int held = 0; /* bits not yet written */
    *n = 0;
    if (text.n % 4 == 1)
        return false;
    for (size_t i = 0; i < text.n; i++) {
        int value = base64url_value(text.p[i]);
        if (value < 0)
            return false;
        bits = (bits << 6 | (unsigned)value) & 0xffff;
        held += 6;
        if (held >= 8) {
            held -= 8;
            out[(*n)++] = (unsigned char)(bits >> held);
        }
    }
    /* Bits left over must be 0, or one value would have several texts (RFC 4648, 3.5). */
    return (bits & ((1u << held) - 1)) == 0;
}

size_t crypto_base64(const unsigned char *bytes, size_t n, char *out)
{
    return (size_t)EVP_EncodeBlock((unsigned char *)out, bytes, (int)n);
}

bool crypto_unbase64(struct view text, unsigned char *out, size_t *n)
{
    size_t padding = 0;
    while (padding < 2 && padding < text.n && text.p[text.n - 1 - padding] == '=')
        padding++;
    *n = 0;
    for (size_t i = 0; i < text.n - padding; i++) /* libcrypto's would skip blanks */
        if (base64url_value(text.p[i]) < 0 ? text.p[i] != '+' && text.p[i] != '/'
                                           : text.p[i] == '-' || text.p[i] == '_')
            return false;
    if (text.n % 4)
        return false;
    if (!text.n)
        return true;
    int length = EVP_DecodeBlock(out, (const unsigned char *)text.p, (int)text.n);
    if (length < (int)padding)
        return false;
    *n = (size_t)length - padding;
    return true;
}

static const char *key_algorithm(EVP_PKEY *key)
{
    char curve[32] = "";
    if (EVP_PKEY_is_a(key, "RSA"))
        return EVP_PKEY_get_bits(key) >= RSA_MIN_BITS ? "RS256" : NULL;
    if (EVP_PKEY_is_a(key, "EC") && EVP_PKEY_get_group_name(key, curve, sizeof curve, NULL) == 1)
        return strcmp(curve, "prime256v1") == 0 ? "ES256" : NULL;
    return NULL;
}

const char *crypto_key_algorithm(struct view pem)
{
    BIO *bio = BIO_new_mem_buf(pem.p, (int)pem.n);
    require(bio != NULL);
    EVP_PKEY *key = PEM_read_bio_PUBKEY(bio, NULL, NULL, NULL);
    const char *algorithm = key ? key_algorithm(key) : NULL;
    EVP_PKEY_free(key);
    BIO_free(bio);
    ERR_clear_error(); /* what was read is on this thread's list of errors otherwise */
    return algorithm;
}

void crypto_random_id(const char *prefix, char *out)
{
    unsigned char bytes[ID_BYTES];
    crypto_random(bytes, sizeof bytes);
    size_t n = strlen(prefix);
    memcpy(out, prefix, n);
    crypto_base64url(bytes, sizeof bytes, out + n);
}

void crypto_name_id(const char *prefix, struct view name, char *out)
{
    unsigned char digest[SHA256_BYTES];
    crypto_sha256(name, digest);
    size_t n = strlen(prefix);
    memcpy(out, prefix, n);
    crypto_base64url(digest, ID_BYTES, out + n);
}
