#include "state-manager/core/store.h"
#include "shared/json.h"

const char *doc_kind_name(enum doc_kind kind)
{
    static const char *const names[] = {
#define X(kind, name, plural, listed) name,
        DOC_KINDS(X)
#undef X
    };
    return names[kind];
}

void store_close(struct store *s)
{
    if (s)
        s->ops->close(s);
}

void channel_write(const struct channel *channel, struct buf *out)
{
    struct json_writer w;
    jw_init(&w, out);
    jw_begin(&w, '{');
    jw_key_text(&w, "phoneNumberId", channel->phone_number_id);
    jw_key_text(&w, "tenantId", channel->tenant_id);
    jw_key_text(&w, "displayPhoneNumber", channel->display_phone_number);
    jw_key_bool(&w, "hasAccessToken", *channel->access_token != 0);
    jw_end(&w, '}');
}
