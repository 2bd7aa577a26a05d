// Large blocks of XLA's CPU client, kept from one step to the next.
//
// XLA takes one block for all temporary values of a program when it runs and gives it back
// afterwards. glibc returns it to the system, so that every step pays for its pages again, or, told
// to keep it, cuts small pieces off it, so that the next step's does not fit and the heap grows by
// one more. Here the calls that XLA's library makes of posix_memalign and free are led to a list of
// blocks: one that is given back is there for the next of its size. Where none fits, those that
// nobody uses go back to the system first, so that there is never more than was in use at once, or
// by two programs in turn.

#ifndef CNN_JAX_KEPT_BLOCKS_H_
#define CNN_JAX_KEPT_BLOCKS_H_

#include <cstdint>
#include <cstdlib>

// Other C libraries leave the addresses in a library's tables as they are in its file.
#if defined(__GLIBC__) && defined(__x86_64__)

#include <elf.h>
#include <errno.h>
#include <link.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <mutex>
#include <utility>
#include <vector>

namespace cnn_jax {

class KeptBlocks {
 public:
  static constexpr size_t kLeast = size_t{4} << 20;  // bytes: smaller ones are malloc's
  static constexpr size_t kPage = size_t{2} << 20;   // a large page, which a block begins with

  static KeptBlocks& Get() {
    static KeptBlocks* blocks = new KeptBlocks;  // never destroyed: XLA's threads outlive main
    return *blocks;
  }

  // A block of so many bytes at least; null where there is no memory.
  void* Take(size_t bytes) {
    const size_t size = (bytes + kPage - 1) / kPage * kPage;
    std::lock_guard<std::mutex> lock(mutex_);
    Block* best = nullptr;
    for (Block& block : blocks_) {
      const bool fits = !block.used && block.size >= size && block.size <= size + size / 8;
      if (fits && (best == nullptr || block.size < best->size)) best = &block;
    }
    if (best == nullptr) {
      ReleaseUnused();
      char* start = Map(size);
      if (start == nullptr) return nullptr;
      blocks_.push_back({start, size, false});
      best = &blocks_.back();
    }
    best->used = true;
    return best->start;
  }

  // Whether the address is a block's, which is kept from here on.
  bool GiveBack(void* address) {
    if (reinterpret_cast<uintptr_t>(address) % kPage != 0) return false;  // of nearly all others
    std::lock_guard<std::mutex> lock(mutex_);
    for (Block& block : blocks_) {
      if (block.start != address) continue;
      block.used = false;
      return true;
    }
    return false;
  }

 private:
  struct Block {
    char* start;
    size_t size;
    bool used;
  };

  static char* Map(size_t size) {
    const size_t room = size + kPage;  // so that a multiple of a large page lies in it
    void* found = mmap(nullptr, room, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (found == MAP_FAILED) return nullptr;
    char* all = static_cast<char*>(found);
    char* start = all + (kPage - reinterpret_cast<uintptr_t>(all) % kPage) % kPage;
    if (start > all) munmap(all, start - all);
    if (all + room > start + size) munmap(start + size, all + room - (start + size));
    madvise(start, size, MADV_HUGEPAGE);
    return start;
  }

  void ReleaseUnused() {
    auto unused = std::stable_partition(blocks_.begin(), blocks_.end(),
                                        [](const Block& block) { return block.used; });
    for (auto block = unused; block != blocks_.end(); ++block) munmap(block->start, block->size);
    blocks_.erase(unused, blocks_.end());
  }

  std::mutex mutex_;
  std::vector<Block> blocks_;
};

inline int KeptMemalign(void** result, size_t alignment, size_t bytes) {
  const bool any = bytes <= PTRDIFF_MAX / 2;  // more there is not, and malloc says so
  if (bytes < KeptBlocks::kLeast || !any || alignment > KeptBlocks::kPage) {
    return posix_memalign(result, alignment, bytes);
  }
  void* block = KeptBlocks::Get().Take(bytes);
  if (block == nullptr) return ENOMEM;
  *result = block;
  return 0;
}

inline void KeptFree(void* address) {
  if (address != nullptr && KeptBlocks::Get().GiveBack(address)) return;
  free(address);
}

// The places where one shared library looks up the functions of others.
class ImportTable {
 public:
  explicit ImportTable(const dl_phdr_info& library) : base_(library.dlpi_addr) {
    for (int i = 0; i < library.dlpi_phnum; ++i) {
      const ElfW(Phdr) & header = library.dlpi_phdr[i];
      if (header.p_type == PT_DYNAMIC)
        Read(reinterpret_cast<const ElfW(Dyn)*>(base_ + header.p_vaddr));
    }
  }

