/* What a body on the intake queue is, and how it becomes a command. Pure; no broker. Thread: any. */
#ifndef STATE_MANAGER_INTAKE_FOREIGN_H
#define STATE_MANAGER_INTAKE_FOREIGN_H

#include "shared/buf.h"
#include "shared/compiler.h"
#include "shared/err.h"
#include "shared/view.h"
#include "state-manager/jobs.h"

enum foreign_kind { FOREIGN_EVENT, FOREIGN_OWN, FOREIGN_POISON };

/* Fills the job (tenant, body of a COMMAND_EVENTS call, key) from the body; err says why it is poison. */
enum foreign_kind foreign_read(struct view body, struct view message_id, bool redelivered, struct job *job,
                               struct err *err);
/* The dead letter: {"v":1,"reason","queue","at","body"} or, where the bytes are no text, "bodyBase64url". */
void foreign_dead_letter(struct view body, const char *reason, const char *queue, int64_t now_wall_ms,
                         struct buf *out);

#endif
