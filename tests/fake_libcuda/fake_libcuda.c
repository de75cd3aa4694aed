/* A driver that is none: each call is sent through a socket to the test, which answers it.  A call is a name, numbers
   and bytes; an answer is a result code and bytes.  The current context is kept here, for each thread. */
#include <elf.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { FAILED = 999, INVALID = 1, DEPTH = 8, MOST_PARAMETERS = 256, MOST_BYTES = 1 << 16 };

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static int channel = -1;

static int moved(ssize_t (*move)(int, void *, size_t), void *data, size_t size) {
  for (size_t done = 0; done < size;) {
    ssize_t some = move(channel, (char *)data + done, size - done);
    if (some <= 0) return 0;
    done += (size_t)some;
  }
  return 1;
}

static ssize_t put(int file, void *data, size_t size) { return write(file, data, size); }
static ssize_t get(int file, void *data, size_t size) { return read(file, data, size); }

static int opened(void) {
  const char *path = getenv("FAKE_LIBCUDA_SOCKET");
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  if (channel >= 0) return 1;
  if (!path || strlen(path) >= sizeof address.sun_path) return 0;
  strcpy(address.sun_path, path);
  channel = socket(AF_UNIX, SOCK_STREAM, 0);
  return channel >= 0 && !connect(channel, (struct sockaddr *)&address, sizeof address);
}

static int ask(const char *name, const uint64_t *numbers, uint32_t count, const void *bytes, uint32_t size, void *answer,
               uint32_t room) {
  uint32_t head[3] = {(uint32_t)strlen(name), count, size}, found[2] = {FAILED, 0};
  pthread_mutex_lock(&lock);
  int good = opened() && moved(put, head, sizeof head) && moved(put, (void *)name, head[0]) &&
             moved(put, (void *)numbers, 8 * (size_t)count) && moved(put, (void *)bytes, size) &&
             moved(get, found, sizeof found) && found[1] <= room && moved(get, answer, found[1]);
  pthread_mutex_unlock(&lock);
  return good ? (int)found[0] : FAILED;
}

#define NUMBERS(...) (uint64_t[]){__VA_ARGS__}, sizeof((uint64_t[]){__VA_ARGS__}) / 8
#define PLAIN(name, answer, room, ...) ask(name, NUMBERS(__VA_ARGS__), 0, 0, answer, room)

int cuInit(unsigned flags) { return PLAIN("cuInit", 0, 0, flags); }
int cuDriverGetVersion(int *version) { return PLAIN("cuDriverGetVersion", version, 4, 0); }
int cuDeviceGet(int *device, int number) { return PLAIN("cuDeviceGet", device, 4, (uint64_t)number); }

int cuGetErrorString(int code, const char **text) {
  static __thread char said[256];
  int result = PLAIN("cuGetErrorString", said, sizeof said, (uint64_t)code);
  *text = result ? 0 : said;
  return result;
}

/* Contexts. */

static __thread uint64_t stack[DEPTH];
static __thread int depth;

int cuDevicePrimaryCtxRetain(uint64_t *context, int device) {
  return PLAIN("cuDevicePrimaryCtxRetain", context, 8, (uint64_t)device);
}
int cuCtxGetCurrent(uint64_t *context) {
  *context = depth ? stack[depth - 1] : 0;
  return 0;
}
int cuCtxPushCurrent_v2(uint64_t context) {
  if (depth == DEPTH) return INVALID;
  stack[depth++] = context;
  return 0;
}
int cuCtxPopCurrent_v2(uint64_t *context) {
  if (!depth) return INVALID;
  *context = stack[--depth];
  return 0;
}
int cuCtxGetDevice(int *device) {
  *device = 0;
  return depth ? 0 : 201;
}
int cuCtxGetId(uint64_t context, uint64_t *id) {
  *id = context + 1;
  return 0;
}

/* Modules. */

struct kernel { uint64_t handle; uint32_t count; uint32_t sizes[MOST_PARAMETERS]; };

