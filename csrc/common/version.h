// Version of the interface between the Python files and the native libraries. Raise it with every change of a binding
// or of a C ABI structure; svebm_ext/ops/native_library.py has the same number and refuses a library with another.
#pragma once

#define SVEBM_ABI_VERSION 9
