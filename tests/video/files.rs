use std::fs;
use std::path::{Path, PathBuf};

use image::{ImageFormat, RgbImage};
use tempfile::TempDir;
use wan_animate::video::{Frame, Frames, Motion, Scene, VideoOptions, VideoWriter, open_image};

use super::goldens::Goldens;

/// A picture with colour everywhere, that moves with `index` and differs from all others. Smooth, as 4:2:0 cannot keep edges.
pub(super) fn picture(index: usize, width: u32, height: u32) -> RgbImage {
    RgbImage::from_fn(width, height, |x, y| {
        let wave = |speed: f32, phase: f32| {
            let t = (x as f32 * 0.02 + y as f32 * 0.01 + index as f32 * 0.2) * speed + phase;
            (127.5 + 110.0 * t.sin()) as u8
        };
        [wave(1.0, 0.0), wave(0.7, 2.0), wave(0.5, 4.0)].into()
    })
}

fn write_video(path: &Path, num_frames: usize, (width, height): (u32, u32), fps: f64) {
    let mut writer = VideoWriter::create(path, width, height, fps).unwrap();
    for index in 0..num_frames {
        writer.write(&Frame::from(&picture(index, width, height))).unwrap();
    }
    writer.finish().unwrap();
}

pub(super) fn difference(a: &RgbImage, b: &RgbImage) -> (f64, u8) {
    let pairs = || a.as_raw().iter().zip(b.as_raw()).map(|(a, b)| a.abs_diff(*b));
    (pairs().map(f64::from).sum::<f64>() / a.as_raw().len() as f64, pairs().max().unwrap())
}

pub(super) fn refusal<T>(result: wan_animate::Result<T>) -> String {
    result.err().expect("a refusal").to_string()
}

fn listing(folder: &TempDir) -> Vec<String> {
    let mut names: Vec<_> = fs::read_dir(folder).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
#[cfg(feature = "mp4")]
fn mp4_and_mov_keep_count_size_rate_and_colour() {
    let folder = tempfile::tempdir().unwrap();
    for (name, size, fps) in [("a.mp4", (208, 112), 30.0), ("b.MOV", (48, 32), 24_000.0 / 1001.0), ("c.mov", (64, 34), 12.5)] {
        let path = folder.path().join(name);
        write_video(&path, 67, size, fps);
        let bytes = fs::read(&path).unwrap();
        assert_eq!(&bytes[4..12], if name.ends_with("mp4") { b"ftypisom" } else { b"ftypqt  " });
        let place = |name: &[u8]| bytes.windows(4).position(|window| window == name).unwrap();
        assert!(place(b"moov") < place(b"mdat"), "the index comes first");
        let video = Frames::open(&path).unwrap();
        assert_eq!((video.num_frames(), video.size()), (67, size));
        assert!((video.fps().unwrap() - fps).abs() < 1e-9 * fps);
        for index in 0..67 {
            // A level on average, from 8 bits and 4:2:0; 17 once, in the corner of a block that the picture only partly fills.
            let (mean, max) = difference(&video.read(index).unwrap(), &picture(index, size.0, size.1));
            assert!(mean < 1.2 && max <= 20, "{name}: frame {index} is off by {mean} on average, {max} at most");
        }
    }
    assert_eq!(listing(&folder), ["a.mp4", "b.MOV", "c.mov"], "nothing temporary is left");
}

/// 1 level: these decode exactly (B-frames without direct prediction in parts of blocks), so only f32 and f64 can round a tie apart.
#[test]
#[cfg(feature = "mp4")]
fn videos_of_another_encoder_are_read() {
    let goldens = Goldens::open("video.safetensors");
    let folder = tempfile::tempdir().unwrap();
    for name in ["bframes.mp4", "open.mov", "full.mov", "baseline.mp4"] {
        let path = folder.path().join(name);
        fs::write(&path, goldens.bytes(&format!("{name}.bytes"))).unwrap();
        let video = Frames::open(&path).unwrap();
        let shape = goldens.shape(&format!("{name}.frames"));
        assert_eq!((video.num_frames(), video.size()), (shape[0], (shape[2] as u32, shape[1] as u32)), "{name}");
        assert_eq!(video.fps().unwrap() as f32, goldens.floats(&format!("{name}.rate"))[0], "{name}");
        let frames = goldens.bytes(&format!("{name}.frames"));
        let frames: Vec<&[u8]> = frames.chunks(shape[1] * shape[2] * 3).collect();
        for index in (0..shape[0]).chain([9, 3, 13, 7, 0]) {
            let image = video.read(index).unwrap();
            let max = image.as_raw().iter().zip(frames[index]).map(|(got, want)| got.abs_diff(*want)).max().unwrap();
            assert!(max <= 1, "{name}: frame {index} is off by {max}");
        }
    }
}

#[test]
#[cfg(feature = "mp4")]
fn mp4_frames_read_the_same_in_any_order() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.mp4");
    write_video(&path, 150, (48, 32), 30.0);
    let video = Frames::open(&path).unwrap();
    let forwards: Vec<RgbImage> = (0..150).map(|index| video.read(index).unwrap()).collect();
    for index in [149, 148, 0, 61, 60, 59, 149, 3].into_iter().chain((0..150).rev()) {
        assert_eq!(video.read(index).unwrap(), forwards[index], "frame {index}");
    }
    assert!(refusal(video.read(150)).contains("150"));
}

