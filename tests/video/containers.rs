//! Files of the kinds that people have, made by `tests/reference/video_files.py`: what is presented is what is read, and what is not read
//! is refused when it is opened.
#![cfg(feature = "mp4")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use image::imageops::{flip_horizontal, flip_vertical, rotate90, rotate180, rotate270};
use image::{Rgb, RgbImage};
use serde_json::Value;
use wan_animate::video::{Audio, Frames, open_image};

use super::files::refusal;

/// Twenty-nine and something, as people say it, and as it is.
const TELEVISION: f64 = 30_000.0 / 1001.0;

pub(super) fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/goldens/video").join(name)
}

/// Which frame of its source a grey frame is.
pub(super) fn number(frame: &RgbImage) -> u64 {
    let luma = f64::from(frame.get_pixel(frame.width() / 2, frame.height() / 2).0[0]) * 219.0 / 255.0;
    (luma / 3.0).round() as u64
}

pub(super) fn numbers(video: &Frames) -> Vec<u64> {
    (0..video.num_frames()).map(|index| number(&video.read(index).unwrap())).collect()
}

/// What ffmpeg shows: frames as they are, and at rates.
fn shown() -> BTreeMap<String, Value> {
    serde_json::from_slice(&std::fs::read(file("shown.json")).unwrap()).unwrap()
}

fn list(value: &Value) -> Vec<u64> {
    value.as_array().unwrap().iter().map(|number| number.as_u64().unwrap()).collect()
}

#[test]
fn what_a_container_presents_is_what_is_read() {
    let all = shown();
    assert!(all.len() > 10);
    for (name, expected) in all {
        let video = Frames::open(file(&name)).unwrap_or_else(|error| panic!("{error}"));
        let frames = list(&expected["frames"]);
        assert_eq!(numbers(&video), frames, "{name}");
        // Another way through, from a decoder that has seen nothing.
        let again = Frames::open(file(&name)).unwrap();
        for index in [frames.len() - 1, frames.len() / 2, 0, frames.len() / 3] {
            assert_eq!(number(&again.read(index).unwrap()), frames[index], "{name}: frame {index}");
        }
        assert_eq!(video.path(), Some(&*file(&name)));
    }
}

#[test]
fn uneven_frames_are_played_by_their_times() {
    let uneven = ["trimmed.mp4", "uneven.mp4", "uneven_first.mov"];
    for (name, expected) in shown() {
        let video = Frames::open(file(&name)).unwrap();
        assert_eq!(video.times().is_some(), uneven.contains(&name.as_str()), "{name}");
        let Some(times) = video.times() else { continue };
        assert_eq!(times.len(), video.num_frames() + 1);
        for (fps, frames) in expected["at"].as_object().unwrap() {
            let played = video.clone().at_fps(fps.parse().unwrap()).unwrap();
            assert_eq!(numbers(&played), list(frames), "{name} at {fps}");
        }
    }
}

/// The official code's rule: by number, not by the nearest time, which would be 1, 4, 7.
#[test]
fn even_frames_are_played_by_their_numbers() {
    let video = Frames::open(file("bframes.mp4")).unwrap().at_fps(10.0).unwrap();
    assert_eq!(numbers(&video), (0..30).step_by(3).collect::<Vec<u64>>());
}

#[test]
fn rates_of_television_lose_no_frame() {
    for name in ["television.mp4", "milliseconds.mp4"] {
        let video = Frames::open(file(name)).unwrap();
        assert!((video.fps().unwrap() - TELEVISION).abs() < 1e-9, "{name}: {:?}", video.fps());
        for fps in [29.97, TELEVISION] {
            assert_eq!(numbers(&video.clone().at_fps(fps).unwrap()), (0..70).collect::<Vec<u64>>(), "{name} at {fps}");
        }
    }
}

/// How ffmpeg lays a picture.
type Way = fn(&RgbImage) -> RgbImage;

#[test]
fn pictures_come_upright_by_every_matrix() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.mp4");
    let upright = Frames::open(file("corners.mp4")).unwrap().read(1).unwrap();
    let mut bytes = std::fs::read(file("corners.mp4")).unwrap();
    // The first five of nine 16.16 numbers, a b u c d, lie 40 bytes behind the name of the track's header.
    let matrix = bytes.windows(4).position(|window| window == b"tkhd").unwrap() + 44;
    let mut open = |[a, b, c, d]: [i32; 4]| {
        let values: Vec<u8> = [a, b, 0, c, d].iter().flat_map(|value| (value << 16).to_be_bytes()).collect();
        bytes[matrix..matrix + 20].copy_from_slice(&values);
        std::fs::write(&path, &bytes).unwrap();
        Frames::open(&path)
    };
    // Each as `ffmpeg -vf` has it: nothing, hflip, vflip, both, transpose 1, 2, 0 and 3.
    let ways: [([i32; 4], Way); 8] = [
        ([1, 0, 0, 1], RgbImage::clone),
        ([-1, 0, 0, 1], flip_horizontal),
        ([1, 0, 0, -1], flip_vertical),
        ([-1, 0, 0, -1], rotate180),
        ([0, 1, -1, 0], rotate90),
        ([0, -1, 1, 0], rotate270),
        ([0, 1, 1, 0], |image| flip_horizontal(&rotate90(image))),
        ([0, -1, -1, 0], |image| flip_vertical(&rotate90(image))),
    ];
    for (matrix, way) in ways {
        let video = open(matrix).unwrap();
        let image = video.read(1).unwrap();
        assert_eq!(video.size(), image.dimensions(), "{matrix:?}");
        assert_eq!(image, way(&upright), "{matrix:?}");
    }
    without_ffmpeg("pictures_come_upright_by_every_matrix", || {
        for matrix in [[1, 1, 0, 1], [2, 0, 0, 1]] {
            assert!(refusal(open(matrix)).contains("quarter turns"), "{matrix:?}");
        }
    });
}

