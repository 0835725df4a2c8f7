"""The main job, shown and checked: pictures, model, decoder, broker and back."""
