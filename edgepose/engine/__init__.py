"""TFLite behind one small interface."""