  // How many references to `symbol` now lead to `function`.
  int Lead(const char* symbol, void* function) const {
    int count = 0;
    for (const auto& [first, bytes] :
         {std::pair(plain_, plain_bytes_), std::pair(calls_, call_bytes_)}) {
      for (size_t i = 0; i < bytes / sizeof(ElfW(Rela)); ++i) {
        const size_t index = ELF64_R_SYM(first[i].r_info);
        if (index == 0 || strcmp(names_ + symbols_[index].st_name, symbol) != 0) continue;
        count += Write(reinterpret_cast<void**>(base_ + first[i].r_offset), function);
      }
    }
    return count;
  }

 private:
  void Read(const ElfW(Dyn) * entry) {
    for (; entry->d_tag != DT_NULL; ++entry) {
      const uintptr_t value = entry->d_un.d_ptr;
      if (entry->d_tag == DT_SYMTAB) symbols_ = reinterpret_cast<const ElfW(Sym)*>(value);
      if (entry->d_tag == DT_STRTAB) names_ = reinterpret_cast<const char*>(value);
      if (entry->d_tag == DT_RELA) plain_ = reinterpret_cast<const ElfW(Rela)*>(value);
      if (entry->d_tag == DT_RELASZ) plain_bytes_ = value;
      if (entry->d_tag == DT_JMPREL) calls_ = reinterpret_cast<const ElfW(Rela)*>(value);
      if (entry->d_tag == DT_PLTRELSZ) call_bytes_ = value;
    }
  }

  // Some places are read-only once a library is loaded; the page stays writable.
  static bool Write(void** place, void* function) {
    const uintptr_t page = sysconf(_SC_PAGESIZE);
    char* start = reinterpret_cast<char*>(reinterpret_cast<uintptr_t>(place) / page * page);
    if (mprotect(start, page, PROT_READ | PROT_WRITE) != 0) return false;
    __atomic_store_n(place, function, __ATOMIC_SEQ_CST);
    return true;
  }

  uintptr_t base_;
  const ElfW(Sym) * symbols_ = nullptr;
  const char* names_ = nullptr;
  const ElfW(Rela) * plain_ = nullptr;
  const ElfW(Rela) * calls_ = nullptr;
  size_t plain_bytes_ = 0, call_bytes_ = 0;
};

// Leads the calls of all libraries whose path holds `part`; returns how many references.
inline int KeepBlocks(const char* part) {
  struct Search {
    const char* part;
    int count;
  } search{part, 0};
  // First free, which knows blocks and others, then what makes blocks.
  for (const auto& [symbol, function] :
       {std::pair<const char*, void*>("free", reinterpret_cast<void*>(&KeptFree)),
        std::pair<const char*, void*>("posix_memalign", reinterpret_cast<void*>(&KeptMemalign))}) {
    struct Task {
      Search* search;
      const char* symbol;
      void* function;
    } task{&search, symbol, function};
    dl_iterate_phdr(
        [](dl_phdr_info* library, size_t, void* data) {
          auto* task = static_cast<Task*>(data);
          if (library->dlpi_name != nullptr && strstr(library->dlpi_name, task->search->part)) {
            task->search->count += ImportTable(*library).Lead(task->symbol, task->function);
          }
          return 0;
        },
        &task);
  }
  return search.count;
}

}  // namespace cnn_jax

#else

namespace cnn_jax {

inline int KeepBlocks(const char*) { return 0; }

}  // namespace cnn_jax

#endif

#endif  // CNN_JAX_KEPT_BLOCKS_H_
