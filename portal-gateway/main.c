/* portal-gateway: options, ordered start, wait, reverse stop. */
#include "portal-gateway/app.h"
#include "shared/cli.h"
#include "shared/log.h"

enum { FAULTS_BYTES_MAX = 64 * 1024 };

static int serve(const struct settings *settings)
{
    struct err err = {0};
    struct app *app = app_create(settings, &err);
    bool started = app && app_start(app, &err);
    if (started)
        app_run(app);
    else
        log_error("start_failed", "code=%s why=\"%s\"", err_code_name(err.code), err.text);
    app_destroy(app);
    return started ? 0 : 1;
}

int main(int argc, char **argv)
{
    struct settings settings;
    struct buf faults;
    buf_init(&faults, FAULTS_BYTES_MAX);
    bool fine = gateway_settings_load(&settings, &faults);
    struct cli cli = {.name = "portal-gateway",
                      .summary =
                          "pushes the events of a tenant to its browsers, over Socket.IO and WebSocket",
                      .rows = gateway_settings_rows,
                      .row_count = gateway_settings_row_count,
                      .settings = &settings,
                      .settings_ok = fine,
                      .faults = faults.data ? faults.data : "",
                      .health_host = settings.host,
                      .health_port = (int)settings.port};
    cli_run(&cli, argc, argv);
    log_init(settings.threshold);
    log_aborts();
    int code = serve(&settings);
    gateway_settings_free(&settings);
    buf_free(&faults);
    return code;
}