#[test]
#[cfg(feature = "mp4")]
fn lower_quality_makes_smaller_files() {
    let folder = tempfile::tempdir().unwrap();
    let bytes = |quality: u8| {
        let path = folder.path().join(format!("{quality}.mp4"));
        let mut writer = VideoWriter::create_with(&path, 64, 64, 30.0, &VideoOptions::default().quality(quality)).unwrap();
        (0..10).for_each(|index| writer.write(&Frame::from(&picture(index, 64, 64))).unwrap());
        writer.finish().unwrap();
        fs::metadata(path).unwrap().len()
    };
    assert!(bytes(20) < bytes(60) && bytes(60) < bytes(100));
}

#[test]
#[cfg(feature = "mp4")]
fn damaged_videos_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("whole.mp4");
    write_video(&path, 30, (48, 32), 30.0);
    let whole = fs::read(&path).unwrap();
    let broken = folder.path().join("broken.mp4");
    // Every cut is refused at once, or a frame is when it is read; nothing panics and nothing is made up.
    for length in (0..whole.len()).step_by(37) {
        fs::write(&broken, &whole[..length]).unwrap();
        let error = refusal(Frames::open(&broken));
        assert!(error.contains("broken.mp4"), "{error}");
    }
    fs::write(&broken, &whole[..whole.len() - 10]).unwrap();
    assert!(refusal(Frames::open(&broken)).contains("cut short"));
    // Any byte changed: refused or read, within bounds.
    for position in (0..whole.len()).step_by(whole.len() / 200) {
        let mut changed = whole.clone();
        changed[position] ^= 0x55;
        fs::write(&broken, &changed).unwrap();
        if let Ok(video) = Frames::open(&broken) {
            let frames = video.num_frames().min(100);
            let _ = (0..frames).try_for_each(|index| video.read(index).map(drop));
        }
    }
}

#[test]
fn files_that_are_no_videos_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("text.mp4");
    for (content, words) in [
        (&b"this is no video"[..], "neither a picture"),
        (b"", "neither a picture"),
        (b"\x1a\x45\xdf\xa3 a matroska file", "WebM"),
        (b"RIFF    AVI LIST", "AVI"),
    ] {
        fs::write(&path, content).unwrap();
        let error = refusal(Frames::open(&path));
        assert!(error.contains(words) && error.contains("text.mp4"), "{error}");
    }
    assert!(refusal(Frames::open(folder.path().join("missing.mp4"))).contains("missing.mp4"));
}

