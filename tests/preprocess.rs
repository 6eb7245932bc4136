//! From key points to conditions, against Wan2.2's own preprocessing and OpenCV (tests/reference/conditions.py), and on real clips.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod preprocess {
    mod bad_input;
    mod common;
    mod files;
    mod goldens;
    mod prepare;
    mod real;
}
