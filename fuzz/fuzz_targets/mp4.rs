#![no_main]

use wan_animate::video::{Audio, Frames};
use wan_animate_fuzz::file;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    // Pictures are another reader's, whatever follows their first bytes.
    if bytes.starts_with(b"\xff\xd8") || bytes.starts_with(b"GIF8") || bytes.starts_with(b"RIFF") || bytes.starts_with(b"\x89PNG") {
        return;
    }
    let (Some(b"ftyp" | b"moov" | b"mdat" | b"wide"), 12..) = (bytes.get(4..8).and_then(|kind| kind.first_chunk::<4>()), bytes.len())
    else {
        return;
    };
    let video = file("video.mp4", bytes);
    let _ = Audio::open(video.clone()).map(|audio| audio.map(|audio| audio.skip(0.5)));
    let Ok(frames) = Frames::open(video) else { return };
    let (width, height) = frames.size();
    // The decoder is another project's: some frames, for what lies between, and no large ones, which take it long.
    let read = |frames: &Frames| (0..frames.num_frames().min(4)).rev().for_each(|index| drop(frames.read(index)));
    if width * height <= 1 << 14 {
        read(&frames);
        let _ = frames.at_fps(29.97).map(|frames| read(&frames));
    }
});
