/* One file into one object: open, read, hash, sign, send, compare. A state machine on an uploader
 * thread; it never touches the journal, the queue or the file's name.
 *
 * Small objects (up to `single_max`) are one PutObject; larger ones multipart with parts in
 * parallel. P7: the identity is checked before the first byte is read and after the last was sent;
 * a file that changed meanwhile ends as TRANSFER_CHANGED whatever the store answered.
 */
#ifndef UPLOADER_TRANSFER_H
#define UPLOADER_TRANSFER_H

#include "base/identity.h"
#include "base/open_file.h"
#include "uploader/answer.h"
#include "uploader/http.h"
#include "uploader/request.h"
#include "uploader/tally.h"

#define TRANSFER_KEY_MAX 1024
/* With its NUL. Those of Cloudflare R2 have 344 characters. */
#define TRANSFER_UPLOAD_ID_SIZE 1024
/* With its NUL; XML_MESSAGE_SIZE, which says why. */
#define TRANSFER_MESSAGE_SIZE 768

enum transfer_conflict { TRANSFER_KEEP_BOTH, TRANSFER_HOLD_NEW, TRANSFER_OVERWRITE };

/* The same for all files; immutable while a pool runs. */
struct transfer_cfg {
    int root_fd;              /* the spool root; files are opened beneath it, no links followed */
    uint64_t single_max;      /* 64 MiB: above it multipart */
    uint64_t single_limit;    /* 5 GiB: what one PutObject may carry when multipart is refused */
    uint64_t part_bytes;      /* 0: by object size (16 MiB and up) */
    unsigned parts_in_flight; /* 4 */
    size_t read_whole_max;    /* 1 MiB: files up to it are read once into memory, larger ones are
                                 hashed in a first pass and sent with pread */
    enum transfer_conflict conflict;
    const char *acl;
    struct options options;
    bool checksum_sha256, content_md5, if_none_match;
    bool hand_on; /* outcomes have `file`: whoever is told of them frees it */
    const char *user_agent;
};

/* A part of a multipart upload that the store has acknowledged. */
struct transfer_part {
    unsigned number;
    char etag[72];
    uint8_t sha256[SHA256_SIZE];
};

/* What to send. Made by transfer_job_new, handed to the pool, which frees it. */
struct transfer_job {
    uint64_t tag;       /* the caller's */
    char *path;         /* below the root, NUL-terminated */
    char *key;          /* the object's key, at most TRANSFER_KEY_MAX bytes */
    struct identity id; /* as accepted */
    /* To go on with a multipart upload, else NULL / 0: */
    char *upload_id;
    uint64_t part_bytes;
    uint8_t upload_terms[SHA256_SIZE]; /* as told with its creation; zeros: not known */
    struct transfer_part *parts;
    size_t n_parts;
    bool no_multipart; /* CreateMultipartUpload was refused before */
};
struct transfer_job *transfer_job_new(uint64_t tag, const char *path, const char *key,
                                      const struct identity *id);
void transfer_job_free(struct transfer_job *job);

enum transfer_result {
    TRANSFER_STORED,   /* 200: exactly the accepted bytes */
    TRANSFER_VERIFIED, /* 412, and the object there was verified to be the same bytes */
    TRANSFER_CONFLICT, /* 412, other bytes there, and the policy is TRANSFER_HOLD_NEW */
    TRANSFER_ANSWERED, /* the store's answer decides: see `class` */
    TRANSFER_CHANGED,  /* not the bytes that were accepted (any more): take it up again */
    TRANSFER_SHRUNK,   /* shorter than accepted, same inode and mtime older than acceptance: P9 */
    TRANSFER_VANISHED, /* no such file any more */
    TRANSFER_LOCAL,    /* it cannot be opened or read: err says why */
    TRANSFER_CANCELLED
};
const char *transfer_result_name(enum transfer_result r);

