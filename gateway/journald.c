/* Events to systemd's journal: see journald.h.
 *
 * Each field of an event becomes SPOOLGATE_<NAME>, its value as people see it elsewhere: hostile
 * bytes escaped. What does not reach the journal becomes a line on stderr, which is the journal,
 * too. An entry stays far below what a datagram may have (the sandbox knows no memfd_create). */
#include "gateway/journald.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>
#define SD_JOURNAL_SUPPRESS_LOCATION /* the event's name says more */
#include <systemd/sd-journal.h>

#define SOCKET     "/run/systemd/journal/socket" /* libsystemd is silent where it is not there */
#define FIELDS_MAX 16
#define VALUE_MAX  4096

/* For ever: operators search for them. tests/lint/events keeps them together with the catalog
 * (packaging/systemd/spoolgate.catalog) and docs/operations.md. */
static const struct {
    const char *event, *message_id;
} events[] = {
    {"started", "MESSAGE_ID=17ec351360cd45e592b00437998466e3"},
    {"stopping", "MESSAGE_ID=210036510c9d4bb1b06ef21c71d080ac"},
    {"stopped", "MESSAGE_ID=61272ba16d204bd7b1184349bd70ff33"},
    {"stop_cancels", "MESSAGE_ID=941e7e12fdd841f585b5c2fa05befa35"},
    {"reloaded", "MESSAGE_ID=7f78ce98453a4083a4ab70be5f92faf9"},
    {"reload_failed", "MESSAGE_ID=94b5d3407832437496a659849a2185d8"},
    {"check", "MESSAGE_ID=6af0f8dc46044e318304f5f0d8ccbf1f"},
    {"sandbox", "MESSAGE_ID=baab7534bbd04c8695f5ddeff8a39ece"},
    {"sandbox_outgrown", "MESSAGE_ID=c145193b21ec454c870e90ba288ad58e"},
    {"metrics_not_served", "MESSAGE_ID=79e15be7dbce4965a30a5ff1469ef23b"},
    {"spool_root", "MESSAGE_ID=69a7a0b769a043c3a3545ca9f9ce380b"},
    {"spool_root_replaced", "MESSAGE_ID=65b0ffb6e2274e0fba933d10eeacd14a"},
    {"credentials", "MESSAGE_ID=bb5fced63f1745e78903e241dcd07e2c"},
    {"credentials_missing", "MESSAGE_ID=f1e249233e7e463a8b97bd837dad0905"},
    {"credentials_not_renewed", "MESSAGE_ID=9f50abf6b77d42fc97e6e20275d65c7b"},
    {"destination_waits", "MESSAGE_ID=6aab1bc91e1e487b94adef999c14aea5"},
    {"destination_back", "MESSAGE_ID=8bdff68427da4728bbb39e223fbc451f"},
    {"destination_rerouted", "MESSAGE_ID=2ca3143a5f534d44a7d2c049c254bb8e"},
    {"prefix_refused", "MESSAGE_ID=00062e0a6b1d4e229815af393a45362f"},
    {"test_delivered", "MESSAGE_ID=b796ea09a01942ffb5b7220fd90088b1"},
    {"test_failed", "MESSAGE_ID=42736a40075443dc87c43f646a691e71"},
    {"console_open", "MESSAGE_ID=93711b2ea9564f3887164bda7aeec754"},
    {"console_closed", "MESSAGE_ID=240601d213344d6eb3807d7d8d95abda"},
    {"console_login", "MESSAGE_ID=9b6e0ee3b45f4ab5aa9dee1adc196f8d"},
    {"console_login_refused", "MESSAGE_ID=bd8f1abc845a41f1ad471e20b6f00169"},
    {"console_has_no_port", "MESSAGE_ID=aa53e122e5cf49e0bef3c7ee2fd2ea74"},
    {"held", "MESSAGE_ID=0c96d6bcbfd44da4910aa1b5cc68ed71"},
    {"hold_failed", "MESSAGE_ID=80c70ec9910d4877b167ea923f9a445a"},
    {"rejected", "MESSAGE_ID=2542bf09d9d94bc6a6bd686f37f585e3"},
    {"reject_failed", "MESSAGE_ID=742527c1452d4203ad3f6b5993bc59ae"},
    {"reason_not_written", "MESSAGE_ID=894e28192adc48789d4172c8e0fcb044"},
    {"reason_not_removed", "MESSAGE_ID=9f7b5aec6334441798ba3d3e42e5b806"},
    {"rejected_not_counted", "MESSAGE_ID=909deb2d663d4e4496476e4b25f4302a"},
    {"kept_both", "MESSAGE_ID=a99272ef79a24386b9ffa6bab773390c"},
    {"vanished", "MESSAGE_ID=28905523845848c1b5ae0830ad1cc2f3"},
    {"denied", "MESSAGE_ID=386f13a274e2466fa6fa3236f1e5dd1d"},
    {"admission_failed", "MESSAGE_ID=8d580de5d2b24277a0029cf1aa40cb12"},
    {"retire_failed", "MESSAGE_ID=ffca8eddb6dd43e8adff425a551c2b3e"},
    {"retirement_left", "MESSAGE_ID=3846823837e14c8dbbd2892361759954"},
    {"retirement_resumed", "MESSAGE_ID=e7c8b302d31742a7b30a002700be3e5e"},
    {"kept_files_gone", "MESSAGE_ID=0686978c5c914b46889e0c2086cc1307"},
    {"watcher", "MESSAGE_ID=e4e27372c8b24445ae33392f11353b9b"},
    {"spool_full", "MESSAGE_ID=f9169f3334f7455b842d5ab18971947f"},
    {"spool_has_room", "MESSAGE_ID=d1843da954174b81bd937d4eddfb56cc"},
    {"housekeeping_failed", "MESSAGE_ID=e5c0f7c2076642c6be765dafa7d1a872"},
    {"journal_read", "MESSAGE_ID=e0e062d089da444abd07996d7033a165"},
    {"journal_full", "MESSAGE_ID=de61b00a0ee84ec68fcfd1996bfbe28d"},
    {"journal_poisoned", "MESSAGE_ID=1fe3c6a01d094f65ae90dbc64bdac686"},
    {"journal_still_poisoned", "MESSAGE_ID=600f5803f9cb4d3a9b85b895216f8267"},
    {"journal_reopened", "MESSAGE_ID=5510354b36cc4952bb5c144ff3853c7b"},
    {"journal_mended", "MESSAGE_ID=089a48a32b2f4778b8d2dc4e21084671"},
    {"journal_segment_damaged", "MESSAGE_ID=d9e7145de7f04b42a519b4ffe1e10352"},
    {"journal_quarantine", "MESSAGE_ID=e73c294baf7c4762be796204978b13b9"},
    {"journal_quarantine_reason", "MESSAGE_ID=881ea79eac874ef3a13e245491c5f014"},
    {"journal_not_cut", "MESSAGE_ID=3c53317a76734f3fba35648cbf7a4783"},
    {"journal_segments_missing", "MESSAGE_ID=bf1dd082563b4b8894137d4b8c6ccc33"},
    {"journal_torn_tail", "MESSAGE_ID=4313015e869b429ca319b7c6821ca2d5"},
    {"journal_foreign_file", "MESSAGE_ID=167dce3bc4f84074a5c2e684051c44e2"},
    {"record_unreadable", "MESSAGE_ID=bf2cf36f242f453b8e3a9f99f5e86042"},
    {"segment_unreadable", "MESSAGE_ID=8790f6323c86403e81b1d3d2f23a6100"},
    {"segment_removed", "MESSAGE_ID=1980de6b8738467890168385e99f900e"},
    {"segment_not_removed", "MESSAGE_ID=cc8227523fb1408aa5c89a664011fcbf"},
    {"segment_count_mended", "MESSAGE_ID=fca0906c3ca84f82bbbd237eed889882"},
};

