#![no_main]

use wan_animate::video::{Frames, open_image};
use wan_animate_fuzz::file;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    // Videos are another reader's.
    if !(bytes.starts_with(b"\x89PNG") || bytes.starts_with(b"GIF8") || bytes.starts_with(b"RIFF")) {
        return;
    }
    let picture = file("picture", bytes);
    let _ = open_image(picture.clone());
    let _ = Frames::open(picture).and_then(|frames| frames.at_fps(29.97)).map(|frames| frames.read(frames.num_frames() - 1));
});