struct transfer_outcome {
    uint64_t tag;
    enum transfer_result result;
    enum answer_class class; /* TRANSFER_ANSWERED */
    bool object_alone;       /* ANSWER_HOLD: what stands under its key is why, no other file's */
    enum request_op op;      /* the request that decided */
    struct err err;          /* status, S3 code, sentence with the remedy */
    const char *remedy;      /* that of the sentence; NULL: none */
    char message[TRANSFER_MESSAGE_SIZE]; /* the store's own words: hostile text, controls masked */
    char request_id[128], etag[72], version_id[128];
    char region[64], asked_region[64]; /* with ANSWER_REROUTE: told, and asked for */
    uint8_t sha256[SHA256_SIZE];
    char key[TRANSFER_KEY_MAX + 1]; /* under which it is stored; differs from the job's after a
                                       conflict kept both */
    int64_t read_wall_ns;           /* when the first byte was read: for identity_is_racy */
    int64_t done_wall_ns;
    uint64_t answer_us; /* of the deciding request, for the latency figure */
    uint64_t retry_after_ms;
    struct open_file *file; /* TRANSFER_STORED with hand_on: what was sent, as open as it was; or
                               NULL */
    uint64_t bytes;         /* of the object */
    unsigned requests;      /* made for it this time */
    bool multipart_refused; /* CreateMultipartUpload got 403 and a single PUT was tried */
};

/* Told while it runs, from the uploader's thread: a multipart upload was created, the one that was
 * told of or that the job brought is not to be gone on with any more (upload_id ""), or a part was
 * acknowledged. */
struct transfer_progress {
    uint64_t tag;
    char upload_id[TRANSFER_UPLOAD_ID_SIZE];
    uint64_t part_bytes;
    uint8_t upload_terms[SHA256_SIZE]; /* of an upload that was created: transfer_terms */
    bool is_part;
    struct transfer_part part;
    unsigned worker; /* pool.c's */
};

/* What a thread lends to its transfers. Credentials and endpoint may be replaced between calls. */
struct transfer_env {
    const struct transfer_cfg *cfg;
    struct loop *loop;
    struct http_client *http;
    const struct endpoint *endpoint;
    struct credentials *credentials; /* NULL: none yet; transfers end as ANSWER_REFRESH */
    int64_t *clock_offset_s;         /* the store's clock minus ours; corrected by ANSWER_SKEW */
    void (*progress)(void *arg, const struct transfer_progress *p);
    void *arg;
    /* A part that was told of counts as under way until it is recorded, so that a crash costs no
     * more parts than were under way. false: nobody says when it is. */
    bool records;
    uint64_t told, recorded;           /* parts; see transfer_recorded */
    struct transfer *active_, *spare_; /* transfer.c's: zero at first */
    unsigned readings;                 /* slices of files on the pool's threads */
    struct tally tally;                /* of all its requests */
};
/* Cancel all that run, and free what they left for the next ones. */
void transfer_env_fini(struct transfer_env *env);

/* One more of the parts told of is recorded, or will never be. */
void transfer_recorded(struct transfer_env *env);

struct transfer;
/* Start. `done` is called once, on this thread, never before this returns; the outcome is valid
 * during the call only. Takes the job. */
struct transfer *transfer_start(struct transfer_env *env, struct transfer_job *job,
                                void (*done)(void *arg, const struct transfer_outcome *o),
                                void *arg);
/* done comes with TRANSFER_CANCELLED before this returns. */
void transfer_cancel(struct transfer *t);
void transfer_cancel_all(struct transfer_env *env);

/* The name that keeps both: "dir/name~1a2b3c4d.ext" ('.ext' from the last dot of the last
 * component that is not its first character; cut so that the key fits). Pure. */
enum rc transfer_conflict_key(const char *key, const uint8_t sha256[SHA256_SIZE],
                              char out[TRANSFER_KEY_MAX + 1]) MUST_CHECK;
/* Part size for an object: cfg's, or the least power-of-two MiB >= 16 MiB that needs at most 1 000
 * parts, or 5 GiB. Doubled where that would need more than 10 000. Pure. */
uint64_t transfer_part_bytes(uint64_t configured, uint64_t object_bytes);
/* What CreateMultipartUpload fixes for the whole object, as a digest: ACL, encryption, class, tags,
 * checksums. Pure. */
void transfer_terms(const struct transfer_cfg *cfg, uint8_t out[SHA256_SIZE]);

#endif