#[test]
fn directories_are_read_in_natural_order() {
    let folder = tempfile::tempdir().unwrap();
    for index in [1, 2, 9, 10, 100] {
        let format = if index % 2 == 0 { ImageFormat::Png } else { ImageFormat::WebP };
        // The endings are wrong for half of them, which must not matter.
        picture(index, 8, 6).save_with_format(folder.path().join(format!("f{index}.png")), format).unwrap();
    }
    fs::write(folder.path().join("notes.txt"), "not a frame").unwrap();
    fs::write(folder.path().join(".hidden.png"), "not a frame").unwrap();
    fs::create_dir(folder.path().join("more")).unwrap();
    let video = Frames::open(folder.path()).unwrap();
    assert_eq!((video.num_frames(), video.size(), video.fps()), (5, (8, 6), None));
    for (index, name) in [1, 2, 9, 10, 100].into_iter().enumerate() {
        assert_eq!(video.read(index).unwrap(), picture(name, 8, 6));
    }

    fs::write(folder.path().join("f11.png"), "not a frame").unwrap();
    assert!(refusal(Frames::open(folder.path())).contains("f11.png"));
    picture(0, 6, 8).save(folder.path().join("f11.png")).unwrap();
    let error = refusal(Frames::open(folder.path()));
    assert!(error.contains("f11.png") && error.contains("6x8") && error.contains("8x6"), "{error}");
}

#[test]
fn empty_directories_and_videos_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    assert!(refusal(Frames::open(folder.path())).contains("holds no"));
    assert!(refusal(Frames::from_images([])).contains("at least one frame"));
    assert!(refusal(Frames::from_images([RgbImage::new(0, 3)])).contains("0x3"));
    let error = refusal(Frames::from_images([RgbImage::new(2, 3), RgbImage::new(3, 2)]));
    assert!(error.contains("frame 1") && error.contains("3x2"), "{error}");
    let writer = VideoWriter::create(folder.path().join("a.gif"), 4, 4, 10.0).unwrap();
    assert!(refusal(writer.finish()).contains("no frame"));
    assert!(listing(&folder).is_empty(), "nothing of the unfinished video is left");
}

#[test]
fn one_picture_and_animated_gifs_are_videos() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("mask");
    picture(3, 8, 6).save_with_format(&path, ImageFormat::Png).unwrap();
    let video = Frames::open(&path).unwrap();
    assert_eq!((video.num_frames(), video.read(0).unwrap()), (1, picture(3, 8, 6)));

    let path = folder.path().join("out.gif");
    write_video(&path, 5, (32, 16), 12.0);
    let video = Frames::open(&path).unwrap();
    assert_eq!((video.num_frames(), video.size()), (5, (32, 16)));
    // Five frames end at 0.42 s, in whole hundredths.
    assert!((video.fps().unwrap() - 5.0 / 0.42).abs() < 1e-9);
    for index in (0..5).rev() {
        // 256 colours for 512 smooth pixels.
        let (mean, _) = difference(&video.read(index).unwrap(), &picture(index, 32, 16));
        assert!(mean < 4.0, "frame {index} is off by {mean}");
    }
    assert!(refusal(VideoWriter::create(&path, 8, 8, 60.0)).contains("50"));
}

#[test]
fn png_directories_are_exact_and_forget_longer_runs() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("frames");
    write_video(&path, 5, (7, 5), 30.0);
    fs::write(path.join("notes.txt"), "mine").unwrap();
    write_video(&path, 3, (7, 5), 30.0);
    let video = Frames::open(&path).unwrap();
    assert_eq!(video.num_frames(), 3);
    (0..3).for_each(|index| assert_eq!(video.read(index).unwrap(), picture(index, 7, 5)));
    assert!(path.join("notes.txt").exists());
}

#[test]
fn safetensors_keep_every_bit() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("out.safetensors");
    let samples = |seed: usize| -> Vec<f32> { (0..5 * 3 * 3).map(|i| ((i * 7 + seed) as f32 * 0.001).fract()).collect() };
    let mut writer = VideoWriter::create(&path, 5, 3, 30.0).unwrap();
    (0..4).for_each(|seed| writer.write(&Frame::new(5, 3, samples(seed)).unwrap()).unwrap());
    assert!(!path.exists(), "no file before it is whole");
    writer.finish().unwrap();
    let bytes = fs::read(&path).unwrap();
    let file = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    assert_eq!(file.names(), ["frames"]);
    let frames = file.tensor("frames").unwrap();
    assert_eq!((frames.dtype(), frames.shape()), (safetensors::Dtype::F32, &[4, 3, 5, 3][..]));
    let want: Vec<f32> = (0..4).flat_map(samples).collect();
    assert_eq!(bytemuck::pod_collect_to_vec::<u8, f32>(frames.data()), want);
    assert_eq!(listing(&folder), ["out.safetensors"]);
}

