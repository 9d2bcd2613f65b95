/* One record: its fields to bytes and back.
 *
 * `walk` is the only list of what stands where; it serves both directions, so writing and reading
 * cannot drift apart. Decoding believes nothing: the length is checked before it bounds the CRC,
 * the CRC before any field is looked at, and each field against what is left of the record.
 */
#include "spool/record.h"

#include <endian.h>
#include <string.h>

/* Which fields a type has, in the order in which they are written. */
enum field {
    HAS_LINK = 1 << 0,     /* first, prev */
    HAS_IDENTITY = 1 << 1, /* dev, ino, size, mtime, ctime */
    HAS_ACCEPTED = 1 << 2,
    HAS_FIRST_TRY = 1 << 3,
    HAS_ATTEMPTS = 1 << 4,
    HAS_ANSWER = 1 << 5, /* http_status, answer_class */
    HAS_PART = 1 << 6,   /* part_number, part_bytes */
    HAS_SHA256 = 1 << 7,
    HAS_PATH = 1 << 8,
    HAS_EVENT_TYPE = 1 << 9,
    HAS_STORED = 1 << 10, /* key, version_id, request_id */
    HAS_ETAG = 1 << 11,
    HAS_UPLOAD = 1 << 12,
    HAS_WHY = 1 << 13, /* code, text */
};

static const struct {
    const char *name;
    unsigned fields;
} types[] = {
    [RECORD_ACCEPTED] = {"accepted", HAS_LINK | HAS_IDENTITY | HAS_ACCEPTED | HAS_PATH |
                                         HAS_EVENT_TYPE | HAS_WHY},
    [RECORD_ATTEMPT] = {"attempt", HAS_LINK | HAS_ATTEMPTS | HAS_ANSWER | HAS_WHY},
    [RECORD_PART] = {"part", HAS_LINK | HAS_PART | HAS_SHA256 | HAS_ETAG | HAS_UPLOAD},
    [RECORD_DELIVERED] = {"delivered", HAS_LINK | HAS_IDENTITY | HAS_ACCEPTED | HAS_FIRST_TRY |
                                           HAS_ATTEMPTS | HAS_SHA256 | HAS_PATH | HAS_EVENT_TYPE |
                                           HAS_STORED | HAS_ETAG},
    [RECORD_HELD] = {"held", HAS_LINK | HAS_WHY},
    [RECORD_REJECTED] = {"rejected", HAS_LINK | HAS_IDENTITY | HAS_PATH | HAS_WHY},
    [RECORD_RETIRED] = {"retired", HAS_LINK},
    [RECORD_FORGOTTEN] = {"forgotten", HAS_LINK | HAS_WHY},
    [RECORD_RELEASED] = {"released", HAS_LINK},
};
enum { TYPE_END = sizeof types / sizeof types[0] };

/* Where the header's fields stand. The last two bytes of flags' word are zero. */
enum { AT_LEN = 0, AT_CRC = 4, AT_SEQ = 8, AT_TYPE = 16, AT_FLAGS = 17, AT_ZERO = 18, AT_NTH = 20 };
enum { ALIGN = 8, SMALLEST = RECORD_HEADER_SIZE + 16 };

/* A position in a record that is being written or read. */
struct cursor {
    char *data;
    size_t at, end;
    bool reading;
    const char *fault; /* NULL: none so far */
};

/* The next n bytes; NULL once something did not fit. */
static char *step(struct cursor *c, size_t n, const char *what)
{
    if (c->fault)
        return NULL;
    if (n > c->end - c->at) {
        c->fault = what;
        return NULL;
    }
    char *p = c->data + c->at;
    c->at += n;
    return p;
}

static void bytes(struct cursor *c, void *v, size_t n)
{
    char *p = step(c, n, "its fields do not fit into it");
    if (!p)
        return;
    if (c->reading)
        memcpy(v, p, n);
    else
        memcpy(p, v, n);
}