/// Runs a part of the test `name` in a process that finds no program, as where ffmpeg is not installed.
fn without_ffmpeg(name: &str, part: impl FnOnce()) {
    if std::env::var_os("PATH").is_none_or(|path| path.is_empty()) {
        return part();
    }
    let test = format!("video::containers::{name}");
    let mut child = Command::new(std::env::current_exe().unwrap());
    let output = child.args(["--exact", &test]).env("PATH", "").output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    assert!(String::from_utf8_lossy(&output.stdout).contains("1 passed"), "it ran");
}

#[test]
fn what_is_not_read_is_refused_when_it_is_opened() {
    without_ffmpeg("what_is_not_read_is_refused_when_it_is_opened", || {
        for (name, words) in [
            ("lossless.mp4", "lossless H.264"),
            ("lossless_444.mp4", "8 bits and 4:2:0 only"),
            ("chroma_422.mp4", "8 bits and 4:2:0 only"),
            ("ten_bits.mov", "8 bits and 4:2:0 only"),
            ("interlaced.mp4", "interlaced"),
            ("temporal.mp4", "temporal direct prediction under CAVLC"),
            ("fragmented.mp4", "fragmented"),
            ("hevc.mov", "H.265 (HEVC)"),
            ("open_cut.mp4", "no IDR frame"),
            ("vp9.webm", "a WebM or Matroska video"),
        ] {
            let error = refusal(Frames::open(file(name)));
            assert!(error.starts_with("unsupported: ") && error.contains(words) && error.contains(name), "{error}");
            assert!(error.contains("`ffmpeg -i IN -c:v libx264 -crf 12 -pix_fmt yuv420p OUT.mp4`"), "{error}");
            assert!(error.contains(if cfg!(feature = "ffmpeg") { "install" } else { "feature `ffmpeg`" }), "{error}");
        }
        for (name, words) in [("mask.avif", "an AVIF picture"), ("picture.heic", "a HEIC picture")] {
            for error in [refusal(Frames::open(file(name))), refusal(open_image(file(name)))] {
                assert!(error.contains(words) && error.contains("`ffmpeg -i IN OUT.png`"), "{error}");
            }
        }
    });
}

#[test]
fn damage_is_told_in_words() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.mp4");
    let mut bytes = std::fs::read(file("source.mp4")).unwrap();
    let data = bytes.windows(4).position(|window| window == b"mdat").unwrap();
    // The fourth frame's slice, but for its length and header.
    bytes[data + 900..data + 960].fill(0xff);
    std::fs::write(&path, bytes).unwrap();
    let video = Frames::open(&path).unwrap();
    let error = (0..video.num_frames()).find_map(|index| video.read(index).err()).map(|error| error.to_string());
    if let Some(error) = error {
        assert!(error.contains("cannot be decoded") && !error.contains("OpenH264") && !error.contains("Native"), "{error}");
    }
}

#[test]
fn animated_pictures_are_read_whole() {
    let folder = tempfile::tempdir().unwrap();
    for (name, format) in [("animated.webp", "webp"), ("animated.png", "png"), ("animated.gif", "gif")] {
        let video = Frames::open(file(name)).unwrap();
        // These are RGB already: black is 0.
        let greys: Vec<u8> = (0..video.num_frames()).map(|index| video.read(index).unwrap().get_pixel(5, 5).0[0]).collect();
        assert_eq!(greys.len(), 6, "{name}");
        assert!(greys.is_sorted_by(|a, b| a < b), "{name}: {greys:?}");
        let times = video.times().unwrap_or_else(|| panic!("{name}: a frame is shown longer"));
        assert!(times[3] - times[2] > 2.5 * (times[2] - times[1]), "{name}: {times:?}");
        // Cut short: refused or fewer frames would be a silent loss.
        let whole = std::fs::read(file(name)).unwrap();
        let cut = folder.path().join(format!("cut.{format}"));
        for length in [whole.len() / 2, whole.len() - 30] {
            std::fs::write(&cut, &whole[..length]).unwrap();
            assert!(refusal(Frames::open(&cut)).contains("cut."), "{name}");
        }
    }
    // A picture that does not move is one frame.
    let still = folder.path().join("still.webp");
    RgbImage::from_pixel(4, 4, Rgb([9; 3])).save(&still).unwrap();
    assert_eq!(Frames::open(&still).unwrap().num_frames(), 1);
}

/// Any byte changed, or the file cut anywhere: refused or read, within bounds.
#[test]
fn no_changed_byte_does_harm() {
    without_ffmpeg("no_changed_byte_does_harm", || {
        let folder = tempfile::tempdir().unwrap();
        for name in
            ["trimmed.mp4", "uneven.mp4", "avc3.mp4", "temporal.mp4", "sound.mov", "sound_late.mp4", "cover_first.mov", "animated.png"]
        {
            let whole = std::fs::read(file(name)).unwrap();
            let path = folder.path().join(name);
            let open = |bytes: &[u8]| {
                std::fs::write(&path, bytes).unwrap();
                let _ = Audio::open(&path);
                let Ok(video) = Frames::open(&path) else { return };
                let _ = video.read(video.num_frames() - 1);
                let _ = video.at_fps(29.97).map(|video| video.read(0));
            };
            for position in (0..whole.len()).step_by(31) {
                for change in [0x01, 0xff] {
                    let mut changed = whole.clone();
                    changed[position] ^= change;
                    open(&changed);
                }
                open(&whole[..position]);
            }
        }
    });
}
