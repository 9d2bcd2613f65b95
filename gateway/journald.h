/* The log as events of systemd's journal: with fields, a priority, and a MESSAGE_ID by which what
 * is said about it in the catalog is found. Only where stderr is the journal. The only file that
 * includes libsystemd's sd-journal.h. */
#ifndef GATEWAY_JOURNALD_H
#define GATEWAY_JOURNALD_H

#include "base/log.h"

/* Does stderr go to the journal, as JOURNAL_STREAM says it (systemd.exec(5))? */
bool journald_is_stderr(void);
/* Before threads start, after log_setup: from now on events go there, where the journal listens and
 * stderr is its. */
void journald_divert_log(void);

#endif
