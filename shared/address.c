#include "shared/address.h"
#include "shared/mem.h"
#include <arpa/inet.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { V4_PREFIX = 12, V4_BITS = 32, ALL_BITS = 128, SITE_BYTES = 8 };

static const unsigned char v4_prefix[V4_PREFIX] = {[10] = 0xff, [11] = 0xff};

struct network {
    struct address address;
    unsigned bits;
};

static bool is_v4(const struct address *a)
{
    return memcmp(a->bytes, v4_prefix, V4_PREFIX) == 0;
}

static bool parse_bare(struct view text, struct address *out)
{
    char buffer[INET6_ADDRSTRLEN];
    if (!view_copy(text, buffer, sizeof buffer))
        return false;
    memcpy(out->bytes, v4_prefix, V4_PREFIX);
    return inet_pton(AF_INET, buffer, out->bytes + V4_PREFIX) == 1 ||
           inet_pton(AF_INET6, buffer, out->bytes) == 1;
}

static bool has_colon(struct view text)
{
    return text.n && memchr(text.p, ':', text.n);
}

static bool is_port(struct view text)
{
    uint64_t port;
    return view_u64(text, UINT16_MAX, &port);
}

/* What stands before the mark; the text is left with what stands behind it. False: the mark is not there. */
static bool cut_at(struct view *text, char mark, struct view *before)
{
    const char *at = text->n ? memchr(text->p, mark, text->n) : NULL;
    if (!at)
        return false;
    *before = (struct view){text->p, (size_t)(at - text->p)};
    *text = (struct view){at + 1, text->n - before->n - 1};
    return true;
}

bool address_parse(struct view text, struct address *out)
{
    struct view bare, rest = text;
    if (parse_bare(text, out))
        return true;
    if (!view_starts(text, "["))
        return cut_at(&rest, ':', &bare) && is_port(rest) && parse_bare(bare, out) && is_v4(out);
    rest = (struct view){text.p + 1, text.n - 1};
    return cut_at(&rest, ']', &bare) && has_colon(bare) && parse_bare(bare, out) &&
           (!rest.n || (rest.p[0] == ':' && is_port((struct view){rest.p + 1, rest.n - 1})));
}

struct address address_of_site(const struct address *a)
{
    struct address site = *a;
    if (!is_v4(a))
        memset(site.bytes + SITE_BYTES, 0, sizeof site.bytes - SITE_BYTES);
    return site;
}

/* --- networks --- */

static bool parse_network(struct view text, struct network *out)
{
    struct view address, rest = text;
    uint64_t bits;
    if (!cut_at(&rest, '/', &address)) {
        out->bits = ALL_BITS;
        return parse_bare(text, &out->address);
    }
    if (!parse_bare(address, &out->address))
        return false;
    bool v4 = !has_colon(address);
    if (!view_u64(rest, v4 ? V4_BITS : ALL_BITS, &bits))
        return false;
    out->bits = (unsigned)bits + (v4 ? ALL_BITS - V4_BITS : 0);
    return true;
}

bool networks_parse(const char *list, struct networks *out, struct err *err)
{
    struct view rest = view_of(list), entry;
    *out = (struct networks){0};
    while (view_split(&rest, ',', &entry)) {
        entry = view_trim(entry);
        if (!entry.n)
            continue;
        out->items = xrealloc(out->items, (out->count + 1) * sizeof *out->items);
        if (!parse_network(entry, &out->items[out->count]))
            return err_set(err, ERR_INVALID, "\"%.*s\" is neither an address nor a network", VIEW_ARG(entry));
        out->count++;
    }
    return true;
}

void networks_free(struct networks *n)
{
    free(n->items);
    *n = (struct networks){0};
}

static bool holds(const struct network *n, const struct address *a)
{
    unsigned bytes = n->bits / 8, left = n->bits % 8;
    if (memcmp(n->address.bytes, a->bytes, bytes) != 0)
        return false;
    return !left || (n->address.bytes[bytes] ^ a->bytes[bytes]) >> (8 - left) == 0;
}

bool networks_have(const struct networks *n, const struct address *a)
{
    for (size_t i = 0; i < n->count; i++)
        if (holds(&n->items[i], a))
            return true;
    return false;
}

/* Takes the last entry off the list. */
static bool last_entry(struct view *list, struct view *entry)
{
    if (!list->n)
        return false;
    size_t start = list->n;
    while (start && list->p[start - 1] != ',')
        start--;
    *entry = view_trim((struct view){list->p + start, list->n - start});
    list->n = start ? start - 1 : 0;
    return true;
}

struct address address_of_client(const struct networks *trusted, struct view peer, struct view forwarded)
{
    struct address client, said;
    struct view entry;
    if (!address_parse(peer, &client))
        return (struct address){{0}};
    while (networks_have(trusted, &client) && last_entry(&forwarded, &entry)) {
        if (!entry.n) /* an empty one means nothing (RFC 9110, 5.6.1) */
            continue;
        if (!address_parse(entry, &said))
            break;
        client = said;
    }
    return client;
}
