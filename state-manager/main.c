/* state-manager: webhooks and REST writes -> store -> events on the exchange. Order of start and stop: app.c.
 */
#include "shared/cli.h"
#include "shared/log.h"
#include "state-manager/app.h"
#include <signal.h>

int main(int argc, char **argv)
{
    struct settings settings = {0};
    struct buf faults;
    struct err err = {0};
    buf_init(&faults, 64 << 10);
    bool ok = settings_load(&settings, &faults);
    struct cli cli = {.name = "state-manager",
                      .summary = "takes webhooks and REST writes, stores them, publishes events",
                      .rows = settings_rows,
                      .row_count = settings_row_count,
                      .settings = &settings,
                      .settings_ok = ok,
                      .faults = buf_view(&faults).p,
                      .health_host = settings.host,
                      .health_port = (int)settings.port};
    cli_run(&cli, argc, argv);
    buf_free(&faults);
    enum log_level level = LOG_INFO;
    if (log_level_parse(settings.log_level, &level))
        log_init(level);
    log_aborts();
    signal(SIGPIPE, SIG_IGN);
    struct app *app = app_create(&settings, &err);
    if (!app)
        die("code=%s text=\"%s\"", err_code_name(err.code), err.text);
    app_run(app);
    app_destroy(app);
    settings_free(&settings);
    return 0;
}