static size_t image_size(const void *image) {
  const Elf64_Ehdr *head = image;
  if (memcmp(image, ELFMAG, SELFMAG)) return strlen(image);
  size_t sections = head->e_shoff + (size_t)head->e_shentsize * head->e_shnum;
  size_t segments = head->e_phoff + (size_t)head->e_phentsize * head->e_phnum;
  return sections > segments ? sections : segments;
}
int cuModuleLoadData(uint64_t *module, const void *image) {
  uint32_t size = (uint32_t)image_size(image);
  return ask("cuModuleLoadData", NUMBERS(depth ? stack[depth - 1] : 0), image, size, module, 8);
}
int cuModuleUnload(uint64_t module) { return PLAIN("cuModuleUnload", 0, 0, module); }
int cuModuleGetFunction(struct kernel **function, uint64_t module, const char *name) {
  struct kernel *made = calloc(1, sizeof *made);
  *function = made;
  return ask("cuModuleGetFunction", NUMBERS(module), name, (uint32_t)strlen(name), made, sizeof *made);
}
int cuFuncSetAttribute(struct kernel *kernel, int attribute, int value) {
  return PLAIN("cuFuncSetAttribute", 0, 0, kernel->handle, (uint64_t)attribute, (uint64_t)value);
}
int cuLaunchKernel(struct kernel *kernel, unsigned gx, unsigned gy, unsigned gz, unsigned bx, unsigned by, unsigned bz,
                   unsigned shared, uint64_t stream, void **parameters, void **extra) {
  char bytes[MOST_BYTES];
  uint32_t size = 0;
  if (extra) return INVALID;
  for (uint32_t i = 0; i < kernel->count; ++i) {
    memcpy(bytes + size, parameters[i], kernel->sizes[i]);
    size += kernel->sizes[i];
  }
  return ask("cuLaunchKernel", NUMBERS(kernel->handle, gx, gy, gz, bx, by, bz, shared, stream), bytes, size, 0, 0);
}

/* Memory. */

int cuMemPoolCreate(uint64_t *pool, const void *properties) {
  return ask("cuMemPoolCreate", NUMBERS(0), properties, 88, pool, 8);
}
int cuMemPoolDestroy(uint64_t pool) { return PLAIN("cuMemPoolDestroy", 0, 0, pool); }
int cuMemPoolSetAttribute(uint64_t pool, int attribute, const uint64_t *value) {
  return PLAIN("cuMemPoolSetAttribute", 0, 0, pool, (uint64_t)attribute, *value);
}
int cuMemPoolTrimTo(uint64_t pool, size_t size) { return PLAIN("cuMemPoolTrimTo", 0, 0, pool, size); }
int cuMemAlloc_v2(uint64_t *address, size_t size) { return PLAIN("cuMemAlloc", address, 8, size); }
int cuMemFree_v2(uint64_t address) { return PLAIN("cuMemFree", 0, 0, address); }
int cuMemAllocFromPoolAsync(uint64_t *address, size_t size, uint64_t pool, uint64_t stream) {
  return PLAIN("cuMemAllocFromPoolAsync", address, 8, size, pool, stream);
}
int cuMemFreeAsync(uint64_t address, uint64_t stream) { return PLAIN("cuMemFreeAsync", 0, 0, address, stream); }
int cuMemcpyHtoD_v2(uint64_t to, const void *from, size_t size) {
  return ask("cuMemcpyHtoD", NUMBERS(to), from, (uint32_t)size, 0, 0);
}
int cuMemcpyHtoDAsync_v2(uint64_t to, const void *from, size_t size, uint64_t stream) {
  return ask("cuMemcpyHtoDAsync", NUMBERS(to, stream), from, (uint32_t)size, 0, 0);
}
int cuMemcpyDtoHAsync_v2(void *to, uint64_t from, size_t size, uint64_t stream) {
  return PLAIN("cuMemcpyDtoHAsync", to, (uint32_t)size, from, size, stream);
}
int cuMemcpyDtoH_v2(void *to, uint64_t from, size_t size) { return cuMemcpyDtoHAsync_v2(to, from, size, 0); }
int cuMemcpyDtoDAsync_v2(uint64_t to, uint64_t from, size_t size, uint64_t stream) {
  return PLAIN("cuMemcpyDtoDAsync", 0, 0, to, from, size, stream);
}
int cuStreamSynchronize(uint64_t stream) { return PLAIN("cuStreamSynchronize", 0, 0, stream); }

#ifndef OLD
int cuTensorMapEncodeTiled(void *map, int type, uint32_t rank, uint64_t address, const uint64_t *shape,
                           const uint64_t *strides, const uint32_t *box, const uint32_t *steps, int interleave,
                           int swizzle, int promotion, int fill) {
  uint64_t numbers[32] = {(uint64_t)type,       rank,           address, (uint64_t)interleave, (uint64_t)swizzle,
                          (uint64_t)promotion, (uint64_t)fill};
  uint32_t count = 7;
  for (uint32_t i = 0; i < rank; ++i) numbers[count++] = shape[i];
  for (uint32_t i = 0; i + 1 < rank; ++i) numbers[count++] = strides[i];
  for (uint32_t i = 0; i < rank; ++i) numbers[count++] = box[i];
  for (uint32_t i = 0; i < rank; ++i) numbers[count++] = steps[i];
  return ask("cuTensorMapEncodeTiled", numbers, count, 0, 0, map, 128);
}
#endif
