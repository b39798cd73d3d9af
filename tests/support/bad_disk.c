/* Preloaded into a host, it makes its disk bad.
 *
 * SLOW_DISK_MS: every sync takes so many milliseconds longer, as on a disk that has much to do.
 * BAD_DISK: a file whose first letter says what is bad for as long as it is there. `h`: syncs are
 * held; `s`: they fail; `f`: the disk is full. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

static char fault(void) {
  const char* const path = getenv("BAD_DISK");
  char letter = 0;
  const int file = path == NULL ? -1 : open(path, O_RDONLY | O_CLOEXEC);
  if (file < 0) return 0;
  if (read(file, &letter, 1) != 1) letter = 0;
  close(file);
  return letter;
}

static int badly(const char* name, int file) {
  const char* const milliseconds = getenv("SLOW_DISK_MS");
  int (*const real)(int) = (int (*)(int))dlsym(RTLD_NEXT, name);
  if (milliseconds != NULL) usleep((useconds_t)atoi(milliseconds) * 1000);
  while (fault() == 'h') usleep(1000);
  if (fault() != 's') return real(file);
  errno = EIO;
  return -1;
}

int fsync(int file) { return badly("fsync", file); }
int fdatasync(int file) { return badly("fdatasync", file); }

ssize_t pwrite64(int file, const void* bytes, size_t size, off64_t offset) {
  typedef ssize_t write_function(int, const void*, size_t, off64_t);
  write_function* const real = (write_function*)dlsym(RTLD_NEXT, "pwrite64");
  if (fault() != 'f') return real(file, bytes, size, offset);
  errno = ENOSPC;
  return -1;
}
