/* Make the operating system refuse, or end the process at, the N-th operation on files of one folder.
 *
 * Preloaded into a process (LD_PRELOAD), this stands between it and the C library. The parent plans a fault,
 * its child arms itself, and the parent reads afterwards what was struck: the plan is memory that both share.
 * An operation counts if its path, or the path of its open file, lies in the folder, and if the kernel could
 * answer it with the planned error. Calls within the C library itself, and pages of mapped files, are not
 * seen.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

enum { READS = 1, WRITES = 2, GROWS = 4, ASKS = 8 }; /* what an operation does, which decides its errors */
enum { GO_ON = 0, DIE_AFTER = -1, DIE_HALFWAY = -2 };
enum { MOST_FILES = 4096 };

static struct plan {
    char folder[PATH_MAX];
    long at;     /* number of the operation, from 1 */
    int error;   /* errno; 0: SIGKILL */
    int lasting; /* all later operations fail too */
    int death;   /* 0: before the operation, 1: after it, 2: after half of a write */
    int kinds;   /* operations that count */
    long counted;
    long seen[16]; /* operations of each kind */
    char struck[PATH_MAX + 64];
} *plan;
static int armed;
static char files[MOST_FILES]; /* descriptors of files in the folder: READS, or READS | WRITES */

__attribute__((constructor)) static void begin(void) {
    plan = mmap(NULL, sizeof *plan, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
}

void faults_plan(const char *folder, long at, int error, int lasting, int death, int kinds) {
    memset(plan, 0, sizeof *plan);
    snprintf(plan->folder, sizeof plan->folder, "%s", folder);
    plan->at = at, plan->error = error, plan->lasting = lasting, plan->death = death, plan->kinds = kinds;
}
void faults_arm(void) { armed = 1; }
long faults_seen(int kinds) {
    long sum = 0;
    for (int kind = 0; kind < 16; kind++)
        sum += kind & kinds ? plan->seen[kind] : 0;
    return sum;
}
const char *faults_struck(void) { return plan->struck; }

static _Noreturn void die(void) {
    syscall(SYS_kill, syscall(SYS_getpid), SIGKILL);
    for (;;)
        pause();
}

static int inside(int folder, const char *path) {
    if (!armed || !path)
        return 0;
    size_t length = strlen(plan->folder);
    if (path[0] == '/')
        return !strncmp(path, plan->folder, length) && (path[length] == '/' || !path[length]);
    return folder >= 0 && folder < MOST_FILES && files[folder];
}
static int ours(int file) { return armed && file >= 0 && file < MOST_FILES && files[file]; }

/* Return the error to answer with, GO_ON, or when to die. */
static int strike(const char *operation, const char *path, int file, int kind) {
    __atomic_add_fetch(&plan->seen[kind], 1, __ATOMIC_SEQ_CST);
    if (!(kind & plan->kinds))
        return GO_ON;
    long number = __atomic_add_fetch(&plan->counted, 1, __ATOMIC_SEQ_CST);
    if (number < plan->at || !plan->at || (number > plan->at && !plan->lasting))
        return GO_ON;
    if (number == plan->at) {
        char link[64], name[PATH_MAX] = "";
        if (!path) {
            snprintf(link, sizeof link, "/proc/self/fd/%d", file);
            ssize_t found = syscall(SYS_readlinkat, AT_FDCWD, link, name, sizeof name - 1);
            path = found > 0 ? name : "?";
        }
        snprintf(plan->struck, sizeof plan->struck, "%s %s", operation, path);
    }
    if (plan->error)
        return plan->error;
    if (plan->death == 0)
        die();
    return plan->death == 1 ? DIE_AFTER : DIE_HALFWAY;
}

#define REAL(type, name, ...)                    \
    static type (*real)(__VA_ARGS__);            \
    if (!real)                                   \
        real = (type (*)(__VA_ARGS__))dlsym(RTLD_NEXT, #name);
#define FAIL(type, verdict)  \
    if (verdict > 0) {       \
        errno = verdict;     \
        return (type)-1;     \
    }
#define PARAMETERS(...) (__VA_ARGS__)
#define WRAP(type, name, types, parameters, arguments, watched, path, file, kind)   \
    type name parameters {                                                          \
        static type(*real) types;                                                   \
        if (!real)                                                                  \
            real = (type(*) types)dlsym(RTLD_NEXT, #name);                          \
        int verdict = (watched) ? strike(#name, path, file, kind) : GO_ON;          \
        FAIL(type, verdict)                                                         \
        type result = real arguments;                                               \
        if (verdict < 0)                                                            \
            die();                                                                  \
        return result;                                                              \
    }
#define ON_FILE(type, name, types, parameters, arguments, kind) \
    WRAP(type, name, types, parameters, arguments, ours(file), NULL, file, kind)
#define ON_PATH(type, name, types, parameters, arguments, kind) \
    WRAP(type, name, types, parameters, arguments, inside(-1, path), path, -1, kind)
#define ON_PLACE(type, name, types, parameters, arguments, kind) \
    WRAP(type, name, types, parameters, arguments, inside(folder, path), path, -1, kind)

/* ---- open files ---- */

static void opened(int file, int watched, int writes) {
    if (file >= 0 && file < MOST_FILES)
        files[file] = watched ? (writes ? READS | WRITES : READS) : 0;
}
static int kind_of_open(int folder, const char *path, int flags) {
    int writes = (flags & O_ACCMODE) != O_RDONLY || flags & (O_CREAT | O_TRUNC);
    int grows = flags & O_CREAT && syscall(SYS_faccessat, folder, path, F_OK) != 0;
    return !writes ? READS : grows ? WRITES | GROWS : WRITES;
}
static int open_any(const char *name, int folder, const char *path, int flags, mode_t mode) {
    int watched = inside(folder, path);
    int verdict = watched ? strike(name, path, -1, kind_of_open(folder, path, flags)) : GO_ON;
    FAIL(int, verdict)
    int file = (int)syscall(SYS_openat, folder, path, flags, mode);
    if (armed)
        opened(file, watched, (flags & O_ACCMODE) != O_RDONLY);
    if (verdict < 0)
        die();
    return file;
}
#define MODE(last)                                       \
    mode_t mode = 0;                                     \
    if (flags & (O_CREAT | O_TMPFILE)) {                 \
        va_list further;                                 \
        va_start(further, last);                         \
        mode = va_arg(further, mode_t);                  \
        va_end(further);                                 \
    }
int open(const char *path, int flags, ...) { MODE(flags) return open_any("open", AT_FDCWD, path, flags, mode); }
int open64(const char *path, int flags, ...) { MODE(flags) return open_any("open", AT_FDCWD, path, flags, mode); }
int openat(int at, const char *path, int flags, ...) { MODE(flags) return open_any("open", at, path, flags, mode); }
int openat64(int at, const char *path, int flags, ...) { MODE(flags) return open_any("open", at, path, flags, mode); }
int __open_2(const char *path, int flags) { return open_any("open", AT_FDCWD, path, flags, 0); }
int __open64_2(const char *path, int flags) { return open_any("open", AT_FDCWD, path, flags, 0); }
int __openat_2(int at, const char *path, int flags) { return open_any("open", at, path, flags, 0); }
int __openat64_2(int at, const char *path, int flags) { return open_any("open", at, path, flags, 0); }

static FILE *fopen_any(FILE *(*real)(const char *, const char *), const char *path, const char *mode) {
    int flags = mode[0] == 'r' ? (strchr(mode, '+') ? O_RDWR : O_RDONLY) : O_WRONLY | O_CREAT;
    int watched = inside(-1, path);
    int verdict = watched ? strike("fopen", path, -1, kind_of_open(AT_FDCWD, path, flags)) : GO_ON;
    if (verdict > 0) {
        errno = verdict;
        return NULL;
    }
    FILE *file = real(path, mode);
    if (verdict < 0)
        die();
    return file;
}
FILE *fopen(const char *path, const char *mode) {
    REAL(FILE *, fopen, const char *, const char *)
    return fopen_any(real, path, mode);
}
FILE *fopen64(const char *path, const char *mode) {
    REAL(FILE *, fopen64, const char *, const char *)
    return fopen_any(real, path, mode);
}

int close(int file) {
    REAL(int, close, int)
    /* A disk of the network tells only now that it was full. */
    int verdict = ours(file) && files[file] & WRITES ? strike("close", NULL, file, WRITES | GROWS) : GO_ON;
    if (armed)
        opened(file, 0, 0);
    int result = real(file);
    FAIL(int, verdict)
    if (verdict < 0)
        die();
    return result;
}

/* ---- reading and writing ---- */

#define WRITE(name, types, parameters, arguments, halved)                                  \
    ssize_t name parameters {                                                              \
        static ssize_t(*real) types;                                                       \
        if (!real)                                                                         \
            real = (ssize_t(*) types)dlsym(RTLD_NEXT, #name);                              \
        int verdict = ours(file) ? strike(#name, NULL, file, WRITES | GROWS) : GO_ON;      \
        FAIL(ssize_t, verdict)                                                             \
        ssize_t result = verdict == DIE_HALFWAY ? real halved : real arguments;            \
        if (verdict < 0)                                                                   \
            die();                                                                         \
        return result;                                                                     \
    }
typedef const struct iovec *Parts;
WRITE(write, (int, const void *, size_t), (int file, const void *from, size_t n), (file, from, n),
      (file, from, n / 2))
WRITE(pwrite, (int, const void *, size_t, off_t), (int file, const void *from, size_t n, off_t at),
      (file, from, n, at), (file, from, n / 2, at))
WRITE(pwrite64, (int, const void *, size_t, off64_t), (int file, const void *from, size_t n, off64_t at),
      (file, from, n, at), (file, from, n / 2, at))
WRITE(writev, (int, Parts, int), (int file, Parts parts, int n), (file, parts, n), (file, parts, n / 2))
WRITE(sendfile, (int, int, off_t *, size_t), (int file, int from, off_t *at, size_t n), (file, from, at, n),
      (file, from, at, n / 2))
WRITE(sendfile64, (int, int, off64_t *, size_t), (int file, int from, off64_t *at, size_t n),
      (file, from, at, n), (file, from, at, n / 2))
WRITE(copy_file_range, (int, off64_t *, int, off64_t *, size_t, unsigned),
      (int from, off64_t *there, int file, off64_t *at, size_t n, unsigned flags),
      (from, there, file, at, n, flags), (from, there, file, at, n / 2, flags))
ON_FILE(ssize_t, read, (int, void *, size_t), (int file, void *to, size_t n), (file, to, n), READS)
ON_FILE(ssize_t, __read_chk, (int, void *, size_t, size_t), (int file, void *to, size_t n, size_t room),
        (file, to, n, room), READS)
ON_FILE(ssize_t, readv, (int, Parts, int), (int file, Parts parts, int n), (file, parts, n), READS)
ON_FILE(ssize_t, pread, (int, void *, size_t, off_t), (int file, void *to, size_t n, off_t at),
        (file, to, n, at), READS)
ON_FILE(ssize_t, pread64, (int, void *, size_t, off64_t), (int file, void *to, size_t n, off64_t at),
        (file, to, n, at), READS)
#define SYNC(name)                                                                        \
    int name(int file) {                                                                  \
        REAL(int, name, int)                                                              \
        if (!ours(file))                                                                  \
            return real(file);                                                            \
        int verdict = strike(#name, NULL, file, WRITES | GROWS);                          \
        FAIL(int, verdict)                                                                \
        if (verdict < 0)                                                                  \
            die();                                                                        \
        return 0; /* without waiting: the machine does not lose its power */             \
    }
SYNC(fsync)
SYNC(fdatasync)
ON_FILE(int, ftruncate, (int, off_t), (int file, off_t n), (file, n), WRITES)
ON_FILE(int, ftruncate64, (int, off64_t), (int file, off64_t n), (file, n), WRITES)

/* ---- names ---- */

ON_PATH(int, mkdir, (const char *, mode_t), (const char *path, mode_t mode), (path, mode), WRITES | GROWS)
ON_PLACE(int, mkdirat, (int, const char *, mode_t), (int folder, const char *path, mode_t mode),
         (folder, path, mode), WRITES | GROWS)
ON_PATH(int, unlink, (const char *), (const char *path), (path), WRITES)
ON_PLACE(int, unlinkat, (int, const char *, int), (int folder, const char *path, int flags),
         (folder, path, flags), WRITES)
ON_PATH(int, rmdir, (const char *), (const char *path), (path), WRITES)
ON_PATH(int, rename, (const char *, const char *), (const char *path, const char *to), (path, to),
        WRITES | GROWS)
ON_PLACE(int, renameat, (int, const char *, int, const char *),
         (int folder, const char *path, int there, const char *to), (folder, path, there, to), WRITES | GROWS)
ON_PLACE(int, renameat2, (int, const char *, int, const char *, unsigned),
         (int folder, const char *path, int there, const char *to, unsigned flags),
         (folder, path, there, to, flags), WRITES | GROWS)
ON_PATH(int, chmod, (const char *, mode_t), (const char *path, mode_t mode), (path, mode), WRITES)

DIR *opendir(const char *path) {
    REAL(DIR *, opendir, const char *)
    int verdict = inside(-1, path) ? strike("opendir", path, -1, READS) : GO_ON;
    if (verdict > 0) {
        errno = verdict;
        return NULL;
    }
    DIR *folder = real(path);
    if (verdict < 0)
        die();
    return folder;
}

/* ---- what there is ---- */

typedef struct stat *Status;
typedef struct stat64 *Status64;
ON_PATH(int, stat, (const char *, Status), (const char *path, Status to), (path, to), ASKS)
ON_PATH(int, stat64, (const char *, Status64), (const char *path, Status64 to), (path, to), ASKS)
ON_PATH(int, lstat, (const char *, Status), (const char *path, Status to), (path, to), ASKS)
ON_PATH(int, lstat64, (const char *, Status64), (const char *path, Status64 to), (path, to), ASKS)
ON_PLACE(int, fstatat, (int, const char *, Status, int), (int folder, const char *path, Status to, int flags),
         (folder, path, to, flags), ASKS)
ON_PLACE(int, fstatat64, (int, const char *, Status64, int),
         (int folder, const char *path, Status64 to, int flags), (folder, path, to, flags), ASKS)
ON_PLACE(int, statx, (int, const char *, int, unsigned, struct statx *),
         (int folder, const char *path, int flags, unsigned mask, struct statx *to),
         (folder, path, flags, mask, to), ASKS)