#[test]
fn impossible_outputs_are_refused_before_any_frame() {
    let folder = tempfile::tempdir().unwrap();
    let create = |name: &str, width, height, fps| VideoWriter::create(folder.path().join(name), width, height, fps);
    for (name, words) in [("out.avi", ".mp4, .mov, .webm, .gif"), ("out.jpg", "`.jpg`"), ("no/such/folder/out.gif", "out.gif")] {
        let error = refusal(create(name, 16, 16, 30.0));
        assert!(error.contains(words), "{error}");
    }
    for fps in [0.0, -1.0, f64::NAN, f64::INFINITY, 1e6] {
        assert!(refusal(create("out.gif", 16, 16, fps)).contains("rate"));
    }
    assert!(refusal(create("out.gif", 0, 16, 30.0)).contains("0x16"));
    assert!(
        refusal(VideoWriter::create_with(folder.path().join("out.gif"), 8, 8, 9.0, &VideoOptions::default().quality(101))).contains("101")
    );
    if cfg!(feature = "mp4") {
        assert!(refusal(create("out.mp4", 17, 16, 30.0)).contains("even"));
        assert!(refusal(create("out.mp4", 4096, 4096, 30.0)).contains("3840x2160"));
    }
    let mut writer = create("out.gif", 16, 16, 30.0).unwrap();
    let error = refusal(writer.write(&Frame::from(&picture(0, 8, 8))));
    assert!(error.contains("8x8") && error.contains("16x16"), "{error}");
    drop(writer);
    if cfg!(feature = "mp4") {
        let mut writer = create("out.mp4", 16, 16, 30.0).unwrap();
        writer.write(&Frame::from(&picture(0, 16, 16))).unwrap();
        assert!(!folder.path().join("out.mp4").exists(), "no file before it is whole");
    }
    assert!(listing(&folder).is_empty(), "nothing of the unfinished videos is left");
}

#[test]
fn frames_round_as_in_numpy() {
    // 0.5/255 is a tie in f32 after the product; 1.5 and 2.5 go to even levels.
    let samples = vec![0.5 / 255.0, 1.5 / 255.0, 2.5 / 255.0, 1.0, 0.0, 0.999, -0.1, 1.1, 0.2];
    let frame = Frame::new(3, 1, samples).unwrap();
    assert_eq!(frame.to_rgb8().as_raw()[..], [0, 2, 2, 255, 0, 255, 0, 255, 51]);
    assert!(refusal(Frame::new(2, 2, vec![0.0; 11])).contains("11"));
    assert!(Frame::new(0, 2, vec![]).is_err());
}

#[test]
fn motions_and_scenes_must_match_frame_by_frame() {
    let video = |num_frames: usize| Frames::from_images((0..num_frames).map(|index| picture(index, 4, 4))).unwrap();
    assert!(refusal(Motion::new(None, None)).contains("nothing to imitate"));
    let error = refusal(Motion::new(video(3), video(4)));
    assert!(error.contains("pose video has 3") && error.contains("face video has 4"), "{error}");
    assert_eq!(Motion::new(None, video(4)).unwrap().num_frames(), 4);
    let motion = Motion::new(video(3), None).unwrap();
    assert!(motion.face().is_none());

    let error = refusal(Scene::new(motion.clone(), video(2), video(2)));
    assert!(error.contains("background video has 2"), "{error}");
    let error = refusal(Scene::new(motion.clone(), video(3), video(2)));
    assert!(error.contains("mask video has 2"), "{error}");
    let scene = Scene::new(motion.clone(), video(3), video(3)).unwrap();
    assert_eq!(scene.read_mask(2).unwrap(), picture(2, 4, 4));
    let still = Scene::new(motion, video(3), video(1)).unwrap();
    assert_eq!(still.read_mask(2).unwrap(), picture(0, 4, 4));
}

