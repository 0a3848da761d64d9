// Runs a fuzzer without libFuzzer: over the files of a directory, and over mutants of them, the same at every run. An
// input that ends the program is left in the working directory, as crash-NAME, where NAME is the file that it comes
// from.
#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>
#include <string>
#include <vector>

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);

namespace {

struct Seed {
  std::string name;
  std::string bytes;
};

std::vector<Seed> ReadCorpus(const char* directory) {
  std::vector<Seed> seeds;
  for (const std::filesystem::directory_entry& entry : std::filesystem::directory_iterator(directory)) {
    std::ifstream stream(entry.path(), std::ios::binary);
    seeds.push_back({entry.path().filename(), {std::istreambuf_iterator<char>(stream), {}}});
  }
  std::sort(seeds.begin(), seeds.end(), [](const Seed& a, const Seed& b) { return a.name < b.name; });
  return seeds;
}

class Mutator {
 public:
  Mutator(const std::vector<Seed>& seeds, size_t seed) : seeds_(seeds), random_(seed) {}

  std::string Mutate(std::string bytes) {
    for (size_t changes = 1 + Below(4); changes > 0; --changes) {
      Change(&bytes);
    }
    return bytes;
  }

 private:
  size_t Below(size_t limit) { return static_cast<size_t>(random_() % limit); }

  void Change(std::string* bytes) {
    const size_t at = Below(bytes->size() + 1);
    const size_t length = std::min(1 + Below(16), bytes->size() - at);
    switch (Below(5)) {
      case 0:
        bytes->erase(at, length);
        break;
      case 1:
        bytes->insert(at, 1 + Below(16), static_cast<char>(random_()));
        break;
      case 2: {  // a piece of another seed
        const std::string& other = seeds_[Below(seeds_.size())].bytes;
        const size_t from = Below(other.size() + 1);
        bytes->insert(at, other.substr(from, 1 + Below(128)));
        break;
      }
      case 3:
        if (length > 0) {
          (*bytes)[at] = static_cast<char>((*bytes)[at] ^ (1 << Below(8)));
        }
        break;
      case 4: {
        static constexpr std::array<uint64_t, 6> kNumbers = {0, 1, 0x7f, 0xff, ~uint64_t{0} >> 1, ~uint64_t{0}};
        const uint64_t number = kNumbers[Below(kNumbers.size())];
        std::memcpy(bytes->data() + at, &number, std::min(length, sizeof(number)));
        break;
      }
    }
  }

  const std::vector<Seed>& seeds_;
  std::mt19937_64 random_;
};

struct {
  std::string path;
  std::string bytes;
} current;

void LeaveCurrent(int signal) {
  const int file = open(current.path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  [[maybe_unused]] const ssize_t written = write(file, current.bytes.data(), current.bytes.size());
  ::signal(signal, SIG_DFL);
  raise(signal);
}

void Run(const std::string& name, std::string bytes) {
  current.path = "crash-" + name;
  current.bytes = std::move(bytes);
  LLVMFuzzerTestOneInput(reinterpret_cast<const uint8_t*>(current.bytes.data()), current.bytes.size());
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) {
    std::fprintf(stderr, "usage: %s CORPUS MUTANTS   MUTANTS: of each file\n", argv[0]);
    return 2;
  }
  for (const int fault : {SIGABRT, SIGSEGV, SIGBUS, SIGFPE, SIGILL}) {
    signal(fault, LeaveCurrent);
  }
  const std::vector<Seed> seeds = ReadCorpus(argv[1]);
  for (size_t i = 0; i < seeds.size(); ++i) {
    std::printf("%s\n", seeds[i].name.c_str());
    std::fflush(stdout);  // the last line names the file that ends the program
    Run(seeds[i].name, seeds[i].bytes);
    Mutator mutator(seeds, i);
    for (int mutant = std::atoi(argv[2]); mutant > 0; --mutant) {
      Run(seeds[i].name, mutator.Mutate(seeds[i].bytes));
    }
  }
  return seeds.empty() ? 1 : 0;
}
