/* Files whose rejection is decided and that lie in the spool still: condemned by the store a moment
 * ago, or where they cannot be moved away (a directory that the gateway may not write, another file
 * system). What is known of one spares the journal a second record of the same rejection, the log a
 * second line, the bucket a second upload, and grows the pause between two tries. In memory only:
 * after a start each is found out, and recorded, once more. There may be a million: those beyond
 * the table leave a mark in place of an entry, 8 bytes, which spares the same.
 */
#ifndef GATEWAY_UNMOVED_H
#define GATEWAY_UNMOVED_H

#include "base/identity.h"
#include "base/rc.h"

#include <stdbool.h>
#include <stddef.h>

struct unmoved;
struct unmoved_cfg {
    size_t max, marks_max;
    /* Is this file looked at again by itself, since it is still known to be there? */
    bool (*in_view)(void *arg, const char *path);
    void *arg;
};
/* Of one that has left a mark only, the words are not its own. */
struct unmoved_file {
    const char *path;
    struct identity id; /* of what was judged */
    /* Not NULL: the store's verdict, on a file that admission has nothing against. */
    const struct err *condemned;
    const char *failure; /* why it could not be moved the last time; NULL: that was not tried */
    const char *code, *reason; /* the verdict; NULL where failure is */
    bool recorded;             /* its REJECTED is durable */
};

/* Past max files the one not heard of for the longest time makes room, unless it is in view: then
 * the new one has a mark from the beginning. So those in view, whose pauses have grown, are not put
 * out by those that come and go. Past marks_max any of the marks is forgotten. */
struct unmoved *unmoved_new(const struct unmoved_cfg *cfg);
void unmoved_free(struct unmoved *u);
/* What is known of this file; NULL: nothing, or it is another by now. Valid until the next call
 * of any of these, and path must be as long. */
const struct unmoved_file *unmoved_find(struct unmoved *u, const char *path,
                                        const struct identity *id);
/* The file that had this path when it could not be moved; NULL: there is no entry of one. */
const struct unmoved_file *unmoved_at(const struct unmoved *u, const char *path);
/* The store refuses it for good. */
void unmoved_condemn(struct unmoved *u, const char *path, const struct identity *id,
                     const struct err *why);
/* Its REJECTED is durable; nothing, unless it has an entry. */
void unmoved_recorded(struct unmoved *u, const char *path, const struct identity *id);
/* It is recorded, and could not be moved: the pause until the next try, 30 s and twice as long each
 * time, up to an hour. */
uint64_t unmoved_failed(struct unmoved *u, const char *path, const struct identity *id,
                        const struct err *verdict, const char *why);
/* This file was moved, or its name is another's, or gone. */
void unmoved_drop(struct unmoved *u, const char *path, const struct identity *id);
/* Other settings, and so another verdict perhaps: nothing is condemned any more, and no pause has
 * grown. `look` is told of each that could not be moved and has an entry; it changes nothing here.
 */
void unmoved_pardon(struct unmoved *u, void (*look)(void *arg, const char *path), void *arg);
/* The same of one file, which a person wants tried again. */
void unmoved_pardon_one(struct unmoved *u, const char *path, const struct identity *id);
/* The latest of those that could not be moved for which `is_there` says true; NULL: none. */
const struct unmoved_file *unmoved_latest(const struct unmoved *u,
                                          bool (*is_there)(void *arg, const char *path), void *arg);

#endif
