//! Frames, files and preprocessing, against Pillow, diffusers, transformers and PyTorch (tests/reference/preprocess.py).

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod video {
    mod containers;
    mod ffmpeg;
    mod files;
    mod goldens;
    mod preprocess;
    mod sound;
}
