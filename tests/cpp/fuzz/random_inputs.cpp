// A fuzzer for compilers that bring none: inputs at random from a seed, for some seconds, or those of files.
//
//   fuzz_kernels -max_total_time=SECONDS -seed=SEED        fuzz_kernels FILE...
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iterator>
#include <random>
#include <vector>

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);

int main(int n_arguments, char** arguments) {
  double seconds = 10.0;
  unsigned seed = 1;
  bool files = false;
  for (int i = 1; i < n_arguments; ++i) {
    if (std::strncmp(arguments[i], "-max_total_time=", 16) == 0) {
      seconds = std::atof(arguments[i] + 16);
    } else if (std::strncmp(arguments[i], "-seed=", 6) == 0) {
      seed = static_cast<unsigned>(std::atoi(arguments[i] + 6));
    } else if (arguments[i][0] != '-') {
      files = true;
      std::ifstream file(arguments[i], std::ios::binary);
      const std::vector<char> content((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
      LLVMFuzzerTestOneInput(reinterpret_cast<const uint8_t*>(content.data()), content.size());
    }
  }
  if (files) return 0;
  const auto begin = std::chrono::steady_clock::now();
  int64_t number = 0;
  for (; std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count() < seconds; ++number) {
    std::mt19937 random(seed + static_cast<unsigned>(number));
    std::vector<uint8_t> input(200 + random() % 200);
    for (uint8_t& byte : input) byte = static_cast<uint8_t>(random());
    if (FILE* const last = std::fopen("last_input", "wb")) {  // what a crash leaves behind
      std::fwrite(input.data(), 1, input.size(), last);
      std::fclose(last);
    }
    LLVMFuzzerTestOneInput(input.data(), input.size());
  }
  std::printf("%lld inputs\n", static_cast<long long>(number));
  return 0;
}
