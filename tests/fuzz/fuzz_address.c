/* Addresses, networks, and who is behind proxies: what was read says the same when it is written and read
 * again, and nobody is believed but trusted proxies. Lines: the networks, the peer, X-Forwarded-For. */
#include "shared/address.h"
#include "tests/fuzz/fuzz.h"
#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

static void check_address(const struct address *a)
{
    char text[INET6_ADDRSTRLEN + 8];
    struct address again, site = address_of_site(a);
    MUST(inet_ntop(AF_INET6, a->bytes, text, INET6_ADDRSTRLEN));
    MUST(address_parse(view_of(text), &again) && !memcmp(&again, a, sizeof again));
    again = address_of_site(&site);
    MUST(!memcmp(&again, &site, sizeof site));
}

/* Whether the client is the peer, or one that the list names behind nothing but trusted ones. */
static void check_client(const struct networks *trusted, struct view peer, struct view forwarded)
{
    static const struct address nobody;
    struct address from, said, client = address_of_client(trusted, peer, forwarded);
    if (!address_parse(peer, &from)) {
        MUST(!memcmp(&client, &nobody, sizeof client));
        return;
    }
    check_address(&from);
    if (!memcmp(&client, &from, sizeof client))
        return;
    bool named = false;
    MUST(networks_have(trusted, &from));
    for (struct view entry; view_split(&forwarded, ',', &entry);)
        named |= address_parse(view_trim(entry), &said) && !memcmp(&said, &client, sizeof said);
    MUST(named);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct view rest = fuzz_input(data, size), list = {"", 0}, peer = {"", 0}, forwarded = {"", 0};
    struct networks trusted;
    struct err err = {0};
    view_split(&rest, '\n', &list);
    view_split(&rest, '\n', &peer);
    view_split(&rest, '\n', &forwarded);
    char *text = strndup(list.p, list.n);
    MUST(text);
    bool ok = networks_parse(text, &trusted, &err);
    MUST(ok || err.code == ERR_INVALID);
    check_client(&trusted, peer, forwarded);
    networks_free(&trusted);
    free(text);
    return 0;
}
