/* Answers of other gateways: cut into two pieces anywhere, they say the same. */
#include "portal-gateway/http/peer_answer.h"
#include "tests/fuzz/fuzz.h"
#include <string.h>

static enum peer_answer_state add_pieces(struct peer_answer *a, struct view text, size_t first)
{
    peer_answer_init(a);
    enum peer_answer_state state = peer_answer_add(a, (struct view){text.p, first});
    if (state == PEER_ANSWER_PART)
        state = peer_answer_add(a, (struct view){text.p + first, text.n - first});
    return state;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct view text = fuzz_input(data, size);
    struct peer_answer whole, cut;
    struct reply reply;
    enum peer_answer_state state = add_pieces(&whole, text, text.n);
    enum peer_answer_state other = add_pieces(&cut, text, text.n / 2);
    /* The first half may be an answer by itself, and then the rest has not been looked at. */
    MUST(state == other || (state == PEER_ANSWER_BROKEN && other == PEER_ANSWER_WHOLE));
    if (state == PEER_ANSWER_WHOLE) {
        peer_answer_read(&whole, &reply);
        MUST(reply.status >= 200 && reply.status <= 599 && reply.header_count <= PEER_ANSWER_HEADERS_MAX);
        MUST(reply.body.n == whole.body_bytes && whole.head_bytes + reply.body.n == text.n);
        for (size_t i = 0; i < reply.header_count; i++)
            MUST(*reply.headers[i].name && !strpbrk(reply.headers[i].value, "\r\n"));
    }
    peer_answer_finish(&whole);
    peer_answer_finish(&cut);
    return 0;
}