static void u64(struct cursor *c, uint64_t *v)
{
    uint64_t le = htole64(*v);
    bytes(c, &le, sizeof le);
    if (c->reading && !c->fault)
        *v = le64toh(le);
}

static void i64(struct cursor *c, int64_t *v)
{
    uint64_t u = (uint64_t)*v;
    u64(c, &u);
    *v = (int64_t)u;
}

static void u32(struct cursor *c, uint32_t *v)
{
    uint32_t le = htole32(*v);
    bytes(c, &le, sizeof le);
    if (c->reading && !c->fault)
        *v = le32toh(le);
}

static void u16(struct cursor *c, uint16_t *v)
{
    uint16_t le = htole16(*v);
    bytes(c, &le, sizeof le);
    if (c->reading && !c->fault)
        *v = le16toh(le);
}

static void text(struct cursor *c, struct record_text *t)
{
    u16(c, &t->n);
    char *p = step(c, t->n, "a text does not fit into it");
    if (!p)
        return;
    if (c->reading)
        t->p = p;
    else if (t->n > 0)
        memcpy(p, t->p, t->n);
}

/* A path becomes a C string and a name of a file sooner or later: no NUL, not empty, not too long.
 */
static void path(struct cursor *c, struct record_text *t)
{
    text(c, t);
    if (c->fault)
        return;
    if (t->n == 0 || t->n > RECORD_PATH_MAX)
        c->fault = "its path is empty or too long";
    else if (memchr(t->p, '\0', t->n))
        c->fault = "its path holds a NUL";
}

static void walk(struct cursor *c, struct record *r)
{
    unsigned fields = types[r->type].fields;
    u64(c, &r->hash);
    i64(c, &r->at_ns);
    if (fields & HAS_LINK) {
        u64(c, &r->first);
        u64(c, &r->prev);
    }
    if (fields & HAS_IDENTITY) {
        u64(c, &r->id.dev);
        u64(c, &r->id.ino);
        u64(c, &r->id.size);
        i64(c, &r->id.mtime_ns);
        i64(c, &r->id.ctime_ns);
    }
    if (fields & HAS_ACCEPTED)
        i64(c, &r->accepted_ns);
    if (fields & HAS_FIRST_TRY)
        i64(c, &r->first_try_ns);
    if (fields & HAS_ATTEMPTS)
        u32(c, &r->attempts);
    if (fields & HAS_ANSWER) {
        u16(c, &r->http_status);
        bytes(c, &r->answer_class, 1);
    }
    if (fields & HAS_PART) {
        u32(c, &r->part_number);
        u64(c, &r->part_bytes);
    }
    if (fields & HAS_SHA256)
        bytes(c, r->sha256, SHA256_SIZE);
    if (fields & HAS_PATH)
        path(c, &r->path);
    if (fields & HAS_EVENT_TYPE)
        text(c, &r->event_type);
    if (fields & HAS_STORED) {
        text(c, &r->key);
        text(c, &r->version_id);
        text(c, &r->request_id);
    }
    if (fields & HAS_ETAG)
        text(c, &r->etag);
    if (fields & HAS_UPLOAD)
        text(c, &r->upload_id);
    if (fields & HAS_WHY) {
        text(c, &r->code);
        text(c, &r->text);
    }
}

static void put_u32(char *p, uint32_t v)
{
    uint32_t le = htole32(v);
    memcpy(p, &le, sizeof le);
}

static uint32_t get_u32(const char *p)
{
    uint32_t le;
    memcpy(&le, p, sizeof le);
    return le32toh(le);
}

/* Over all but the length and itself. A wrong length moves the end of what is summed, which the CRC
 * sees as well as a wrong byte. */
static uint32_t checksum(const char *data, size_t len, uint32_t segment)
{
    uint32_t le = htole32(segment);
    return crc32c(crc32c(0, &le, sizeof le), data + AT_SEQ, len - AT_SEQ);
}

