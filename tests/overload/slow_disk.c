/* Preloaded into a host: every sync takes SLOW_DISK_MS milliseconds longer, as on a disk that has
   much to do. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <unistd.h>

typedef int sync_function(int);

static int slowly(const char* name, int file) {
  const char* const milliseconds = getenv("SLOW_DISK_MS");
  sync_function* const real = (sync_function*)dlsym(RTLD_NEXT, name);
  if (milliseconds != NULL) usleep((useconds_t)atoi(milliseconds) * 1000);
  return real(file);
}

int fsync(int file) { return slowly("fsync", file); }
int fdatasync(int file) { return slowly("fdatasync", file); }
