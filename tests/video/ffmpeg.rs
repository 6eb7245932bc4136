//! Against the program ffmpeg, which `make test-all` installs: real encodings, what only it reads, and what it makes of files of ours.
#![cfg(all(feature = "mp4", feature = "ffmpeg"))]

use std::io::BufRead;
use std::path::Path;
use std::process::{Command, Stdio};

use image::RgbImage;
use tempfile::TempDir;
use wan_animate::video::{Audio, Frame, Frames, VideoOptions, VideoWriter, open_image};

use super::containers::{file, numbers};
use super::files::{difference, picture, refusal};

/// How long the moving test picture of these encodings lasts.
const SECONDS: f64 = 1.33;

/// How far a sample may be from ffmpeg's: 3 levels by which ffmpeg rounds colours coarser, and where B-frames are predicted directly in parts of
/// blocks, the edges that the decoder smooths otherwise, which are few.
const ROUNDING: u8 = 3;
const SMOOTHING: u8 = 12;
const FEW: f64 = 5e-4;

fn ffmpeg(arguments: &str, files: &[&Path]) -> Vec<u8> {
    let mut command = Command::new("ffmpeg");
    command.args(["-nostdin", "-v", "error", "-y"]);
    let mut files = files.iter();
    for argument in arguments.split(' ').filter(|argument| !argument.is_empty()) {
        match argument {
            "FILE" => command.arg(files.next().expect("a file")),
            other => command.arg(other),
        };
    }
    let output = command.stdin(Stdio::null()).output().expect("ffmpeg is installed");
    assert!(output.status.success(), "{arguments}: {}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

/// What ffmpeg shows.
fn shown(path: &Path, (width, height): (u32, u32)) -> Vec<RgbImage> {
    let raw = ffmpeg("-i FILE -an -vsync passthrough -pix_fmt rgb24 -sws_flags bicubic -f rawvideo -", &[path]);
    raw.chunks(3 * (width * height) as usize).map(|raw| RgbImage::from_raw(width, height, raw.to_vec()).unwrap()).collect()
}

/// Frames are ffmpeg's, forwards and on the way back.
fn check(path: &Path, what: &str) {
    let video = Frames::open(path).unwrap_or_else(|error| panic!("{what}: {error}"));
    let frames = shown(path, video.size());
    assert_eq!(video.num_frames(), frames.len(), "{what}");
    let (mut far, mut worst) = (0, 0);
    for index in (0..frames.len()).chain((0..frames.len()).rev().step_by(13)) {
        let got = video.read(index).unwrap_or_else(|error| panic!("{what}: {error}"));
        let off = |(a, b): (&u8, &u8)| a.abs_diff(*b);
        far += got.as_raw().iter().zip(frames[index].as_raw()).map(off).filter(|&off| off > ROUNDING).count();
        worst = worst.max(got.as_raw().iter().zip(frames[index].as_raw()).map(off).max().unwrap());
    }
    let samples = frames.len() * frames[0].as_raw().len();
    println!("{what}: {} frames, {far} of {samples} samples off, {worst} at most", frames.len());
    assert!(worst <= SMOOTHING && far as f64 <= FEW * samples as f64, "{what}: {far} of {samples} samples off, {worst} at most");
}

fn encode(folder: &TempDir, name: &str, options: &str) -> std::path::PathBuf {
    let path = folder.path().join(name);
    let source = format!(
        "-f lavfi -t {SECONDS} -i testsrc2=s=208x112:r=30 -f lavfi -t {SECONDS} -i aevalsrc=0.5*sin(3000*t*t):s=48000 -pix_fmt yuv420p {options} FILE"
    );
    ffmpeg(&source, &[&path]);
    path
}

#[test]
#[ignore = "needs the program ffmpeg"]
fn real_encodings_are_read_as_ffmpeg_shows_them() {
    let folder = tempfile::tempdir().unwrap();
    let presets = ["ultrafast", "superfast", "veryfast", "faster", "fast", "medium", "slow", "slower", "veryslow"];
    for preset in presets {
        check(&encode(&folder, "a.mp4", &format!("-c:v libx264 -preset {preset}")), preset);
    }
    for (name, options) in [
        ("a.mp4", "-c:v libx264 -tune animation"),
        ("a.mp4", "-c:v libx264 -tune film -crf 12"),
        ("a.mp4", "-c:v libx264 -preset slower -tune fastdecode"),
        ("a.mp4", "-c:v libx264 -tune zerolatency"),
        ("a.mp4", "-c:v libx264 -profile:v baseline"),
        ("a.mp4", "-c:v libx264 -profile:v main -bf 3"),
        ("a.mp4", "-c:v libx264 -x264-params intra-refresh=1:keyint=15"),
        ("a.mp4", "-c:v libx264 -x264-params open-gop=1:keyint=10:bframes=3"),
        ("a.mp4", "-c:v libx264 -g 1"),
        ("a.mp4", "-c:v libx264 -vf crop=206:110:0:0"),
        ("a.mp4", "-c:v libx264 -vsync vfr -vf setpts=(N+N*N/20)/(30*TB)"),
        ("a.mov", "-c:v libx264 -c:a aac -timecode 10:00:00:00"),
        ("a.mov", "-c:v libx264 -color_range pc -colorspace bt709 -color_primaries bt709 -color_trc bt709"),
        ("a.mp4", "-c:v libx264 -movflags frag_keyframe+empty_moov"),
        ("a.mp4", "-c:v libx264 -pix_fmt yuv420p10le"),
        ("a.mp4", "-c:v libx264 -pix_fmt yuv444p"),
        ("a.mp4", "-c:v libx264 -qp 0"),
        ("a.mp4", "-c:v libx265 -x265-params log-level=none -tag:v hvc1"),
        ("a.mov", "-c:v libx265 -x265-params log-level=none -pix_fmt yuv420p10le"),
        ("a.mov", "-c:v prores_ks -pix_fmt yuv422p10le"),
        ("a.webm", "-c:v libvpx-vp9 -deadline realtime -cpu-used 8"),
        ("a.mkv", "-c:v libx264 -c:a aac"),
        ("a.avi", "-c:v mpeg4"),
        ("a.ts", "-c:v libx264"),
        ("a.mpg", "-c:v mpeg2video"),
    ] {
        check(&encode(&folder, name, options), options);
    }
}

#[test]
#[ignore = "needs the program ffmpeg"]
fn cut_and_turned_copies_are_read_as_ffmpeg_shows_them() {
    let folder = tempfile::tempdir().unwrap();
    let source = encode(&folder, "source.mp4", "-c:v libx264 -x264-params keyint=15:bframes=3");
    for (name, options) in [
        ("a.mp4", "-ss 0.7 -i FILE -c copy FILE"),
        ("a.mov", "-ss 0.3 -i FILE -t 0.5 -c copy FILE"),
        ("b.mp4", "-i FILE -c copy -metadata:s:v rotate=90 FILE"),
        ("c.mov", "-i FILE -c copy -metadata:s:v rotate=180 FILE"),
        ("d.mp4", "-itsoffset 0.2 -i FILE -c copy FILE"),
    ] {
        let path = folder.path().join(name);
        ffmpeg(options, &[&source, &path]);
        check(&path, options);
    }
    let open = encode(&folder, "open.mp4", "-c:v libx264 -x264-params open-gop=1:keyint=10:bframes=3");
    let path = folder.path().join("e.mp4");
    ffmpeg("-ss 0.5 -i FILE -c copy FILE", &[&open, &path]);
    check(&path, "a cut in open groups");
}

/// Frames are those that were numbered, wherever one begins to read.
#[test]
#[ignore = "needs the program ffmpeg"]
fn other_formats_go_through_ffmpeg() {
    for name in ["lossless.mp4", "lossless_444.mp4", "chroma_422.mp4", "fragmented.mp4", "hevc.mov", "vp9.webm"] {
        assert_eq!(numbers(&Frames::open(file(name)).unwrap()), [0, 1, 2, 3], "{name}");
    }
    assert_eq!(numbers(&Frames::open(file("temporal.mp4")).unwrap()), (0..12).collect::<Vec<u64>>());
    assert_eq!(open_image(file("mask.avif")).unwrap().dimensions(), (64, 48));
    assert_eq!(Frames::open(file("mask.avif")).unwrap().num_frames(), 1);
    let error = refusal(Frames::open(file("picture.heic")));
    assert!(error.contains("a HEIC picture") && error.contains("cannot read it either"), "{error}");
    // Far apart, where a container has no index to jump by, and where frames are uneven.
    let folder = tempfile::tempdir().unwrap();
    for (name, options) in [
        ("a.mkv", "-c:v libx265 -x265-params log-level=none"),
        ("a.ts", "-c:v libx264 -g 50"),
        ("a.h264", "-c:v libx264 -g 50"),
        ("b.mkv", "-c:v libx265 -x265-params log-level=none -vf setpts=(N+N*N/50)/(30*TB) -vsync vfr"),
    ] {
        let path = folder.path().join(name);
        ffmpeg(&format!("-f lavfi -i testsrc2=s=64x48:r=30 -frames:v 300 -pix_fmt yuv420p {options} FILE"), &[&path]);
        let video = Frames::open(&path).unwrap();
        let frames = shown(&path, video.size());
        assert_eq!(video.num_frames(), 300, "{name}");
        for index in [299, 5, 200, 201, 199, 64, 63, 0, 128] {
            let (_, most) = difference(&video.read(index).unwrap(), &frames[index]);
            assert_eq!(most, 0, "{name}: frame {index}");
        }
    }
}

/// A reader that is dropped takes its process along.
#[test]
#[cfg(target_os = "linux")]
#[ignore = "needs the program ffmpeg"]
fn no_process_is_left_behind() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.mkv");
    ffmpeg("-f lavfi -i testsrc2=s=640x480:r=30 -frames:v 300 -pix_fmt yuv420p -c:v libx264 -preset ultrafast FILE", &[&path]);
    let video = Frames::open(&path).unwrap();
    video.read(3).unwrap();
    assert!(is_being_read(&path), "it runs while frames are left");
    drop(video);
    let gone = (0..600).any(|_| {
        std::thread::sleep(std::time::Duration::from_millis(100));
        !is_being_read(&path)
    });
    assert!(gone, "its process is still there");
}

/// Whether a child of this process has a file among its arguments. Other tests have children of their own.
#[cfg(target_os = "linux")]
fn is_being_read(path: &Path) -> bool {
    let tasks = std::fs::read_dir("/proc/self/task").unwrap().flatten();
    let children: String = tasks.map(|task| std::fs::read_to_string(task.path().join("children")).unwrap_or_default()).collect();
    let arguments = children.split_whitespace().map(|child| std::fs::read(format!("/proc/{child}/cmdline")).unwrap_or_default());
    let name = path.to_str().unwrap();
    arguments.into_iter().any(|arguments| String::from_utf8_lossy(&arguments).contains(name))
}

/// What ffprobe says of the streams' starts, and the copied packets' checksums.
#[test]
#[ignore = "needs the program ffmpeg"]
fn ffmpeg_hears_the_sound_in_time() {
    let folder = tempfile::tempdir().unwrap();
    let source = encode(&folder, "source.mp4", "-c:v libx264 -bf 2 -c:a aac");
    for name in ["a.mp4", "a.mov"] {
        let path = folder.path().join(name);
        let audio = Audio::open(&source).unwrap();
        let mut writer = VideoWriter::create_with(&path, 64, 48, 30.0, &VideoOptions::default().audio(audio)).unwrap();
        (0..30).for_each(|index| writer.write(&Frame::from(&picture(index, 64, 48))).unwrap());
        writer.finish().unwrap();
        let sums = |path: &Path| {
            let text = String::from_utf8(ffmpeg("-i FILE -map 0:a -c copy -f framemd5 -", &[path])).unwrap();
            let lines = text.lines().filter(|line| !line.starts_with('#'));
            lines.map(|line| line.rsplit(',').next().unwrap().trim().to_string()).collect::<Vec<_>>()
        };
        let (kept, all) = (sums(&path), sums(&source));
        let first = all.iter().position(|sum| *sum == kept[0]).unwrap();
        assert_eq!(kept[..], all[first..first + kept.len()], "{name}: the same packets");
        // The decoded sound, a tone that rises: as long as the frames, and where the source's is.
        let heard = |path: &Path| -> Vec<i16> {
            let raw = ffmpeg("-i FILE -map 0:a -t 1 -f s16le -ac 1 -ar 48000 -", &[path]);
            bytemuck::pod_collect_to_vec(&raw)
        };
        let (ours, theirs) = (heard(&path), heard(&source));
        assert!(ours.len().abs_diff(48_000) < 1200, "{name}: {} samples", ours.len());
        let off = |delay: &usize| (10_000..20_000).map(|at| i64::from(ours[at + delay - 1200].abs_diff(theirs[at]))).sum::<i64>();
        let delay = (0..2400).min_by_key(off).unwrap();
        assert_eq!(delay, 1200, "{name}: sound is {} samples late", delay as i64 - 1200);
    }
}

/// AV1 in WebM: frames, times and colour, by ffmpeg's reading.
#[test]
#[cfg(feature = "webm")]
#[ignore = "needs the program ffmpeg"]
fn webm_is_read_by_ffmpeg() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.webm");
    let mut last = 0.0;
    for quality in [1, 25, 50, 75, 100] {
        let options = VideoOptions::default().quality(quality).effort(wan_animate::video::Effort::Fast);
        let mut writer = VideoWriter::create_with(&path, 64, 48, 24.0, &options).unwrap();
        (0..60).for_each(|index| writer.write(&Frame::from(&picture(index, 64, 48))).unwrap());
        writer.finish().unwrap();
        let video = Frames::open(&path).unwrap();
        assert_eq!((video.num_frames(), video.size(), video.fps()), (60, (64, 48), Some(24.0)));
        let error: f64 = (0..60).map(|index| difference(&video.read(index).unwrap(), &picture(index, 64, 48)).0).sum();
        println!("quality {quality}: off by {:.2} on average", error / 60.0);
        assert!(last == 0.0 || error < last, "quality {quality}");
        last = error;
    }
}

