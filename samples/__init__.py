"""What tests and tools share: made-up people and models, recorded walks, fuzz targets. Of ours, it uses edgepose."""
