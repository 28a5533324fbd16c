#include "shared/crypto.h"
#include "shared/mem.h"
#include "tests/unit/suites.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static const char *hex_of(const unsigned char *bytes, size_t n)
{
    static char text[2 * SHA256_BYTES + 1];
    crypto_hex(bytes, n, text);
    return text;
}

START_TEST(sha256_of_known_texts)
{
    unsigned char digest[SHA256_BYTES];
    crypto_sha256(VIEW("abc"), digest); /* FIPS 180-2, B.1 */
    ck_assert_str_eq(hex_of(digest, sizeof digest),
                     "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    crypto_sha256((struct view){NULL, 0}, digest);
    ck_assert_str_eq(hex_of(digest, sizeof digest),
                     "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
}
END_TEST

START_TEST(hmac_of_known_texts)
{
    unsigned char digest[SHA256_BYTES];
    crypto_hmac_sha256(VIEW("Jefe"), VIEW("what do ya want for nothing?"), digest); /* RFC 4231, 4.3 */
    ck_assert_str_eq(hex_of(digest, sizeof digest),
                     "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
    crypto_hmac_sha256((struct view){NULL, 0}, (struct view){NULL, 0}, digest);
    ck_assert_str_eq(hex_of(digest, sizeof digest),
                     "b613679a0814d9ec772f95d778c35fc5ff1697c493715653c6c712144292c5ad");
}
END_TEST

START_TEST(equal_compares_every_byte)
{
    char a[] = "0123456789", b[] = "0123456789";
    ck_assert(crypto_equal(a, b, 10));
    for (size_t i = 0; i < 10; i++) {
        b[i] ^= 1;
        ck_assert(!crypto_equal(a, b, 10));
        b[i] ^= 1;
    }
    ck_assert(crypto_equal(a, "x", 0));
}
END_TEST

/* Nanoseconds of the quickest of many comparisons of two large areas that differ in one byte. */
static int64_t quickest_ns(const char *a, char *b, size_t n, size_t differ_at)
{
    int64_t least = INT64_MAX;
    b[differ_at] ^= 1;
    for (int i = 0; i < 40; i++) {
        struct timespec from, to;
        clock_gettime(CLOCK_MONOTONIC, &from);
        ck_assert(!crypto_equal(a, b, n));
        clock_gettime(CLOCK_MONOTONIC, &to);
        int64_t took = (to.tv_sec - from.tv_sec) * INT64_C(1000000000) + to.tv_nsec - from.tv_nsec;
        least = took < least ? took : least;
    }
    b[differ_at] ^= 1;
    return least;
}

/* Who guesses a signature learns nothing of how much of it is right. */
START_TEST(equal_takes_its_time_wherever_the_difference_is)
{
    enum { LARGE = 1 << 18 };
    char *a = xcalloc(1, LARGE), *b = xcalloc(1, LARGE);
    int64_t first = quickest_ns(a, b, LARGE, 0), last = quickest_ns(a, b, LARGE, LARGE - 1);
    ck_assert_msg(first * 2 > last, "%lld ns for the first byte, %lld for the last", (long long)first,
                  (long long)last);
    free(a);
    free(b);
}
END_TEST

START_TEST(unhex_takes_both_cases_and_exactly_2n_digits)
{
    unsigned char out[3];
    ck_assert(crypto_unhex(VIEW("00fFa9"), out, 3));
    ck_assert_mem_eq(out, "\x00\xff\xa9", 3);
    ck_assert(!crypto_unhex(VIEW("00ffa"), out, 3));
    ck_assert(!crypto_unhex(VIEW("00ffa90"), out, 3));
    ck_assert(!crypto_unhex(VIEW("00fga9"), out, 3));
    ck_assert(!crypto_unhex(VIEW("00ff:9"), out, 3));
    ck_assert(!crypto_unhex(VIEW("00ff 9"), out, 3));
}
END_TEST

static const struct {
    const char *text;
    const char *bytes;
    size_t n;
} base64url[] = {
    {"", "", 0},
    {"Zg", "f", 1}, /* RFC 4648, 10 */
    {"Zm8", "fo", 2},
    {"Zm9v", "foo", 3},
    {"Zm9vYg", "foob", 4},
    {"Zm9vYmE", "fooba", 5},
    {"Zm9vYmFy", "foobar", 6},
    {"AAAA", "\0\0\0", 3},
    {"-_-_", "\xfb\xff\xbf", 3},
    {"_w", "\xff", 1},
};

START_TEST(base64url_both_ways)
{
    char text[16];
    unsigned char bytes[16];
    size_t n;
    ck_assert_uint_eq(crypto_base64url((const unsigned char *)base64url[_i].bytes, base64url[_i].n, text),
                      strlen(base64url[_i].text));
    ck_assert_str_eq(text, base64url[_i].text);
    ck_assert(crypto_unbase64url(view_of(text), bytes, &n));
    ck_assert_uint_eq(n, base64url[_i].n);
    ck_assert_mem_eq(bytes, base64url[_i].bytes, n);
}
END_TEST

START_TEST(base64_both_ways)
{
    static const struct {
        const char *bytes;
        size_t n;
        const char *text;
    } rows[] = {{"", 0, ""},
                {"f", 1, "Zg=="},
                {"fo", 2, "Zm8="},
                {"foo", 3, "Zm9v"},
                {"\xff\xfe\xfb", 3, "//77"},
                {"\0\0", 2, "AAA="}};
    for (size_t i = 0; i < countof(rows); i++) {
        char text[16];
        unsigned char bytes[16];
        size_t n = crypto_base64((const unsigned char *)rows[i].bytes, rows[i].n, text);
        ck_assert(view_is((struct view){text, n}, rows[i].text));
        ck_assert(crypto_unbase64(view_of(text), bytes, &n));
        ck_assert_uint_eq(n, rows[i].n);
        ck_assert_int_eq(memcmp(bytes, rows[i].bytes, n), 0);
    }
}
END_TEST

START_TEST(unbase64_refuses)
{
    static const char *const rows[] = {
        "Z", "Zg", "Zg=", "Zg===", "Z===", "====", "Zm9 ", " Zm9v", "Zm-_", "Zg==Zg==", "Zm\n9v"};
    unsigned char bytes[16];
    size_t n;
    for (size_t i = 0; i < countof(rows); i++)
        ck_assert_msg(!crypto_unbase64(view_of(rows[i]), bytes, &n), "%s", rows[i]);
}
END_TEST

static const char *const not_base64url[] = {
    "Z",                        /* 6 bits are no byte */
    "Zm9vY",                    /* the same, later */
    "Zg==",                     /* padding */
    "Zm8=",  "Zm9v=",   "Zh",   /* bits left over that are not 0 */
    "Zm9",                      /* the same with three characters */
    "Zm 9v", "Zm9v\n",  "+/+/", /* the other alphabet */
    "Zm.v",  "Zm9\xc3",
};

START_TEST(unbase64url_refuses)
{
    unsigned char bytes[16];
    size_t n;
    ck_assert_msg(!crypto_unbase64url(view_of(not_base64url[_i]), bytes, &n), "%s", not_base64url[_i]);
}
END_TEST

START_TEST(unbase64url_refuses_nul)
{
    unsigned char bytes[16];
    size_t n;
    ck_assert(!crypto_unbase64url((struct view){"Zm\0v", 4}, bytes, &n));
}
END_TEST

START_TEST(random_ids_differ_and_name_ids_do_not)
{
    char a[32], b[32];
    crypto_random_id("m_", a);
    crypto_random_id("m_", b);
    ck_assert_uint_eq(strlen(a), 22);
    ck_assert(!strncmp(a, "m_", 2));
    ck_assert_str_ne(a, b);
    crypto_name_id("c_", VIEW("a name"), a);
    crypto_name_id("c_", VIEW("a name"), b);
    ck_assert_uint_eq(strlen(a), 22);
    ck_assert_str_eq(a, b);
    crypto_name_id("c_", VIEW("a namf"), b);
    ck_assert_str_ne(a, b);
}
END_TEST

static const struct {
    const char *path, *algorithm;
} keys[] = {
    {"tests/golden/keys/rs256/main.pem", "RS256"},    {"tests/golden/keys/es256/main.pem", "ES256"},
    {"tests/golden/keys/too-small/main.pem", "none"}, {"tests/golden/keys/wrong-curve/main.pem", "none"},
    {"tests/golden/keys/rs256-kid.jwt", "none"},
};

START_TEST(key_algorithm_of_pem_files)
{
    char pem[4096];
    FILE *file = fopen(keys[_i].path, "r");
    ck_assert_msg(file != NULL, "%s", keys[_i].path);
    size_t n = fread(pem, 1, sizeof pem, file);
    fclose(file);
    const char *algorithm = crypto_key_algorithm((struct view){pem, n});
    ck_assert_str_eq(algorithm ? algorithm : "none", keys[_i].algorithm);
}
END_TEST

Suite *suite_crypto(void)
{
    Suite *suite = suite_create("crypto");
    TCase *tests = tcase_create("crypto");
    tcase_add_test(tests, sha256_of_known_texts);
    tcase_add_test(tests, hmac_of_known_texts);
    tcase_add_test(tests, equal_compares_every_byte);
    tcase_add_test(tests, equal_takes_its_time_wherever_the_difference_is);
    tcase_add_test(tests, unhex_takes_both_cases_and_exactly_2n_digits);
    tcase_add_test(tests, base64_both_ways);
    tcase_add_test(tests, unbase64_refuses);
    tcase_add_loop_test(tests, base64url_both_ways, 0, (int)countof(base64url));
    tcase_add_loop_test(tests, unbase64url_refuses, 0, (int)countof(not_base64url));
    tcase_add_test(tests, unbase64url_refuses_nul);
    tcase_add_test(tests, random_ids_differ_and_name_ids_do_not);
    tcase_add_loop_test(tests, key_algorithm_of_pem_files, 0, (int)countof(keys));
    suite_add_tcase(suite, tests);
    return suite;
}