/// What a browser makes of the files: their size, and that their time goes on.
#[test]
#[ignore = "needs the program chromium"]
fn chromium_plays_what_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let sound = Audio::open(file("sound.mp4")).unwrap();
    let names = if cfg!(feature = "webm") { &["a.mp4", "a.webm"][..] } else { &["a.mp4"] };
    for name in names {
        let options = VideoOptions::default().effort(wan_animate::video::Effort::Fast).audio(sound.clone().filter(|_| *name == "a.mp4"));
        let mut writer = VideoWriter::create_with(folder.path().join(name), 64, 48, 30.0, &options).unwrap();
        (0..45).for_each(|index| writer.write(&Frame::from(&picture(index, 64, 48))).unwrap());
        writer.finish().unwrap();
        let page = folder.path().join("page.html");
        let script = "v.onerror = () => console.log('error ' + v.error.message);
            v.onended = () => console.log(`${v.videoWidth}x${v.videoHeight}, ${v.currentTime.toFixed(1)} s, all ${v.getVideoPlaybackQuality().totalVideoFrames > 30}`);
            v.play().catch(error => console.log('error ' + error));";
        std::fs::write(&page, format!("<body><video id=v src={name}></video><script>{script}</script></body>")).unwrap();
        let said = console(&page);
        assert!(said.contains("64x48, 1.5 s, all true"), "{name}: {said}");
    }
}

/// The first thing that a page says in Chromium.
fn console(page: &Path) -> String {
    let mut chromium = Command::new("chromium");
    chromium.args(["--headless", "--no-sandbox", "--disable-gpu", "--autoplay-policy=no-user-gesture-required", "--enable-logging=stderr"]);
    // It would leave before the page has done anything.
    chromium.args(["--remote-debugging-port=0"]).arg(format!("file://{}", page.display()));
    let mut child = chromium.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("chromium is installed");
    let lines = std::io::BufReader::new(child.stderr.take().unwrap()).lines();
    let said = lines.map_while(Result::ok).find(|line| line.contains("CONSOLE")).unwrap_or_default();
    child.kill().unwrap();
    child.wait().unwrap();
    said
}
