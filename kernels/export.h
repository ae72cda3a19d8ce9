// Marks the functions that the shared library exports; all others are hidden.
#pragma once

#if defined(_WIN32)
#define DINO8_EXPORT extern "C" __declspec(dllexport)
#else
#define DINO8_EXPORT extern "C" __attribute__((visibility("default")))
#endif
