/* The handlers that the route table in api.c names, one file per subject. Thread: the loop's. */
#ifndef STATE_MANAGER_HTTP_HANDLERS_H
#define STATE_MANAGER_HTTP_HANDLERS_H

#include "state-manager/http/api.h"

/* webhook_whatsapp.c */
void webhook_challenge(struct call *c);
void webhook_receive(struct call *c);
/* conversations.c */
void conversations_list(struct call *c);
void conversation_get(struct call *c);
void messages_list(struct call *c);
void message_post(struct call *c);
void conversation_patch(struct call *c);
void conversation_read_post(struct call *c);
void conversation_correlate(struct call *c);
void stats_get(struct call *c);
void stats_refresh(struct call *c);
/* events.c */
void events_post(struct call *c);
void events_list(struct call *c);
/* channels.c */
void channel_put(struct call *c);
void channel_get(struct call *c);
void channel_delete(struct call *c);
/* tenants.c */
void tenant_put(struct call *c);
void tenant_get(struct call *c);
/* revocations.c */
void revocation_post(struct call *c);
/* resources.c: the operation of a profile that has the path and the method, with what stands in the path;
 * otherwise NULL, and `allow` gets the methods that the path knows besides */
const struct operation *resources_route(struct call *c, struct buf *allow);
bool resources_want_body(const struct call *c);
void resource_call(struct call *c);
/* health.c */
void health_alive(struct call *c);
void health_ready(struct call *c);
void health_metrics(struct call *c);

#endif
