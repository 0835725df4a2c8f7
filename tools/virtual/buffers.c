/* Stands in for /dev/udmabuf and /dev/dma_heap where the kernel has none: a buffer is a file in memory.
   Loaded before libcamera with LD_PRELOAD; everything else passes through. For tests only. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

struct create { /* of <linux/udmabuf.h> */
  uint32_t memory, flags;
  uint64_t offset, size;
};
struct allocate { /* of <linux/dma-heap.h> */
  uint64_t size;
  uint32_t file, file_flags;
  uint64_t heap_flags;
};
static const unsigned CREATE = _IOW('u', 0x42, struct create);
static const unsigned ALLOCATE = _IOWR('H', 0, struct allocate);
/* of <linux/dma-buf.h>: nothing to wait for, no name to give; the type of a name differs in size */
static const unsigned SYNC = _IOW('b', 0, uint64_t), NAME = _IOW('b', 1, const char *);

static int is_provider(const char *path) {
  return !strcmp(path, "/dev/udmabuf") || !strncmp(path, "/dev/dma_heap/", 14);
}

static int allocate(struct allocate *wanted) {
  int file = memfd_create("buffer", MFD_CLOEXEC);
  if (file < 0) return -1;
  if (ftruncate(file, (off_t)wanted->size)) {
    close(file);
    return -1;
  }
  wanted->file = (uint32_t)file;
  return 0;
}

static int open_as(const char *name, const char *path, int flags, mode_t mode) {
  int (*real)(const char *, int, ...) = dlsym(RTLD_NEXT, name);
  return real(is_provider(path) ? "/dev/null" : path, flags, mode);
}

#define MODE(flags) \
  va_list rest; \
  va_start(rest, flags); \
  mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(rest, mode_t) : 0; \
  va_end(rest)

int open(const char *path, int flags, ...) {
  MODE(flags);
  return open_as("open", path, flags, mode);
}

int open64(const char *path, int flags, ...) {
  MODE(flags);
  return open_as("open64", path, flags, mode);
}

int ioctl(int file, unsigned long request, ...) {
  int (*real)(int, unsigned long, ...) = dlsym(RTLD_NEXT, "ioctl");
  va_list rest;
  va_start(rest, request);
  void *argument = va_arg(rest, void *);
  va_end(rest);
  /* Python passes the 32 bits of a request with the sign drawn out */
  if ((unsigned)request == CREATE) return dup((int)((struct create *)argument)->memory);
  if ((unsigned)request == ALLOCATE) return allocate(argument);
  if ((unsigned)request == SYNC || (unsigned)request == NAME) return 0;
  return real(file, request, argument);
}
