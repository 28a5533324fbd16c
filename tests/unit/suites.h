/* Every suite of the runner, by name; suite_<name>() stands in tests/unit/test_<name>.c (or tests/contract).
 */
#ifndef TESTS_UNIT_SUITES_H
#define TESTS_UNIT_SUITES_H

#include <check.h>

#define SUITES(X)    \
    X(backoff)       \
    X(backup)        \
    X(base)          \
    X(broker)        \
    X(calls)         \
    X(client_event)  \
    X(client_rooms)  \
    X(commands)      \
    X(committer)     \
    X(config)        \
    X(crypto)        \
    X(cursor)        \
    X(delivery)      \
    X(disk)          \
    X(eio_payload)   \
    X(figures)       \
    X(figures_week)  \
    X(foresight)     \
    X(frame)         \
    X(generation)    \
    X(http_client)   \
    X(http_text)     \
    X(json)          \
    X(keeper)        \
    X(limits)        \
    X(loop)          \
    X(metrics)       \
    X(newest)        \
    X(outbox)        \
    X(past)          \
    X(peer_answer)   \
    X(peers)         \
    X(pid)           \
    X(poll)          \
    X(presence)      \
    X(presence_net)  \
    X(profile)       \
    X(profile_event) \
    X(profiles)      \
    X(record_reads)  \
    X(record_rooms)  \
    X(refresh)       \
    X(resource)      \
    X(rest)          \
    X(restore)       \
    X(ring)          \
    X(room)          \
    X(roster)        \
    X(search)        \
    X(server)        \
    X(server_gate)   \
    X(server_head)   \
    X(server_ws)     \
    X(session)       \
    X(sessions)      \
    X(sio_packet)    \
    X(store)         \
    X(store_mongo)   \
    X(strangers)     \
    X(stream)        \
    X(tcp)           \
    X(template)      \
    X(token)         \
    X(token_keys)    \
    X(turns)         \
    X(typing)        \
    X(worker)        \
    X(writers)       \
    X(ws_message)    \
    X(zone)

#define X(name) Suite *suite_##name(void);
SUITES(X)
#undef X

#endif
