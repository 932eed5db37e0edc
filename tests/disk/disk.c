/* A disk that fails, and that remembers: preloaded into a process, it counts what is done to files below a folder, has
 * the n-th of these calls fail, and writes down what reached the disk in what order.
 *
 * SQLite calls the C library for all of it: write, pwrite, fsync, fdatasync, ftruncate, fallocate, mmap, unlink, open.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>

enum { WRITE = 1, SYNC = 2, TRUNCATE = 4, MAP = 8, OPEN = 16, UNLINK = 32 };
enum { SHORT_WRITE = -1 };

static pthread_mutex_t turn = PTHREAD_MUTEX_INITIALIZER;
static char folder[4096];
static size_t folder_length;
static int watched_kinds;  /* which calls count */
static long until_failure; /* so many more succeed; negative: none fails */
static int how;            /* an errno, or SHORT_WRITE */
static int persistently;   /* whether every later one fails too */
static long counted, failed;
static int record = -1; /* the descriptor of the record, if there is one */

#define REAL(type, name, ...)                               \
    static type (*real)(__VA_ARGS__);                       \
    if (!real) real = (type(*)(__VA_ARGS__))dlsym(RTLD_NEXT, #name)

/* What lies behind `descriptor`, below the folder; NULL for other files. */
static const char *name_of(int descriptor, char *room, size_t size) {
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", descriptor);
    ssize_t length = readlink(link, room, size - 1);
    if (length <= 0) return NULL;
    room[length] = 0;
    if ((size_t)length <= folder_length || strncmp(room, folder, folder_length) || room[folder_length] != '/') return NULL;
    return room + folder_length + 1;
}

static const char *name_at(const char *path) {
    if (!folder_length || strncmp(path, folder, folder_length) || path[folder_length] != '/') return NULL;
    return path + folder_length + 1;
}

/* Whether this call is the one that fails. With the turn taken. */
static int fails(int kind) {
    if (!(watched_kinds & kind)) return 0;
    counted++;
    if (until_failure < 0) return 0;
    if (until_failure > 0) {
        until_failure--;
        return 0;
    }
    if (!persistently) until_failure = -1;
    failed++;
    return 1;
}

static void put(const void *bytes, size_t length) {
    static ssize_t (*real)(int, const void *, size_t);
    if (!real) real = (ssize_t(*)(int, const void *, size_t))dlsym(RTLD_NEXT, "write");
    const char *at = bytes;
    while (length) {
        ssize_t written = real(record, at, length);
        if (written <= 0) abort();
        at += written;
        length -= (size_t)written;
    }
}

/* One event: kind, length of the name, offset, length of what follows the name; all little-endian. */
static void note(char kind, const char *name, int64_t offset, const void *bytes, uint32_t length) {
    if (record < 0) return;
    uint8_t named = (uint8_t)strlen(name);
    put(&kind, 1);
    put(&named, 1);
    put(&offset, 8);
    put(&length, 4);
    put(name, named);
    if (bytes) put(bytes, length);
}

static ssize_t write_at(int descriptor, const void *bytes, size_t length, off_t offset, int moves) {
    static ssize_t (*real_write)(int, const void *, size_t);
    static ssize_t (*real_pwrite)(int, const void *, size_t, off_t);
    if (!real_write) {
        real_pwrite = (ssize_t(*)(int, const void *, size_t, off_t))dlsym(RTLD_NEXT, "pwrite64");
        real_write = (ssize_t(*)(int, const void *, size_t))dlsym(RTLD_NEXT, "write");
    }
    char room[4096];
    const char *name = folder_length ? name_of(descriptor, room, sizeof room) : NULL;
    if (!name) return moves ? real_write(descriptor, bytes, length) : real_pwrite(descriptor, bytes, length, offset);
    pthread_mutex_lock(&turn);
    ssize_t written = -1;
    int error = 0;
    if (fails(WRITE)) {
        if (how == SHORT_WRITE) length /= 2;
        else error = how;
    }
    if (!error) {
        off_t at = moves ? lseek(descriptor, 0, SEEK_CUR) : offset;
        written = moves ? real_write(descriptor, bytes, length) : real_pwrite(descriptor, bytes, length, offset);
        error = errno;
        if (written > 0) note('w', name, at, bytes, (uint32_t)written);
    }
    pthread_mutex_unlock(&turn);
    if (written < 0) errno = error;
    return written;
}

ssize_t write(int descriptor, const void *bytes, size_t length) { return write_at(descriptor, bytes, length, 0, 1); }
ssize_t pwrite(int descriptor, const void *bytes, size_t length, off_t offset) {
    return write_at(descriptor, bytes, length, offset, 0);
}
ssize_t pwrite64(int descriptor, const void *bytes, size_t length, off64_t offset) {
    return write_at(descriptor, bytes, length, offset, 0);
}

/* A call on a descriptor that fails or is done and noted. */
#define ON_DESCRIPTOR(kind, letter, offset, call)                               \
    char room[4096];                                                            \
    const char *name = folder_length ? name_of(descriptor, room, sizeof room) : NULL; \
    if (!name) return call;                                                     \
    pthread_mutex_lock(&turn);                                                  \
    int result = -1, error = EIO;                                               \
    if (fails(kind)) {                                                          \
        if (how > 0) error = how;                                               \
    } else {                                                                    \
        result = call;                                                          \
        error = errno;                                                          \
        if (!result) note(letter, name, offset, NULL, 0);                       \
    }                                                                           \
    pthread_mutex_unlock(&turn);                                                \
    if (result) errno = error;                                                  \
    return result

int fsync(int descriptor) {
    REAL(int, fsync, int);
    ON_DESCRIPTOR(SYNC, 's', 0, real(descriptor));
}
int fdatasync(int descriptor) {
    REAL(int, fdatasync, int);
    ON_DESCRIPTOR(SYNC, 's', 0, real(descriptor));
}
int ftruncate(int descriptor, off_t length) {
    REAL(int, ftruncate64, int, off_t);
    ON_DESCRIPTOR(TRUNCATE, 't', length, real(descriptor, length));
}
int ftruncate64(int descriptor, off64_t length) {
    REAL(int, ftruncate64, int, off64_t);
    ON_DESCRIPTOR(TRUNCATE, 't', length, real(descriptor, length));
}

static void *map(void *address, size_t length, int protection, int flags, int descriptor, off_t offset) {
    REAL(void *, mmap64, void *, size_t, int, int, int, off_t);
    char room[4096];
    if (descriptor >= 0 && folder_length && name_of(descriptor, room, sizeof room)) {
        pthread_mutex_lock(&turn);
        int failing = fails(MAP);
        pthread_mutex_unlock(&turn);
        if (failing) {
            errno = how > 0 ? how : ENOMEM;
            return MAP_FAILED;
        }
    }
    return real(address, length, protection, flags, descriptor, offset);
}
void *mmap(void *address, size_t length, int protection, int flags, int descriptor, off_t offset) {
    return map(address, length, protection, flags, descriptor, offset);
}
void *mmap64(void *address, size_t length, int protection, int flags, int descriptor, off64_t offset) {
    return map(address, length, protection, flags, descriptor, offset);
}

static int open_at(const char *path, int flags, mode_t mode) {
    REAL(int, open64, const char *, int, ...);
    if (name_at(path)) {
        pthread_mutex_lock(&turn);
        int failing = fails(OPEN);
        pthread_mutex_unlock(&turn);
        if (failing) {
            errno = how > 0 ? how : EIO;
            return -1;
        }
    }
    return real(path, flags, mode);
}

#define MODE                                        \
    mode_t mode = 0;                                \
    if (flags & (O_CREAT | O_TMPFILE)) {            \
        va_list rest;                               \
        va_start(rest, flags);                      \
        mode = (mode_t)va_arg(rest, int);           \
        va_end(rest);                               \
    }
int open(const char *path, int flags, ...) {
    MODE return open_at(path, flags, mode);
}
int open64(const char *path, int flags, ...) {
    MODE return open_at(path, flags, mode);
}

int unlink(const char *path) {
    REAL(int, unlink, const char *);
    const char *name = name_at(path);
    if (!name) return real(path);
    pthread_mutex_lock(&turn);
    int result = -1, error = how > 0 ? how : EIO;
    if (!fails(UNLINK)) {
        result = real(path);
        error = errno;
        if (!result) note('u', name, 0, NULL, 0);
    }
    pthread_mutex_unlock(&turn);
    if (result) errno = error;
    return result;
}

/* What the tests call. */

void disk_watch(const char *below) {
    pthread_mutex_lock(&turn);
    folder_length = 0;
    snprintf(folder, sizeof folder, "%s", below);
    folder_length = strlen(folder);
    pthread_mutex_unlock(&turn);
}

/* Of the calls of these kinds the one after `succeed` more fails so, and all later ones where `forever` is set. */
void disk_arm(int kinds, long succeed, int failure, int forever) {
    pthread_mutex_lock(&turn);
    watched_kinds = kinds, until_failure = succeed, how = failure, persistently = forever;
    counted = failed = 0;
    pthread_mutex_unlock(&turn);
}

long disk_counted(void) { return counted; }
long disk_failed(void) { return failed; }

int disk_record(const char *path) {
    REAL(int, open64, const char *, int, ...);
    pthread_mutex_lock(&turn);
    record = real(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    pthread_mutex_unlock(&turn);
    return record >= 0;
}

/* A number in the record: what came before has happened before. */
void disk_mark(int64_t number) {
    pthread_mutex_lock(&turn);
    note('m', "", number, NULL, 0);
    pthread_mutex_unlock(&turn);
}
