"""The parts of tools/build_models: fetch, convert, calibrate, quantise, describe, measure."""
