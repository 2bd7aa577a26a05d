/* Loaded before libc (LD_PRELOAD): the n-th call that changes a file under a folder fails.

   arm(folder, n, error, lasting): from now on; n = 0 counts alone. counted(): how many calls came. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

static char folder[PATH_MAX];
static size_t length;
static int error_number, lasting;
static long fails_at;
static atomic_long calls;
static char last[PATH_MAX + 64];

void arm(const char *where, long n, int error, int is_lasting) {
  length = 0; /* nothing is counted while this changes */
  fails_at = n, error_number = error, lasting = is_lasting;
  atomic_store(&calls, 0);
  last[0] = 0;
  strncpy(folder, where, sizeof folder - 1);
  length = strlen(folder);
}

long counted(void) { return atomic_load(&calls); }
const char *failed(void) { return last; }

static int fails(const char *name, const char *path) {
  if (!length || strncmp(path, folder, length)) return 0;
  long n = atomic_fetch_add(&calls, 1) + 1;
  if (!fails_at || (lasting ? n < fails_at : n != fails_at)) return 0;
  if (!last[0]) snprintf(last, sizeof last, "%s %s", name, path + length);
  errno = error_number;
  return 1;
}

static int fails_fd(const char *name, int fd) {
  char link[64], path[PATH_MAX];
  if (!length) return 0;
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  ssize_t size = readlink(link, path, sizeof path - 1);
  if (size < 0) return 0;
  path[size] = 0;
  return fails(name, path);
}

static int fails_at_path(const char *name, int fd, const char *path) {
  char link[64], whole[2 * PATH_MAX], base[PATH_MAX];
  if (!length || path[0] == '/' || fd == AT_FDCWD) return fails(name, path);
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  ssize_t size = readlink(link, base, sizeof base - 1);
  if (size < 0) return 0;
  base[size] = 0;
  snprintf(whole, sizeof whole, "%s/%s", base, path);
  return fails(name, whole);
}

#define REAL(name) __typeof__(&name) real = (__typeof__(&name))dlsym(RTLD_NEXT, #name)
#define BY_FD(type, name, declared, given) \
  type name declared { REAL(name); return fails_fd(#name, fd) ? -1 : real given; }
#define BY_PATH(type, name, declared, given) \
  type name declared { REAL(name); return fails(#name, path) ? -1 : real given; }

BY_FD(ssize_t, write, (int fd, const void *b, size_t n), (fd, b, n))
BY_FD(ssize_t, pwrite, (int fd, const void *b, size_t n, off_t o), (fd, b, n, o))
BY_FD(ssize_t, pwrite64, (int fd, const void *b, size_t n, off64_t o), (fd, b, n, o))
BY_FD(ssize_t, writev, (int fd, const struct iovec *v, int n), (fd, v, n))
BY_FD(ssize_t, pwritev, (int fd, const struct iovec *v, int n, off_t o), (fd, v, n, o))
BY_FD(int, fsync, (int fd), (fd))
BY_FD(int, fdatasync, (int fd), (fd))
BY_FD(int, ftruncate, (int fd, off_t n), (fd, n))
BY_PATH(int, rename, (const char *path, const char *to), (path, to))
BY_PATH(int, mkdir, (const char *path, mode_t m), (path, m))
int renameat(int fd, const char *path, int other, const char *to) {
  REAL(renameat);
  return fails_at_path("renameat", fd, path) ? -1 : real(fd, path, other, to);
}
int mkdirat(int fd, const char *path, mode_t m) {
  REAL(mkdirat);
  return fails_at_path("mkdirat", fd, path) ? -1 : real(fd, path, m);
}

#define OPEN(name, declared, given, check) \
  int name declared { \
    REAL(name); \
    mode_t mode = 0; \
    if (flags & O_CREAT) { \
      va_list rest; \
      va_start(rest, flags); \
      mode = va_arg(rest, mode_t); \
      va_end(rest); \
      if (check) return -1; \
    } \
    return real given; \
  }
OPEN(open, (const char *path, int flags, ...), (path, flags, mode), fails("open", path))
OPEN(open64, (const char *path, int flags, ...), (path, flags, mode), fails("open", path))
OPEN(openat, (int fd, const char *path, int flags, ...), (fd, path, flags, mode),
     fails_at_path("openat", fd, path))
OPEN(openat64, (int fd, const char *path, int flags, ...), (fd, path, flags, mode),
     fails_at_path("openat", fd, path))