const char *record_type_name(enum record_type t)
{
    BUG_ON((unsigned)t == 0 || (unsigned)t >= TYPE_END);
    return types[t].name;
}

void record_seal(char *data, size_t len, uint64_t seq, uint32_t nth, uint32_t segment)
{
    uint64_t le = htole64(seq);
    memcpy(data + AT_SEQ, &le, sizeof le);
    put_u32(data + AT_NTH, nth);
    put_u32(data + AT_CRC, checksum(data, len, segment));
}

enum rc record_encode(struct buf *out, const struct record *r, uint32_t segment)
{
    char data[RECORD_MAX];
    struct cursor c = {.data = data, .at = RECORD_HEADER_SIZE, .end = sizeof data};
    struct record copy = *r; /* walk wants to be able to write */
    BUG_ON((unsigned)r->type == 0 || (unsigned)r->type >= TYPE_END);
    walk(&c, &copy);
    if (c.fault)
        return RC_LIMIT;
    size_t len = (c.at + ALIGN - 1) / ALIGN * ALIGN;
    memset(data + c.at, 0, len - c.at);
    put_u32(data + AT_LEN, (uint32_t)len);
    data[AT_TYPE] = (char)r->type;
    data[AT_FLAGS] = (char)r->flags;
    memset(data + AT_ZERO, 0, AT_NTH - AT_ZERO);
    record_seal(data, len, r->seq, r->nth, segment);
    buf_add(out, data, len);
    return out->overflow ? RC_LIMIT : RC_OK;
}

static bool only_zeros(const char *data, size_t n)
{
    return n == 0 || (data[0] == 0 && memcmp(data, data + 1, n - 1) == 0);
}

/* The length alone: RC_OK, or what record_decode says of it. */
static enum rc decode_length(const char *data, size_t n, size_t *len, struct err *e)
{
    if (n < sizeof(uint32_t))
        return only_zeros(data, n) ? RC_ABSENT : RC_AGAIN;
    *len = get_u32(data);
    if (*len == 0 && only_zeros(data, n))
        return RC_ABSENT;
    if (*len < SMALLEST || *len > RECORD_MAX || *len % ALIGN != 0)
        return err_set(e, RC_CORRUPT, "a record cannot be %zu bytes long", *len);
    return *len > n ? RC_AGAIN : RC_OK;
}

enum rc record_decode(const char *data, size_t n, uint32_t segment, struct record *r, size_t *len,
                      struct err *e)
{
    size_t whole;
    enum rc rc = decode_length(data, n, &whole, e);
    if (rc != RC_OK)
        return rc;
    uint32_t stored = get_u32(data + AT_CRC), computed = checksum(data, whole, segment);
    if (stored != computed)
        return err_set(e, RC_CORRUPT, "the record's CRC is %08x and should be %08x", stored,
                       computed);
    unsigned type = (unsigned char)data[AT_TYPE];
    if (type == 0 || type >= TYPE_END)
        return err_set(e, RC_CORRUPT, "there is no record type %u", type);
    uint64_t seq;
    memcpy(&seq, data + AT_SEQ, sizeof seq);
    *r = (struct record){
        .type = (enum record_type)type,
        .flags = (uint8_t)data[AT_FLAGS],
        .seq = le64toh(seq),
        .nth = get_u32(data + AT_NTH),
    };
    /* A cursor that reads never writes through its pointer. */
    struct cursor c = {
        .data = (char *)data, .at = RECORD_HEADER_SIZE, .end = whole, .reading = true};
    walk(&c, r);
    if (!c.fault && (whole - c.at >= ALIGN || !only_zeros(data + c.at, whole - c.at)))
        c.fault = "something stands behind its last field";
    if (!c.fault && !only_zeros(data + AT_ZERO, AT_NTH - AT_ZERO))
        c.fault = "its reserved bytes are not zero";
    if (c.fault)
        return err_set(e, RC_CORRUPT, "the %s record is malformed: %s", types[type].name, c.fault);
    *len = whole;
    return RC_OK;
}