#[test]
#[cfg(feature = "mp4")]
fn real_videos_are_read() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data/cloth");
    if !folder.exists() {
        println!("skipped: ../shared/data/cloth is absent");
        return;
    }
    let open = |name: &str| Frames::open(PathBuf::from(&folder).join(name)).unwrap();
    let pose = open("pose.mp4");
    assert_eq!((pose.num_frames(), pose.size(), pose.fps()), (78, (832, 480), Some(30.0)));
    for (index, name) in [(0, "pose_0000.png"), (40, "pose_0040.png")] {
        let exact = open(name).read(0).unwrap();
        // The stream was made with 4:2:0, which smears the thin coloured lines; the mean shows a wrong frame or matrix.
        let (mean, _) = difference(&pose.read(index).unwrap(), &exact);
        assert!(mean < 1.0, "frame {index} is off by {mean}");
        let (other, _) = difference(&pose.read(index + 15).unwrap(), &exact);
        assert!(other > 2.0 * mean, "frame {} is as near: {other}", index + 15);
    }
    assert_eq!(open("face.mp4").size(), (512, 512));
    assert_eq!(open("mask0.png").num_frames(), 1);
    let motion = Motion::new(pose, open("face.mp4")).unwrap();
    Scene::new(motion, open("background.mp4"), open("mask0_1x1.png")).unwrap();
}

#[test]
fn pictures_cut_short_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a");
    for format in [ImageFormat::Jpeg, ImageFormat::Png, ImageFormat::WebP] {
        picture(1, 40, 30).save_with_format(&path, format).unwrap();
        let whole = fs::read(&path).unwrap();
        assert!(open_image(&path).is_ok(), "{format:?}");
        for length in [4, whole.len() / 2, whole.len() - 20] {
            fs::write(&path, &whole[..length]).unwrap();
            assert!(refusal(open_image(&path)).contains(path.to_str().unwrap()), "{format:?} of {length} bytes");
        }
    }
}

/// A picture that claims more pixels than its file can have is refused before any of them gets memory.
#[test]
fn bombs_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.png");
    picture(1, 40, 30).save(&path).unwrap();
    let mut bytes = fs::read(&path).unwrap();
    // Width and height in the first chunk, and its checksum behind it.
    bytes[16..20].copy_from_slice(&15_000u32.to_be_bytes());
    bytes[20..24].copy_from_slice(&12_000u32.to_be_bytes());
    let crc = bytes[12..29].iter().fold(u32::MAX, |crc, &byte| {
        (0..8).fold(crc ^ u32::from(byte), |crc, _| if crc & 1 == 1 { crc >> 1 ^ 0xedb8_8320 } else { crc >> 1 })
    });
    bytes[29..33].copy_from_slice(&(!crc).to_be_bytes());
    fs::write(&path, &bytes).unwrap();
    let message = refusal(open_image(&path));
    assert!(message.contains("15000x12000 pixels are too many for such a file"), "{message}");
    assert!(refusal(Frames::open(&path)).contains("too many"));
    // A frame of an animation that is much larger than the animation.
    let screen = [b"GIF89a", &[8, 0, 8, 0, 0x80, 0, 0][..], &[0; 6]].concat();
    let frame = [&[0x2c, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0x7f, 0][..], &[2, 2, 0x4c, 1, 0, 0x3b]].concat();
    fs::write(&path, [screen, frame].concat()).unwrap();
    assert!(refusal(Frames::open(&path)).contains(path.to_str().unwrap()));
}

#[test]
fn photos_are_turned_upright() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.jpg");
    picture(1, 40, 30).save(&path).unwrap();
    let photo = fs::read(&path).unwrap();
    // An Exif segment that holds the orientation 6 alone: turn by 90 degrees clockwise to see it upright.
    let exif = b"\xff\xe1\x00\x22Exif\0\0MM\x00\x2a\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0";
    fs::write(&path, [&photo[..2], exif, &photo[2..]].concat()).unwrap();
    let upright = Frames::open(folder.path()).unwrap();
    assert_eq!(upright.size(), (30, 40));
    let image = upright.read(0).unwrap();
    let (mean, _) = difference(&image, &image::imageops::rotate90(&picture(1, 40, 30)));
    assert!(image.dimensions() == (30, 40) && mean < 10.0, "off by {mean}");
}
