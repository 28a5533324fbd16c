/* The settings of a tenant. A tenant that nobody has named before begins with them. */
#include "state-manager/core/tenant.h"
#include "shared/json.h"
#include "state-manager/core/command.h"

void tenant_write(const char *tenant_id, const struct figures *f, struct buf *out)
{
    struct json_writer w;
    jw_init(&w, out);
    jw_begin(&w, '{');
    jw_key_text(&w, "tenantId", tenant_id);
    jw_key_text(&w, "timeZone", f->time_zone);
    jw_end(&w, '}');
}

bool decide_tenant(struct batch *b, struct command *c, struct err *err)
{
    char zone[ZONE_NAME_MAX + 1];
    if (json_type(c->element) != JSON_OBJECT)
        return err_set(err, ERR_INVALID, "the body must be a JSON object");
    /* Asked first: a refusal must not even begin the new day in the figures. */
    bool known = json_copy_string(json_get(c->element, "timeZone"), zone, sizeof zone) && zone_find(zone);
    if (!known || !figures_set_zone(batch_figures(b), zone, batch_now(b)))
        return err_set(err, ERR_INVALID, "timeZone must be UTC or the IANA name of a zone: Europe/Berlin");
    tenant_write(batch_tenant(b), batch_figures(b), c->reply);
    return true;
}
