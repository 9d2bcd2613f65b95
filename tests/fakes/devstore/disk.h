/* The store's directory: objects/ (a file an object, named by its escaped key), tmp/, and index,
 * which is append-only text, one line a put.
 */
#ifndef DEVSTORE_DISK_H
#define DEVSTORE_DISK_H

#include "tests/fakes/devstore/store.h"

struct disk;
struct disk *disk_open(const char *dir, struct err *e);
void disk_close(struct disk *d);

int disk_tmp_open(struct disk *d, char name[STORE_TMP_MAX]);
int disk_tmp_reopen(struct disk *d, const char *name);
void disk_tmp_remove(struct disk *d, const char *name);
/* Move the temporary file to the key's place; *modified_ns is its mtime. */
enum rc disk_place(struct disk *d, const char *tmp, const char *key, int64_t *modified_ns,
                   struct err *e) MUST_CHECK;
int disk_read(struct disk *d, const char *key);
/* Append the object's line to the index. */
enum rc disk_record(struct disk *d, const char *key, const struct object *o, const char *meta,
                    struct err *e) MUST_CHECK;
/* Each readable line of the index in turn; a torn one is passed over. */
enum rc disk_load(struct disk *d,
                  void (*found)(void *arg, const char *key, const struct object *o,
                                const char *meta),
                  void *arg, struct err *e) MUST_CHECK;
/* Is the key's file there? *touched: with another size or mtime than the object says. */
bool disk_has(struct disk *d, const char *key, const struct object *o, bool *touched);
/* Remove the objects' files for whose name known says false. */
void disk_sweep(struct disk *d, bool (*known)(void *arg, const char *name), void *arg);
/* The file's name of a key. */
void disk_name(struct buf *out, const char *key);
/* Size, SHA-256 and MD5 of the bytes. */
enum rc disk_hash(struct disk *d, const char *key, uint64_t *size, uint8_t sha256[SHA256_SIZE],
                  uint8_t md5[MD5_SIZE]) MUST_CHECK;
/* Empty the directory. */
enum rc disk_reset(struct disk *d, struct err *e) MUST_CHECK;

#endif
