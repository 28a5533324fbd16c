#include "shared/map.h"
#include "shared/mem.h"
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

enum { MAP_FIRST_CAP = 16 };

struct map_slot {
    char *key; /* NULL: free */
    size_t key_n;
    uint64_t hash;
    void *value;
};

static uint64_t hash_key[2];
static pthread_once_t hash_key_once = PTHREAD_ONCE_INIT;

static void make_hash_key(void)
{
    if (getrandom(hash_key, sizeof hash_key, 0) != (ssize_t)sizeof hash_key)
        abort();
}

static uint64_t rotate(uint64_t x, int bits)
{
    return x << bits | x >> (64 - bits);
}

static void sip_rounds(uint64_t v[4], int rounds)
{
    while (rounds--) {
        v[0] += v[1], v[1] = rotate(v[1], 13) ^ v[0], v[0] = rotate(v[0], 32);
        v[2] += v[3], v[3] = rotate(v[3], 16) ^ v[2];
        v[0] += v[3], v[3] = rotate(v[3], 21) ^ v[0];
        v[2] += v[1], v[1] = rotate(v[1], 17) ^ v[2], v[2] = rotate(v[2], 32);
    }
}

/* SipHash-2-4, Aumasson and Bernstein 2012. */
uint64_t map_hash(struct view key)
{
    pthread_once(&hash_key_once, make_hash_key);
    uint64_t v[4] = {hash_key[0] ^ 0x736f6d6570736575, hash_key[1] ^ 0x646f72616e646f6d,
                     hash_key[0] ^ 0x6c7967656e657261, hash_key[1] ^ 0x7465646279746573};
    size_t i = 0;
    for (; i + 8 <= key.n; i += 8) {
        uint64_t word;
        memcpy(&word, key.p + i, 8);
        v[3] ^= word;
        sip_rounds(v, 2);
        v[0] ^= word;
    }
    uint64_t last = (uint64_t)key.n << 56;
    for (size_t j = 0; i + j < key.n; j++)
        last |= (uint64_t)(unsigned char)key.p[i + j] << (8 * j);
    v[3] ^= last;
    sip_rounds(v, 2);
    v[0] ^= last;
    v[2] ^= 0xff;
    sip_rounds(v, 4);
    return v[0] ^ v[1] ^ v[2] ^ v[3];
}

void map_init(struct map *m)
{
    *m = (struct map){0};
}

void map_free(struct map *m)
{
    for (size_t i = 0; i < m->cap; i++)
        free(m->slots[i].key);
    free(m->slots);
    map_init(m);
}

/* The slot that holds the key, or the free slot where it would go. cap > count, so there is one. */
static size_t probe(const struct map *m, struct view key, uint64_t hash)
{
    size_t at = hash & (m->cap - 1);
    while (m->slots[at].key && (m->slots[at].hash != hash || m->slots[at].key_n != key.n ||
                                memcmp(m->slots[at].key, key.p, key.n) != 0))
        at = (at + 1) & (m->cap - 1);
    return at;
}

static void grow(struct map *m)
{
    struct map old = *m;
    m->cap = old.cap ? old.cap * 2 : MAP_FIRST_CAP;
    m->slots = xcalloc(m->cap, sizeof *m->slots);
    for (size_t i = 0; i < old.cap; i++) {
        struct map_slot *slot = &old.slots[i];
        if (slot->key)
            m->slots[probe(m, (struct view){slot->key, slot->key_n}, slot->hash)] = *slot;
    }
    free(old.slots);
}

void *map_get(const struct map *m, struct view key)
{
    return m->count ? m->slots[probe(m, key, map_hash(key))].value : NULL;
}

void *map_put(struct map *m, struct view key, void *value)
{
    if ((m->count + 1) * 4 > m->cap * 3)
        grow(m);
    uint64_t hash = map_hash(key);
    struct map_slot *slot = &m->slots[probe(m, key, hash)];
    void *before = slot->value;
    if (!slot->key) {
        *slot = (struct map_slot){.key = xstrndup(key.p, key.n), .key_n = key.n, .hash = hash};
        m->count++;
    }
    slot->value = value;
    return before;
}

void *map_remove(struct map *m, struct view key)
{
    if (!m->count)
        return NULL;
    size_t hole = probe(m, key, map_hash(key)), mask = m->cap - 1;
    void *value = m->slots[hole].value;
    if (!m->slots[hole].key)
        return NULL;
    free(m->slots[hole].key);
    m->count--;
    /* Close the gap: a later slot moves back when its home is not between the hole and itself. */
    for (size_t at = (hole + 1) & mask; m->slots[at].key; at = (at + 1) & mask) {
        size_t home = m->slots[at].hash & mask;
        if (((at - home) & mask) >= ((at - hole) & mask)) {
            m->slots[hole] = m->slots[at];
            hole = at;
        }
    }
    m->slots[hole] = (struct map_slot){0};
    return value;
}

bool map_next(const struct map *m, size_t *at, struct view *key, void **value)
{
    for (; *at < m->cap; (*at)++) {
        const struct map_slot *slot = &m->slots[*at];
        if (!slot->key)
            continue;
        if (key)
            *key = (struct view){slot->key, slot->key_n};
        *value = slot->value;
        (*at)++;
        return true;
    }
    return false;
}
