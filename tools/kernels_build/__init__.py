"""What `tools/build_kernels` runs: numba's loops become shared libraries for the processors of boards."""