static const char *message_id(const char *event)
{
    for (size_t i = 0; i < sizeof events / sizeof events[0]; i++)
        if (strcmp(events[i].event, event) == 0)
            return events[i].message_id;
    return NULL; /* a debug line */
}

bool journald_is_stderr(void)
{
    const char *stream = getenv("JOURNAL_STREAM");
    char is[64];
    struct stat st;
    if (!stream || fstat(STDERR_FILENO, &st) != 0)
        return false;
    (void)snprintf(is, sizeof is, "%" PRIuMAX ":%" PRIuMAX, (uintmax_t)st.st_dev,
                   (uintmax_t)st.st_ino);
    return strcmp(stream, is) == 0;
}

/* The entry's fields one behind the other, and where each begins. */
struct entry {
    struct buf text;
    size_t at[FIELDS_MAX + 5];
    int n;
};

static void begin(struct entry *x)
{
    BUG_ON((size_t)x->n >= sizeof x->at / sizeof x->at[0]);
    x->at[x->n++] = x->text.len;
}

static void add(struct entry *x, const char *assignment)
{
    begin(x);
    buf_adds(&x->text, assignment);
}

/* Shortened, it is still UTF-8, which the journal shows as text. */
static void cut_value(struct buf *b, size_t end)
{
    while (end > 0 && ((unsigned char)b->data[end] & 0xc0) == 0x80)
        end--;
    buf_cut(b, end);
}

static void add_field(struct entry *x, const struct log_field *f)
{
    begin(x);
    buf_adds(&x->text, "SPOOLGATE_");
    for (const char *c = f->name; *c; c++)
        buf_addc(&x->text, (char)toupper((unsigned char)*c));
    buf_addc(&x->text, '=');
    size_t value = x->text.len;
    log_add_value(&x->text, f);
    if (x->text.len > value + VALUE_MAX)
        cut_value(&x->text, value + VALUE_MAX);
}

static int send_entry(const struct entry *x)
{
    struct iovec v[FIELDS_MAX + 5];
    for (int i = 0; i < x->n; i++) {
        size_t end = i + 1 < x->n ? x->at[i + 1] : x->text.len;
        v[i] = (struct iovec){x->text.data + x->at[i], end - x->at[i]};
    }
    return sd_journal_sendv(v, x->n);
}

static bool take(const struct log_record *r)
{
    struct entry x = {.n = 0};
    const char *id = message_id(r->event);
    buf_init(&x.text, (size_t)1 << 20);
    begin(&x);
    buf_adds(&x.text, "MESSAGE=");
    buf_add(&x.text, r->text, r->text_len);
    begin(&x);
    buf_addf(&x.text, "PRIORITY=%d", r->priority);
    add(&x, "SYSLOG_IDENTIFIER=spoolgate");
    if (id)
        add(&x, id);
    add_field(&x, &F_STR("event", r->event));
    for (int i = 0; i < FIELDS_MAX && r->fields[i].kind != LOG_KIND_END; i++)
        add_field(&x, &r->fields[i]);
    bool sent = !x.text.overflow && send_entry(&x) == 0;
    buf_fini(&x.text);
    return sent;
}

void journald_divert_log(void)
{
    if (journald_is_stderr() && access(SOCKET, W_OK) == 0)
        log_divert(take);
}
