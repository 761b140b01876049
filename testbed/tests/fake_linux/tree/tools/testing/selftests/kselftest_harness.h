/* The toy of kselftest_harness.h. */
